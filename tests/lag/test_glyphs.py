"""How numbers are written, the same in every report."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqcli.lag.glyphs import bar, percent, rate, short_count, size, span, sparkline, times, to_ascii


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (343e-6, "343 µs"),
        (81.1e-6, "81.1 µs"),
        (2.59e-3, "2.59 ms"),
        (1.33, "1.33 s"),
        (60, "1 m"),
        (532, "8 m 52 s"),
        (7_500, "2 h 05 m"),
        (266_400, "3 d 02 h"),
        (0, "0 s"),
    ],
)
def test_a_span_is_written_in_the_unit_that_reads_best(seconds, text):
    """From microseconds to days, two units at most."""
    assert span(seconds) == text


@pytest.mark.parametrize(("factor", "text"), [(1.27, "1.3 times"), (4.04, "4 times"), (1_234, "1,200 times")])
def test_a_factor_is_written_as_roughly_as_it_is_known(factor, text):
    """Two digits, never in exponent form."""
    assert times(factor) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(24, "24"), (24.5, "24.5"), (24_732.09, "24,732"), (1_335_533, "1.34 million"), (3_325_865_610, "3.33 billion")],
)
def test_a_count_is_exact_up_to_a_million(number, text):
    """Beyond a million a count is three digits and a word."""
    assert short_count(number) == text


def test_a_rate_carries_its_unit():
    """Events a second."""
    assert rate(6_326_530) == "6.33 million/s"


def test_a_size_is_in_powers_of_1024():
    """Buffers come in powers of two, so their size does too."""
    assert [size(512 * 8), size(8_388_608 * 40), size(40)] == ["4 KiB", "320 MiB", "40 B"]


def test_a_share_is_never_rounded_to_none_or_all():
    """0.0% and 100.0% mean exactly that."""
    assert [percent(1, 1_000_000), percent(999_999, 1_000_000), percent(0, 5), percent(5, 5)] == [
        "<0.1%",
        ">99.9%",
        "0.0%",
        "100.0%",
    ]


@given(st.floats(0, 1e12), st.floats(1e-3, 1e12), st.integers(1, 100))
def test_a_bar_never_outgrows_its_room(value, top, width):
    """A value up to the top fills at most the width, and a value above zero shows."""
    value = min(value, top)

    drawn = bar(value, top, width)

    assert len(drawn) <= width
    assert bool(drawn) == (value > 0)


@given(st.lists(st.none() | st.integers(0, 2**63), max_size=200))
def test_a_sparkline_has_one_cell_a_value(values):
    """Gaps are blank, everything else has a height."""
    drawn = sparkline(values)

    assert [cell == " " for cell in drawn] == [value is None for value in values]


@given(st.text(alphabet=st.sampled_from("█▉▊▋▌▍▎▏▁▂▃▄▅▆▇·→µ…é漢a1 ")))
def test_ascii_keeps_every_column(text):
    """The fallback is ASCII and as long as what it stands for."""
    plain = to_ascii(text)

    assert plain.isascii()
    assert len(plain) == len(text)
