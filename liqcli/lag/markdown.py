"""A diagnosis as Markdown, for an issue or a chat."""

import re
from collections.abc import Iterable, Iterator

from liqcli.lag import tables
from liqcli.lag.compare import Comparison, comparison_table
from liqcli.lag.model import Advice, Diagnosis
from liqcli.text import safe

SPECIAL = re.compile(r"([\\`*_\[\]<>#|~&]|(?<=:)/)")


def render_markdown(diagnosis: Diagnosis) -> str:
    """The whole report; text from the log cannot make links, tags or table cells of its own."""
    statistics, verdict = diagnosis.statistics, diagnosis.verdict
    blocks = [
        f"## {verdict.level.value.upper()}: {_shown(tables.headline(verdict))}",
        _shown(tables.sentence(verdict.text)),
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
        yield from _section("What if", _shown(tables.replayed(diagnosis.what_if)))


def _advice(diagnosis: Diagnosis) -> str:
    return "\n".join(f"{number}. {_item(advice)}" for number, advice in enumerate(diagnosis.advice, start=1))


def _item(advice: Advice) -> str:
    action, reason = _shown(tables.capitalised(advice.action)), _shown(tables.reason(advice))
    return f"**{action}** ({_shown(advice.confidence)} confidence). {reason}"


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
    return SPECIAL.sub(r"\\\1", safe(text, limit=tables.LONGEST_TEXT))


def render_comparison_markdown(comparison: Comparison) -> str:
    """The comparison of two logs, its outcome first."""
    table = comparison_table(comparison)
    return f"## {comparison.outcome.value.capitalize()}\n\n{_shown(comparison.text)}\n\n" + (
        _table(table.header, table.rows, left=table.left) + "\n"
    )
