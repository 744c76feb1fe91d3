"""From statistics to a diagnosis: the cause, the verdict, what each capacity would do, and what to do first."""

from collections.abc import Sequence
from dataclasses import replace

from liqcli.lag import glyphs
from liqcli.lag.actions import advice_for
from liqcli.lag.assumed import DEFAULT_CAPACITY
from liqcli.lag.capacity import capacity_rows, recommend
from liqcli.lag.cause import Finding, find_cause
from liqcli.lag.grouping import regrouped
from liqcli.lag.lines import Channel
from liqcli.lag.model import (
    ENDLESS,
    Cause,
    Diagnosis,
    Incident,
    Level,
    Recommendation,
    Statistics,
    Verdict,
)
from liqcli.lag.rates import explained
from liqcli.lag.receivers import without_twins
from liqcli.lag.stream import measure_service, streams

NOTHING = Recommendation(None, None, None, None, None, "none", ())


def diagnose(statistics: Statistics, *, capacity: int | None = None, handler_ms: float | None = None) -> Diagnosis:
    """Name the cause of the loss and what would help.

    `capacity` is what the channel was created with (artemis' 512 is assumed), `handler_ms` the time a message takes
    (measured from the lines where they allow it). Raises UsageError for an impossible capacity.
    """
    found = findings(statistics, capacity=capacity, handler_ms=handler_ms)
    if not found:
        return Diagnosis(
            statistics,
            _quiet(statistics),
            (),
            NOTHING,
            unknowns(found, capacity),
            advice_for(statistics, None, NOTHING),
        )
    chief = found[0]
    statistics = regrouped(statistics, chief)
    incidents = tuple(_explained(incident, found) for incident in statistics.incidents)
    advised = NOTHING if statistics.closed else recommend(chief)
    return Diagnosis(
        statistics=replace(statistics, incidents=incidents),
        verdict=_closed(statistics) if statistics.closed else verdict(chief, advised),
        capacities=capacity_rows(chief, incidents, advised.capacity, largest=_largest(statistics)),
        recommend=advised,
        unknown=unknowns(found, capacity),
        advice=advice_for(statistics, chief, advised),
    )


def _largest(statistics: Statistics) -> int:
    return statistics.distribution.maximum if statistics.distribution else 0


def findings(statistics: Statistics, *, capacity: int | None, handler_ms: float | None) -> list[Finding]:
    """One finding per receiver and channel, the greatest loss first."""
    return [
        find_cause(stream, measure_service(stream, handler_ms=handler_ms))
        for stream in map(without_twins, streams(statistics, capacity=capacity or DEFAULT_CAPACITY))
    ]


def _explained(incident: Incident, found: Sequence[Finding]) -> Incident:
    for finding in found:
        if finding.stream.receiver == incident.receiver and finding.stream.channel is incident.channel:
            return explained(incident, finding)
    return incident


def verdict(finding: Finding, advised: Recommendation) -> Verdict:
    """The headline of one receiver's story."""
    return Verdict(
        level_of(finding), finding.cause, _sentence(finding, advised), _buffer_helps(finding, advised), finding.evidence
    )


def level_of(finding: Finding) -> Level:
    """Critical where it goes on as long as the bot runs; else by the loss beside the size of the buffer."""
    slots, lost = finding.stream.slots, finding.stream.total
    if finding.cause in ENDLESS:
        return Level.CRITICAL
    if finding.cause is Cause.NEAR_CRITICAL or lost <= slots // 16:
        return Level.LOW if lost <= slots // 16 else Level.MEDIUM
    return Level.HIGH if finding.stream.lost.max() > slots or lost > 4 * slots else Level.MEDIUM


def _buffer_helps(finding: Finding, advised: Recommendation) -> bool | None:
    if finding.cause in {Cause.UNKNOWN, Cause.NEAR_CRITICAL}:
        return None
    return advised.capacity is not None


def _sentence(finding: Finding, advised: Recommendation) -> str:
    stream = finding.stream
    where = "" if stream.channel is not Channel.ACTION else " on the action channel"
    lost = f"{glyphs.plural(stream.total, 'event')} lost{where}"
    match finding.cause:
        case Cause.SPINNING_PRODUCER:
            rate = glyphs.rate(finding.rate_hz) if finding.rate_hz else "a rate no chain emits"
            return f"{lost} to a producer that spins ({rate}): fix the collector; a bigger buffer cannot help"
        case Cause.SLOW_CONSUMER:
            factor = f" {glyphs.times(advised.speedup_needed)}" if advised.speedup_needed else ""
            return (
                f"{lost}: more arrives than the handler takes, all the time; it must be{factor} faster, "
                "a bigger buffer only delays the loss"
            )
        case Cause.BLOCKED_CONSUMER:
            return f"{lost}: the handler stops reading for longer than the buffer lasts; unblock it{_size(advised)}"
        case Cause.BURST:
            return f"{lost} in bursts that outrun the handler for a while{_size(advised)}"
        case Cause.NEAR_CRITICAL:
            return f"{lost}: the handler is only just fast enough, and chance overfills the buffer; give it headroom"
        case _:
            return f"{lost}: the log does not tell why{'' if stream.timed else ', its lines carry no time'}"


def _size(advised: Recommendation) -> str:
    if advised.capacity is None:
        return "; no sensible buffer holds it"
    stale = f" at the price of events up to {glyphs.span(advised.staleness_s)} old" if advised.staleness_s else ""
    return f"; {advised.capacity:,} slots would have held it{stale}"


def _closed(statistics: Statistics) -> Verdict:
    lines = statistics.totals.closed_lines
    fastest = max((flood.rate_hz or 0.0 for flood in statistics.closed), default=0.0)
    pace = f" at {glyphs.rate(fastest)}" if fastest else ""
    lost = statistics.totals.lost
    lag = f"; before that {glyphs.plural(lost, 'event')} lost to lag" if lost else ""
    times, closed = glyphs.plural(lines, "time"), glyphs.plural(lines, "`channel closed` line")
    return Verdict(
        Level.CRITICAL,
        Cause.CHANNEL_CLOSED,
        f"every sender is gone: {times} `channel closed`{pace}; this receiver hears nothing any more{lag}",
        buffer_can_help=False,
        evidence=(f"{closed}{pace}: the receive loop does not end on a closed channel",),
    )


def _quiet(statistics: Statistics) -> Verdict:
    if statistics.closed:
        return _closed(statistics)
    return Verdict(Level.NONE, Cause.UNKNOWN, "no event was lost as far as this log tells", buffer_can_help=None)


def unknowns(found: Sequence[Finding], capacity: int | None) -> tuple[str, ...]:
    """What this log cannot tell, said aloud."""
    if not found:
        return ("a starved receiver prints no lag line at all: a quiet log alone is not health",)
    chief = found[0]
    said = [] if capacity else [f"the channel's capacity: {DEFAULT_CAPACITY} is assumed, --capacity N tells"]
    if chief.service.source == "assumed" and chief.cause in {Cause.BLOCKED_CONSUMER, Cause.BURST}:
        said.append(f"how long the handler takes: {glyphs.span(chief.service.point)} is assumed, --handler-ms X tells")
    elif chief.service.source == "measured":
        low, high = glyphs.span(chief.service.low), glyphs.span(chief.service.high)
        said.append(f"how long the handler takes exactly: the gaps allow {low} to {high}")
    if chief.cause is Cause.NEAR_CRITICAL:
        said.append("whether the handler is faster than the arrivals: the load is too near to 1")
    if not chief.stream.timed:
        said.append("rates, stalls and incidents in time: the lines carry no time")
    if chief.stream.twins:
        said.append(
            "which receiver printed which line: pairs of equal lines come from two receivers, so the total counts "
            "each loss twice"
        )
    elif chief.interleaved:
        said.append("which receiver printed which line: several print in turn, so rates are left out")
    elif chief.stream.receiver.span is None:
        said.append("how many receivers print: the line names the channel, never the receiver")
    said.append(
        "which events were lost, and whether any of them mattered; nor what was lost before the first line read"
    )
    return tuple(said)
