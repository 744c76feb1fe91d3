"""What is sought in logs, and the search for it piece by piece; needs no numpy, which takes long to load."""

import stringzilla as sz  # type: ignore[import-not-found]

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
