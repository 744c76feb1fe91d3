"""Forms of lines that were read once and are recognised by the thousand.

A `Shape` is learned from one line that wrappers.read_line understood. Which of its digits are the count, which the
clock and which mean nothing is found by experiment: the digits are changed and the line is read again. So the
vectorised match can say nothing that the exact reader would not have said.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, reduce

import numpy as np
from numpy.typing import NDArray

from liqcli.lag.blocks import LONGEST, Buffer
from liqcli.lag.clock import ISO, SECOND, UPTIME, iso_us, uptime_us
from liqcli.lag.digits import Words, leading_digits, leading_number, trailing_number
from liqcli.lag.formats import Line
from liqcli.lag.lines import NO_TIME, Clock, Int64s
from liqcli.lag.message import Kind
from liqcli.lag.search import CLOSED_NEEDLE, LAG_NEEDLE, kernel

LARGEST_AT_ONCE = 10**15
"""Larger counts are read one by one: even ten million events a second take three years to lose as many."""
ROWS = 2048
"""Windows compared at a time: with the pattern repeated beside them they stay in the processor's cache."""
MANY = 64
LONGEST_UPTIME = 8
"""Digits of the seconds that are read at once: three years."""

Read = Callable[[bytes], Line]

_RUN = re.compile(rb"[0-9]+")
_ISO = re.compile(ISO.pattern.encode(), re.ASCII)
_UPTIME = re.compile(UPTIME.pattern.encode(), re.ASCII)


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """Bytes to expect in a window of whole words: constant bytes exactly, wild ones as any digit.

    A byte XOR what is expected (0x30 for a digit) must be 0, or at most 9: `lift` adds what brings a larger one to
    0x80. Bytes that reach 0x80 by themselves carry into their neighbours, but then the window is wrong anyway.
    """

    expect: Words
    lift: Words
    flags: Words

    @property
    def width(self) -> int:
        """The width of the window in bytes."""
        return len(self.expect) * 8

    @property
    def packed(self) -> bytes:
        """As the compiled loop takes it."""
        return self.expect.tobytes() + self.lift.tobytes() + self.flags.tobytes()


@dataclass(frozen=True, slots=True)
class StampPlace:
    """Where in the window the clock stands; `whole` counts an uptime clock's digits before the point."""

    clock: Clock
    offset: int
    whole: int
    fraction: int
    zone_us: int


_NO_STAMP = StampPlace(Clock.NONE, 0, 0, 0, 0)
_CLOCK_CODES = {Clock.NONE: 0, Clock.WALL: 1, Clock.UPTIME: 2}
"""As the compiled loop takes them."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A form of line: head, constant text, count, rest.

    `head` goes from the line feed before the line to the last digit before the count; `literal` is the constant text
    from there to the count; `after` begins where the count ends and includes the line feed. `gap` is the distance
    from the needle to the count.
    """

    line: Line
    gap: int
    head: Pattern
    literal: bytes
    text: Pattern
    after: Pattern
    stamp: StampPlace | None

    @property
    def has_count(self) -> bool:
        """Lag lines carry a count, `channel closed` lines do not."""
        return self.line.finding.kind is Kind.LAG


def learn(raw: bytes, line: Line, read: Read) -> Shape | None:
    """The shape of a counted line, or None where its form cannot be told from its content."""
    needle = LAG_NEEDLE if line.finding.kind is Kind.LAG else CLOSED_NEEDLE
    if len(raw) > LONGEST - 8 or raw.count(LAG_NEEDLE) + raw.count(CLOSED_NEEDLE) != 1:
        return None
    hit = raw.index(needle)
    count = _count_place(raw, line, hit, read) if line.finding.kind is Kind.LAG else (hit + len(needle),) * 2
    if count is None:
        return None
    clocks = [found for found in _stamps(raw) if found.span() != count and _is_clock(raw, line, found, read)]
    if any(len(clock[1]) > LONGEST_UPTIME for clock in clocks if clock.re is _UPTIME):
        return None
    if len(clocks) != (line.clock is not Clock.NONE) or (line.clock is not Clock.WALL and _ISO.search(raw)):
        return None  # a date that does not exist here may exist in the next line
    clock = clocks[0] if clocks else None
    wild = _wild(raw, line, read, taken=[count] + [found.span() for found in clocks])
    if wild is None or (clock is not None and clock.end() > count[0]):
        return None
    digits = wild | (_digit_places(clock) if clock else set())
    begin = max((place + 1 for place in digits if place < count[0]), default=0)
    head = _pattern(b"\n" + raw[:begin], {place + 1 for place in digits if place < begin}, at_end=True)
    literal = raw[begin : count[0]]
    after = _pattern(raw[count[1] :] + b"\n", {place - count[1] for place in digits if place >= count[1]}, at_end=False)
    stamp = _stamp_place(clock, head.width - begin) if clock else None
    return Shape(line, count[0] - hit, head, literal, _pattern(literal, set(), at_end=True), after, stamp)


def _stamps(raw: bytes) -> Iterator[re.Match[bytes]]:
    yield from _ISO.finditer(raw)
    yield from _UPTIME.finditer(raw)


def _count_place(raw: bytes, line: Line, hit: int, read: Read) -> tuple[int, int] | None:
    for run in _RUN.finditer(raw, hit):
        if int(run[0]) == line.finding.lost and all(
            read(raw[: run.start()] + b"%d" % probe + raw[run.end() :])
            == replace(line, finding=replace(line.finding, lost=probe))
            for probe in (7, 40_506, 123_456_789)
        ):
            return run.span()
    return None


def _is_clock(raw: bytes, line: Line, found: re.Match[bytes], read: Read) -> bool:
    text = found[0]
    if found.re is _ISO:
        fraction = found[7] or b""
        rest = text[19:20] + b"6" * len(fraction) + text[20 + len(fraction) :] if fraction else text[19:]
        probe = b"2031-07-28" + text[10:11] + b"23:58:41" + rest
        expected, clock = iso_us(_must(ISO.match(probe.decode()))), Clock.WALL
    else:
        probe = re.sub(rb"[0-9]", b"6", text)
        expected, clock = uptime_us(_must(UPTIME.match(probe.decode()))), Clock.UPTIME
    reading = read(raw[: found.start()] + probe + raw[found.end() :])
    return reading.clock is clock and reading == replace(line, at_us=expected)


def _must(found: re.Match[str] | None) -> re.Match[str]:
    assert found is not None
    return found


def _wild(raw: bytes, line: Line, read: Read, *, taken: list[tuple[int, int]]) -> set[int] | None:
    """Places of digits that mean nothing; None where digits that seem so one by one matter together."""
    runs = [run.span() for run in _RUN.finditer(raw) if not any(a <= run.start() < b for a, b in taken)]
    free = [span for span in runs if all(read(_with_digits(raw, [span], b)) == line for b in b"0959")]
    for digits in (b"3141592", b"2718281", b"6022140"):
        if free and read(_with_digits(raw, free, *digits)) != line:
            return None
    return {place for start, end in free for place in range(start, end)}


def _with_digits(raw: bytes, spans: list[tuple[int, int]], *digits: int) -> bytes:
    changed = bytearray(raw)
    for start, end in spans:
        for place in range(start, end):
            changed[place] = digits[place % len(digits)]
    return bytes(changed)


def _digit_places(clock: re.Match[bytes]) -> set[int]:
    zone = clock.start(8) if clock.re is _ISO and clock[8] else clock.end()
    return {place for place in range(clock.start(), zone) if clock.string[place : place + 1].isdigit()}


def _pattern(text: bytes, wild: set[int], *, at_end: bool) -> Pattern:
    pad = -len(text) % 8
    lead, trail = (pad, 0) if at_end else (0, pad)
    padded = bytes(lead) + text + bytes(trail)
    kinds = [0] * lead + [2 if place in wild else 1 for place in range(len(text))] + [0] * trail
    return Pattern(
        expect=_words([(0, byte, 0x30)[kind] for byte, kind in zip(padded, kinds, strict=True)]),
        lift=_words([(0, 0x7F, 0x76)[kind] for kind in kinds]),
        flags=_words([(0, 0x80, 0x80)[kind] for kind in kinds]),
    )


def _words(values: list[int]) -> Words:
    return np.frombuffer(bytes(values), dtype="<u8")


def _stamp_place(clock: re.Match[bytes], shift: int) -> StampPlace:
    offset = clock.start() + shift
    if clock.re is _UPTIME:
        return StampPlace(Clock.UPTIME, offset, whole=len(clock[1]), fraction=9, zone_us=0)
    probe = _must(ISO.match("1970-01-01T00:00:00" + (clock[8] or b"Z").decode()))
    return StampPlace(Clock.WALL, offset, whole=0, fraction=len(clock[7] or b""), zone_us=-iso_us(probe))


@dataclass(frozen=True, slots=True)
class Matched:
    """Rows of a shape: `good` marks the hits that are of it; the other columns hold only those."""

    good: NDArray[np.bool_]
    at_us: Int64s
    lost: Int64s


def match(shape: Shape, buffer: Buffer, hits: Int64s) -> Matched:
    """Compare the lines around the hits with a shape and read clock and count of those that fit."""
    if kernel is not None:
        return _compiled(shape, buffer, hits)
    places = hits + shape.gap
    windows = _windows(buffer, places - (len(shape.literal) + shape.head.width), shape.head.width)
    good = _fits(windows, shape.head)
    good &= _fits(_windows(buffer, places - shape.text.width, shape.text.width), shape.text)
    if shape.has_count:
        ends, lost = _counts(buffer, places)
        good &= ends > places
    else:
        ends, lost = places, np.zeros(len(places), np.int64)
    good &= _fits(_windows(buffer, ends, shape.after.width), shape.after)
    if shape.stamp is None:
        return Matched(good, np.full(np.count_nonzero(good), NO_TIME), lost[good])
    at_us = _times(windows.view(np.uint8), shape.stamp) if good.all() else _some_times(windows, good, shape.stamp)
    good &= at_us != NO_TIME
    return Matched(good, at_us[good], lost[good])


def _compiled(shape: Shape, buffer: Buffer, hits: Int64s) -> Matched:
    """The same, read by the compiled loop."""
    assert kernel is not None
    stamp = shape.stamp or _NO_STAMP
    good, at_us, lost = kernel.match(
        buffer,
        np.ascontiguousarray(hits).data,
        shape.head.packed,
        shape.text.packed,
        shape.after.packed,
        shape.gap,
        len(shape.literal),
        shape.has_count,
        _CLOCK_CODES[stamp.clock],
        stamp.offset,
        stamp.whole,
        stamp.fraction,
        stamp.zone_us,
        _minute_us,
    )
    return Matched(np.frombuffer(good, np.bool_), np.frombuffer(at_us, np.int64), np.frombuffer(lost, np.int64))


def _windows(buffer: Buffer, starts: Int64s, width: int) -> Words:
    """The `width` bytes from each start, as rows of words."""
    every = np.ndarray((len(buffer) - width + 1,), dtype=f"V{width}", buffer=buffer, strides=(1,))
    return every[starts].view("<u8").reshape(-1, width // 8)


def _fits(windows: Words, pattern: Pattern) -> NDArray[np.bool_]:
    """Which windows are of the pattern; many are compared as one long row, which numpy does at full speed."""
    fits = np.ones(len(windows), np.bool_)
    expect, lift, flags = _repeated(pattern) if len(windows) > MANY else (pattern.expect, pattern.lift, pattern.flags)
    for first in range(0, len(windows), ROWS):
        part = windows[first : first + ROWS]
        row = part.reshape(-1) if len(windows) > MANY else part
        size = row.shape[-1]
        differences = row ^ expect[:size]
        wrong = differences + lift[:size]
        wrong |= differences
        wrong &= flags[:size]
        if wrong.max():
            columns = wrong.reshape(part.shape).T
            fits[first : first + ROWS] = reduce(np.bitwise_or, columns) == 0
    return fits


@lru_cache(maxsize=16)
def _repeated(pattern: Pattern) -> tuple[Words, Words, Words]:
    """The pattern for `ROWS` windows that follow each other."""
    return np.tile(pattern.expect, ROWS), np.tile(pattern.lift, ROWS), np.tile(pattern.flags, ROWS)


def _counts(buffer: Buffer, places: Int64s) -> tuple[Int64s, Int64s]:
    """Where each count ends and what it is; a count that is none, or too large, ends where it begins."""
    words = _windows(buffer, places, 16)
    length = leading_digits(words[:, 0])
    lost = leading_number(words[:, 0], np.maximum(length, np.uint64(1)))
    if length.max(initial=0) == 8:
        long = np.flatnonzero(length == 8)
        more = leading_digits(words[long, 1])
        head = lost[long]
        rest = leading_number(words[long, 1], np.maximum(more, np.uint64(1)))
        lost[long] = np.where(more > 0, head * np.uint64(10) ** more + rest, head)
        length[long] += more
        length[lost > LARGEST_AT_ONCE] = 0
    return places + length.astype(np.int64), lost.astype(np.int64)


def _some_times(windows: Words, good: NDArray[np.bool_], stamp: StampPlace) -> Int64s:
    at_us = np.full(len(windows), NO_TIME)
    if good.any():
        at_us[good] = _times(windows[good].view(np.uint8), stamp)
    return at_us


def _times(rows: NDArray[np.uint8], stamp: StampPlace) -> Int64s:
    """Microseconds of the stamps; NO_TIME for one that does not exist (a 13th month, a 61st minute)."""

    def word(place: int) -> Words:
        return rows[:, stamp.offset + place : stamp.offset + place + 8].view("<u8")[:, 0]

    if stamp.clock is Clock.UPTIME:
        whole = leading_number(word(0), np.uint64(stamp.whole)).astype(np.int64)
        return whole * SECOND + leading_number(word(stamp.whole + 1), np.uint64(6)).astype(np.int64)
    second = trailing_number(word(11), 2)
    at_us = _minutes(word(0), word(8))
    valid = (at_us != NO_TIME) & (second <= 60)
    at_us += second.astype(np.int64) * SECOND - stamp.zone_us
    if kept := min(stamp.fraction, 6):
        at_us += trailing_number(word(12 + kept), kept).astype(np.int64) * 10 ** (6 - kept)
    return at_us if valid.all() else np.where(valid, at_us, NO_TIME)


def _minutes(dates: Words, minutes: Words) -> Int64s:
    """The start of each row's minute; neighbours mostly share one, so it is read once per change."""
    if (minutes == minutes[0]).all() and (dates == dates[0]).all():
        return np.full(len(dates), _minute_us(dates[0].tobytes() + minutes[0].tobytes()))
    changes = np.flatnonzero((dates[1:] != dates[:-1]) | (minutes[1:] != minutes[:-1])) + 1
    starts = np.concatenate(([0], changes))
    values = [_minute_us(dates[row].tobytes() + minutes[row].tobytes()) for row in starts]
    return np.repeat(np.array(values, np.int64), np.diff(starts, append=len(dates)))


@lru_cache(maxsize=4096)
def _minute_us(text: bytes) -> int:
    found = _ISO.match(text + b":00Z")
    return iso_us(_must(ISO.match(found[0].decode()))) if found else NO_TIME
