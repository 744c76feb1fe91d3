"""What each chart shows, free of any drawing library: a diagnosis becomes scales, bars, lines and marks."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from liqcli.lag.assumed import DEFAULT_CAPACITY
from liqcli.lag.axes import (
    Axis,
    Tick,
    abbreviated,
    decade_axis,
    doubling_axis,
    linear_axis,
    merged_bucket,
    percent_axis,
    time_axis,
)
from liqcli.lag.glyphs import count, percent, plural, rounded, short_count, span
from liqcli.lag.instants import SECOND_US
from liqcli.lag.lines import NO_TIME
from liqcli.lag.model import ENDLESS, Cause, Diagnosis, Statistics
from liqcli.lag.simulate import slots_for
from liqcli.lag.sizes import Distribution, HistogramBin
from liqcli.lag.tables import worst_incidents

BARS_AT_LEAST, BARS_AT_MOST = 12, 240
POINTS_AT_MOST = 480
INCIDENTS_MARKED = 40
LARGEST_SENSIBLE = 1 << 23
"""Buffers beyond this are drawn only where it takes them to hold what was lost."""


class Tone(StrEnum):
    """What a colour stands for; each drawing picks its own shade."""

    LOSS = "loss"
    LINES = "lines"
    MARK = "mark"


@dataclass(frozen=True)
class Bars:
    """Rectangles from the bottom: (from, to, height)."""

    label: str
    tone: Tone
    bars: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Stems:
    """Thin verticals with a dot on top: (x, height)."""

    label: str
    tone: Tone
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Path:
    """A line through points; `dots` marks each of them."""

    label: str
    tone: Tone
    points: tuple[tuple[float, float], ...]
    dots: bool = False


@dataclass(frozen=True)
class Rug:
    """Small marks along the top edge."""

    label: str
    tone: Tone
    places: tuple[float, ...]


@dataclass(frozen=True)
class Rule:
    """A labelled vertical line."""

    at: float
    label: str


@dataclass(frozen=True)
class Figure:
    """One chart: `name` is its file name, `note` the sentence under the title."""

    name: str
    title: str
    note: str
    x: Axis
    y: Axis
    layers: tuple[Bars | Stems | Path | Rug, ...]
    rules: tuple[Rule, ...] = ()


def figures_of(diagnosis: Diagnosis, *, capacity: int = DEFAULT_CAPACITY) -> list[Figure]:
    """Every chart this log has the data for: without times, or without lag lines, there are fewer."""
    statistics = diagnosis.statistics
    if statistics.distribution is None:
        return []
    figures = [size_figure(statistics.distribution)]
    if statistics.seconds.points:
        figures.append(time_figure(statistics))
    if len(statistics.anatomy):
        figures.append(anatomy_figure(statistics))
    if statistics.incidents:
        figures.append(capacity_figure(diagnosis, capacity=capacity))
    if statistics.seconds.points:
        figures.append(cumulative_figure(statistics))
    return figures


def size_figure(distribution: Distribution) -> Figure:
    """How many lines had which size, beside how many of the lost events went in them."""
    parts = distribution.histogram
    lines, lost = sum(part.count for part in parts), sum(part.lost for part in parts)
    pairs = enumerate(parts)
    shares = [(place, 100 * part.count / lines, 100 * part.lost / lost) for place, part in pairs]
    return Figure(
        "size-distribution",
        "Size of a lag: lines, and what they lost",
        f"half of the lines lost {short_count(distribution.per_line.median)} or fewer; "
        f"half of the events went in lines of {short_count(distribution.by_loss.median)} or more",
        Axis("events lost by one line (logarithmic bins)", -0.2, len(parts) + 0.2, _bin_ticks(parts)),
        percent_axis("share of all", max(max(line, loss) for _, line, loss in shares)),
        (
            Bars("lag lines", Tone.LINES, tuple((place + 0.08, place + 0.48, line) for place, line, _ in shares)),
            Bars("events lost", Tone.LOSS, tuple((place + 0.52, place + 0.92, loss) for place, _, loss in shares)),
        ),
    )


def time_figure(statistics: Statistics) -> Figure:
    """Events lost by bucket, with the incidents marked."""
    series, clock = statistics.seconds, statistics.inputs.clock
    first_us = series.points[0].at_us
    buckets = (series.points[-1].at_us - first_us) // (series.bucket_s * SECOND_US) + 1
    wide_s = merged_bucket(series.bucket_s, buckets, BARS_AT_MOST)
    sums: dict[int, int] = {}
    for point in series.points:
        place = (point.at_us - first_us) // (wide_s * SECOND_US)
        sums[place] = sums.get(place, 0) + point.lost
    width = wide_s * SECOND_US
    pad = max(1, (BARS_AT_LEAST - max(sums)) // 2) * width
    marked = [incident for incident in worst_incidents(statistics)[:INCIDENTS_MARKED] if incident.start_us is not None]
    number = statistics.incident_count
    worst = f"worst {len(marked)} of {count(number)} incidents" if len(marked) < number else "incidents"
    return Figure(
        "loss-over-time",
        "Events lost over time",
        f"one bar = {span(wide_s)}; no bar = no lag line in that time; tallest {count(max(sums.values()))}",
        time_axis(first_us, first_us + (max(sums) + 1) * width, clock, pad_us=pad),
        decade_axis(f"events lost {_each(wide_s)}", min(sums.values()), max(sums.values())),
        (
            Bars("events lost", Tone.LOSS, tuple((at * width, (at + 1) * width, lost) for at, lost in sums.items())),
            Rug(worst, Tone.MARK, tuple(incident.start_us - first_us for incident in marked if incident.start_us)),
        ),
    )


def anatomy_figure(statistics: Statistics) -> Figure:
    """The worst run of lag lines, line by line: the head and the tail it drags."""
    rows, clock = statistics.anatomy, statistics.inputs.clock
    times, losses = rows.at_us.tolist(), rows.lost.tolist()
    timed = NO_TIME not in times
    start_us = times[0] if timed else 0
    places = [at_us - start_us for at_us in times] if timed else list(range(1, len(times) + 1))
    axis = (
        time_axis(start_us, max(times), clock, pad_us=(max(times) - start_us) // 50)
        if timed
        else linear_axis("lag line of the incident", 0, len(places) + 1, least=1)
    )
    points = tallest_points(list(zip(places, losses, strict=True)), axis)
    tail = sum(losses) - losses[0]
    unit = "run" if statistics.anatomy_us else "line"
    apart = f" (lines less than {span(statistics.anatomy_us / 1e6)} apart)" if statistics.anatomy_us else ""
    note = f"{count(losses[0])} in the first {unit}{apart}"
    if len(losses) > 1:
        note += f", {count(tail)} in the {plural(len(losses) - 1, unit)} after it"
    if timed and max(times) > start_us:
        note += f", within {span((max(times) - start_us) / 1e6)}"
    return Figure(
        "incident-anatomy",
        "Anatomy of the worst incident",
        note,
        axis,
        decade_axis(f"events lost by the {unit}", min(losses), max(losses)),
        (Stems(unit, Tone.LOSS, tuple(points)),),
    )


def capacity_figure(diagnosis: Diagnosis, *, capacity: int = DEFAULT_CAPACITY) -> Figure:
    """What would still have been lost with a bigger buffer that starts each incident empty."""
    statistics = diagnosis.statistics
    slots = slots_for(capacity)
    rules = [Rule(slots, f"assumed now: {count(slots)}")]
    wanted = diagnosis.recommend.capacity
    if wanted is not None and slots_for(wanted) != slots:
        rules.append(Rule(slots_for(wanted), f"recommended: {count(slots_for(wanted))}"))
    points = capacity_losses(statistics, slots, least=_least_shown(diagnosis, slots))
    total = points[0][1]
    return Figure(
        "capacity-against-loss",
        "Buffer size against loss",
        _capacity_note(diagnosis, points),
        doubling_axis("slots in the buffer (powers of two)", slots, points[-1][0]),
        percent_axis(f"lost in the end, of {_events(total)}"),
        (Path("lost in the end", Tone.LOSS, tuple((at, 100 * lost / total) for at, lost in points), dots=True),),
        tuple(rules),
    )


def _least_shown(diagnosis: Diagnosis, slots: int) -> int:
    """Where no buffer is the answer the picture goes as far as the table; else to the recommendation."""
    if any(incident.cause in ENDLESS for incident in diagnosis.statistics.incidents):
        return max([row.slots for row in diagnosis.capacities if row.slots <= LARGEST_SENSIBLE], default=slots)
    return slots_for(diagnosis.recommend.capacity or 1)


def cumulative_figure(statistics: Statistics) -> Figure:
    """Everything lost so far: steps where it went at once, slopes where it seeped away."""
    times, losses = _loss_points(statistics)
    axis = time_axis(times[0], times[-1], statistics.inputs.clock)
    total, points = 0, [(axis.low, 0.0)]
    for at_us, lost in zip(times, losses, strict=True):
        points.append((float(at_us - times[0]), float(total)))
        total += lost
        points.append((float(at_us - times[0]), float(total)))
    steps = max(1, len(points) // (2 * POINTS_AT_MOST))
    kept = points if steps == 1 else [*points[:: 2 * steps], points[-1]]
    return Figure(
        "cumulative-loss",
        "Cumulative loss",
        f"{plural(total, 'event')} in all, {percent(max(losses), total)} of them in one {_unit(statistics)}",
        axis,
        linear_axis("events lost so far", 0, 1.04 * total, least=1),
        (Path("lost so far", Tone.LOSS, (*kept, (axis.high, float(total)))),),
    )


def capacity_losses(statistics: Statistics, slots: int, *, least: int = 1) -> list[tuple[int, int]]:
    """(slots, events lost in the end) at each doubling up to `least` and until a larger buffer saves nothing more.

    An incident shrinks by what the buffer grows; one of an endless cause does not: its loss is delayed, not prevented.
    Those too small to be listed shrink together, once the smallest that is listed is gone.
    """
    endless = sum(incident.lost for incident in statistics.incidents if incident.cause in ENDLESS)
    others = [incident.lost for incident in statistics.incidents if incident.cause not in ENDLESS]
    unlisted = statistics.totals.lost - endless - sum(others)
    if not others:
        endless, unlisted = endless + unlisted, 0
    points: list[tuple[int, int]] = []
    size = slots
    while size <= least or not points or points[-1][1] > endless:
        room = size - slots
        hidden = unlisted if others and room < min(others) else 0
        points.append((size, endless + hidden + sum(max(0, lost - room) for lost in others)))
        size *= 2
    return points


def tallest_points(points: Sequence[tuple[int, int]], axis: Axis) -> list[tuple[float, float]]:
    """At most one point a column, the tallest, so that no spike is thinned away."""
    columns: dict[int, tuple[int, int]] = {}
    for point in points:
        column = int(axis.fraction(point[0]) * POINTS_AT_MOST)
        if column not in columns or point[1] > columns[column][1]:
            columns[column] = point
    return [(float(at), float(height)) for at, height in sorted(columns.values())]


def _bin_ticks(parts: Sequence[HistogramBin]) -> tuple[Tick, ...]:
    edges = [part.low for part in parts] + [parts[-1].high + 1]
    every = 1 + len(parts) // 9
    return tuple(Tick(place, rounded(edges[place])) for place in range(0, len(edges), every))


def _loss_points(statistics: Statistics) -> tuple[list[int], list[int]]:
    rows = statistics.rows
    if statistics.rows_complete and len(rows) and NO_TIME not in rows.at_us:
        pairs = sorted(zip(rows.at_us.tolist(), rows.lost.tolist(), strict=True))
        return [at_us for at_us, _ in pairs], [lost for _, lost in pairs]
    return [point.at_us for point in statistics.seconds.points], [point.lost for point in statistics.seconds.points]


def _unit(statistics: Statistics) -> str:
    return "line" if statistics.rows_complete else f"stretch of {span(statistics.seconds.bucket_s)}"


def _each(seconds: int) -> str:
    return "a second" if seconds == 1 else f"per {span(seconds)}"


def _events(number: int) -> str:
    return f"{abbreviated(number)} event{'' if number == 1 else 's'}"


def _capacity_note(diagnosis: Diagnosis, points: Sequence[tuple[int, int]]) -> str:
    if diagnosis.verdict.cause is Cause.UNKNOWN:
        return "at best: without times the log does not tell whether a loss had ended"
    if points[-1][1] == 0:
        return "each incident is taken to start with an empty buffer"
    shown = {row.slots: row.seconds_to_overflow for row in diagnosis.capacities}
    lasts = shown.get(points[-1][0])
    late = f": {count(points[-1][0])} slots are full after {span(lasts)}" if lasts else ""
    part = "this loss" if points[-1][1] == points[0][1] else f"{percent(points[-1][1], points[0][1])} of the loss"
    return f"a bigger buffer only delays {part}, for it goes on{late}"
