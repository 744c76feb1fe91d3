"""`liq pause`: nothing is signed until `liq resume`."""

from liqcli.cli import options
from liqcli.config import pause_file


def pause(*, config: options.ConfigFile = None) -> None:
    """Keep every bot of this data directory from signing and sending until `liq resume`.

    Example: liq pause
    """
    path = pause_file(options.settings_from(config=config))
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    print(f"paused: nothing is signed while {path} exists; what was sent before may still be mined")
