"""Streams cut into blocks of whole lines, in one reused buffer.

Whatever comes in, at most one block is held: a longer line is dropped and counted.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

BLOCK = 4 << 20
"""Bytes read at a time, and the longest line."""
LINE_FEED = 10


class Stream(Protocol):
    """The part of a binary file that the block reader needs."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill the buffer from the start; 0 at the end."""


@dataclass(slots=True)
class Block:
    """Whole lines in `buffer[start:end]`, each ending in a line feed; the byte before `start` is one too.

    Who reads a block that is not `is_final` may lower `end` to the start of a line: the rest comes with the next block.
    `dropped` counts lines before these that were longer than a block; the buffer is reused for the next block.
    """

    buffer: bytearray
    start: int
    end: int
    dropped: int
    unfinished: bool
    is_final: bool = False


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
            end, dropped = block.end, 0
        if end:
            buffer[margin : margin + filled - end] = buffer[end:filled]
            filled = margin + filled - end
        elif dropping or filled == margin + BLOCK:
            dropping, filled = True, margin
    yield _last_block(buffer, margin, filled, dropped, dropping=dropping)


def _last_block(buffer: bytearray, margin: int, filled: int, dropped: int, *, dropping: bool) -> Block:
    """What stands after the last line feed is a line too, if it is anything."""
    if dropping or filled == margin:
        return Block(buffer, margin, margin, dropped + dropping, unfinished=dropping, is_final=True)
    if buffer[filled - 1] == LINE_FEED:
        return Block(buffer, margin, filled, dropped, unfinished=False, is_final=True)
    buffer[filled] = LINE_FEED
    return Block(buffer, margin, filled + 1, dropped, unfinished=True, is_final=True)
