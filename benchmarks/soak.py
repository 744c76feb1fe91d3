"""Whether a run stays as it is: `python -m benchmarks.soak [--quick]`.

Ten minutes (quick: one) of `liq run` on a sandbox whose scenario goes twenty times as fast, scraped every two seconds.
Maintenance comes each minute instead of every fifth, so that the warm-up of four has seen all that a run does now and
then. After it memory must be flat, files and tasks constant, and no event lost.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression, median
from urllib.error import URLError
from urllib.request import urlopen

from benchmarks.figure import figure

SPEED = 20
SCRAPE_S = 2.0
MIB = 2**20
ADDRESS = "127.0.0.1:9179"


@dataclass(frozen=True, slots=True)
class Sample:
    """One scrape: minutes since the first, and what it showed."""

    minute: float
    rss_mib: float
    fds: float
    tasks: float
    lost: float


def main(*, quick: bool) -> bool:
    """Soak, print everything; true when every target is met."""
    minutes = 1.0 if quick else 10.0
    with tempfile.TemporaryDirectory() as directory:
        samples, summary = _soak(Path(directory), minutes)
    steady = [sample for sample in samples if sample.minute >= minutes * 0.4]
    slope = linear_regression([each.minute for each in steady], [each.rss_mib for each in steady]).slope
    files, tasks = _growth([each.fds for each in steady]), _growth([each.tasks for each in steady])
    return all(
        [
            figure("soak: minutes", samples[-1].minute, "min"),
            figure("soak: events applied", summary["events"]["applied"], "events"),
            figure("soak: liquidations won", summary["liquidations"]["won"], "liquidations"),
            figure("soak: memory", median(each.rss_mib for each in steady), "MiB"),
            figure("soak: memory slope", slope, "MiB/min", at_most=None if quick else 0.2, of="value"),
            figure("soak: files more than at warm-up", files, "files", at_most=2, of="value"),
            figure("soak: tasks more than at warm-up", tasks, "tasks", at_most=5, of="value"),
            figure("soak: events lost", summary["events"]["lost"], "events", at_most=0, of="value"),
        ]
    )


def _soak(directory: Path, minutes: float) -> tuple[list[Sample], dict[str, dict[str, float]]]:
    sandbox = _started(directory, "sandbox", "up", "--speed", str(SPEED))
    try:
        assert sandbox.stdout is not None
        while "liquidator" not in sandbox.stdout.readline():
            pass
        bot = _started(
            directory, "run", "--sandbox", "--json", "--http", ADDRESS, "--duration", f"{minutes * 60 + 10:.0f}s"
        )
        samples = _samples(bot, minutes)
        summary = json.loads(bot.communicate(timeout=60)[0])
    finally:
        sandbox.send_signal(signal.SIGTERM)
        sandbox.wait(30)
    return samples, summary


def _started(directory: Path, *args: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "LIQ_DATA_DIR": str(directory / "data"), "LIQ_MAINTENANCE_INTERVAL_S": "60"}
    return subprocess.Popen(
        [sys.executable, "-m", "liqcli", *args],
        cwd=directory,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def _samples(bot: "subprocess.Popen[str]", minutes: float) -> list[Sample]:
    """Scrapes from the first that shows a ready bot on."""
    found, started = list[Sample](), time.monotonic()
    while time.monotonic() - started < minutes * 60:
        if bot.poll() is not None:
            raise SystemExit(f"the run ended early, with exit code {bot.returncode}")
        facts = _scrape()
        if not facts.get("liq_ready"):
            started = time.monotonic()
        else:
            found.append(
                Sample(
                    (time.monotonic() - started) / 60,
                    facts["process_resident_memory_bytes"] / MIB,
                    facts["process_open_fds"],
                    facts["liq_tasks"],
                    facts["liq_events_lost_total"],
                )
            )
        time.sleep(SCRAPE_S)
    return found


def _scrape() -> dict[str, float]:
    try:
        with urlopen(f"http://{ADDRESS}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    except URLError:
        return {}
    return {name: float(value) for name, value in re.findall(r"^(\w+) (\S+)$", text, re.MULTILINE)}


def _growth(values: Sequence[float]) -> float:
    """How much more there is at the end than at the beginning, by the medians of a fifth each."""
    fifth = max(len(values) // 5, 1)
    return median(values[-fifth:]) - median(values[:fifth])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    sys.exit(0 if main(quick=parser.parse_args().quick) else 1)
