"""What stands where in a block: line feeds, zero bytes, needles.

Each is one pass over the bytes; all passes go over a piece while it is in the processor's cache.
"""

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import stringzilla as sz  # type: ignore[import-not-found]

from liqcli.lag.blocks import Block
from liqcli.lag.lines import Int64s
from liqcli.lag.search import CLOSED_NEEDLE, LAG_NEEDLE, PIECE, few_places

_FEW = 64
"""Up to so many needles in a piece are found one by one."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What a scout found in a block of `size` bytes: places count from its beginning."""

    size: int
    lines: int
    has_zero: bool
    places: dict[bytes, Int64s]


Surveys: TypeAlias = dict[int, Survey]
"""By where the block begins in the file."""


@dataclass(slots=True)
class Sought:
    """A needle to find in a block, or to count there while the longer `texts` that hold it are found.

    `places` has one list for the needle, or one for each text: where they begin, piece by piece.
    """

    needle: bytes
    texts: tuple[bytes, ...] = ()
    is_dense: bool = False
    count: int = 0
    places: list[list[Int64s]] = field(default_factory=list)

    def found(self) -> list[Int64s]:
        """The places in order: of the needle, or of each text."""
        return [np.concatenate(parts) for parts in self.places]

    def look(self, view: memoryview, begin: int, start: int, end: int, *, counted: bool = True) -> None:
        """Search one piece; what ends in it may begin before it, but not before `begin`."""
        self.places = self.places or [[] for _ in self.texts or (self.needle,)]
        if self.texts and counted:
            self.count += int(sz.Str(view[max(begin, start - len(self.needle) + 1) : end]).count(self.needle))
        for text, parts in zip(self.texts or (self.needle,), self.places, strict=True):
            first = max(begin, start - len(text) + 1)
            piece = sz.Str(view[first:end])
            parts.append((_all(piece, text) if self.is_dense else _few(piece, text)) + first)


def surveys_of(report: memoryview) -> Surveys:
    """The records of a scout."""
    words, surveys = np.frombuffer(report, np.int64), {}
    while len(words):
        begin, size, lines, zeros, lag = words[:5].tolist()
        closed = int(words[5 + lag])
        places = {LAG_NEEDLE: words[5 : 5 + lag], CLOSED_NEEDLE: words[6 + lag : 6 + lag + closed]}
        surveys[begin] = Survey(size, lines, zeros > 0, places)
        words = words[6 + lag + closed :]
    return surveys


def with_surveys(blocks: Iterator[Block], begin: int, surveys: Surveys) -> Iterator[Block]:
    """Blocks from a place in the file on, each with what is known of it."""
    for block in blocks:
        block.survey = surveys.get(begin)
        yield block
        begin += block.end - block.start


def survey(block: Block, sought: Sequence[Sought]) -> tuple[int, bool]:
    """Search a block; how many lines it has, and whether there is a zero byte in it."""
    known = block.survey
    if known is not None and known.size == block.end - block.start and not any(one.texts for one in sought):
        for one in sought:
            one.places = [[known.places[one.needle] + block.start]]
        return known.lines, known.has_zero
    lines, has_zero, view = 0, False, memoryview(block.buffer)
    for start in range(block.start, block.end, PIECE):
        end = min(start + PIECE, block.end)
        piece = sz.Str(view[start:end])
        lines += int(piece.count(b"\n"))
        has_zero = has_zero or piece.find(b"\0") >= 0
        for one in sought:
            one.look(view, block.start, start, end)
    return lines, has_zero


def count_lines(block: Block, sought: Sought) -> int:
    """How many lines a block has; the texts sought are found on the way, the needle is not counted."""
    lines, view = 0, memoryview(block.buffer)
    for start in range(block.start, block.end, PIECE):
        end = min(start + PIECE, block.end)
        lines += int(sz.Str(view[start:end]).count(b"\n"))
        sought.look(view, block.start, start, end, counted=False)
    return lines


def _few(piece: sz.Str, text: bytes) -> Int64s:
    places = few_places(piece, text, _FEW)
    return _all(piece, text) if places is None else np.array(places, np.int64)


def _all(piece: sz.Str, text: bytes) -> Int64s:
    """Where the text begins, from the lengths of the parts between."""
    parts = piece.split(text)
    width = np.uint64 if parts.offsets_are_large else np.uint32
    raw = ctypes.string_at(parts.offsets_address, parts.offsets_nbytes)
    places = np.frombuffer(raw, width)[1 : len(parts)].astype(np.int64)
    places += len(text) * np.arange(len(places))
    return places
