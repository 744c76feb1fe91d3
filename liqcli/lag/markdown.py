"""A diagnosis as Markdown, for an issue or a chat."""

import re
from collections.abc import Iterable, Iterator

from liqcli.lag import tables
from liqcli.lag.model import Diagnosis
from liqcli.text import safe

SPECIAL = re.compile(r"([\\`*_\[\]<>#|~&]|(?<=:)/)")


def render_markdown(diagnosis: Diagnosis) -> str:
    """The whole report; text from the log cannot make links, tags or table cells of its own."""
    statistics, verdict = diagnosis.statistics, diagnosis.verdict
    blocks = [
        f"## {verdict.level.value.upper()}: {tables.cause_name(verdict.cause)}",
        f"{_shown(verdict.text)} {tables.buffer_sentence(verdict)}",
        _list(verdict.evidence),
        _list([*tables.source_lines(statistics), *statistics.inputs.notes]),
        *_what_if(diagnosis),
        *_section("Do first", _advice(diagnosis)),
        *_section("Measured", _table(("", ""), tables.figures(diagnosis), left=2)),
        *_titled(tables.incident_table(statistics)),
        *_titled(tables.capacity_table(diagnosis)),
        *_section("How the buffer was worked out", _list(diagnosis.recommend.derivation)),
        *_section("What this log cannot tell", _list(diagnosis.unknown)),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _what_if(diagnosis: Diagnosis) -> Iterator[str]:
    if diagnosis.what_if is not None:
        text = f"{_shown(tables.change(diagnosis.what_if))} {_shown(diagnosis.what_if.text)}"
        yield from _section("What if", text)


def _advice(diagnosis: Diagnosis) -> str:
    return "\n".join(
        f"{number}. **{_shown(item.action)}** ({_shown(item.confidence)} confidence). {_shown(tables.reason(item))}"
        for number, item in enumerate(diagnosis.advice, start=1)
    )


def _titled(table: tables.Table) -> Iterator[str]:
    if table.rows:
        yield from _section(table.title, _table(table.header, table.rows, left=table.left))
        if table.note:
            yield _shown(table.note)


def _table(header: Iterable[str], rows: Iterable[Iterable[str]], *, left: int) -> str:
    titles = [_shown(title) for title in header]
    rule = ["---" if place < left else "---:" for place in range(len(titles))]
    return "\n".join(
        f"| {' | '.join(cells)} |" for cells in [titles, rule, *([_shown(cell) for cell in row] for row in rows)]
    )


def _list(texts: Iterable[str]) -> str:
    return "\n".join(f"- {_shown(text)}" for text in texts)


def _section(title: str, content: str) -> Iterator[str]:
    if content:
        yield f"### {title}\n\n{content}"


def _shown(text: str) -> str:
    return SPECIAL.sub(r"\\\1", safe(text, limit=2_000))
