"""A diagnosis as one HTML file: no script, nothing loaded, text from the log escaped, light, dark and on paper."""

from base64 import b64encode
from collections.abc import Iterable, Iterator
from hashlib import sha256
from html import escape
from importlib.resources import files

from liqcli.lag import tables
from liqcli.lag.assumed import DEFAULT_CAPACITY
from liqcli.lag.figures import Figure, figures_of
from liqcli.lag.model import Advice, Diagnosis, WhatIf
from liqcli.lag.svg import svg_of
from liqcli.text import safe

INCIDENTS_SHOWN = 20


def render_html(diagnosis: Diagnosis, *, capacity: int = DEFAULT_CAPACITY) -> str:
    """The whole page; its policy allows exactly one thing, the style sheet that it carries."""
    style = files("liqcli.lag").joinpath("page.css").read_text(encoding="utf-8")
    statistics = diagnosis.statistics
    head, *source = tables.source_lines(statistics)
    parts = [
        _head(style, title=f"Lag: {head}"),
        f"<h1>{escape(head)}</h1>",
        *(f'<p class="soft">{_shown(line)}</p>' for line in [*source, *statistics.inputs.notes]),
        _verdict(diagnosis),
        *_what_if(diagnosis.what_if),
        *_section("Do first", _advice(diagnosis.advice)),
        *_section("Measured", _pairs(tables.figures(diagnosis))),
        *(_figure(figure) for figure in figures_of(diagnosis, capacity=capacity)),
        *_table(tables.incident_table(statistics, shown=INCIDENTS_SHOWN)),
        *_table(tables.capacity_table(diagnosis)),
        *_section("How the buffer was worked out", _list(diagnosis.recommend.derivation)),
        *_section("What this log cannot tell", _list(diagnosis.unknown)),
        "</main>\n</html>\n",
    ]
    return "\n".join(parts)


def _head(style: str, *, title: str) -> str:
    allowed = b64encode(sha256(style.encode()).digest()).decode()
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-{allowed}'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{escape(title)}</title>
<style>{style}</style>
<main>"""


def _verdict(diagnosis: Diagnosis) -> str:
    verdict = diagnosis.verdict
    return (
        f'<section class="verdict {verdict.level.value}">\n'
        f"<strong>{verdict.level.value.upper()}: {escape(tables.headline(verdict))}</strong>\n"
        f"<p>{_shown(tables.sentence(verdict.text))}</p>\n{_list(verdict.evidence)}\n</section>"
    )


def _what_if(what_if: WhatIf | None) -> Iterator[str]:
    if what_if is not None:
        yield from _section("What if", f"<p>{_shown(tables.replayed(what_if))}</p>")


def _advice(advice: Iterable[Advice]) -> str:
    items = "\n".join(
        f"<li>{_shown(tables.capitalised(item.action))} <small>({_shown(item.confidence)} confidence)</small>"
        f"<p>{_shown(tables.reason(item))}</p></li>"
        for item in advice
    )
    return f"<ol>\n{items}\n</ol>" if items else ""


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    rows = "\n".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs)
    return f"<dl>\n{rows}\n</dl>"


def _figure(figure: Figure) -> str:
    caption = f"<b>{escape(figure.title)}</b>{escape(figure.note)}"
    return f"<figure>\n<figcaption>{caption}</figcaption>\n{svg_of(figure)}\n</figure>"


def _table(table: tables.Table) -> Iterator[str]:
    if not table.rows:
        return
    header = _cells(table.header, "th", table.left)
    body = "\n".join(f"<tr>{_cells(row, 'td', table.left)}</tr>" for row in table.rows)
    note = f"<p><small>{escape(table.note)}</small></p>" if table.note else ""
    rows = f"<thead><tr>{header}</tr></thead>\n<tbody>\n{body}\n</tbody>"
    yield from _section(table.title, f'<div class="wide"><table>\n{rows}\n</table></div>\n{note}')


def _cells(row: tuple[str, ...], tag: str, left: int) -> str:
    opened = [f'<{tag} class="text">' if place < left else f"<{tag}>" for place in range(len(row))]
    return "".join(f"{start}{escape(cell)}</{tag}>" for start, cell in zip(opened, row, strict=True))


def _list(texts: Iterable[str]) -> str:
    items = "\n".join(f"<li>{_shown(text)}</li>" for text in texts)
    return f"<ul>\n{items}\n</ul>" if items else ""


def _section(title: str, content: str) -> Iterator[str]:
    if content:
        yield f"<h2>{escape(title)}</h2>\n{content}"


def _shown(text: str) -> str:
    return escape(safe(text, limit=tables.LONGEST_TEXT))
