"""The first and the last time in a log, from its two ends."""

from dataclasses import dataclass
from datetime import date

from liqcli.lag.lines import NO_TIME, Clock
from liqcli.lag.sources import HEAD, Source, opened
from liqcli.lag.wrappers import read_line

_MOST_LINES = 200


@dataclass(frozen=True, slots=True)
class Span:
    """When a log begins and ends; None where its ends carry no wall time, or cannot be seen."""

    first_us: int | None
    last_us: int | None


def span_of(source: Source, newest: date) -> Span:
    """Look at both ends of a file; a compressed one is read to its end, of standard input nothing can be seen."""
    if source.path is None:
        return Span(None, None)
    with opened(source) as file:
        first, tail = first_time(file.stream.peek(HEAD), newest), b""
        if file.is_plain and source.size is not None:
            file.stream.seek(max(source.size - HEAD, 0))
        while part := file.stream.read(HEAD):
            tail = (tail + part)[-HEAD:]
        return Span(first, last_time(tail, newest))


def first_time(text: bytes, newest: date) -> int | None:
    """The first wall time in some lines."""
    return _find_time(text.split(b"\n")[:_MOST_LINES], newest)


def last_time(text: bytes, newest: date) -> int | None:
    """The last wall time in some lines."""
    return _find_time(text.split(b"\n")[:-_MOST_LINES:-1], newest)


def _find_time(lines: list[bytes], newest: date) -> int | None:
    for raw in lines:
        line = read_line(raw, newest=newest)
        if line.clock is Clock.WALL and line.at_us != NO_TIME:
            return line.at_us
    return None
