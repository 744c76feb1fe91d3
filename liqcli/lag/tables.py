"""What every report shows, as rows of text: the terminal, Markdown and HTML only lay them out."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from liqcli.lag.glyphs import count, percent, plural, rate, rounded, short_count, size, span
from liqcli.lag.instants import MINUTE_US, day, period, stamp, time_of_day
from liqcli.lag.lines import CHANNELS, Channel, Clock, InputSummary, Receiver
from liqcli.lag.model import ENDLESS, Advice, Cause, Diagnosis, Incident, Level, Statistics, Verdict, WhatIf
from liqcli.lag.sizes import Distribution
from liqcli.text import safe

INCIDENTS_SHOWN = 5
FILES_SHOWN = 3
SIZE_ROWS = 8
NOT_KNOWN = "-"
CHANNEL_NAMES = {
    Channel.EVENT: "the event channel",
    Channel.ACTION: "the action channel",
    Channel.UNKNOWN: "a channel that the lines do not name",
}
LONGEST_TEXT = 2_000


@dataclass(frozen=True)
class Table:
    """Rows under a header; the first `left` columns are text, `droppable` ones go first where it is narrow."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1
    note: str = ""
    droppable: tuple[str, ...] = ()


@dataclass(frozen=True)
class SizeRow:
    """Lag lines of one range of N, and what they lost."""

    label: str
    lines: int
    lost: int


def cause_name(cause: Cause) -> str:
    """The cause in words."""
    return cause.value.replace("_", " ")


def source_lines(statistics: Statistics) -> list[str]:
    """Which files, how they were understood, and the time they span."""
    inputs = statistics.inputs
    lines = [_files(inputs), _understood(inputs)]
    if statistics.totals.lag_lines or statistics.totals.closed_lines:
        lines.append(period(statistics.start_us, statistics.end_us, inputs.clock))
    return lines


def headline(verdict: Verdict) -> str:
    """The cause, and whether a bigger buffer is worth a thought."""
    if verdict.level is Level.NONE:
        return "no lag"
    if verdict.buffer_can_help is None:
        return "cause unknown" if verdict.cause is Cause.UNKNOWN else cause_name(verdict.cause)
    return f"{cause_name(verdict.cause)} · a bigger buffer {'can' if verdict.buffer_can_help else 'cannot'} help"


def sentence(text: str) -> str:
    """The text with a capital and a full stop."""
    return capitalised(text) + ("" if text.endswith((".", "!", "?")) else ".")


def capitalised(text: str) -> str:
    """The text with its first letter large, as a line of its own begins."""
    return text[:1].upper() + text[1:]


def figures(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    """The handful of numbers an operator asks for first, each with its name."""
    statistics = diagnosis.statistics
    return [
        ("events lost", _lost(statistics)),
        ("lag lines", _lag_lines(statistics)),
        *(_distribution_figures(statistics.distribution) if statistics.totals.lag_lines > 1 else ()),
        *_worst_figures(statistics),
        *_rhythm_figures(statistics),
        *_receiver_figures(statistics),
        *_closed_figures(statistics),
    ]


def size_rows(distribution: Distribution) -> list[SizeRow]:
    """The histogram in at most eight rows, from the smallest to the largest line, empty ones too."""
    parts = distribution.histogram
    step = -(-len(parts) // SIZE_ROWS)
    groups = [parts[first : first + step] for first in range(0, len(parts), step)]
    return [
        SizeRow(
            f"{rounded(group[0].low)}-{rounded(group[-1].high)}",
            sum(part.count for part in group),
            sum(part.lost for part in group),
        )
        for group in groups
    ]


def worst_incidents(statistics: Statistics) -> list[Incident]:
    """The incidents that lost most, worst first."""
    return sorted(statistics.incidents, key=lambda incident: -incident.lost)


def incident_table(statistics: Statistics, *, shown: int = INCIDENTS_SHOWN) -> Table:
    """The worst incidents, worst first."""
    clock, dated = statistics.inputs.clock, not _within_a_day(statistics)
    rows = tuple(_incident_row(incident, clock, dated=dated) for incident in worst_incidents(statistics)[:shown])
    hidden = statistics.incident_count - len(rows)
    table = Table(
        "Worst incidents" if statistics.incident_count > 1 else "The incident",
        ("began", "cause", "channel", "lasted", "lines", "lost", "first line", "producer", "stall"),
        rows,
        left=3,
        note=f"{count(hidden)} smaller ones are not shown; --csv and --json list up to 1,000" if hidden else "",
        droppable=("first line", "channel", "stall", "lines", "producer", "lasted"),
    )
    return without_blanks(table)


def capacity_table(diagnosis: Diagnosis) -> Table:
    """What each buffer size would do, and what it costs."""
    incidents = len(diagnosis.statistics.incidents)
    table = Table(
        "What a buffer would do",
        ("", "requested", "slots", "full after", "absorbs", "data up to", "memory from"),
        tuple(
            (
                row.rule,
                count(row.requested),
                count(row.slots),
                _or_dash(row.seconds_to_overflow, span),
                NOT_KNOWN
                if row.incidents_absorbed is None
                else f"{count(row.incidents_absorbed)} of {count(incidents)}",
                NOT_KNOWN if row.staleness_s is None else f"{span(row.staleness_s)} old",
                size(row.memory_bytes_min),
            )
            for row in diagnosis.capacities
        ),
        note=_capacity_note(diagnosis),
        droppable=("", "data up to"),
    )
    return without_blanks(table)


def _capacity_note(diagnosis: Diagnosis) -> str:
    parts = ["slots: tokio rounds up to a power of two; memory: 8-byte events, larger ones cost more"]
    if any(incident.cause in ENDLESS for incident in diagnosis.statistics.incidents):
        parts.append("an incident that would have gone on is never absorbed: a bigger buffer only delays its loss")
    if len(diagnosis.statistics.incidents) < diagnosis.statistics.incident_count:
        parts.append(f"incidents: the worst {count(len(diagnosis.statistics.incidents))}")
    return "; ".join(parts)


def replayed(what_if: WhatIf) -> str:
    """What the replay of --what-if comes to, beside what was lost."""
    return f"As logged, {count(what_if.lost_before)} events were lost. {sentence(what_if.text)}"


def reason(advice: Advice) -> str:
    """Why an advice is given and what shows it, as sentences; for liq's own logs also the setting to change."""
    parts = [advice.because, advice.evidence, f"setting: {advice.setting}" if advice.setting else ""]
    return " ".join(sentence(part) for part in parts if part)


def without_blanks(table: Table) -> Table:
    """The table without the columns of which nothing is known."""
    kept = [place for place, column in enumerate(zip(*table.rows, strict=True)) if set(column) != {NOT_KNOWN}]
    return replace(
        table,
        header=tuple(table.header[place] for place in kept),
        rows=tuple(tuple(row[place] for place in kept) for row in table.rows),
        left=sum(place < table.left for place in kept),
    )


def receiver_name(receiver: Receiver) -> str:
    """Who printed a line, as far as it tells."""
    return safe(" ".join(part for part in (receiver.target, receiver.span) if part) or "unnamed receiver")


def _files(inputs: InputSummary) -> str:
    if not inputs.files:
        return "lag lines"
    names = [safe(name) for name in inputs.files[:FILES_SHOWN]]
    more = len(inputs.files) - len(names)
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")


def _understood(inputs: InputSummary) -> str:
    parts = [
        f"{inputs.format} format" + (f" in {inputs.wrapper}" if inputs.wrapper else ""),
        plural(inputs.lines, "line"),
        plural(inputs.lag_lines, "lag line"),
    ]
    if inputs.closed_lines:
        parts.append(f"{count(inputs.closed_lines)} of a closed channel")
    if inputs.compression:
        parts.append(f"{inputs.compression} unpacked")
    if inputs.encoding not in {"", "utf-8"}:
        parts.append(inputs.encoding.upper())
    if inputs.ansi:
        parts.append("ANSI removed")
    parts.append(f"{count(inputs.skipped_lines)} skipped")
    if inputs.outside_lines:
        parts.append(f"{count(inputs.outside_lines)} outside --since/--until")
    return " · ".join(parts)


def _lost(statistics: Statistics) -> str:
    totals = statistics.totals
    parts = [
        f"{count(totals.lost_by_channel[channel])} on {CHANNEL_NAMES[channel]}"
        for channel in CHANNELS
        if totals.lost_by_channel.get(channel)
    ]
    if len(parts) == 1:
        return f"{count(totals.lost)}, all {parts[0].partition(' ')[2]}"
    return count(totals.lost) + (f": {', '.join(parts)}" if parts else "")


def _lag_lines(statistics: Statistics) -> str:
    return f"{count(statistics.totals.lag_lines)} in {plural(statistics.incident_count, 'incident')}"


def _distribution_figures(distribution: Distribution | None) -> Iterator[tuple[str, str]]:
    if distribution is None:
        return
    line, loss = distribution.per_line, distribution.by_loss
    sizes = {
        "median": short_count(line.median),
        "p90": short_count(line.p90),
        "p95": short_count(line.p95),
        "p99": short_count(line.p99),
        "max": count(distribution.maximum),
        "mean": short_count(distribution.mean),
    }
    yield "per line", " · ".join(f"{name} {shown}" for name, shown in sizes.items())
    yield "per event", f"half of all lost events went in lines of {count(loss.median)} or more"


def _worst_figures(statistics: Statistics) -> Iterator[tuple[str, str]]:
    for incident in worst_incidents(statistics)[:1]:
        yield "worst", _worst(incident, statistics)
        if incident.producer_rate_hz is not None:
            low = incident.producer_rate_low_hz
            least = "" if low is None or rate(low) == rate(incident.producer_rate_hz) else f" (at least {rate(low)})"
            yield "producer", f"{rate(incident.producer_rate_hz)}{least}"
        if incident.stall_s is not None:
            yield "stall", f"the receiver was away for {span(incident.stall_s)} before the first line"


def _worst(incident: Incident, statistics: Statistics) -> str:
    share = percent(incident.lost, statistics.totals.lost)
    text = f"{count(incident.lost)} ({share})"
    if incident.lines > 1:
        others = incident.lines - 1
        text += f" = {count(incident.head)} at once + {count(incident.tail)} in {plural(others, 'more line')}"
    if incident.duration_us:
        text += f" within {span(incident.duration_us / 1e6)}"
    return text


def _rhythm_figures(statistics: Statistics) -> Iterator[tuple[str, str]]:
    if statistics.between is not None:
        between = statistics.between
        yield "quiet between", f"{span(between.median_s)} median, {span(between.p10_s)} in the shortest tenth"
    minute = statistics.worst_minute
    if minute is not None and len(statistics.minutes.points) > 1:
        at = time_of_day(minute.at_us, statistics.inputs.clock, step_us=MINUTE_US)
        yield "worst minute", f"{at} with {count(minute.lost)} lost in {plural(minute.lines, 'line')}"


def _receiver_figures(statistics: Statistics) -> Iterator[tuple[str, str]]:
    if len(statistics.by_receiver) > 1:
        for total in sorted(statistics.by_receiver, key=lambda total: -total.lost)[:INCIDENTS_SHOWN]:
            lost = f"{count(total.lost)} lost in {plural(total.lines, 'line')}"
            yield "receiver", f"{receiver_name(total.receiver)} ({total.channel.value}): {lost}"
    if statistics.twin_pairs:
        yield (
            "twins",
            f"{plural(statistics.twin_pairs, 'pair')} of equal lines: perhaps two receivers that report the same loss",
        )


def _closed_figures(statistics: Statistics) -> Iterator[tuple[str, str]]:
    for flood in statistics.closed[:1]:
        speed = "" if flood.rate_hz is None else f" at {rate(flood.rate_hz)}"
        yield (
            "closed",
            f"{plural(statistics.totals.closed_lines, 'line')} `channel closed`{speed}: this receiver is dead",
        )


def _within_a_day(statistics: Statistics) -> bool:
    start_us, end_us = statistics.start_us, statistics.end_us
    return start_us is not None and end_us is not None and day(start_us) == day(end_us)


def _incident_row(incident: Incident, clock: Clock, *, dated: bool) -> tuple[str, ...]:
    shown = stamp if dated else time_of_day
    return (
        NOT_KNOWN if incident.start_us is None else shown(incident.start_us, clock, step_us=1_000),
        cause_name(incident.cause),
        incident.channel.value,
        NOT_KNOWN if incident.duration_us is None else span(incident.duration_us / 1e6),
        count(incident.lines),
        count(incident.lost),
        count(incident.head),
        _or_dash(incident.producer_rate_hz, rate),
        _or_dash(incident.stall_s, span),
    )


def _or_dash(value: float | None, shown: Callable[[float], str]) -> str:
    return NOT_KNOWN if value is None else shown(value)
