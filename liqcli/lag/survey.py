"""What stands where in a block: line feeds, zero bytes, needles."""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import stringzilla as sz  # type: ignore[import-not-found]

from liqcli.lag.blocks import Block
from liqcli.lag.lines import Int64s
from liqcli.lag.search import CLOSED_NEEDLE, LAG_NEEDLE, few_places, in_pieces, kernel

_FEW = 64
"""Up to so many needles in a piece are found one by one."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What is in a block of `size` bytes that begins at `start` of its buffer, where the needles' places count from."""

    start: int
    size: int
    lines: int
    has_zero: bool
    places: dict[bytes, Int64s]


Surveys: TypeAlias = dict[int, Survey]
"""By where the block begins in the file."""


def surveys_of(report: memoryview) -> Surveys:
    """The records of a scout."""
    words, surveys = np.frombuffer(report, np.int64), {}
    while len(words):
        begin, start, size, lines, zeros, lag = words[:6].tolist()
        closed = int(words[6 + lag])
        places = {LAG_NEEDLE: words[6 : 6 + lag], CLOSED_NEEDLE: words[7 + lag : 7 + lag + closed]}
        surveys[begin] = Survey(start, size, lines, zeros > 0, places)
        words = words[7 + lag + closed :]
    return surveys


def with_surveys(blocks: Iterator[Block], begin: int, surveys: Surveys) -> Iterator[Block]:
    """Blocks from a place in the file on, each with what is known of it."""
    for block in blocks:
        surveys = {} if block.dropped else surveys  # what was dropped is not counted: places in the file are unknown
        block.survey = surveys.get(begin)
        yield block
        begin += block.end - block.start


def survey(block: Block) -> Survey:
    """Search a block, unless a scout did."""
    known, size = block.survey, block.end - block.start
    if known is not None and known.size == size:
        moved = {needle: places + (block.start - known.start) for needle, places in known.places.items()}
        return replace(known, start=block.start, places=moved)
    if kernel is None:
        return _in_pieces(block)
    lines, has_zero, lag, closed = kernel.survey(block.buffer, block.start, block.end, LAG_NEEDLE, CLOSED_NEEDLE)
    places = {LAG_NEEDLE: np.frombuffer(lag, np.int64), CLOSED_NEEDLE: np.frombuffer(closed, np.int64)}
    return Survey(block.start, size, lines, has_zero, places)


def _in_pieces(block: Block) -> Survey:
    """One pass over the bytes for each thing sought; all go over a piece while it is in the processor's cache."""
    lines, has_zero, found = 0, False, {needle: [np.empty(0, np.int64)] for needle in (LAG_NEEDLE, CLOSED_NEEDLE)}
    for some, is_binary, parts in in_pieces(block.buffer, block.start, block.end):
        lines, has_zero = lines + some, has_zero or is_binary
        for needle, piece, first in parts:
            found[needle].append(_places(piece, needle) + first)
    places = {needle: np.concatenate(parts) for needle, parts in found.items()}
    return Survey(block.start, block.end - block.start, lines, has_zero, places)


def _places(piece: sz.Str, text: bytes) -> Int64s:
    few = few_places(piece, text, _FEW)
    return _all(piece, text) if few is None else np.array(few, np.int64)


def _all(piece: sz.Str, text: bytes) -> Int64s:
    """Where the text begins, from the lengths of the parts between."""
    parts = piece.split(text)
    width = np.uint64 if parts.offsets_are_large else np.uint32
    raw = ctypes.string_at(parts.offsets_address, parts.offsets_nbytes)
    places = np.frombuffer(raw, width)[1 : len(parts)].astype(np.int64)
    places += len(text) * np.arange(len(places))
    return places
