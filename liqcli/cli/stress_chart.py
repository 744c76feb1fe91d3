"""The debt that falls against the size of a shock, drawn as PNG and SVG."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from liqcli.cli.prices import Change
from liqcli.model import BASE_UNIT
from liqcli.text import safe

_LOSS, _INK, _FAINT = "#b3362b", "#222222", "#d8d8d8"
_FORMATS: dict[str, dict[str, str | None]] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": "liqcli"}}


def draw(curve: Sequence[tuple[float, int]], changes: Sequence[Change], directory: Path) -> Iterator[Path]:
    """Write both files; the same curve always gives the same bytes."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, PercentFormatter

    with rc_context({"font.family": "DejaVu Sans", "svg.hashsalt": "liqcli", "text.parse_math": False}):
        figure = Figure(figsize=(9.0, 4.8), dpi=120, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        scale, label = _across(changes)
        sizes, debts = [size * scale for size, _ in curve], [debt / BASE_UNIT for _, debt in curve]
        axes.fill_between(sizes, debts, step="post", color=_LOSS, alpha=0.15, linewidth=0)
        axes.step(sizes, debts, where="post", color=_LOSS, linewidth=1.8)
        axes.axvline(scale, color=_INK, linewidth=1, linestyle="--")
        axes.annotate("the shock", (scale, 1), xycoords=axes.get_xaxis_transform(), xytext=(4, -12),
                      textcoords="offset points", color=_INK)  # fmt: skip
        axes.set_xlim(min(sizes[0], sizes[-1]), max(sizes[0], sizes[-1]))
        if scale < 0:
            axes.invert_xaxis()
        axes.set_ylim(0, max(debts) * 1.08 or 1)
        axes.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _dollars(value)))
        axes.set_xlabel(label)
        axes.set_ylabel("debt of borrowers below 1")
        axes.grid(axis="y", color=_FAINT, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(f"Debt falling under {_named(changes)}", loc="left", fontsize=13, fontweight="bold")
        for kind, metadata in _FORMATS.items():
            path = directory / f"stress.{kind}"
            figure.savefig(path, format=kind, metadata=metadata)
            yield path


def _across(changes: Sequence[Change]) -> tuple[float, str]:
    """What the shock asked for is on the axis: a change of price if there is one, else a share of all of them."""
    if len(changes) == 1 and changes[0].part:
        return float(changes[0].part), f"change of the price of {safe(changes[0].asset, limit=16)}"
    return 1.0, "size of the shock, 100 % is as asked"


def _named(changes: Sequence[Change]) -> str:
    return ", ".join(f"{safe(change.asset, limit=16)} {_change(change)}" for change in changes)


def _change(change: Change) -> str:
    if change.price is not None:
        return f"at ${change.price / BASE_UNIT:,.2f}"
    return f"{float(change.part or 0) * 100:+g} %"


def _dollars(value: float) -> str:
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"${value / size:,.3g}{letter}"
    return f"${value:,.0f}"
