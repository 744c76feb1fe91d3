"""Blocks of log lines to columns: the few lines that matter are found, matched by shape or read one by one."""

import re
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from datetime import date

import numpy as np
from numpy.typing import NDArray

from liqcli.lag.blocks import LINE_FEED, Block, Buffer
from liqcli.lag.chunks import EMPTY, Batch, counts_of
from liqcli.lag.formats import Line
from liqcli.lag.lines import CHANNELS, NO_TIME, Clock, Int64s, LagChunk, Receiver, Skipped, UInt8s
from liqcli.lag.message import Finding, Kind
from liqcli.lag.pretty import Context, ContextReader, last_whole_event, within
from liqcli.lag.search import CLOSED_NEEDLE, LAG_NEEDLE
from liqcli.lag.shapes import Shape, learn, match
from liqcli.lag.survey import survey
from liqcli.lag.wrappers import BINARY, read_line

MOST_SHAPES = 24
MOST_LESSONS = 400
"""Lines a reading may spend on learning shapes; a log with more forms than this is read line by line."""
MOST_RECEIVERS = 250
MOST_SKIPPED = 20
OTHERS = Receiver("(others)", None)
TOO_LONG = "longer than 4 MiB"
_LAG_LETTERS = np.array([chr(code) in "lL" for code in range(256)])
_F_LETTERS = np.array([chr(code) in "fF" for code in range(256)])


@dataclass(slots=True)
class Counts:
    """What has been seen so far; lines == lag + closed + skipped + all others."""

    lines: int = 0
    lag: int = 0
    closed: int = 0
    skip_reasons: Counter[str] = field(default_factory=Counter)
    skipped: list[Skipped] = field(default_factory=list)
    formats: Counter[str] = field(default_factory=Counter)
    wrappers: Counter[str] = field(default_factory=Counter)
    clocks: Counter[Clock] = field(default_factory=Counter)
    ansi: int = 0
    fractions: int = 0
    zone_assumed: int = 0
    year_assumed: int = 0

    def merge(self, later: "Counts", *, lines_before: int = 0) -> None:
        """Add what was seen in the file that follows, or in the part that follows `lines_before` of the same file."""
        self.lines += later.lines
        self.lag += later.lag
        self.closed += later.closed
        self.skip_reasons += later.skip_reasons
        shifted = [replace(skip, line=skip.line + lines_before) for skip in later.skipped]
        self.skipped = [*self.skipped, *shifted][:MOST_SKIPPED]
        self.formats += later.formats
        self.wrappers += later.wrappers
        self.clocks += later.clocks
        self.ansi += later.ansi
        self.fractions += later.fractions
        self.zone_assumed += later.zone_assumed
        self.year_assumed += later.year_assumed


@dataclass(frozen=True, slots=True)
class _Found:
    """Rows of one shape or of one line, with where they stand in the block."""

    place: Int64s
    at_us: Int64s
    lost: Int64s
    line: Line
    contexts: tuple[Context, ...] = ()

    @property
    def receivers(self) -> list[Receiver]:
        """One for all rows, or one for each."""
        return [within(self.line.receiver, context) for context in self.contexts] or [self.line.receiver]

    @property
    def stop(self) -> Int64s:
        """A place in the last line of each event."""
        return np.array([context.stop for context in self.contexts], np.int64) if self.contexts else self.place


class Scanner:
    """Reads the blocks of one file; remembers the shapes it met. `roster` gives each receiver its code."""

    def __init__(
        self, name: str, newest: date, *, form: str | None, roster: dict[Receiver, int], lines_before: int = 0
    ) -> None:
        self.name = name
        self.newest = newest
        self.form = form
        self.counts = Counts()
        self._roster = roster
        self._shapes: dict[bytes, list[Shape]] = {LAG_NEEDLE: [], CLOSED_NEEDLE: []}
        self._lessons = 0
        self._contexts = ContextReader(self._read)
        self._last_line: int | None = None
        self._lines_taken = lines_before

    def take_counts(self) -> Counts:
        """What was seen since the last time; line numbers go on."""
        counts, self.counts = self.counts, Counts()
        self._lines_taken += counts.lines
        return counts

    def scan(self, block: Block) -> Batch:
        """Classify every line of a block."""
        if block.dropped:
            self._skip(TOO_LONG, b"", self._line_number(0), block.dropped)
            self.counts.lines += block.dropped
        if not block.is_final:
            block.end = last_whole_event(block, self._read)
        if block.end == block.start:
            return Batch(EMPTY, EMPTY)
        seen = survey(block)
        done = self._binary_lines(block) if seen.has_zero else set()
        found = [part for needle, hits in seen.places.items() for part in self._search(block, needle, hits, done)]
        batch = Batch(self._chunk(found, Kind.LAG, block), self._chunk(found, Kind.CLOSED, block))
        self.counts.lines += seen.lines
        self.counts.lag += len(batch.lag)
        self.counts.closed += len(batch.closed)
        return batch

    def _search(self, block: Block, needle: bytes, hits: Int64s, done: set[int]) -> Iterator[_Found]:
        """Every line with the needle in it: by shape if it has one, else read by itself, which may teach a shape."""
        left = hits
        for known in self._shapes[needle]:
            left = yield from self._matched(known, block, left)
        left = np.concatenate([_speaking(left, block.buffer, needle), _journal_hits(block, needle)])
        while len(left):
            hit, left = int(left[0]), left[1:]
            start = block.buffer.rfind(b"\n", 0, hit) + 1
            if start in done:
                continue
            done.add(start)
            raw = bytes(block.buffer[start : block.buffer.find(b"\n", hit)])
            line = self._read(raw)
            if line.finding.kind is Kind.SKIPPED:
                self._skip(line.finding.reason, raw, self._line_number(self._lines_before(block, start)))
            elif line.finding.kind is not Kind.OTHER:
                hits, times, counts = np.array([hit]), np.array([line.at_us]), counts_of([line.finding.lost])
                yield self._tallied(block, line, hits, times, counts)
                if (shape := self._lesson(raw, line)) is not None:
                    left = yield from self._matched(shape, block, left)

    def _matched(self, shape: Shape, block: Block, hits: Int64s) -> Generator[_Found, None, Int64s]:
        if len(hits) == 0:
            return hits
        matched = match(shape, block.buffer, hits)
        if len(matched.lost) == 0:
            return hits
        yield self._tallied(block, shape.line, hits[matched.good], matched.at_us, matched.lost)
        return hits[~matched.good]

    def _tallied(self, block: Block, line: Line, place: Int64s, at_us: Int64s, lost: Int64s) -> _Found:
        counts, rows = self.counts, len(place)
        counts.formats[line.format] += rows
        counts.clocks[line.clock] += rows
        counts.ansi += line.ansi * rows
        counts.fractions += line.has_fraction * rows
        counts.zone_assumed += line.zone_assumed * rows
        counts.year_assumed += line.year_assumed * rows
        if line.wrapper is not None:
            counts.wrappers[line.wrapper] += rows
        if not line.has_context:
            return _Found(place, at_us, lost, line)
        contexts = tuple(self._contexts.context(block, hit) for hit in place.tolist())
        return _Found(place, at_us, lost, line, contexts)

    def _read(self, raw: bytes) -> Line:
        line = read_line(raw, newest=self.newest)
        if self.form is None or line.finding.kind not in {Kind.LAG, Kind.CLOSED} or _is_form(line.format, self.form):
            return line
        return Line(Finding(Kind.SKIPPED, reason=f"not in the {self.form} format"))

    def _lesson(self, raw: bytes, line: Line) -> Shape | None:
        shapes = self._shapes[LAG_NEEDLE if line.finding.kind is Kind.LAG else CLOSED_NEEDLE]
        if len(shapes) >= MOST_SHAPES or self._lessons >= MOST_LESSONS:
            return None
        self._lessons += 1
        shape = learn(raw, line, self._read)
        if shape is not None:
            shapes.append(shape)
        return shape

    def _chunk(self, found: list[_Found], kind: Kind, block: Block) -> LagChunk:
        """The rows of one kind in the order of the file."""
        found = [part for part in found if part.line.finding.kind is kind]
        if not found:
            return EMPTY
        rows = [len(part.place) for part in found]
        place = np.concatenate([part.place for part in found])
        at_us = np.concatenate([part.at_us for part in found])
        lost = np.concatenate([part.lost for part in found])
        channel = np.repeat(np.array([CHANNELS.index(part.line.finding.channel) for part in found], np.uint8), rows)
        receiver = np.concatenate([self._codes(part) for part in found])
        stop = np.concatenate([part.stop for part in found])
        breaks = np.zeros(len(place), np.bool_)
        if len(found) > 1:
            order = np.argsort(place, kind="stable")
            place, at_us, lost = place[order], at_us[order], lost[order]
            channel, receiver, stop = channel[order], receiver[order], stop[order]
        if kind is Kind.LAG and (at_us == NO_TIME).any():
            breaks = self._breaks(place, stop, block)
        return LagChunk(at_us, lost, channel, receiver, breaks)

    def _codes(self, found: _Found) -> UInt8s:
        codes = np.array([receiver_code(self._roster, receiver) for receiver in found.receivers], np.uint8)
        return codes if found.contexts else np.repeat(codes, len(found.place))

    def _breaks(self, place: Int64s, stop: Int64s, block: Block) -> NDArray[np.bool_]:
        feeds, lines_before = _line_feeds(block), self._lines_taken + self.counts.lines
        first, last = (feeds.searchsorted(places) + lines_before for places in (place, stop))
        before = first[0] - 1 if self._last_line is None else self._last_line
        self._last_line = int(last[-1])
        breaks: NDArray[np.bool_] = first - np.concatenate([[before], last[:-1]]) > 1
        return breaks

    def _binary_lines(self, block: Block) -> set[int]:
        """The starts of lines with a zero byte in them, counted as skipped."""
        feeds = _line_feeds(block)
        zeros = np.flatnonzero(np.frombuffer(block.buffer, np.uint8)[block.start : block.end] == 0) + block.start
        lines = np.unique(feeds.searchsorted(zeros))
        starts = np.concatenate(([block.start], feeds + 1))[lines]
        first = int(starts[0])
        raw = bytes(block.buffer[first : block.buffer.find(b"\n", first)])
        self._skip(BINARY.reason, raw, self._line_number(int(lines[0])), len(lines))
        return set(starts.tolist())

    def _skip(self, reason: str, raw: bytes, line: int, count: int = 1) -> None:
        self.counts.skip_reasons[reason] += count
        if len(self.counts.skipped) < MOST_SKIPPED:
            text = raw[:200].decode("utf-8", "replace")
            self.counts.skipped.append(Skipped(self.name, line, reason, text))

    def _line_number(self, lines_before: int) -> int:
        return self._lines_taken + self.counts.lines + lines_before + 1

    def _lines_before(self, block: Block, place: int) -> int:
        return block.buffer[block.start : place].count(b"\n") if len(self.counts.skipped) < MOST_SKIPPED else 0


def receiver_code(roster: dict[Receiver, int], receiver: Receiver) -> int:
    """The code of a receiver, new or known; from the 250th on they share one, so that codes fit a byte."""
    if receiver not in roster and len(roster) >= MOST_RECEIVERS:
        receiver = OTHERS
    return roster.setdefault(receiver, len(roster))


def _is_form(name: str, form: str) -> bool:
    texts = {"full", "compact", "pretty"}
    return name == form or (name in texts and form in texts)


def _speaking(hits: Int64s, buffer: Buffer, needle: bytes) -> Int64s:
    """Leave out `tagged`, `flagged` and the like."""
    if needle != LAG_NEEDLE or len(hits) == 0:
        return hits
    letters = np.frombuffer(buffer, np.uint8)
    speaking: Int64s = hits[_LAG_LETTERS[letters[hits - 1]] & ~_F_LETTERS[letters[hits - 2]]]
    return speaking


def _journal_hits(block: Block, needle: bytes) -> Int64s:
    """The needle as journald exports it in a message with colours: a list of byte values.

    Sought only in blocks that begin like a journal: such a log holds nothing else.
    """
    if b"__REALTIME_TIMESTAMP" not in block.buffer[block.start : block.start + 4_096]:
        return np.empty(0, np.int64)
    values = re.compile(b", ?".join(b"%d" % value for value in needle))
    return np.array([found.start() for found in values.finditer(block.buffer, block.start, block.end)], np.int64)


def _line_feeds(block: Block) -> Int64s:
    part = np.frombuffer(block.buffer, np.uint8)[block.start : block.end]
    return np.flatnonzero(part == LINE_FEED).astype(np.int64) + block.start
