"""The producer's rate inside one incident, where its lines determine it, and the receiver's absence before its head."""

from dataclasses import replace

import numpy as np

from liqcli.lag.cause import SPINNING_RATE, Finding, chase_rate
from liqcli.lag.model import Cause, Incident, Int64s
from liqcli.lag.simulate import Seconds
from liqcli.lag.stream import Service, Stream

ENOUGH_GAPS = 8
"""Gaps between lines below which an average says too little."""

LEAST_JUMP = 3.0
"""Below this mean N the messages handled between two lines outnumber the lost ones, and nobody counted them."""


def explained(incident: Incident, finding: Finding) -> Incident:
    """The incident with its cause, its rate (None where the log does not determine it) and the stall that follows."""
    part = within(finding.stream, incident)
    rate = producer_rate(part, finding.service) if part is not None else None
    stall = (incident.head + finding.stream.slots) / rate if rate and finding.cause in STALLED else None
    return replace(incident, cause=finding.cause, producer_rate_hz=rate, stall_s=stall)


STALLED = {Cause.SPINNING_PRODUCER, Cause.BLOCKED_CONSUMER}
"""Causes whose head tells how long the receiver was away; elsewhere it was reading all the time."""


def within(stream: Stream, incident: Incident) -> Stream | None:
    """The runs of a stream that belong to an incident; None without times."""
    if not stream.timed or incident.start_us is None or incident.end_us is None:
        return None
    edges = np.array([incident.start_us - stream.begin_us - 0.5, incident.end_us - stream.begin_us + 0.5]) / 1e6
    chosen = slice(*np.searchsorted(stream.start, edges).tolist())
    return replace(
        stream,
        start=stream.start[chosen],
        end=stream.end[chosen],
        lost=stream.lost[chosen],
        lines=stream.lines[chosen],
        head=stream.head[chosen],
    )


def producer_rate(part: Stream, service: Service) -> float | None:
    """Arrivals a second: counted while nothing was handled, else lost plus handled over busy gaps."""
    chased = chase_rate(part)
    if chased is not None:
        return chased
    gaps, lost = part.gaps, part.lost[1:]
    if len(gaps) == 0 or float(gaps.sum()) < 20 * part.resolution_s:
        return None
    if lost.sum() >= SPINNING_RATE * gaps.sum() and lost.mean() >= 1000:
        return float(lost.sum() / gaps.sum())
    return _busy_rate(gaps, lost, part.slots, service)


def _busy_rate(gaps: Seconds, lost: Int64s, slots: int, service: Service) -> float | None:
    busy = gaps < slots * service.point
    if service.source == "assumed" or busy.sum() < ENOUGH_GAPS:
        return None
    gap, jump = float(gaps[busy].mean()), float(lost[busy].mean())
    if jump < LEAST_JUMP and service.source != "given":
        return None
    handled = gap / service.point
    return (jump + handled) / gap
