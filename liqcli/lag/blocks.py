"""Streams cut into blocks of whole lines, in one reused buffer or where a file's pages lie in memory.

Whatever comes in, at most one block is held: a longer line is dropped and counted.
"""

import io
import mmap
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from liqcli.lag.survey import Survey

BLOCK = 4 << 20
"""Bytes read at a time, and the longest line."""
LINE_FEED = 10
LONGEST = 2048
"""Longer lines are always read one by one."""
MARGIN = LONGEST + 64
"""Bytes a block must own before its first and after its last line, so that no window reaches outside."""
COPIED = 1 << 16
"""Bytes at the beginning of a file, which has no margin to be seen there; more where its first line is longer."""
MAPPED = 2 * BLOCK
"""Bytes seen at a time where they lie: what is done once for a block weighs less."""

Buffer: TypeAlias = bytearray | mmap.mmap


class Stream(Protocol):
    """The part of a binary file that the block reader needs."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill the buffer from the start; 0 at the end."""


@dataclass(slots=True)
class Block:
    """Whole lines in `buffer[start:end]`, each ending in a line feed; the byte before `start` is one too.

    Who reads a block that is not `is_final` may lower `end` to the start of a line: the rest comes with the next block.
    `dropped` counts lines before these that were longer than a block; the buffer may be reused for the next block.
    """

    buffer: Buffer
    start: int
    end: int
    dropped: int
    unfinished: bool
    is_final: bool = False
    survey: "Survey | None" = None


def read_blocks(stream: Stream, *, margin: int, limit: int | None = None) -> Iterator[Block]:
    """Cut a stream into blocks of whole lines in one reused buffer, reading at most `limit` bytes."""
    buffer = bytearray(margin + BLOCK + margin)
    view = memoryview(buffer)
    buffer[margin - 1] = LINE_FEED
    filled, dropping, dropped, left = margin, False, 0, sys.maxsize if limit is None else limit
    while count := stream.readinto(view[filled : min(margin + BLOCK, filled + left)]):
        left -= count
        end = buffer.rfind(b"\n", filled, filled + count) + 1
        start, filled = margin, filled + count
        if dropping and end:
            start = buffer.find(b"\n", margin, end) + 1
            dropped, dropping = dropped + 1, False
        is_full = not end and filled == margin + BLOCK
        if is_full:
            end = buffer.rfind(b"\n", margin, filled) + 1
        if end > start:
            block = Block(buffer, start, end, dropped, unfinished=False, is_final=is_full)
            yield block
            if block.end == start and filled == margin + BLOCK:  # more of its last event would not fit
                block = Block(buffer, start, end, 0, unfinished=False, is_final=True)
                yield block
            end, dropped = block.end, 0
        if end:
            buffer[margin : margin + filled - end] = buffer[end:filled]
            filled = margin + filled - end
        elif dropping or filled == margin + BLOCK:
            dropping, filled = True, margin
    yield _last_block(buffer, margin, filled, dropped, dropping=dropping)


def map_blocks(stream: io.BufferedReader, *, margin: int, limit: int) -> Iterator[Block]:
    """The next `limit` bytes of a file in larger blocks, seen where they lie and not copied.

    If the file is cut meanwhile, the process dies of SIGBUS: this is for a process that others can do without. What
    cannot be mapped is read: the ends, a file system that maps nothing, all from a line that `read_blocks` drops.
    """
    begin = stream.tell()
    stop = begin + limit
    copied = COPIED
    while (size := min(MAPPED if begin >= margin else copied, stop - begin - margin)) > 0:
        buffer, start = _window(stream, begin, size, margin)
        end = buffer.rfind(b"\n", start, start + size) + 1
        if end == 0 and size == copied < MAPPED:
            copied = MAPPED
            continue
        block = Block(buffer, start, end, 0, unfinished=False)
        if end == 0 or _has_long_line(buffer, start, size):
            break
        yield block
        if block.end == start:
            break
        begin += block.end - start
    stream.seek(begin)
    yield from read_blocks(stream, margin=margin, limit=stop - begin)


def _window(stream: io.BufferedReader, begin: int, size: int, margin: int) -> tuple[Buffer, int]:
    """Bytes of a file and their margins, and where they begin in them; nothing where they cannot be mapped."""
    if begin < margin:
        stream.seek(0)
        return bytearray(margin - 1) + b"\n" + stream.read(begin + size + margin), margin + begin
    first = (begin - margin) // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
    whole = begin + size + margin - first
    try:
        return mmap.mmap(stream.fileno(), whole, access=mmap.ACCESS_READ, offset=first), begin - first
    except (OSError, ValueError):
        return bytearray(), 0


def _has_long_line(buffer: Buffer, start: int, size: int) -> bool:
    """Whether a line is longer than `BLOCK`: in at most twice as many bytes such a line lies across the middle."""
    middle = start + size // 2
    return buffer.find(b"\n", middle) - buffer.rfind(b"\n", start - 1, middle) > BLOCK


def _last_block(buffer: bytearray, margin: int, filled: int, dropped: int, *, dropping: bool) -> Block:
    """What stands after the last line feed is a line too, if it is anything."""
    if dropping or filled == margin:
        return Block(buffer, margin, margin, dropped + dropping, unfinished=dropping, is_final=True)
    if buffer[filled - 1] == LINE_FEED:
        return Block(buffer, margin, filled, dropped, unfinished=False, is_final=True)
    buffer[filled] = LINE_FEED
    return Block(buffer, margin, filled + 1, dropped, unfinished=True, is_final=True)
