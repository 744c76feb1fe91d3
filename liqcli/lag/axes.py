"""Scales with ticks that people read: round numbers, decades, doublings, times of day."""

import math
from dataclasses import dataclass

from liqcli.lag.glyphs import rounded, significant
from liqcli.lag.instants import SECOND_US, day, stamp, time_of_day
from liqcli.lag.lines import Clock

MINUTE, HOUR, DAY = 60, 3_600, 86_400
TIME_STEPS_S = (
    *(1, 2, 5, 10, 15, 30),
    *(MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE),
    *(HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR),
    *(DAY, 2 * DAY, 7 * DAY, 14 * DAY, 30 * DAY, 90 * DAY, 365 * DAY),
)
SHORT_UNITS = ((1, "µs"), (1_000, "ms"), (SECOND_US, "s"))
CLOCK_TIMES_FROM_US = 2 * SECOND_US


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Axis:
    """A scale from `low` to `high`; the label carries the unit."""

    label: str
    low: float
    high: float
    ticks: tuple[Tick, ...]
    log: bool = False

    def fraction(self, value: float) -> float:
        """Where a value lies between the two ends, 0 to 1, cut at the ends."""
        low, high, value = (self._scaled(number) for number in (self.low, self.high, value))
        return min(1.0, max(0.0, (value - low) / (high - low)))

    def _scaled(self, value: float) -> float:
        return math.log(max(value, self.low)) if self.log else value


def merged_bucket(bucket_s: int, buckets: int, most: int) -> int:
    """The narrowest round length in seconds that shows `buckets` buckets in at most `most` bars."""
    least = bucket_s * -(-buckets // most)
    return next((step for step in TIME_STEPS_S if step >= least and step % bucket_s == 0), least)


def abbreviated(number: float) -> str:
    """A tick's count: 100, 10k, 1.5M, 3.33G."""
    for unit, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(number) >= unit:
            return f"{significant(number / (1e3 if letter == 'k' else unit))}{letter}"
    return significant(number)


def linear_axis(label: str, low: float, high: float, *, least: float = 0) -> Axis:
    """Round steps of 1, 2 or 5, about six and none below `least`; the ends stay where the data ends."""
    high = high if high > low else low + 1
    step = max(_round_step((high - low) / 6), least)
    first, last = math.ceil(low / step), math.floor(high / step + 1e-9)
    return Axis(label, low, high, tuple(Tick(n * step, abbreviated(n * step)) for n in range(first, last + 1)))


def percent_axis(label: str, highest: float = 100) -> Axis:
    """0 to the next 20 % above the data, with a little air."""
    top = min(100, 20 * math.ceil(highest / 20))
    step = 20 if top > 40 else top // 4
    return Axis(label, 0, 1.04 * top, tuple(Tick(number, f"{number}%") for number in range(0, top + 1, step)))


def decade_axis(label: str, low: float, high: float) -> Axis:
    """Powers of ten around positive data; every tick is labelled, thinned out when there are many."""
    first, last = math.floor(math.log10(low / 1.5)), math.ceil(math.log10(high * 1.2))
    every = 1 + (last - first) // 8
    ticks = tuple(Tick(10.0**n, abbreviated(10.0**n)) for n in range(max(first, 0), last + 1, every))
    return Axis(label, max(10.0**first, 0.5), 10.0**last, ticks, log=True)


def doubling_axis(label: str, low: int, high: int) -> Axis:
    """Powers of two from `low` to `high`, both powers of two themselves."""
    doublings = (high // low).bit_length() - 1
    every = 1 + doublings // 8
    ticks = tuple(Tick(low << n, rounded(low << n)) for n in range(0, doublings + 1, every))
    return Axis(label, low / 1.3, high * 1.3, ticks, log=True)


def time_axis(start_us: int, end_us: int, clock: Clock, *, pad_us: int = 0) -> Axis:
    """Microseconds since `start_us`; labelled by the time of day, or by what has passed when that is short."""
    length = end_us - start_us
    if length + 2 * pad_us < CLOCK_TIMES_FROM_US:
        return _passed_axis(start_us, length, clock)
    first_us, last_us = start_us - pad_us, end_us + pad_us
    step_s = next((step for step in TIME_STEPS_S if (last_us - first_us) / SECOND_US / step <= 7), TIME_STEPS_S[-1])
    step_us = step_s * SECOND_US
    places = range(-(-first_us // step_us) * step_us, last_us + 1, step_us)
    ticks = tuple(Tick(at_us - start_us, _time_label(at_us, clock, step_s)) for at_us in places)
    return Axis(_time_axis_label(start_us, end_us, clock), -pad_us, length + pad_us, ticks)


def passed_label(start_us: int, unit: str, clock: Clock) -> str:
    """The label of an axis that counts from a moment."""
    return f"{unit} after {stamp(start_us, clock)}{' UTC' if clock is Clock.WALL else ''}"


def _passed_axis(start_us: int, length: int, clock: Clock) -> Axis:
    if length == 0:
        return Axis(passed_label(start_us, "µs", clock), -1, 1, (Tick(0, "0"),))
    factor, unit = next((row for row in reversed(SHORT_UNITS) if length >= 2 * row[0]), SHORT_UNITS[0])
    plain = linear_axis(passed_label(start_us, unit, clock), 0, length / factor)
    ticks = tuple(Tick(tick.at * factor, tick.label) for tick in plain.ticks)
    return Axis(plain.label, -0.02 * length, 1.02 * length, ticks)


def _time_label(at_us: int, clock: Clock, step_s: int) -> str:
    if clock is not Clock.WALL:
        minutes, seconds = divmod(at_us // SECOND_US, MINUTE)
        return f"+{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
    if at_us % (DAY * SECOND_US) == 0:
        return day(at_us)[5:]
    return time_of_day(at_us, clock, step_us=step_s * SECOND_US)


def _time_axis_label(start_us: int, end_us: int, clock: Clock) -> str:
    if clock is not Clock.WALL:
        return "hours:minutes:seconds since the process began"
    first, last = day(start_us), day(end_us)
    return f"time (UTC), {first}" + (f" to {last}" if last != first else "")


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return float(next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9)))
