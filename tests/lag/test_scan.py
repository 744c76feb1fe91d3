"""The vectorised reader says what the exact reader says, line by line, whatever it is given."""

import io
import os
import random
from collections import Counter
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqcli.lag.blocks import BLOCK, MARGIN, read_blocks
from liqcli.lag.lines import CHANNELS, Receiver
from liqcli.lag.message import Kind
from liqcli.lag.scan import Scanner
from liqcli.lag.wrappers import read_line
from tests.lag.logs import FORMS, UNTIMED, facts, full, text
from tests.lag.samples import COUNTED, DECOYS, NOT_COUNTED, E

pytestmark = pytest.mark.usefixtures("reader")
TODAY = date(2026, 11, 22)
ODD = [*COUNTED.values(), *DECOYS.values(), *NOT_COUNTED.values(), f"{E}error receiving event: channel closed"]
EVERY_FORM = FORMS | UNTIMED
MIXED = {name: form for name, form in EVERY_FORM.items() if name != "journald json"}
"""A journal that lists bytes is recognised by how a block begins: it is never mixed with other lines."""
MUTATED_LINES = 1_000_000 if os.environ.get("LIQ_LONG") else 30_000


def scanned(log: bytes, chunk: int = BLOCK):
    """What the scanner makes of a log that arrives `chunk` bytes at a time."""
    roster: dict[Receiver, int] = {}
    scanner = Scanner("log", TODAY, form=None, roster=roster)
    lag, closed = [], []
    for block in read_blocks(Trickle(log, chunk), margin=MARGIN):
        batch = scanner.scan(block)
        lag += rows(batch.lag, roster)
        closed += rows(batch.closed, roster)
    return lag, closed, scanner.counts


def rows(chunk, roster):
    """The rows of a chunk, receivers by name."""
    names = list(roster)
    columns = zip(chunk.at_us, chunk.lost, chunk.channel, chunk.receiver, strict=True)
    return [(int(at), int(lost), CHANNELS[channel], names[receiver]) for at, lost, channel, receiver in columns]


def read_one_by_one(log: bytes):
    """The same by the exact reader."""
    lag, closed, reasons, lines = [], [], Counter(), log.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    for raw in lines:
        line = read_line(raw, newest=TODAY)
        row = (line.at_us, line.finding.lost, line.finding.channel, line.receiver)
        if line.finding.kind is Kind.LAG:
            lag.append(row)
        elif line.finding.kind is Kind.CLOSED:
            closed.append(row)
        elif line.finding.kind is Kind.SKIPPED:
            reasons[line.finding.reason] += 1
    return lag, closed, reasons, len(lines)


def assert_same(log: bytes, chunk: int = BLOCK):
    """Rows, order, reasons and the account of lines agree."""
    lag, closed, counts = scanned(log, chunk)
    expected_lag, expected_closed, reasons, lines = read_one_by_one(log)
    assert lag == expected_lag
    assert closed == expected_closed
    assert counts.skip_reasons == reasons
    assert counts.lines == lines
    assert counts.lag + counts.closed + reasons.total() <= lines


class Trickle(io.RawIOBase):
    """A stream that gives at most `chunk` bytes at a time."""

    def __init__(self, content, chunk):
        self.content, self.chunk, self.place = content, chunk, 0

    def readinto(self, buffer):
        part = self.content[self.place : self.place + min(len(buffer), self.chunk)]
        buffer[: len(part)] = part
        self.place += len(part)
        return len(part)


@pytest.mark.parametrize("form", EVERY_FORM)
def test_lines_recognised_by_shape_are_read_like_single_ones(form):
    """A learned shape gives the same time, count, channel and receiver as reading the line."""
    assert_same(text(EVERY_FORM[form], facts(400)))


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("chunk", [700, 5_000, BLOCK])
def test_a_line_of_another_kind_is_seen_among_thousands_of_one_kind(odd, chunk):
    """Where every line was of a known shape nothing else is sought; the first that is not ends that."""
    lines = [FORMS["full"](fact) for fact in facts(240)]
    lines.insert(200, odd)
    assert_same("".join(f"{line}\n" for line in lines).encode(), chunk)


def test_forms_may_change_from_line_to_line():
    """A log in which every form and every odd line is mixed is read like its single lines."""
    chance = random.Random(5)
    lines = [form(fact) for form in MIXED.values() for fact in facts(40)] + [*ODD] * 20
    chance.shuffle(lines)
    assert_same("\n".join(lines).encode())


@settings(max_examples=150)
@given(
    st.lists(st.sampled_from([*ODD, *(form(fact) for form in MIXED.values() for fact in facts(3))]), max_size=40),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(1, 300),
    st.booleans(),
)
def test_where_the_blocks_are_cut_changes_nothing(lines, feed, chunk, ended):
    """A needle, a number or a line may lie across any edge."""
    assert_same((feed.join(lines) + (feed if ended else "")).encode(), chunk)


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=80) | st.sampled_from(ODD).map(str.encode), max_size=12).map(b"\n".join))
def test_any_bytes_are_read_without_an_error(log):
    """Binary junk between real lines is only junk."""
    assert_same(log)


@pytest.mark.timeout(900)
def test_mutated_lines_never_raise_and_all_are_accounted_for():
    """Bytes changed, cut out, doubled, moved: counted + skipped + other = lines read, as the exact reader says."""
    chance = random.Random(14)
    originals = [form(fact).encode() for form in MIXED.values() for fact in facts(8)]
    originals += [line.encode() for line in ODD]
    for _ in range(MUTATED_LINES // 1_000):
        log = b"\n".join(mutated(chance.choice(originals), chance) for _ in range(1_000))
        assert_same(log)


def mutated(line: bytes, chance: random.Random) -> bytes:
    """One to three random changes."""
    changed = bytearray(line)
    for _ in range(chance.randrange(1, 4)):
        place, kind = chance.randrange(len(changed) + 1), chance.randrange(6)
        end = place + chance.randrange(1, 12)
        if kind == 0:
            changed[place : place + 1] = bytes([chance.randrange(256)])
        elif kind == 1:
            changed[place:end] = b""
        elif kind == 2:
            changed[place:place] = changed[place:end]
        elif kind == 3:
            changed[place:place] = bytes([chance.choice(b'0123456789:{}"\\[ \x1b,=')])
        elif kind == 4:
            changed[place:place] = chance.choice([b"channel lagged by 9", b"Lagged(", b"agged", b"\xff\xfe", b"9" * 30])
        else:
            changed = changed[:place]
    return bytes(changed).replace(b"\n", b" ") or b" "


def test_a_stamp_that_does_not_exist_is_no_time_in_the_fast_path_either():
    """Month 13, hour 24 and minute 60 among good lines: counted, without a time."""
    good = [full(fact) for fact in facts(50)]
    for place, bad in ((10, "2025-13-14T14:39:45.9"), (20, "2025-05-14T24:39:45.9"), (30, "2025-05-14T14:39:61.9")):
        good[place] = bad + good[place][21:]
    assert_same("\n".join(good).encode())


def test_a_line_longer_than_a_block_is_one_skipped_line():
    """It is dropped unread, and what follows it is read."""
    log = b"x" * (3 * BLOCK) + b"\n" + text(full, facts(3)) + b"y" * (2 * BLOCK)
    lag, _, counts = scanned(log)
    assert len(lag) == 3
    assert (counts.lines, sum(counts.skip_reasons.values())) == (5, 2)
    assert [skip.line for skip in counts.skipped] == [1, 5]


def test_a_line_that_just_fits_is_read():
    """The limit is the block: one byte less is read like any other line."""
    line = full(facts(1)[0]).encode()
    lag, _, counts = scanned(line + b" pad=" + b"z" * (BLOCK - len(line) - 6) + b"\n")
    assert (len(lag), counts.lines) == (1, 1)


def test_skipped_lines_carry_their_numbers():
    """The first twenty are kept with number, reason and text."""
    log = "\n".join(
        [full(facts(1)[0]), NOT_COUNTED["quoted"], "", NOT_COUNTED["too large"]] + [NOT_COUNTED["quoted"]] * 30
    )
    counts = scanned(log.encode())[2]
    assert [skip.line for skip in counts.skipped[:3]] == [2, 4, 5]
    assert len(counts.skipped) == 20
    assert counts.skip_reasons.total() == 32
    assert counts.skipped[0].text == NOT_COUNTED["quoted"]


def test_receivers_beyond_a_byte_share_one_code():
    """A log that names a thousand receivers keeps its totals."""
    lines = [f'2025-05-14T14:39:45Z ERROR s{{name="{n}x"}}: a::b: channel lagged by 2' for n in range(1_000)]
    lag, _, _ = scanned("\n".join(lines).encode())
    assert len(lag) == 1_000
    assert len({row[3] for row in lag}) == 251
