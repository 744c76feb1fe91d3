"""The report as one HTML page: no script, nothing from elsewhere, foreign text escaped."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape

from liqcli.bot.report import Report
from liqcli.model import BASE_UNIT
from liqcli.text import safe

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 760, 220, 70, 24
_KINDS = {"won": "#2a7f4f", "failed": "#b3261e", "lost": "#c77700", "skip": "#9aa0a6", "dry run": "#3b6fb6"}
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;color:#1c1c1c;background:#fff}
table{border-collapse:collapse;width:100%}td,th{padding:.2rem .6rem;text-align:right;border-bottom:1px solid #ddd}
td:first-child,th:first-child{text-align:left}svg{width:100%;height:auto}text{font-size:11px;fill:#555}
@media(prefers-color-scheme:dark){body{color:#e6e6e6;background:#161616}td,th{border-color:#333}text{fill:#aaa}}
"""


def render_page(reports: Sequence[Report]) -> str:
    """A self-contained page with sums, charts and the mined transactions of each mode."""
    span = f"{reports[0].since:%Y-%m-%d %H:%M} to {reports[0].until:%Y-%m-%d %H:%M} UTC"
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            f"<title>liq report</title><style>{_STYLE}</style></head><body>",
            f"<h1>liq report</h1><p>{span}</p>",
            *map(_section, reports),
            "</body></html>",
        ]
    )


def _section(report: Report) -> str:
    return "\n".join(
        [
            f"<h2>{escape(safe(report.mode or 'nothing was decided'))}</h2><p>{report.runs} runs</p>",
            _table(["decisions", report.mode], summary_rows([report])),
            "<h3>Profit so far</h3>",
            _profit_chart(report),
            "<h3>Decisions</h3>",
            _bars(report),
            "<h3>Mined</h3>",
            _table(["time", "outcome", "borrower", "expected", "paid", "transaction"], _mined_rows(report)),
            "<h3>Left alone</h3>",
            _table(["why", "times"], [[why, f"{count:,}"] for why, count in report.skipped.most_common()]),
        ]
    )


def summary_rows(reports: Sequence[Report]) -> list[list[str]]:
    """The sums, each with its name, a column for each report."""
    named = ("plan", "dry run", "sent", "won", "failed", "lost", "skip", "recovered")
    counted = [kind for kind in named if any(report.counts[kind] for report in reports)]
    return [
        *([kind, *(f"{report.counts[kind]:,}" for report in reports)] for kind in counted),
        ["profit expected", *(_usd(report.expected_base) for report in reports)],
        ["profit paid", *(_usd(report.profit_base) for report in reports)],
        ["gas", *(f"{report.gas_wei / 10**18:.6f} HYPE" for report in reports)],
    ]


def _mined_rows(report: Report) -> Iterable[list[str]]:
    for decision in report.decisions:
        if decision.profit_base is not None:
            yield [
                f"{decision.time:%m-%d %H:%M:%S}",
                decision.kind,
                decision.borrower or "",
                _usd(decision.expected_base or 0),
                _usd(decision.profit_base),
                decision.tx_hash or "",
            ]


def _profit_chart(report: Report) -> str:
    points = [(report.since, 0), *report.profits, (report.until, report.profit_base)]
    low, high = min(0, *(base for _, base in points)), max(1, *(base for _, base in points))

    def up(base: int) -> float:
        return round((_HEIGHT - _BOTTOM) * (1 - (base - low) / (high - low)) + 4, 1)

    steps = "".join(f"H{_across(report, at)}V{up(base)}" for at, base in points)
    path = f'<path d="M{_LEFT} {up(0)}{steps}" fill="none" stroke="{_KINDS["won"]}" stroke-width="2"/>'
    labels = "".join(f'<text x="4" y="{up(base) + 4}">{_usd(base)}</text>' for base in {low, high})
    return _svg("profit so far", path + labels + _times(report))


def _bars(report: Report) -> str:
    buckets = report.buckets()
    most = max(1, *(sum(counts[kind] for kind in _KINDS) for _, counts in buckets))
    width = (_WIDTH - _LEFT) / len(buckets)
    parts = [f'<text x="4" y="14">{most:,}</text>']
    for number, (_, counts) in enumerate(buckets):
        y = float(_HEIGHT - _BOTTOM)
        for kind, colour in _KINDS.items():
            height = (_HEIGHT - _BOTTOM - 8) * counts[kind] / most
            y -= height
            x = _LEFT + number * width
            parts.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{width - 1:.1f}" height="{height:.1f}" fill="{colour}"/>'
            )
    legend = (f'<tspan fill="{colour}">■</tspan> {kind} ' for kind, colour in _KINDS.items())
    parts.append(f'<text x="{_LEFT}" y="12">{"".join(legend)}</text>')
    return _svg("decisions by kind", "".join(parts) + _times(report))


def _across(report: Report, at: datetime) -> float:
    share = (at - report.since) / (report.until - report.since)
    return round(_LEFT + (_WIDTH - _LEFT) * min(max(share, 0.0), 1.0), 1)


def _times(report: Report) -> str:
    y = _HEIGHT - 4
    end = f'<text x="{_WIDTH}" y="{y}" text-anchor="end">{report.until:%m-%d %H:%M}</text>'
    return f'<text x="{_LEFT}" y="{y}">{report.since:%m-%d %H:%M}</text>{end}'


def _svg(title: str, content: str) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img"><title>{escape(title)}</title>{content}</svg>'


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [_row(header, "th"), *(_row(row, "td") for row in rows)]
    return f"<table>{''.join(lines)}</table>"


def _row(cells: Sequence[str], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(safe(cell))}</{tag}>' for cell in cells)}</tr>"


def _usd(base: int) -> str:
    return f"{'-' if base < 0 else ''}${abs(base) / BASE_UNIT:,.2f}"
