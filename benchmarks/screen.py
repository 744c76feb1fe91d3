"""What watching costs the bot: `python -m benchmarks.screen [--quick]`.

Processor time of the pinned status rows, drawn once a second on a terminal of 100 columns, and of a scrape of /metrics,
each as a share of one core.
"""

import argparse
import json
import os
import pty
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from benchmarks.figure import figure
from liqcli.cli.statusline import Pinned
from liqcli.ops.metrics import exposition, registry_of
from liqcli.ops.standing import Standing

STATUS = Path(__file__).parents[1] / "tests" / "data" / "status.json"


def main(*, quick: bool) -> bool:
    """Measure and print; true when both targets are met."""
    standing, rounds = Standing(), 50 if quick else 500
    standing.status = json.loads(STATUS.read_text())
    registry = registry_of(standing)
    with open_terminal() as terminal:
        pinned = Pinned(standing, terminal, mode="SANDBOX", plain=False)
        drawn_s = _seconds(pinned.refresh, rounds)
        pinned.ended.set()
        pinned.refresh()
    scraped_s = _seconds(lambda: exposition(registry), rounds)
    return all(
        [
            figure("status line at one a second", drawn_s * 100, "% of a core", at_most=1.0, of="value"),
            figure("a scrape", scraped_s * 1000, "ms", at_most=20.0, of="value"),
            figure("scrapes, one in five seconds", scraped_s * 20, "% of a core", at_most=0.5, of="value"),
        ]
    )


def open_terminal() -> TextIO:
    """The writing end of a pseudo terminal whose other end is read and forgotten."""
    ours, theirs = pty.openpty()
    threading.Thread(target=_drain, args=(ours,), daemon=True).start()
    return os.fdopen(theirs, "w", encoding="utf-8")


def _drain(end: int) -> None:
    try:
        while os.read(end, 65536):
            pass
    except OSError:
        return


def _seconds(step: Callable[[], object], rounds: int) -> float:
    """Processor seconds of one step, after a first that is not counted."""
    step()
    started = time.thread_time()
    for _ in range(rounds):
        step()
    return (time.thread_time() - started) / rounds


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    sys.exit(0 if main(quick=parser.parse_args().quick) else 1)
