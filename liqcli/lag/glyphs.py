"""How a count, a rate, a span of time or a bar is written, the same in every report."""

import math
from collections.abc import Sequence

EIGHTHS = " ▏▎▍▌▋▊▉"
STEPS = "▁▂▃▄▅▆▇█"
ASCII = str.maketrans(
    {
        "█": "#", "▉": "#", "▊": "#", "▋": "=", "▌": "=", "▍": "-", "▎": "-", "▏": ".",
        "▁": ".", "▂": ":", "▃": "-", "▄": "=", "▅": "+", "▆": "*", "▇": "%",
        "·": "|", "→": "-", "µ": "u", "≥": ">", "≤": "<", "─": "-", "…": "~", "–": "-", "×": "x", "±": "~", "✓": "y",  # noqa: RUF001
    }
)  # fmt: skip
LARGE = ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"))
SECONDS = ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "m"), (60, "m", 1, "s"))
BYTES = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


def to_ascii(text: str) -> str:
    """The same text for a terminal that has only ASCII; every column stays where it was."""
    return text.translate(ASCII).encode("ascii", "replace").decode("ascii")


def count(number: float) -> str:
    """A whole number with thousands separated: 1,335,533."""
    return f"{number:,}" if isinstance(number, int) else f"{number:,.0f}"


def plural(number: int, noun: str) -> str:
    """1 line, 54 lines."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def significant(number: float) -> str:
    """Three significant digits, never in exponent form: 6.33, 24.7, 1,335."""
    if number == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(number))))
    text = f"{number:,.{min(digits, 9)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def times(factor: float) -> str:
    """A factor that is only roughly known: 1.3 times, 4 times, 120 times."""
    return f"{significant(float(f'{factor:.2g}'))} times"


def short_count(number: float) -> str:
    """Exact up to a million, then in words: 6.33 million."""
    for unit, name in LARGE:
        if abs(number) >= unit:
            return f"{significant(number / unit)} {name}"
    return count(number) if abs(number) >= 100 or float(number).is_integer() else significant(number)


def rounded(number: float) -> str:
    """Exact below 100,000, then three digits and a letter: 32,768, 131k, 2.1M, 3.33G."""
    for unit, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e5, "k")):
        if abs(number) >= unit:
            return f"{significant(number / (1e3 if letter == 'k' else unit))}{letter}"
    return count(number)


def rate(per_second: float) -> str:
    """Events a second: 6.33 million/s."""
    return f"{short_count(per_second)}/s"


def span(seconds: float) -> str:
    """A duration in the unit that reads best: 343 µs, 2.59 ms, 1.33 s, 8 m 52 s, 2 h 05 m."""
    for unit, name, rest_unit, rest_name in SECONDS:
        if seconds >= unit:
            whole, rest = divmod(round(seconds / rest_unit), unit // rest_unit)
            return f"{count(whole)} {name} {rest:02d} {rest_name}" if rest else f"{count(whole)} {name}"
    if seconds >= 1 or seconds == 0:
        return f"{significant(seconds)} s"
    if seconds >= 1e-3:
        return f"{significant(seconds * 1e3)} ms"
    return f"{significant(seconds * 1e6)} µs"


def size(number: float) -> str:
    """Bytes in powers of 1,024, as buffers come: 4 KiB, 64 MiB."""
    for unit, name in BYTES:
        if number >= unit:
            return f"{significant(number / unit)} {name}"
    return f"{count(number)} B"


def percent(part: float, whole: float) -> str:
    """A share; never rounded to 0 or 100 when it is neither."""
    share = 100 * part / whole if whole else 0.0
    if 0 < share < 0.1:
        return "<0.1%"
    if 99.9 < share < 100:
        return ">99.9%"
    return f"{share:.1f}%"


def bar(value: float, top: float, width: int) -> str:
    """A horizontal bar in eighths of a cell; anything above zero shows at least a sliver."""
    if value <= 0 or top <= 0:
        return ""
    eighths = max(1, round(8 * width * value / top))
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()


def sparkline(values: Sequence[float | None]) -> str:
    """One cell a value, on a logarithmic scale; a gap in the data is a blank, zero the lowest step."""
    top = math.log1p(max((value for value in values if value is not None), default=0))
    return "".join(" " if value is None else _step(value, top) for value in values)


def _step(value: float, top: float) -> str:
    if value <= 0 or top <= 0:
        return STEPS[0]
    return STEPS[max(1, round(math.log1p(value) / top * (len(STEPS) - 1)))]
