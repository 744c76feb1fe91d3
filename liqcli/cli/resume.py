"""`liq resume`: the end of `liq pause`."""

from liqcli.cli import options
from liqcli.config import pause_file


def resume(*, config: options.ConfigFile = None) -> None:
    """Allow signing again after `liq pause`.

    Example: liq resume
    """
    path = pause_file(options.settings_from(config=config))
    was_paused = path.exists()
    path.unlink(missing_ok=True)
    print("resumed" if was_paused else "nothing was paused")
