"""`liq diagnose lag --json`: the one place where a diagnosis becomes its public document."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from liqcli.lag.lines import Channel, Clock, InputSummary
from liqcli.lag.model import ClosedFlood, Diagnosis, Incident, Statistics, WhatIf
from liqcli.lag.series import Series
from liqcli.lag.sizes import Distribution, Percentiles

Value: TypeAlias = "str | int | float | bool | Sequence[Value] | Mapping[str, Value] | None"
Document: TypeAlias = dict[str, Value]

SCHEMA_VERSION = 1


def iso(at_us: int | None, clock: Clock = Clock.WALL) -> str | None:
    """The ISO-8601 UTC form with microseconds; None for no time, for uptime clocks and beyond year 9999."""
    if at_us is None or clock is not Clock.WALL:
        return None
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)
    except OverflowError:
        return None
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def to_json(diagnosis: Diagnosis) -> Document:
    """The document of the command contract; fields are added over time, never renamed."""
    statistics = diagnosis.statistics
    return {
        "schema_version": SCHEMA_VERSION,
        **input_fields(statistics.inputs),
        **statistics_fields(statistics),
        "verdict": {
            "level": diagnosis.verdict.level.value,
            "cause": diagnosis.verdict.cause.value,
            "text": diagnosis.verdict.text,
            "buffer_can_help": diagnosis.verdict.buffer_can_help,
            "evidence": list(diagnosis.verdict.evidence),
        },
        "capacities": [
            {
                "requested": row.requested,
                "slots": row.slots,
                "rule": row.rule,
                "seconds_to_overflow": row.seconds_to_overflow,
                "incidents_absorbed": row.incidents_absorbed,
                "staleness_s": row.staleness_s,
                "memory_bytes_min": row.memory_bytes_min,
            }
            for row in diagnosis.capacities
        ],
        "recommend": {
            "capacity": diagnosis.recommend.capacity,
            "capacity_low": diagnosis.recommend.capacity_low,
            "capacity_high": diagnosis.recommend.capacity_high,
            "staleness_s": diagnosis.recommend.staleness_s,
            "speedup_needed": diagnosis.recommend.speedup_needed,
            "confidence": diagnosis.recommend.confidence,
            "derivation": list(diagnosis.recommend.derivation),
        },
        "unknown": list(diagnosis.unknown),
        "advice": [
            {
                "action": advice.action,
                "because": advice.because,
                "evidence": advice.evidence,
                "confidence": advice.confidence,
                "setting": advice.setting,
            }
            for advice in diagnosis.advice
        ],
        "what_if": what_if_fields(diagnosis.what_if),
    }


def input_fields(inputs: InputSummary) -> Document:
    """What was read: the head of the document."""
    return {
        "files": list(inputs.files),
        "format": inputs.format,
        "wrapper": inputs.wrapper,
        "format_reason": inputs.why,
        "ansi": inputs.ansi,
        "encoding": inputs.encoding,
        "compression": inputs.compression,
        "clock": inputs.clock.value,
        "bytes": inputs.bytes,
        "lines": inputs.lines,
        "lag_lines": inputs.lag_lines,
        "closed_lines": inputs.closed_lines,
        "skipped_lines": inputs.skipped_lines,
        "other_lines": inputs.other_lines,
        "outside_lines": inputs.outside_lines,
        "backward_steps": inputs.backward_steps,
        "skip_reasons": dict(inputs.skip_reasons),
        "skipped": [
            {"file": skip.file, "line": skip.line, "reason": skip.reason, "text": skip.text} for skip in inputs.skipped
        ],
        "notes": list(inputs.notes),
    }


def statistics_fields(statistics: Statistics) -> Document:
    """What was measured: times, losses, sizes, incidents, series."""
    totals, clock = statistics.totals, statistics.inputs.clock
    return {
        "start": iso(statistics.start_us, clock),
        "end": iso(statistics.end_us, clock),
        "log_start": iso(statistics.log_start_us, clock),
        "log_end": iso(statistics.log_end_us, clock),
        "lost": {"total": totals.lost} | {channel.value: totals.lost_by_channel[channel] for channel in Channel},
        "receivers": [
            {
                "target": total.receiver.target,
                "span": total.receiver.span,
                "channel": total.channel.value,
                "lines": total.lines,
                "lost": total.lost,
            }
            for total in statistics.by_receiver
        ],
        "twin_pairs": statistics.twin_pairs,
        "distribution": distribution_fields(statistics.distribution),
        "incident_count": statistics.incident_count,
        "incidents": [incident_fields(incident, clock) for incident in statistics.incidents],
        "between_incidents": None
        if statistics.between is None
        else {
            "median_s": statistics.between.median_s,
            "p10_s": statistics.between.p10_s,
            "mean_s": statistics.between.mean_s,
        },
        "closed": [closed_fields(flood, clock) for flood in statistics.closed],
        "producer_rate_hz": statistics.pair_rate_hz,
        "series_bucket_s": statistics.seconds.bucket_s,
        "series": series_fields(statistics.seconds, clock),
        "minutes_bucket_s": statistics.minutes.bucket_s,
        "minutes": series_fields(statistics.minutes, clock),
        "worst_minute": None
        if statistics.worst_minute is None
        else {
            "at": iso(statistics.worst_minute.at_us, clock),
            "lines": statistics.worst_minute.lines,
            "lost": statistics.worst_minute.lost,
        },
    }


def distribution_fields(distribution: Distribution | None) -> Document:
    """Sizes of lag lines; every figure is null when there are none."""
    if distribution is None:
        figures = ("mean", "median", "p90", "p95", "p99", "max", "by_loss")
        return dict.fromkeys(figures) | {"histogram": []}
    return {
        "mean": distribution.mean,
        **percentile_fields(distribution.per_line),
        "max": distribution.maximum,
        "by_loss": percentile_fields(distribution.by_loss),
        "histogram": [
            {"from": part.low, "to": part.high, "count": part.count, "lost": part.lost}
            for part in distribution.histogram
        ],
    }


def percentile_fields(percentiles: Percentiles) -> Document:
    """The four percentiles every distribution carries."""
    return {
        "median": percentiles.median,
        "p90": percentiles.p90,
        "p95": percentiles.p95,
        "p99": percentiles.p99,
    }


def incident_fields(incident: Incident, clock: Clock) -> Document:
    """One incident; times are null without a wall clock, the duration only without any clock."""
    return {
        "start": iso(incident.start_us, clock),
        "end": iso(incident.end_us, clock),
        "duration_us": incident.duration_us,
        "lines": incident.lines,
        "lost": incident.lost,
        "head": incident.head,
        "tail": incident.tail,
        "channel": incident.channel.value,
        "target": incident.receiver.target,
        "span": incident.receiver.span,
        "producer_rate_hz": incident.producer_rate_hz,
        "producer_rate_low_hz": incident.producer_rate_low_hz,
        "stall_s": incident.stall_s,
        "cause": incident.cause.value,
    }


def closed_fields(flood: ClosedFlood, clock: Clock) -> Document:
    """One `channel closed` flood."""
    return {
        "start": iso(flood.start_us, clock),
        "end": iso(flood.end_us, clock),
        "lines": flood.lines,
        "channel": flood.channel.value,
        "target": flood.receiver.target,
        "span": flood.receiver.span,
        "rate_hz": flood.rate_hz,
    }


def series_fields(series: Series, clock: Clock) -> list[Document]:
    """Only buckets with lag: what is missing is a gap, not a zero that was measured."""
    return [{"at": iso(point.at_us, clock), "lines": point.lines, "lost": point.lost} for point in series.points]


def what_if_fields(what_if: WhatIf | None) -> Document | None:
    """The replay asked for by --what-if."""
    if what_if is None:
        return None
    return {
        "capacity": what_if.capacity,
        "handler_ms": what_if.handler_ms,
        "lost_before": what_if.lost_before,
        "lost_after": what_if.lost_after,
        "lines_after": what_if.lines_after,
        "staleness_s": what_if.staleness_s,
        "text": what_if.text,
    }
