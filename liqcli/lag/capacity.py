"""The buffer that would have lost nothing, from lag lines alone, and what each capacity would have done.

Let D be how much deeper an endless buffer would stand than the real, full one. A line adds its N to D; D shrinks only
while the real receiver idles, and after a line it must first work through a full buffer. So needed = slots + max D.
"""

from collections.abc import Callable, Iterable

import numpy as np

from liqcli.lag import glyphs
from liqcli.lag.cause import Finding
from liqcli.lag.model import ENDLESS, CapacityRow, Cause, Incident, Recommendation
from liqcli.lag.phase import BLOCK_SECONDS
from liqcli.lag.simulate import Seconds, slots_for
from liqcli.lag.stream import FEW, Service, Stream

SLOT_BYTES = 40
"""What tokio allocates for a slot with an 8-byte event (39.4 measured); larger events cost more."""

LARGEST_SENSIBLE = 1 << 22
"""Beyond this a buffer costs hundreds of megabytes and hides minutes of delay: the cause must go instead."""

LARGEST_SHOWN = 1 << 28
"""Capacities that no machine would allocate are left out of the table."""

MARGIN = 1.1
"""The need is read from the moments of loss; it was a few events higher between them."""

STALE_SECONDS = 1.0
"""One HyperEVM block: older events than this lose liquidations anyway."""


FOLK_RULES: dict[str, Callable[[int, int], int]] = {
    "double it": lambda slots, _largest: 2 * slots,
    "10 x the largest lag": lambda _slots, largest: 10 * largest,
    "capacity + largest": lambda slots, largest: slots + largest,
}
"""What people answer to the log line: each is shown beside the derived capacity."""


def needed_slots(stream: Stream, service: Service, cause: Cause, *, background: float) -> int:
    """The deepest backlog of an endless buffer; `background` is the load assumed while the receiver catches up.

    Between two blocks that both lost nothing comes: events are in the blocks.
    """
    if not stream.timed:
        return stream.slots + int(stream.lost.max())
    free = np.maximum(stream.gaps - absences(stream, cause), 0.0)
    between_blocks = stream.block_locked & (stream.gaps < BLOCK_SECONDS)
    load = np.where(between_blocks, 0.0, background)
    idle = np.maximum(free / service.point - stream.slots, 0.0) * (1 - load)
    deepest = depth = float(stream.lost[0])
    for drained, lost in zip(idle.tolist(), stream.lost[1:].tolist(), strict=True):
        depth = max(0.0, depth - drained) + lost
        deepest = max(deepest, depth)
    return stream.slots + int(deepest)


def absences(stream: Stream, cause: Cause) -> Seconds:
    """The seconds of each gap in which a blocked receiver drained nothing: its absence, at most half the gap.

    A gap cannot be shorter than the absence at its end, so the greatest N / gap is a lower bound of the steady rate.
    """
    if cause is not Cause.BLOCKED_CONSUMER or len(stream) < 2:
        return np.zeros(max(len(stream) - 1, 0))
    gaps, lost = stream.gaps, stream.lost[1:]
    jumps = (lost >= FEW) & (gaps > 0)
    steady = float((lost[jumps] / gaps[jumps]).max(initial=0.0))
    away = (lost + stream.slots) / steady if steady > 0 else np.zeros(len(lost))
    return np.where(jumps, np.minimum(away, gaps / 2), 0.0)


def recommend(finding: Finding) -> Recommendation:
    """The least power of two that holds the need and a margin, or None where no buffer is the answer."""
    stream, service = finding.stream, finding.service
    refusal = _refusal(finding)
    if refusal:
        return Recommendation(None, None, None, None, _speedup(finding), "high", (refusal,))
    low, need, high = (
        needed_slots(stream, service, finding.cause, background=background) for background in (0.0, 0.5, 0.8)
    )
    capacity = slots_for(int(MARGIN * need))
    derivation = [
        f"needed = slots + deepest further backlog = {stream.slots:,} + {need - stream.slots:,} = {need:,}",
        f"with a margin of 10 %: {int(MARGIN * need):,}, rounded up to a power of two: {capacity:,}",
        (
            f"a gap drains it only beyond {glyphs.span(stream.slots * service.point)}: {stream.slots:,} slots at "
            f"{glyphs.span(service.point)} a message ({service.source})"
        ),
    ]
    if capacity > LARGEST_SENSIBLE:
        derivation.append(f"more than {LARGEST_SENSIBLE:,} slots: shorten the absence instead")
        return Recommendation(
            None, slots_for(low), slots_for(high), None, _speedup(finding), "medium", tuple(derivation)
        )
    return Recommendation(
        capacity,
        slots_for(low),
        max(capacity, slots_for(high)),
        capacity * service.point if service.source != "assumed" else None,
        _speedup(finding),
        _confidence(finding),
        tuple(derivation),
    )


def _refusal(finding: Finding) -> str | None:
    match finding.cause:
        case Cause.SPINNING_PRODUCER:
            return "a producer that never waits fills any buffer: fix the source"
        case Cause.SLOW_CONSUMER:
            return "more arrives than is handled: no finite buffer is enough, a larger one only delays the loss"
        case Cause.UNKNOWN:
            return "without times the log does not tell how long the receiver was away, nor how fast events came"
        case _:
            return None


def _speedup(finding: Finding) -> float | None:
    """How much faster the handler must be to keep up inside the busiest episode; None where that is not measured."""
    measured = finding.service.source != "assumed" and finding.service.gap > 0
    if not measured or finding.cause not in {Cause.SLOW_CONSUMER, Cause.BURST, Cause.NEAR_CRITICAL}:
        return None
    return round(max(finding.service.load, 1.0), 2)


def _confidence(finding: Finding) -> str:
    if finding.cause is Cause.NEAR_CRITICAL:
        return "low"
    if finding.service.source == "given":
        return "high"
    if finding.service.source == "assumed":
        return "medium" if len(finding.stream) < 3 else "low"
    return "high" if finding.service.jump >= 6 else "medium"


def capacity_rows(
    finding: Finding, incidents: Iterable[Incident], recommended: int | None, *, largest: int
) -> tuple[CapacityRow, ...]:
    """The table: today's capacity, the folk rules, the recommendation, and the two sizes often seen in the field."""
    slots = finding.stream.slots
    answers = [(answer(slots, largest), rule) for rule, answer in FOLK_RULES.items()]
    answers += [(slots, "now"), (10_000, "seen in the field"), (5_000_000, "seen in the field")]
    answers += [(recommended, "recommended")] if recommended else []
    asked = sorted({requested for requested, _ in answers if 0 < requested <= LARGEST_SHOWN})
    rules = {requested: ", ".join(rule for answer, rule in answers if answer == requested) for requested in asked}
    known = tuple(incidents)
    return tuple(_row(finding, known, requested, rule) for requested, rule in rules.items())


def _row(finding: Finding, incidents: tuple[Incident, ...], requested: int, rule: str) -> CapacityRow:
    slots, service = slots_for(requested), finding.service
    filling = filling_rate(finding)
    told = finding.cause is not Cause.UNKNOWN
    return CapacityRow(
        requested=requested,
        slots=slots,
        rule=rule,
        seconds_to_overflow=slots / filling if filling else None,
        incidents_absorbed=absorbed(incidents, slots - finding.stream.slots) if told else None,
        staleness_s=slots * service.point if service.source != "assumed" else None,
        memory_bytes_min=slots * SLOT_BYTES,
    )


def absorbed(incidents: Iterable[Incident], room: int) -> int:
    """How many incidents would have lost nothing with `room` more slots, had the buffer been empty before each."""
    return sum(incident.lost <= room and incident.cause not in ENDLESS for incident in incidents)


def filling_rate(finding: Finding) -> float | None:
    """Events a second by which a buffer fills while the trouble lasts; None where the log does not tell."""
    if finding.cause is Cause.SPINNING_PRODUCER and finding.rate_hz:
        return finding.rate_hz
    if finding.cause is Cause.BLOCKED_CONSUMER or not finding.episodes:
        return None
    busiest = max(finding.episodes, key=lambda episode: episode.lost)
    head = int(finding.stream.lost[busiest.first])
    return (busiest.lost - head) / busiest.seconds if busiest.seconds > 0 and busiest.lost > head else None


def size_line(recommendation: Recommendation) -> str:
    """The recommended capacity with its price, in a few words."""
    if recommendation.capacity is None:
        return "no buffer size helps"
    price = f"{glyphs.size(recommendation.capacity * SLOT_BYTES)} at least"
    stale = recommendation.staleness_s
    return f"{recommendation.capacity:,} slots ({price}{f', events up to {glyphs.span(stale)} old' if stale else ''})"
