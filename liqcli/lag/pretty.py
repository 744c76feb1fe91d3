"""Tracing's pretty form: behind an event's line stand others with its place in the code and its spans, innermost first.

A block may end between the two; then the event is left for the next block.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from liqcli.lag.blocks import BLOCK, Block
from liqcli.lag.formats import TEXT_FIELD, Line, span_label
from liqcli.lag.lines import Receiver
from liqcli.lag.wrappers import read_line

Read = Callable[[bytes], Line]

MOST_LINES = 64
"""Lines of one event; no span path is deeper."""
MOST_LEFT = BLOCK // 4
"""A larger event is read as it comes: the next block must have room for what follows."""
_MOST_KNOWN = 4_096
_SPAN = re.compile(r" {4}in (?:\S+::)?(.+?)(?: with (.*))?$")


@dataclass(frozen=True, slots=True)
class Context:
    """The spans of an event, and where its last line begins: the blank one behind it if there is one."""

    span: str | None
    stop: int


class ContextReader:
    """Reads what stands behind the lines of events; lines seen before are remembered."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._known: dict[bytes, str] = {}

    def context(self, block: Block, place: int) -> Context:
        """The context of the event whose line holds `place`."""
        spans, stop = [], place
        begin = block.buffer.find(b"\n", place) + 1
        for _ in range(MOST_LINES):
            end = block.buffer.find(b"\n", begin, block.end)
            raw = bytes(block.buffer[begin:end]) if end > begin else b""
            text = self._behind(raw)
            if not text:
                stop = begin if end >= begin and not raw.strip() and stop != place else stop
                break
            if found := _SPAN.match(text):
                spans.append((found[1], TEXT_FIELD.findall(found[2] or "")))
            begin, stop = end + 1, begin
        return Context(span_label(spans[::-1]), stop)

    def _behind(self, raw: bytes) -> str:
        """The text of a line that belongs to the event before it, else nothing."""
        text = self._known.get(raw)
        if text is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            text = self._known[raw] = self._read(raw).behind if raw else ""
        return text


def within(receiver: Receiver, context: Context) -> Receiver:
    """The receiver whose event was logged in these spans."""
    return Receiver(receiver.target, context.span) if context.span else receiver


def is_behind(raw: bytes) -> bool:
    """Whether a line of any date belongs to the event before it."""
    return bool(read_line(raw.rstrip(b"\r\n"), newest=date.max).behind)


def last_whole_event(block: Block, read: Read) -> int:
    """Where to cut a block so that no event is torn: before its last event if that may go on, else its end."""
    end = block.end
    for _ in range(MOST_LINES):
        begin = block.buffer.rfind(b"\n", block.start - 1, end - 1) + 1
        line = read(bytes(block.buffer[begin : end - 1]))
        if line.has_context and (begin > block.start or block.end - begin < MOST_LEFT):
            return begin
        if not line.behind or begin <= block.start:
            break
        end = begin
    return block.end
