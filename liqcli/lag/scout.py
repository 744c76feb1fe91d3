"""A look at a large log before those who read it are ready: loading numpy and what needs it takes a tenth of a second.

Meanwhile another process surveys block after block from the beginning: lines, zero bytes, needles. Who reads a block
that was surveyed need not search it.
"""

import mmap
import os
import signal
import warnings
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from liqcli.lag.blocks import MARGIN, Block, map_blocks
from liqcli.lag.search import CLOSED_NEEDLE, LAG_NEEDLE, few_places, in_pieces, kernel
from liqcli.lag.sources import Source, find_sources, opened

FORK_LEAST = 48 << 20
"""Bytes per process below which another process costs more than it saves."""
MOST_PROCESSES = 4
REPORT_BYTES = 32 << 20
MOST = 256
"""Needles in a piece beyond which finding them one by one takes longer than finding all at once later."""


class Scout:
    """A process that surveys a log; what it has seen is in memory that both share."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._region = mmap.mmap(-1, REPORT_BYTES)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the child calls nothing that takes a lock
            self._process = os.fork()
        if self._process == 0:
            try:
                _survey(source, memoryview(self._region).cast("q"))
            finally:
                os._exit(0)

    def recall(self) -> None:
        """End it, wherever it is."""
        if self._process:
            os.kill(self._process, signal.SIGKILL)
            os.waitpid(self._process, 0)
            self._process = 0

    def report(self) -> memoryview:
        """End it and take its records, one after the other: see `_record`."""
        self.recall()
        words = memoryview(self._region).cast("q")
        return words[1 : 1 + words[0]]


@contextmanager
def sent_ahead(paths: Sequence[str | Path], processes: int | None) -> Iterator[Scout | None]:
    """A scout in a log that several processes will read; None for other logs."""
    sources = find_sources(paths)
    if process_count(sources, processes) < 2:
        yield None
        return
    scout = Scout(sources[0])
    try:
        yield scout
    finally:
        scout.recall()


def process_count(sources: Sequence[Source], wanted: int | None) -> int:
    """How many processes read: one for each processor if it is a single large plain file."""
    source = sources[0]
    if len(sources) > 1 or source.path is None or source.size is None:
        return 1
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    count = wanted or min(processors, MOST_PROCESSES, source.size // FORK_LEAST)
    if count < 2:
        return 1
    with opened(source) as file:
        return count if file.is_plain else 1


def _survey(source: Source, words: memoryview) -> None:
    """Note block after block until the memory is full, or a block is not worth it; the first word tells how far."""
    size, begin = source.size or 0, 0
    with opened(source) as file:
        for block in map_blocks(file.stream, margin=MARGIN, limit=size):
            record = None if block.dropped else _record(begin, block)
            used = 1 + words[0]
            if record is None or used + len(record) > len(words):
                return
            words[used : used + len(record)] = record
            words[0] += len(record)
            begin += block.end - block.start


def _record(begin: int, block: Block) -> "array[int] | None":
    """Where a block begins in the file and in its buffer, its size, and what `_found` says of it.

    Each needle's places come behind their number; they count from the buffer's beginning.
    """
    found = _found(block)
    if found is None:
        return None
    lines, has_zero, lag, closed = found
    record = array("q", [begin, block.start, block.end - block.start, lines, has_zero, len(lag)])
    record += lag
    record.append(len(closed))
    return record + closed


def _found(block: Block) -> "tuple[int, bool, array[int], array[int]] | None":
    """Lines, zero bytes and the needles' places; None where these are many and no compiled loop finds them."""
    lag, closed = array("q"), array("q")
    if kernel is not None:
        lines, has_zero, *raw = kernel.survey(block.buffer, block.start, block.end, LAG_NEEDLE, CLOSED_NEEDLE)
        lag.frombytes(raw[0])
        closed.frombytes(raw[1])
        return lines, has_zero, lag, closed
    lines, has_zero = 0, False
    for some, is_binary, parts in in_pieces(block.buffer, block.start, block.end):
        lines, has_zero = lines + some, has_zero or is_binary
        for places, (needle, piece, first) in zip((lag, closed), parts, strict=True):
            few = few_places(piece, needle, MOST)
            if few is None:
                return None
            places.extend(place + first for place in few)
    return lines, has_zero, lag, closed
