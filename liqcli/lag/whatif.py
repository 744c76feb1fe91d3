"""`--what-if`: the arrivals a log speaks of, replayed through another capacity or a faster handler."""

import numpy as np

from liqcli.errors import UsageError
from liqcli.lag import glyphs
from liqcli.lag.advise import findings
from liqcli.lag.capacity import filling_rate
from liqcli.lag.cause import Finding
from liqcli.lag.lines import Int64s
from liqcli.lag.model import ENDLESS, Statistics, WhatIf
from liqcli.lag.simulate import Seconds, replay, slots_for

MOST_MESSAGES = 2_000_000
"""Replays beyond this many messages count them in lots, so that billions fit."""


def what_if(
    statistics: Statistics,
    *,
    capacity: int | None = None,
    handler_ms: float | None = None,
    current_capacity: int | None = None,
    current_handler_ms: float | None = None,
) -> WhatIf:
    """Replay the receiver that lost most with another capacity, handler time, or both; None keeps the present one.

    Raises UsageError where nothing is asked, or the log carries no times to replay.
    """
    if capacity is None and handler_ms is None:
        raise UsageError("--what-if asks for nothing", hint="--what-if capacity=8192,handler_ms=2")
    if handler_ms is not None and not handler_ms > 0:
        raise UsageError(f"a handler cannot take {handler_ms} ms", hint="give milliseconds above 0")
    found = findings(statistics, capacity=current_capacity, handler_ms=current_handler_ms)
    if not found or not found[0].stream.timed:
        raise UsageError("there is nothing to replay", hint="a log with lag lines that carry times is needed")
    return replayed(found[0], capacity=capacity, handler_ms=handler_ms)


def replayed(finding: Finding, *, capacity: int | None, handler_ms: float | None) -> WhatIf:
    """The replay itself."""
    stream = finding.stream
    arrivals, lot = arrivals_of(finding)
    slots = slots_for(capacity) if capacity is not None else stream.slots
    seconds = handler_ms / 1000 if handler_ms is not None else finding.service.point
    room = max(1, slots // lot)
    life = replay(arrivals, seconds * lot, room)
    lost = min(life.lost * lot, stream.total) if _gentler(finding, slots, seconds) else life.lost * lot
    stale = life.staleness_s(arrivals)
    return WhatIf(
        capacity=capacity,
        handler_ms=handler_ms,
        lost_before=stream.total,
        lost_after=lost,
        lines_after=len(life.lag_n),
        staleness_s=stale,
        text=_sentence(finding, lost, slots, seconds, stale),
    )


def _gentler(finding: Finding, slots: int, seconds: float) -> bool:
    return slots >= finding.stream.slots and seconds <= finding.service.point


def arrivals_of(finding: Finding) -> tuple[Seconds, int]:
    """Arrivals that make the present buffer lose what the log says, and how many messages each stands for.

    In a busy gap N + handled messages came, spread evenly; before a line that follows a pause the buffer filled up and
    N more came, placed at the line itself. What came and was handled in pauses left no trace and is left out.
    """
    counts, starts, ends = _pieces(finding)
    lot = max(1, -(-int(counts.sum()) // MOST_MESSAGES))
    counts = -(-counts // lot)
    first = np.cumsum(counts) - counts
    place = (np.arange(int(counts.sum())) - np.repeat(first, counts) + 1) / np.repeat(counts, counts)
    return np.sort(np.repeat(starts, counts) + place * np.repeat(ends - starts, counts)), lot


def _pieces(finding: Finding) -> tuple[Int64s, Seconds, Seconds]:
    stream, service = finding.stream, finding.service
    counts = stream.lost.copy()
    starts, ends = stream.start.copy(), stream.start.copy()
    opens = np.zeros(len(stream), dtype=np.bool_)
    opens[[episode.first for episode in finding.episodes]] = True
    handled = np.concatenate([[0.0], stream.gaps / service.point])
    counts += np.where(
        opens, np.minimum(stream.slots, np.where(np.arange(len(counts)) == 0, stream.slots, handled)), np.rint(handled)
    ).astype(np.int64)
    starts[1:] = np.where(opens[1:], stream.start[1:], stream.end[:-1])
    return counts, starts, ends


def _sentence(finding: Finding, lost: int, slots: int, seconds: float, stale: float) -> str:
    return (
        f"with {slots:,} slots and {glyphs.span(seconds)} a message {_outcome(finding, lost, slots)}; "
        f"events would have been up to {glyphs.span(stale)} old"
    )


def _outcome(finding: Finding, lost: int, slots: int) -> str:
    total = finding.stream.total
    if lost >= total:
        return f"{lost:,} would have been lost: no gain"
    less = glyphs.percent(total - lost, total)
    if finding.cause not in ENDLESS or slots <= finding.stream.slots:
        return "nothing would have been lost" if lost == 0 else f"{lost:,} would have been lost, {less} less"
    filling = filling_rate(finding)
    lasts = f": they last {glyphs.span(slots / filling)} at {glyphs.rate(filling)}" if filling else ""
    return f"{lost:,} would have been lost in the time of the log; the rest is only delayed, for it goes on{lasts}"
