"""A diagnosis as terminal text: the verdict first, readable without colour, from 80 columns up."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from liqcli.lag import tables
from liqcli.lag.axes import merged_bucket
from liqcli.lag.glyphs import bar, count, percent, rounded, short_count, span, sparkline
from liqcli.lag.instants import SECOND_US, stamp
from liqcli.lag.lines import NO_TIME, LagChunk
from liqcli.lag.model import Diagnosis, Statistics, WhatIf
from liqcli.lag.series import Series
from liqcli.lag.sizes import Distribution
from liqcli.text import safe

NARROWEST, WIDEST = 80, 120
NAME_WIDTH = 15


class Role(StrEnum):
    """What a line is, for whoever colours it."""

    PLAIN = "plain"
    SOURCE = "source"
    HEADING = "heading"
    VERDICT = "verdict"
    NOTE = "note"


@dataclass(frozen=True)
class Line:
    """One line of the report, never wider than asked for."""

    text: str
    role: Role = Role.PLAIN


def render(
    diagnosis: Diagnosis, *, width: int = 100, show_skipped: bool = False, offers: Sequence[str] = ()
) -> list[Line]:
    """The whole report, top to bottom in the order an operator needs it; `offers` are options worth trying next."""
    width = min(max(width, NARROWEST), WIDEST)
    statistics = diagnosis.statistics
    sections = [
        _source(statistics, width),
        _verdict(diagnosis, width),
        _what_if(diagnosis.what_if, width),
        _advice(diagnosis, width),
        _figures(diagnosis, width),
        _over_time(statistics, width),
        _anatomy(statistics, width),
        _sizes(statistics.distribution, width),
        table_lines(tables.incident_table(statistics), width) if statistics.incident_count > 1 else [],
        table_lines(tables.capacity_table(diagnosis), width) if diagnosis.capacities else [],
        _bullets("How the buffer was worked out", diagnosis.recommend.derivation, width),
        _bullets("What this log cannot tell", diagnosis.unknown, width),
        _skipped(statistics, width) if show_skipped else [],
        wrapped(f"Next: {' · '.join(offers)}", width, role=Role.NOTE) if offers else [],
    ]
    return [line for lines in sections if (section := list(lines)) for line in [*section, Line("")]][:-1]


def _source(statistics: Statistics, width: int) -> Iterator[Line]:
    for text in tables.source_lines(statistics):
        yield from wrapped(text, width, role=Role.SOURCE)
    for note in statistics.inputs.notes:
        yield from wrapped(f"note: {safe(note)}", width, role=Role.NOTE)


def _verdict(diagnosis: Diagnosis, width: int) -> Iterator[Line]:
    verdict = diagnosis.verdict
    yield Line(f"VERDICT  {verdict.level.value.upper()}  {tables.headline(verdict)}", Role.VERDICT)
    yield from wrapped(tables.sentence(verdict.text), width, indent=2)
    for evidence in verdict.evidence:
        yield from wrapped(evidence, width, indent=2, mark="- ", role=Role.NOTE)


def _what_if(what_if: WhatIf | None, width: int) -> Iterator[Line]:
    if what_if is None:
        return
    yield Line("What if", Role.HEADING)
    yield from wrapped(tables.replayed(what_if), width, indent=2)


def _advice(diagnosis: Diagnosis, width: int) -> Iterator[Line]:
    if not diagnosis.advice:
        return
    yield Line("Do first", Role.HEADING)
    for number, advice in enumerate(diagnosis.advice, start=1):
        yield from wrapped(
            f"{tables.capitalised(advice.action)} ({advice.confidence} confidence)", width, indent=2, mark=f"{number}. "
        )
        yield from wrapped(tables.reason(advice), width, indent=5, role=Role.NOTE)


def _figures(diagnosis: Diagnosis, width: int) -> Iterator[Line]:
    yield Line("Measured", Role.HEADING)
    for name, value in tables.figures(diagnosis):
        yield from wrapped(value, width, indent=2, mark=f"{name:<{NAME_WIDTH}}")


def _over_time(statistics: Statistics, width: int) -> Iterator[Line]:
    series, clock = statistics.seconds, statistics.inputs.clock
    if len(series.points) < 2:
        return
    cells, cell_s = _cells(series, width - 4)
    first_us, last_us = series.points[0].at_us, series.points[-1].at_us
    peak = max(cell for cell in cells if cell is not None)
    title = f"Lost over time, one cell = {span(cell_s)}, tallest {short_count(peak)}, log scale, blank = no lag"
    yield from wrapped(title, width, role=Role.HEADING)
    yield Line(f"  {sparkline(cells)}")
    left, right = (stamp(at_us, clock, step_us=SECOND_US) for at_us in (first_us, last_us))
    yield Line(f"  {left}{right:>{max(len(cells) - len(left), len(right) + 2)}}", Role.NOTE)


def _cells(series: Series, most: int) -> tuple[list[float | None], int]:
    first_us = series.points[0].at_us
    buckets = (series.points[-1].at_us - first_us) // (series.bucket_s * SECOND_US) + 1
    cell_s = merged_bucket(series.bucket_s, buckets, most)
    cells: list[float | None] = [None] * (-(-buckets * series.bucket_s // cell_s))
    for point in series.points:
        place = (point.at_us - first_us) // (cell_s * SECOND_US)
        cells[place] = (cells[place] or 0) + point.lost
    return cells, cell_s


def _anatomy(statistics: Statistics, width: int) -> Iterator[Line]:
    rows = statistics.anatomy
    if len(rows) < 3 or NO_TIME in (rows.at_us[0], rows.at_us[-1]) or rows.at_us[-1] <= rows.at_us[0]:
        return
    duration_us = int(rows.at_us[-1] - rows.at_us[0])
    cells = _anatomy_cells(rows, min(width - 4, duration_us + 1))
    cell, began = span((duration_us + 1) / len(cells) / 1e6), stamp(int(rows.at_us[0]), statistics.inputs.clock)
    yield Line(f"Worst incident from {began}, one cell = {cell}, log scale", Role.HEADING)
    yield Line(f"  {sparkline(cells)}")
    left, right = f"{count(int(rows.lost[0]))} in the first line", span(duration_us / 1e6)
    yield Line(f"  {left}{right:>{max(len(cells) - len(left), len(right) + 2)}}", Role.NOTE)


def _anatomy_cells(rows: LagChunk, most: int) -> list[float | None]:
    duration_us = int(rows.at_us[-1] - rows.at_us[0]) + 1
    cells: list[float | None] = [None] * most
    for at_us, lost in zip(rows.at_us.tolist(), rows.lost.tolist(), strict=True):
        place = min(max(0, (at_us - int(rows.at_us[0])) * most // duration_us), most - 1)
        cells[place] = (cells[place] or 0) + lost
    return cells


def _sizes(distribution: Distribution | None, width: int) -> Iterator[Line]:
    if distribution is None or distribution.per_line.median == distribution.maximum:
        return
    rows = tables.size_rows(distribution)
    lines, lost = sum(row.lines for row in rows), sum(row.lost for row in rows)
    room = (width - 2 - 14 - 2 * 22) // 2
    yield Line(f"{'Size of a lag':<16}{'lag lines':<{room + 22}}events lost", Role.HEADING)
    for row in rows:
        left = f"{bar(row.lines, lines, room):<{room}} {_lines(row.lines):>9} {percent(row.lines, lines):>6}"
        right = f"{bar(row.lost, lost, room):<{room}} {short_count(row.lost):>13} {percent(row.lost, lost):>6}"
        yield Line(f"  {row.label:<14}{left}     {right}".rstrip())


def _lines(number: int) -> str:
    return count(number) if number < 10_000_000 else rounded(number)


def table_lines(table: tables.Table, width: int) -> Iterator[Line]:
    """A table under its title; columns that may go are left out where it is too wide."""
    header, rows = _fitting(table, width - 2)
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    yield Line(table.title, Role.HEADING)
    for row in [header, *rows]:
        cells = (
            cell.ljust(size) if place < table.left else cell.rjust(size)
            for place, (cell, size) in enumerate(zip(row, widths, strict=True))
        )
        yield Line(f"  {'  '.join(cells)}".rstrip(), Role.NOTE if row is header else Role.PLAIN)
    if table.note:
        yield from wrapped(table.note, width, indent=2, role=Role.NOTE)


def _fitting(table: tables.Table, width: int) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    kept = list(range(len(table.header)))
    for name in (None, *table.droppable):
        kept = [place for place in kept if table.header[place] != name]
        rows = [tuple(row[place] for place in kept) for row in (table.header, *table.rows)]
        if sum(max(map(len, column)) + 2 for column in zip(*rows, strict=True)) - 2 <= width:
            break
    return rows[0], rows[1:]


def _bullets(title: str, texts: Iterable[str], width: int) -> Iterator[Line]:
    for number, text in enumerate(texts):
        if number == 0:
            yield Line(title, Role.HEADING)
        yield from wrapped(text, width, indent=2, mark="- ")


def _skipped(statistics: Statistics, width: int) -> Iterator[Line]:
    inputs = statistics.inputs
    yield Line(f"Skipped lines ({count(inputs.skipped_lines)})", Role.HEADING)
    yield from wrapped(f"format: {safe(inputs.why)}", width, indent=2)
    for reason, number in inputs.skip_reasons.items():
        yield from wrapped(f"{count(number)} {safe(reason)}", width, indent=2)
    for skip in inputs.skipped:
        place = safe(skip.file) + ("" if skip.line is None else f":{skip.line}")
        yield from wrapped(f"{place}: {safe(skip.reason)}: {safe(skip.text)}", width, indent=4, role=Role.NOTE)


def wrapped(text: str, width: int, *, indent: int = 0, mark: str = "", role: Role = Role.PLAIN) -> Iterator[Line]:
    """Text broken at spaces; what follows the first line stands under the text, not under its mark."""
    text = safe(text, limit=tables.LONGEST_TEXT)
    first, rest = " " * indent + mark, " " * (indent + len(mark))
    for line in textwrap.wrap(text, width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False):
        yield Line(line, role)
