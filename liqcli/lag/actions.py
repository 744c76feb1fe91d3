"""What to do about it, in order of effect, each action with the figures that speak for it."""

from liqcli.lag import glyphs
from liqcli.lag.capacity import STALE_SECONDS, size_line
from liqcli.lag.cause import Finding
from liqcli.lag.lines import Channel
from liqcli.lag.model import Advice, Cause, Recommendation, Statistics
from liqcli.lag.stream import Episode, Stream


def advice_for(statistics: Statistics, finding: Finding | None, advised: Recommendation) -> tuple[Advice, ...]:
    """The actions for one diagnosis, the most effective first."""
    said = [_reconnect(statistics)] if statistics.closed else []
    if finding is None:
        return tuple(said)
    ladder = {
        Cause.SPINNING_PRODUCER: (_fix_collector, _resync, _keep_buffer),
        Cause.SLOW_CONSUMER: (_coalesce, _speed_up, _resync, _keep_buffer),
        Cause.BLOCKED_CONSUMER: (_unblock, _raise_buffer, _resync, _coalesce),
        Cause.BURST: (_raise_buffer, _coalesce, _speed_up, _resync),
        Cause.NEAR_CRITICAL: (_speed_up, _coalesce, _raise_buffer, _resync),
    }.get(finding.cause, (_log_more, _resync))
    if finding.cause is Cause.BURST and (advised.staleness_s or 0.0) > STALE_SECONDS:
        ladder = (_coalesce, _speed_up, _raise_buffer, _resync)
    found = (step(finding, advised) for step in ladder)
    return tuple(said) + tuple(step for step in found if step is not None)


def _is_ours(finding: Finding) -> bool:
    target = finding.stream.receiver.target or ""
    return target.split("::")[0].split(".")[0] in {"liq", "liqcli"}


def _fix_collector(finding: Finding, _advised: Recommendation) -> Advice:
    return Advice(
        "fix the collector that sends without waiting: an always-ready select! branch, a zero interval, "
        "a re-subscribe loop",
        "it sends more than the chain can emit, so most of what it sends is not news",
        "; ".join(finding.evidence),
        "high",
    )


def _unblock(finding: Finding, _advised: Recommendation) -> Advice:
    stream = finding.stream
    jump = glyphs.plural(int(stream.head.max()), "event")
    return Advice(
        "keep the receive loop free: hand scans, RPC calls and retries to workers, read on at once",
        "one absence of the receiver lost more than all other lines together",
        f"largest single jump {jump} + {stream.slots:,} in the buffer, all during one call",
        finding.confidence,
        "workers" if _is_ours(finding) else None,
    )


def _within(stream: Stream, episode: Episode) -> str:
    if episode.seconds > 0:
        return f" in {glyphs.span(episode.seconds)}"
    lines = int(stream.lines[episode.first : episode.stop].sum())
    return " in one line" if lines == 1 else f" in {glyphs.plural(lines, 'line')}"


def _coalesce(finding: Finding, _advised: Recommendation) -> Advice:
    busiest = max(finding.episodes, key=lambda episode: episode.lost)
    return Advice(
        "drain what waits and keep one entry per borrower before working: a thousand events are then one check",
        "work then grows with borrowers, not with events",
        f"the worst stretch lost {glyphs.plural(busiest.lost, 'event')}{_within(finding.stream, busiest)}",
        "high" if finding.cause is Cause.SLOW_CONSUMER else "medium",
    )


def _speed_up(finding: Finding, advised: Recommendation) -> Advice | None:
    if advised.speedup_needed is None:
        return None
    factor = max(advised.speedup_needed, 1.2)
    service = finding.service
    return Advice(
        f"make the handler {glyphs.times(factor)} faster, or share it among {max(2, -int(-factor // 1))} workers",
        "while it lasts, that many events arrive for each one handled",
        f"{glyphs.span(service.point)} a message ({service.source}; {glyphs.span(service.low)} to "
        f"{glyphs.span(service.high)}), {glyphs.significant(service.jump)} events lost every "
        f"{glyphs.span(service.gap)}",
        "medium" if service.source == "measured" else "high",
        "workers" if _is_ours(finding) else None,
    )


def _raise_buffer(finding: Finding, advised: Recommendation) -> Advice | None:
    if advised.capacity is None:
        return None
    channel = finding.stream.channel
    name = "" if channel is Channel.UNKNOWN else f"{channel.value} "
    setting = "action_buffer_size" if channel is Channel.ACTION else "event_buffer_size"
    return Advice(
        f"raise the {name}buffer from {finding.stream.slots:,} to {size_line(advised)}",
        "replayed on these losses it would have lost nothing",
        advised.derivation[0] if advised.derivation else "",
        advised.confidence if advised.confidence in {"high", "medium"} else "low",
        setting if _is_ours(finding) else None,
    )


def _keep_buffer(finding: Finding, advised: Recommendation) -> Advice:
    return Advice(
        f"leave the buffer at {finding.stream.slots:,}",
        advised.derivation[0] if advised.derivation else "no finite buffer is enough",
        "; ".join(finding.evidence[-1:]),
        "high",
    )


def _resync(finding: Finding, _advised: Recommendation) -> Advice:
    lost, lines = glyphs.plural(finding.stream.total, "event"), glyphs.plural(int(finding.stream.lines.sum()), "line")
    return Advice(
        "after every lag read the affected state again from the chain, and count the loss as a metric",
        "the events are gone, and whatever was built from them is wrong until it is read again",
        f"{lost} lost in {lines}",
        "high",
    )


def _log_more(finding: Finding, _advised: Recommendation) -> Advice:
    return Advice(
        "log with timestamps of a microsecond, and tell --capacity and --handler-ms",
        "the cause lies in when the losses happened, not in how large they were",
        "; ".join(finding.evidence),
        "high",
    )


def _reconnect(statistics: Statistics) -> Advice:
    rates = [flood.rate_hz for flood in statistics.closed if flood.rate_hz]
    pace = f" at up to {glyphs.rate(max(rates))}" if rates else ""
    return Advice(
        "end the receive loop on `channel closed`, restart the collectors and read the state again",
        "no sender is left, so the receiver will never hear an event again",
        f"{glyphs.plural(statistics.totals.closed_lines, '`channel closed` line')}{pace}",
        "high",
    )
