"""What is sought in logs, and what searches for it; needs no numpy, which takes long to load."""

import stringzilla as sz  # type: ignore[import-not-found]

try:
    from liqcli.lag import _kernel as kernel
except ImportError:
    # there was no C compiler where liqcli was installed: stringzilla and numpy find the same, in twice the time
    kernel = None  # type: ignore[assignment]

__all__ = ["CLOSED_NEEDLE", "LAG_NEEDLE", "PIECE", "few_places", "kernel"]

LAG_NEEDLE = b"agged"
CLOSED_NEEDLE = b"channel closed"

PIECE = 1 << 19
"""All passes over the bytes go over so many while they are in the processor's cache."""


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
