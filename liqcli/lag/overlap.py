"""Logs that repeat each other: rotated by copying, or fetched again while they went on.

A copy is told from lines that were really written twice by the clock: one writer's times do not go back, so what ends
one log and begins another, byte for byte, and spans any time at all, was written once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from itertools import islice

from liqcli.lag.sources import HEAD, Repeat, Source, opened, skip
from liqcli.lag.spans import Span, first_time, last_time

_CHUNK = 1 << 20
_MOST_PLACES = 8
"""Lines of one text that are tried as the beginning of a copy."""


def without_repeats(sources: Sequence[Source], spans: Sequence[Span], newest: Sequence[date]) -> list[Source]:
    """The logs in the order of time, each with the part at its beginning that an earlier one already holds."""
    return [
        replace(source, repeat=_repeat(source, newest[place], _earlier(sources, spans, place)))
        for place, source in enumerate(sources)
    ]


def _earlier(sources: Sequence[Source], spans: Sequence[Span], place: int) -> list[Source]:
    """The logs that were still written when this one began."""
    begins = spans[place].first_us
    if begins is None:
        return []
    return [
        source
        for source, span in zip(sources[:place], spans[:place], strict=True)
        if span.first_us is not None and span.last_us is not None and span.first_us <= begins <= span.last_us
    ]


def _repeat(source: Source, newest: date, earlier: Sequence[Source]) -> Repeat | None:
    if not earlier:
        return None
    opening = _opening(source, newest)
    found = [
        shared
        for other in earlier
        for place in islice(_places(other, opening), _MOST_PLACES)
        if (shared := _shared(source, other, place, newest)) is not None
    ]
    return max(found, key=lambda repeat: repeat.size, default=None)


def _opening(source: Source, newest: date) -> bytes:
    """The lines of a log up to the first with a time."""
    with opened(source) as file:
        lines = file.stream.peek(HEAD)[:HEAD].splitlines(keepends=True)
    timed = next((number for number, line in enumerate(lines) if first_time(line, newest) is not None), len(lines))
    return b"".join(lines[: timed + 1])


def _places(source: Source, opening: bytes) -> Iterator[int]:
    """Where lines of a log begin that read like the opening."""
    needle, text, begin = b"\n" + opening, b"\n", -1
    for chunk in _chunks(source, 0):
        text += chunk
        place = text.find(needle)
        while place >= 0:
            yield begin + place + 1
            place = text.find(needle, place + 1)
        begin += max(0, len(text) - len(needle) + 1)
        text = text[max(0, len(text) - len(needle) + 1) :]


def _shared(source: Source, other: Source, place: int, newest: date) -> Repeat | None:
    """What a log has in common with the rest of another, if that goes to the end of one of them."""
    mine, theirs, size, lines, head, tail = _chunks(source, 0), _chunks(other, place), 0, 0, b"", b""
    left, right = b"", b""
    while (left := left or next(mine, b"")) and (right := right or next(theirs, b"")):
        part = left[: len(right)]
        if not right.startswith(part):
            return None
        size, lines, head, tail = size + len(part), lines + part.count(b"\n"), head or part, (tail + part)[-HEAD:]
        left, right = left[len(part) :], right[len(part) :]
    whole = tail if not left else tail[: tail.rfind(b"\n") + 1]
    first, last = first_time(head[:HEAD], newest), last_time(whole, newest)
    if first is None or last is None or last <= first:
        return None
    return Repeat(other.name, size - len(tail) + len(whole), lines)


def _chunks(source: Source, begin: int) -> Iterator[bytes]:
    with opened(source) as file:
        skip(file, begin)
        while chunk := file.stream.read(_CHUNK):
            yield chunk
