"""The charts as PNG and SVG files, drawn by matplotlib, which is imported only here and only when asked for."""

from io import BytesIO
from typing import TYPE_CHECKING

from liqcli.lag.figures import Bars, Figure, Path, Rug, Rule, Stems, Tone

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

COLOURS = {Tone.LOSS: "#b3362b", Tone.LINES: "#3f6fa8", Tone.MARK: "#222222"}
INK, FAINT = "#222222", "#d8d8d8"
RULE_POINTS = 13
DOTS_AT_MOST = 150
SIZE_INCHES, DOTS_PER_INCH = (9.0, 4.8), 120
FORMATS: dict[str, dict[str, str | None]] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": "liqcli"}}


def draw(figure: Figure) -> dict[str, bytes]:
    """File name to content, one for each format; the same figure always gives the same bytes."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    with rc_context(
        {
            "font.family": "DejaVu Sans",
            "font.size": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": INK,
            "svg.hashsalt": "liqcli",
            "text.parse_math": False,
        }
    ):
        canvas = Canvas(figsize=SIZE_INCHES, dpi=DOTS_PER_INCH, layout="constrained")
        FigureCanvasAgg(canvas)
        _draw_on(canvas, figure)
        return {f"{figure.name}.{kind}": _saved(canvas, kind) for kind in FORMATS}


def _saved(canvas: "Canvas", kind: str) -> bytes:
    file = BytesIO()
    canvas.savefig(file, format=kind, metadata=FORMATS[kind])
    return file.getvalue()


def _draw_on(canvas: "Canvas", figure: Figure) -> None:
    axes = canvas.subplots()
    _scale(axes, figure)
    for layer in figure.layers:
        _draw_layer(axes, layer, figure)
    for place, rule in enumerate(figure.rules):
        _draw_rule(axes, rule, place, figure)
    _draw_titles(axes, figure)
    if len(figure.layers) > 1:
        canvas.legend(loc="outside lower right", ncols=len(figure.layers), frameon=False)


def _scale(axes: "Axes", figure: Figure) -> None:
    axes.set_xscale("log" if figure.x.log else "linear")
    axes.set_yscale("log" if figure.y.log else "linear")
    axes.set_xlim(figure.x.low, figure.x.high)
    axes.set_ylim(figure.y.low, figure.y.high)
    axes.set_xticks([tick.at for tick in figure.x.ticks], [tick.label for tick in figure.x.ticks])
    axes.set_yticks([tick.at for tick in figure.y.ticks], [tick.label for tick in figure.y.ticks])
    axes.minorticks_off()
    axes.set_xlabel(figure.x.label)
    axes.set_ylabel(figure.y.label)
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)


def _draw_layer(axes: "Axes", layer: Bars | Stems | Path | Rug, figure: Figure) -> None:
    colour = COLOURS[layer.tone]
    if isinstance(layer, Bars):
        left = [start for start, _, _ in layer.bars]
        width = [end - start for start, end, _ in layer.bars]
        height = [height - figure.y.low for _, _, height in layer.bars]
        axes.bar(left, height, width, bottom=figure.y.low, align="edge", color=colour, label=layer.label)
    elif isinstance(layer, Stems):
        across, up = zip(*layer.points, strict=True)
        axes.vlines(across, figure.y.low, up, color=colour, linewidth=1.2)
        dots = "o" if len(up) <= DOTS_AT_MOST else ","
        axes.plot(across, up, dots, color=colour, markersize=3.5, label=layer.label)
    elif isinstance(layer, Path):
        across, up = zip(*layer.points, strict=True)
        axes.plot(across, up, "o-" if layer.dots else "-", color=colour, linewidth=1.8, markersize=4, label=layer.label)
    else:
        top = [0.985] * len(layer.places)
        axes.plot(
            layer.places, top, "v", color=colour, markersize=6, label=layer.label, transform=axes.get_xaxis_transform()
        )


def _draw_rule(axes: "Axes", rule: Rule, place: int, figure: Figure) -> None:
    axes.axvline(rule.at, color=INK, linewidth=1, linestyle="--")
    axes.annotate(
        rule.label,
        (rule.at, 1),
        xycoords=axes.get_xaxis_transform(),
        xytext=(0, 3 + RULE_POINTS * place),
        textcoords="offset points",
        ha="right" if figure.x.fraction(rule.at) > 0.6 else "left",
        fontsize=9.5,
    )


def _draw_titles(axes: "Axes", figure: Figure) -> None:
    above = 8 + RULE_POINTS * len(figure.rules)
    axes.annotate(figure.note, (0, 1), xycoords="axes fraction", xytext=(0, above), textcoords="offset points")
    axes.set_title(figure.title, loc="left", fontsize=14, fontweight="bold", pad=above + 18)
