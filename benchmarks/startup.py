"""How fast `liq` starts: `python -m benchmarks.startup [--quick]`.

`liq --help`, the report of a small log and `liq health` beside `python -c pass`, and the time from the command to READY
with 200 and 2,000 borrowers.
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
FEW = 200
SETTLED_S = 5.0
"""A bot that has just become ready is busy with what its first pass found."""
SMALL_LOG = Path(__file__).parents[1] / "sample_logs" / "artemis-2025-05-14-event-lag.log"


def main(*, quick: bool) -> bool:
    """Measure and print everything; true when every target is met."""
    results = [
        *_beside_python("liq --help", ["--help"], at_most=0.4),
        *_beside_python("liq diagnose lag, 54 lines", ["diagnose", "lag", str(SMALL_LOG)], at_most=0.35),
    ]
    for borrowers in (FEW,) if quick else (FEW, 2000):
        results += asyncio.run(_ready(borrowers))
    return all(results)


def _beside_python(name: str, args: Sequence[str], *, at_most: float) -> list[bool]:
    """A command's seconds, and those beyond what Python itself needs to start."""
    taken, bare = _alternating([sys.executable, "-m", "liqcli", *args], [sys.executable, "-c", "pass"])
    return [
        figure(name, taken, "s", reference=bare),
        figure(f"{name} over python -c pass", taken - bare, "s", at_most=at_most, of="value"),
    ]


def _alternating(one: Sequence[str], other: Sequence[str]) -> tuple[float, float]:
    """Median seconds of both commands, run in turn so that the machine's mood falls on both."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS + 1):
        for command, taken in zip((one, other), times, strict=True):
            started = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            taken.append(time.perf_counter() - started)
    return median(times[0][1:]), median(times[1][1:])


async def _ready(borrowers: int) -> list[bool]:
    """Seconds from starting a sandbox with so many borrowers to a bot's READY on it; with few also of a probe of it."""
    with tempfile.TemporaryDirectory() as directory:
        environment = {**os.environ, "LIQ_DATA_DIR": directory}
        began = time.perf_counter()
        sandbox = await started(environment, "sandbox", "up", "--borrowers", str(borrowers))
        await line_with(sandbox, "liquidator")
        bot = await started(environment, "run", "--sandbox")
        await line_with(bot, "READY")
        taken = time.perf_counter() - began
        most = 5.0 if borrowers == FEW else None
        results = [figure(f"READY with {borrowers} borrowers", taken, "s", at_most=most, of="value")]
        if borrowers == FEW:
            await asyncio.sleep(SETTLED_S)
            probe = ["health", "--data-dir", directory]
            results += await asyncio.to_thread(_beside_python, "liq health", probe, at_most=0.1)
        for process in (bot, sandbox):
            process.kill()
            await process.wait()
        return results


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
