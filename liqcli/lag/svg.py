"""The charts as inline SVG for the HTML report: no style of their own, no script, colours left to the page."""

from collections.abc import Iterable, Iterator
from html import escape

from liqcli.lag.figures import Bars, Figure, Path, Rug, Rule, Stems

WIDTH, HEIGHT = 760, 330
LEFT, RIGHT, TOP, BOTTOM = 74, 34, 14, 62
RULE_HEIGHT = 16
DOTS_AT_MOST = 150


class Frame:
    """The plot area of one figure: turns its values into places on the page."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self.top = TOP + RULE_HEIGHT * len(figure.rules)
        self.bottom = HEIGHT - BOTTOM
        self.right = WIDTH - RIGHT

    def across(self, value: float) -> float:
        """The horizontal place of a value."""
        return round(LEFT + (self.right - LEFT) * self.figure.x.fraction(value), 1)

    def up(self, value: float) -> float:
        """The vertical place of a value; SVG counts downwards."""
        return round(self.bottom - (self.bottom - self.top) * self.figure.y.fraction(value), 1)


def svg_of(figure: Figure) -> str:
    """One `<svg>` element that a screen reader can name, styled by the classes of the page."""
    frame = Frame(figure)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{figure.name}-title">',
        f'<title id="{figure.name}-title">{escape(figure.title)}: {escape(figure.note)}</title>',
        *_axes(frame),
        *(part for layer in figure.layers for part in _layer(frame, layer)),
        *(part for place, rule in enumerate(figure.rules) for part in _rule(frame, rule, place)),
        *(_legend(figure) if len(figure.layers) > 1 else ()),
        "</svg>",
    ]
    return "\n".join(parts)


def _axes(frame: Frame) -> Iterator[str]:
    x, y, bottom = frame.figure.x, frame.figure.y, frame.bottom
    for tick in y.ticks:
        at = frame.up(tick.at)
        yield f'<path class="grid" d="M{LEFT} {at}H{frame.right}"/>'
        yield _text(LEFT - 8, at + 4, tick.label, anchor="end")
    for tick in x.ticks:
        at = frame.across(tick.at)
        yield f'<path class="axis" d="M{at} {bottom}v5"/>'
        yield _text(at, bottom + 19, tick.label)
    yield f'<path class="axis" d="M{LEFT} {frame.top}V{bottom}H{frame.right}"/>'
    yield _text((LEFT + frame.right) / 2, bottom + 38, x.label, kind="label")
    middle = (frame.top + bottom) / 2
    yield (
        f'<text class="label" text-anchor="middle" transform="translate(16 {middle:.0f}) rotate(-90)">'
        f"{escape(y.label)}</text>"
    )


def _layer(frame: Frame, layer: Bars | Stems | Path | Rug) -> Iterator[str]:
    if isinstance(layer, Bars):
        yield from _bars(frame, layer)
    elif isinstance(layer, Stems):
        yield from _stems(frame, layer)
    elif isinstance(layer, Path):
        yield from _path(frame, layer)
    else:
        shape = "".join(f"M{frame.across(place) - 4:.1f} {frame.top}h8l-4 7z" for place in layer.places)
        yield f'<path class="{layer.tone}" d="{shape}"/>'


def _bars(frame: Frame, layer: Bars) -> Iterator[str]:
    yield f'<g class="{layer.tone}">'
    for start, end, height in layer.bars:
        left, top = frame.across(start), frame.up(height)
        width = max(0.8, frame.across(end) - left)
        yield f'<path d="M{left} {frame.bottom}V{top}h{width:.1f}V{frame.bottom}z"/>'
    yield "</g>"


def _stems(frame: Frame, layer: Stems) -> Iterator[str]:
    places = [(frame.across(at), frame.up(height)) for at, height in layer.points]
    shape = "".join(f"M{at} {frame.bottom}V{top}" for at, top in places)
    yield f'<path class="{layer.tone} line" d="{shape}"/>'
    yield from _dots(layer.tone, places)


def _path(frame: Frame, layer: Path) -> Iterator[str]:
    places = [(frame.across(at), frame.up(height)) for at, height in layer.points]
    shape = "M" + "L".join(f"{at} {top}" for at, top in places)
    yield f'<path class="{layer.tone} line strong" d="{shape}"/>'
    if layer.dots:
        yield from _dots(layer.tone, places)


def _dots(tone: str, places: list[tuple[float, float]]) -> Iterator[str]:
    if len(places) <= DOTS_AT_MOST:
        shape = "".join(f"M{at - 2.5:.1f} {top}a2.5 2.5 0 1 0 5 0a2.5 2.5 0 1 0 -5 0" for at, top in places)
        yield f'<path class="{tone}" d="{shape}"/>'


def _rule(frame: Frame, rule: Rule, place: int) -> Iterator[str]:
    at = frame.across(rule.at)
    level = frame.top - 4 - RULE_HEIGHT * place
    yield f'<path class="rule" d="M{at} {level}V{frame.bottom}"/>'
    late = frame.figure.x.fraction(rule.at) > 0.6
    yield _text(at - 5 if late else at + 5, level + 1, rule.label, anchor="end" if late else "start", kind="label")


def _legend(figure: Figure) -> Iterable[str]:
    at = float(LEFT)
    for layer in figure.layers:
        shape = "h12l-6 9z" if isinstance(layer, Rug) else "h12v9h-12z"
        yield f'<path class="{layer.tone}" d="M{at:.0f} {HEIGHT - 12}{shape}"/>'
        yield _text(at + 18, HEIGHT - 3, layer.label, anchor="start", kind="label")
        at += 40 + 6.6 * len(layer.label)


def _text(x: float, y: float, text: str, *, anchor: str = "middle", kind: str = "tick") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
