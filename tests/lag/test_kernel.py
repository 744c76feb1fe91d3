"""The compiled inner loops say what numpy says, and look at nothing outside what they are given."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqcli.lag import shapes, survey
from liqcli.lag.blocks import MARGIN, Block
from liqcli.lag.lines import NO_TIME
from liqcli.lag.message import Kind
from liqcli.lag.search import CLOSED_NEEDLE, LAG_NEEDLE, kernel
from liqcli.lag.shapes import learn, match
from liqcli.lag.wrappers import read_line
from tests.lag.logs import FORMS, UNTIMED, facts
from tests.lag.test_scan import TODAY

pytestmark = pytest.mark.skipif(
    kernel is None and shutil.which("cc") is None, reason="no C compiler here: the numpy paths are tested instead"
)
ROOT = Path(__file__).parents[2]
NEEDLE_OR_NOT = st.sampled_from(
    [LAG_NEEDLE, CLOSED_NEEDLE, b"agge", b"channel close", b"gg", b"nn", b"\n", b"\0", b"x"]
)
TEXTS = st.lists(NEEDLE_OR_NOT | st.binary(max_size=70), max_size=30).map(b"".join)


BETWEEN_GUARDS = """
import ctypes, mmap, numpy as np
from liqcli.lag.search import CLOSED_NEEDLE, LAG_NEEDLE, kernel
from liqcli.lag.shapes import match
from tests.lag.test_kernel import SHAPED, facts, shape_of
page = mmap.PAGESIZE
memory = mmap.mmap(-1, 3 * page)
start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
protect = ctypes.CDLL(None, use_errno=True).mprotect
protect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
assert protect(start, page, 0) == protect(start + 2 * page, page, 0) == 0
shape, line = shape_of(SHAPED["full"]), SHAPED["full"](facts(1)[0]).encode()
for text in (LAG_NEEDLE * 40, b"gg" * 60, CLOSED_NEEDLE * 14, line, line + b"\\n"):
    for length in range(len(text) + 1):
        for place, part in ((start + page, text[-length:]), (start + 2 * page - length, text[:length])):
            ctypes.memmove(place, part, length)
            view = memoryview((ctypes.c_char * length).from_address(place)).cast("B")
            kernel.survey(view, 0, length, LAG_NEEDLE, CLOSED_NEEDLE)
            match(shape, view, np.arange(-2, length + 2))
print("nothing else was looked at")
"""


def test_nothing_outside_the_buffer_is_looked_at():
    """Whatever stands at either end of it: the memory before and behind cannot be read without dying."""
    done = subprocess.run(
        [sys.executable, "-c", BETWEEN_GUARDS], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "nothing else was looked at\n"), done.stderr


def shape_of(form):
    """A shape, learned from one line; None where lines of the form are read one by one."""
    raw = form(facts(1)[0]).encode()
    line = read_line(raw, newest=TODAY)
    return learn(raw, line, lambda other: read_line(other, newest=TODAY)) if line.finding.kind is Kind.LAG else None


SHAPED = {name: form for name, form in (FORMS | UNTIMED).items() if shape_of(form) is not None}


@given(TEXTS, st.integers(0, 80), st.integers(0, 80))
def test_a_survey_finds_what_a_search_finds(text, before, after):
    """Line feeds, zero bytes and every needle that is whole in the part, wherever it begins and ends."""
    begin, end = min(before, len(text)), max(len(text) - after, min(before, len(text)))
    lines, has_zero, *places = kernel.survey(text, begin, end, LAG_NEEDLE, CLOSED_NEEDLE)
    part = text[begin:end]

    assert lines == part.count(b"\n")
    assert has_zero == (b"\0" in part)
    for needle, found in zip((LAG_NEEDLE, CLOSED_NEEDLE), places, strict=True):
        expected = [met.start() + begin for met in re.finditer(re.escape(needle), part)]
        assert np.frombuffer(found, np.int64).tolist() == expected


def test_a_survey_of_many_lines_counts_each():
    """Counters of one byte are emptied in time."""
    text = b"\n" * 100_003 + LAG_NEEDLE * 1_000
    lines, has_zero, lag, _ = kernel.survey(text, 0, len(text), LAG_NEEDLE, CLOSED_NEEDLE)
    assert (lines, has_zero, len(lag) // 8) == (100_003, False, 1_000)


@pytest.mark.parametrize(("begin", "end"), [(-1, 4), (0, 11), (5, 4), (11, 12)])
def test_a_survey_outside_the_buffer_is_refused(begin, end):
    """Ten bytes are ten bytes."""
    with pytest.raises(ValueError, match="outside the buffer"):
        kernel.survey(b"0123456789", begin, end, LAG_NEEDLE, CLOSED_NEEDLE)


@pytest.mark.parametrize("needles", [(b"abc", CLOSED_NEEDLE), (LAG_NEEDLE, b""), (LAG_NEEDLE, b"egg")])
def test_a_needle_without_a_twin_of_its_own_is_refused(needles):
    """It would not be found."""
    with pytest.raises(ValueError, match="needles"):
        kernel.survey(b"egg abc", 0, 7, *needles)


def by_numpy(shape, buffer, hits):
    """What is used where nothing could be compiled."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shapes, "kernel", None)
        return match(shape, buffer, hits)


@settings(max_examples=60)
@given(st.data())
@pytest.mark.parametrize("name", SHAPED)
def test_a_match_says_what_numpy_says(name, data):
    """For lines of the shape, lines with a byte changed, and hits that are none."""
    shape = shape_of(SHAPED[name])
    lines = [SHAPED[name](fact).encode() for fact in facts(6)]
    changes = data.draw(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 400), st.integers(0, 255)), max_size=4))
    for which, place, byte in changes:
        line = bytearray(lines[which])
        line[place % len(line)] = byte
        lines[which] = bytes(line)
    buffer = bytearray(MARGIN) + b"\n" + b"\n".join(lines) + b"\n" + bytes(MARGIN)
    hits = [met.start() for met in re.finditer(LAG_NEEDLE, buffer)]
    hits = np.array(sorted({*hits, *data.draw(st.lists(st.integers(MARGIN, len(buffer) - MARGIN), max_size=4))}))

    compiled, expected = match(shape, buffer, hits), by_numpy(shape, buffer, hits)
    assert compiled.good.tolist() == expected.good.tolist()
    assert compiled.at_us.tolist() == expected.at_us.tolist()
    assert compiled.lost.tolist() == expected.lost.tolist()


@pytest.mark.parametrize("count", ["7", "12345678", "999999999999999", "1000000000000000", "1000000000000001"])
@pytest.mark.parametrize("more", ["", "0", "99999999"])
def test_a_count_of_any_length_is_matched_as_numpy_does(count, more):
    """Up to the largest that is read at once; what is longer is left to the exact reader."""
    shape, fact = shape_of(SHAPED["full"]), facts(1)[0]
    line = SHAPED["full"](fact).replace(f"lagged by {fact[2]}", f"lagged by {count}{more}").encode()
    buffer = bytearray(MARGIN) + b"\n" + line + b"\n" + bytes(MARGIN)
    hits = np.array([buffer.index(LAG_NEEDLE)])
    compiled, expected = match(shape, buffer, hits), by_numpy(shape, buffer, hits)
    assert (compiled.good.tolist(), compiled.lost.tolist()) == (expected.good.tolist(), expected.lost.tolist())


@pytest.mark.parametrize("hit", [-(2**63), -1, 0, 40, 90, 2**62, 2**63 - 1])
def test_a_hit_near_or_beyond_the_edge_is_no_match(hit):
    """Windows that reach outside the buffer are not looked at."""
    line = SHAPED["full"](facts(1)[0]).encode()
    found = match(shape_of(SHAPED["full"]), bytearray(line), np.array([hit]))
    assert (found.good.tolist(), len(found.at_us), len(found.lost)) == ([False], 0, 0)


def call(**changes):
    """The compiled match with one argument changed."""
    shape, line = shape_of(SHAPED["full"]), b"\n" + SHAPED["full"](facts(1)[0]).encode() + b"\n"
    buffer = bytes(MARGIN) + line + bytes(MARGIN)
    usual = {
        "buffer": buffer,
        "hits": np.array([buffer.index(LAG_NEEDLE)]),
        "head": shape.head.packed,
        "text": shape.text.packed,
        "after": shape.after.packed,
        "gap": shape.gap,
        "literal": len(shape.literal),
        "has_count": True,
        "clock": 1,
        "stamp": shape.stamp.offset,
        "whole": 0,
        "fraction": shape.stamp.fraction,
        "zone_us": 0,
        "minute_us": lambda text: 60 * int(text[-2:]),
    }
    return kernel.match(*(usual | changes).values())


def test_a_minute_that_does_not_exist_is_no_match():
    """Who is asked for the minute decides."""
    assert call()[0] == b"\1"
    assert call(minute_us=lambda _: NO_TIME)[0] == b"\0"


@pytest.mark.parametrize(
    "changes", [{"stamp": 10**6}, {"stamp": -1}, {"whole": 9}, {"fraction": -1}, {"gap": -1}, {"literal": -1}]
)
def test_a_shape_that_cannot_be_is_refused(changes):
    """A clock outside the window of the line's head would be read from elsewhere."""
    with pytest.raises(ValueError, match="outside"):
        call(**changes)


def test_an_error_of_who_is_asked_for_the_minute_is_raised():
    """It is not taken for a time."""

    def fail(_):
        raise KeyError("minute")

    with pytest.raises(KeyError, match="minute"):
        call(minute_us=fail)
    with pytest.raises(TypeError):
        call(minute_us=lambda _: "soon")


def test_blocks_are_surveyed_alike(monkeypatch):
    """In one pass or in pieces: the same lines, zero bytes and places."""
    log = b"\n".join(form(fact).encode() for form in SHAPED.values() for fact in facts(40)) + b"\nchannel closed\n"
    block = Block(bytearray(log), 0, len(log), 0, unfinished=False)
    compiled = survey.survey(block)
    monkeypatch.setattr(survey, "kernel", None)
    expected = survey.survey(block)
    assert (compiled.lines, compiled.has_zero) == (expected.lines, expected.has_zero)
    for needle, places in expected.places.items():
        assert len(places)
        assert compiled.places[needle].tolist() == places.tolist()
