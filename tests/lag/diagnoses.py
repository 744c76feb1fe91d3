"""Diagnoses of real and generated logs, made by the very functions the command uses."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from liqcli.lag.advise import diagnose
from liqcli.lag.incidents import aggregate_columns
from liqcli.lag.lines import Clock
from liqcli.lag.measure import measure_lag

SAMPLES = Path(__file__).parents[2] / "sample_logs"
GOLDEN = SAMPLES / "artemis-2025-05-14-event-lag.log"
UNTIMED = SAMPLES / "artemis-no-timestamps.log"
START_US = 1_747_233_585_999_162


def diagnosis_of(path, **known):
    """What `liq diagnose lag PATH` concludes."""
    return diagnose(measure_lag([path]), **known)


def diagnosis_of_columns(at_us, lost, **known):
    """The conclusion from lag lines given as numbers."""
    statistics = aggregate_columns(np.asarray(at_us, np.int64), np.asarray(lost, np.int64))
    wall = replace(statistics, inputs=replace(statistics.inputs, clock=Clock.WALL))
    return diagnose(wall, **known)


def diagnosis_of_text(folder, *lines):
    """The conclusion from log lines."""
    path = folder / "bot.log"
    path.write_text("".join(f"{line}\n" for line in lines))
    return diagnosis_of(path)


def bursts(number, *, lines=20, apart_us=5_000_000):
    """`number` bursts of `lines` lag lines, sizes up and down within each."""
    at_us = [START_US + burst * apart_us + line * 3_000 for burst in range(number) for line in range(lines)]
    lost = [1 + (burst * 37 + line * 11) % 900 for burst in range(number) for line in range(lines)]
    return diagnosis_of_columns(at_us, lost)


def scattered(number, *, seed=7):
    """`number` lines over three days, a few of them enormous: what a busy bot leaves behind."""
    random = np.random.default_rng(seed)
    bursts_at = np.sort(random.integers(0, 3 * 86_400, max(1, number // 500))) * 1_000_000
    at_us = np.sort(random.choice(bursts_at, number) + random.exponential(2e5, number).astype(np.int64)) + START_US
    return diagnosis_of_columns(at_us, np.maximum(1, random.pareto(1.1, number) * 20).astype(np.int64))
