"""The producer's rate inside one incident, where its lines determine it, and the receiver's absence before its head."""

from dataclasses import replace

import numpy as np

from liqcli.lag.cause import Finding, chase_rate
from liqcli.lag.lines import Int64s
from liqcli.lag.model import Cause, Incident
from liqcli.lag.receivers import LEAST_JUMP
from liqcli.lag.simulate import Seconds
from liqcli.lag.stream import Service, Stream

ENOUGH_GAPS = 8
"""Gaps between lines below which an average says too little."""


def explained(incident: Incident, finding: Finding) -> Incident:
    """The incident with its cause, its rate (None where the log does not determine it) and the stall that follows."""
    part = within(finding.stream, incident)
    rate = None
    if part is not None and not finding.interleaved and not finding.stream.twins:
        rate = producer_rate(part, finding)
    stall = (incident.head + finding.stream.slots) / rate if rate and finding.cause in STALLED else None
    low = chase_rate(part) if part is not None and finding.cause is Cause.SPINNING_PRODUCER else None
    return replace(incident, cause=finding.cause, producer_rate_hz=rate, producer_rate_low_hz=low, stall_s=stall)


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
        cut=0,
    )


def producer_rate(part: Stream, finding: Finding) -> float | None:
    """Arrivals a second: counted while nothing was handled, else lost plus handled over busy gaps."""
    spinning = finding.cause is Cause.SPINNING_PRODUCER
    chased = chase_rate(part) if spinning else None
    if chased is not None or len(part) < 2 or part.span_s < 20 * part.resolution_s:
        return chased
    gaps, lost = part.gaps, part.lost[1:]
    if spinning:
        return _spin_rate(gaps, lost)
    return _busy_rate(gaps, lost, part.slots, finding.service)


def _spin_rate(gaps: Seconds, lost: Int64s) -> float | None:
    """N / gap over absences too costly for the handled to count; the last one may have outlived the spin."""
    great = (lost >= 1000) & (gaps > 0)
    if not great.any():
        return None
    rates = lost[great] / gaps[great]
    return float(np.median(rates) if len(rates) > 2 else rates.max())


def _busy_rate(gaps: Seconds, lost: Int64s, slots: int, service: Service) -> float | None:
    busy = gaps < slots * service.point
    if service.source == "assumed" or busy.sum() < ENOUGH_GAPS:
        return None
    gap, jump = float(gaps[busy].mean()), float(lost[busy].mean())
    if min(jump, service.jump) < LEAST_JUMP and service.source != "given":
        return None
    handled = gap / service.point
    return (jump + handled) / gap
