"""How fast `liq` starts: `python -m benchmarks.startup [--quick]`.

`liq --help` beside `python -c pass`, and the time from the command to READY with 200 and 2,000 borrowers.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.figure import figure

ROUNDS = 7


def main(*, quick: bool) -> bool:
    """Measure and print everything; true when every target is met."""
    help_s, pass_s = _alternating([sys.executable, "-m", "liqcli", "--help"], [sys.executable, "-c", "pass"])
    results = [
        figure("liq --help", help_s, "s", reference=pass_s),
        figure("liq --help over python -c pass", help_s - pass_s, "s", at_most=0.4, of="value"),
    ]
    for borrowers in (200,) if quick else (200, 2000):
        ready_s = asyncio.run(_ready(borrowers))
        results.append(
            figure(
                f"READY with {borrowers} borrowers", ready_s, "s", at_most=5.0 if borrowers == 200 else None, of="value"
            )
        )
    return all(results)


def _alternating(one: Sequence[str], other: Sequence[str]) -> tuple[float, float]:
    """Median seconds of both commands, run in turn so that the machine's mood falls on both."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS + 1):
        for command, taken in zip((one, other), times, strict=True):
            started = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            taken.append(time.perf_counter() - started)
    return median(times[0][1:]), median(times[1][1:])


async def _ready(borrowers: int) -> float:
    """Seconds from starting the sandbox with so many borrowers to a bot's READY on it."""
    with tempfile.TemporaryDirectory() as directory:
        environment = {**os.environ, "LIQ_DATA_DIR": directory}
        began = time.perf_counter()
        sandbox = await started(environment, "sandbox", "up", "--borrowers", str(borrowers))
        await line_with(sandbox, "liquidator")
        bot = await started(environment, "run", "--sandbox")
        await line_with(bot, "READY")
        taken = time.perf_counter() - began
        for process in (bot, sandbox):
            process.kill()
            await process.wait()
        return taken


async def started(environment: dict[str, str], *args: str) -> asyncio.subprocess.Process:
    """A command that goes on running."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "liqcli", *args, env=environment, cwd=Path(environment["LIQ_DATA_DIR"]),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip


async def line_with(process: asyncio.subprocess.Process, word: str) -> None:
    """Read until a line has the word; SystemExit when the process ends before."""
    assert process.stdout is not None
    async for line in process.stdout:
        if word in line.decode():
            return
    raise SystemExit(f"the process ended before it said {word}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    sys.exit(0 if main(quick=parser.parse_args().quick) else 1)
