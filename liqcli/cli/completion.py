"""What the shell offers for an option's value: only what is known here, without asking a chain or a server."""

from collections.abc import Callable

from liqcli.model import Tier


def networks() -> list[str]:
    """The networks with a preset, and the one without."""
    from liqcli.presets import presets

    return [*presets()["networks"], "local"]


def market_names() -> list[str]:
    """The presets, and the forks that were added."""
    from liqcli.errors import ConfigError
    from liqcli.presets import presets, user_markets

    try:
        return [*presets()["markets"], *user_markets()]
    except ConfigError:
        return [*presets()["markets"]]


def tiers() -> list[str]:
    """The five tiers."""
    return [tier.value for tier in Tier]


def states() -> list[str]:
    """Where a borrower of the queue can be."""
    return ["ready", "leased", "later", "dead"]


def log_formats() -> list[str]:
    """How a run's lines can look."""
    return ["console", "logfmt", "json"]


def accounts() -> list[str]:
    """The names of the keys in liq's own directory and in Foundry's."""
    from liqcli.cli.wallet import KEYS, foundry_keys
    from liqcli.place import data_directory

    directories = (data_directory() / KEYS, foundry_keys())
    try:
        paths = [path for directory in directories if directory.is_dir() for path in sorted(directory.iterdir())]
    except OSError:
        return []
    return [path.name for path in paths if not path.name.startswith(".")]


def offering(names: Callable[[], list[str]]) -> Callable[[str], list[str]]:
    """What Typer asks with what is typed so far: the names that go on from there."""

    def offered(incomplete: str) -> list[str]:
        return [name for name in names() if name.startswith(incomplete)]

    return offered
