"""The queue beside task engines doing no-op jobs: `python -m benchmarks.queue_rivals [--quick]`.

Each engine is installed into an environment of its own in a temporary directory, because their pins of the Redis client
contradict each other and ours; one that cannot be installed is named as missing. Each is one worker with its own
concurrency: theirs 4 threads to 100 jobs at once, ours what `liq worker` has by default, 4 claims of 50. They carry
arguments, results and routing, ours only borrowers, which it takes by the batch: the figures say what a general engine
would cost, not that it is badly made.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Mapping
from pathlib import Path

from benchmarks.figure import figure
from benchmarks.queue import BATCH, entries_for, queue_on, serving, work_off
from liqcli.sandbox.valkey import Valkey
from liqcli.store.queue import BorrowerQueue

PACKAGES = {"arq": ("arq",), "taskiq": ("taskiq-redis", "taskiq"), "dramatiq": ("dramatiq[redis]",)}
JOBS = Path(__file__).parent / "rivals" / "jobs.py"
ROUNDS = 3


async def main(jobs: int) -> bool:
    """Measure everybody on one server, in turns; true when we are 30 times the best of them."""
    best: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as directory:
        engines = {name: python for name in PACKAGES if (python := _installed(Path(directory) / name, name))}
        async with serving(Path(directory) / "valkey", persist=False) as server:
            for _ in range(ROUNDS):
                for name, python in engines.items():
                    _keep_best(best, name, await asyncio.to_thread(_measured, python, name, server, jobs))
                async with queue_on(server) as queue:
                    _keep_best(best, "liq", await _ours(queue, 10 * jobs))
    return _tell(best)


def _installed(directory: Path, name: str) -> Path | None:
    venv.create(directory, with_pip=True)
    python = directory / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES[name]]
    if subprocess.run(pip, check=False, capture_output=True).returncode:
        print(json.dumps({"name": f"work_{name}", "missing": f"cannot install {' '.join(PACKAGES[name])}"}), flush=True)
        return None
    return python


def _measured(python: Path, name: str, server: Valkey, jobs: int) -> dict[str, float]:
    argv = [str(python), str(JOBS), name, str(server.socket), str(jobs)]
    told = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=300).stdout
    rates: dict[str, float] = json.loads(told)
    return rates


async def _ours(queue: BorrowerQueue, count: int) -> dict[str, float]:
    entries = entries_for(count)
    started = time.perf_counter()
    for first in range(0, count, BATCH):
        await queue.push(entries[first : first + BATCH])
    pushed = time.perf_counter()
    await work_off(queue)
    return {"enqueue": count / (pushed - started), "work": count / (time.perf_counter() - pushed)}


def _keep_best(best: dict[str, dict[str, float]], name: str, rates: Mapping[str, float]) -> None:
    kept = best.setdefault(name, {})
    for what, rate in rates.items():
        kept[what] = max(kept.get(what, 0.0), rate)


def _tell(best: Mapping[str, Mapping[str, float]]) -> bool:
    results = []
    for what in ("enqueue", "work"):
        rivals = {name: rates[what] for name, rates in best.items() if name != "liq"}
        for name, rate in rivals.items():
            figure(f"{what}_{name}", rate, "jobs/s")
        ours = best["liq"][what]
        target = 30.0 if what == "work" and rivals else None
        results.append(
            figure(f"{what}_liq", ours, "borrowers/s", reference=max(rivals.values(), default=None), target=target)
        )
    return all(results)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="a fifth of the jobs")
    sys.exit(0 if asyncio.run(main(400 if arguments.parse_args().quick else 2000)) else 1)
