"""What is sought in logs, and what searches for it; needs no numpy, which takes long to load."""

from collections.abc import Iterator
from mmap import mmap

import stringzilla as sz  # type: ignore[import-not-found]

try:
    from liqcli.lag import _kernel as kernel
except ImportError:
    # there was no C compiler where liqcli was installed: stringzilla and numpy find the same, in twice the time
    kernel = None  # type: ignore[assignment]

__all__ = ["CLOSED_NEEDLE", "LAG_NEEDLE", "PIECE", "few_places", "in_pieces", "kernel"]

LAG_NEEDLE = b"agged"
CLOSED_NEEDLE = b"channel closed"

PIECE = 1 << 19
"""All passes over the bytes go over so many while they are in the processor's cache."""


def in_pieces(
    buffer: bytearray | mmap, begin: int, end: int
) -> Iterator[tuple[int, bool, list[tuple[bytes, sz.Str, int]]]]:
    """Piece by piece: its lines, if a zero byte is in it, and for each needle what to search and where that begins.

    A needle may begin in the piece before.
    """
    view = memoryview(buffer)
    for start in range(begin, end, PIECE):
        stop = min(start + PIECE, end)
        piece, parts = sz.Str(view[start:stop]), []
        for needle in (LAG_NEEDLE, CLOSED_NEEDLE):
            first = max(begin, start - len(needle) + 1)
            parts.append((needle, sz.Str(view[first:stop]), first))
        yield int(piece.count(b"\n")), piece.find(b"\0") >= 0, parts


def few_places(piece: sz.Str, text: bytes, most: int) -> list[int] | None:
    """Where a text begins, going from one to the next; None where there are more than `most`."""
    places: list[int] = []
    place = piece.find(text)
    while place >= 0:
        if len(places) == most:
            return None
        places.append(place)
        place = piece.find(text, place + len(text))
    return places
