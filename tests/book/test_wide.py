"""Integers of two words calculate as Python's do, and say when a result does not fit."""

from hypothesis import example, given
from hypothesis import strategies as st

from liqcli.aave.ray import RAY
from liqcli.book.wide import add, halved, multiply_divide, subtract, wide

MOST = 2**128 - 1
EDGES = [0, 1, 2**32 - 1, 2**64 - 1, 2**64, 2**127, MOST - 1, MOST, RAY, RAY - 1, RAY // 2]
NUMBERS = st.one_of(st.integers(0, MOST), st.integers(0, 2**64), st.sampled_from(EDGES))
DIVISORS = st.one_of(st.integers(2**64, MOST), st.sampled_from([number for number in EDGES if number >= 2**64]))


def number_of(words):
    """The number that two words are."""
    return int(words.high) << 64 | int(words.low)


@given(NUMBERS, NUMBERS)
def test_sums_differences_and_halves(a, b):
    """What fits is exact; what does not is said not to fit."""
    total, fits = add(wide(a), wide(b))
    assert (number_of(total), fits) == ((a + b) % 2**128, a + b <= MOST)
    rest, fits = subtract(wide(a), wide(b))
    assert (number_of(rest), fits) == ((a - b) % 2**128, a >= b)
    assert number_of(halved(wide(a))) == a // 2


@given(NUMBERS, NUMBERS, NUMBERS, DIVISORS)
@example(MOST, MOST, MOST, MOST)
@example(2**64 - 1, 2**64, 0, 2**127 + 2**64 - 1)
@example(MOST, 2**127, 2**64, 2**128 - 2**64)
def test_products_are_divided_exactly(a, b, more, divisor):
    """(a * b + more) // divisor to the last digit, or the word that it does not fit."""
    quotient = (a * b + more) // divisor
    found, fits = multiply_divide(wide(a), wide(b), wide(more), wide(divisor))
    assert fits == (quotient <= MOST)
    assert not fits or number_of(found) == quotient


@given(NUMBERS, NUMBERS, st.integers(0, 2**64 - 1))
def test_nothing_is_divided_by_a_single_word(a, b, divisor):
    """Indexes are rays: a smaller divisor is no case of ours, and is refused instead of rounded."""
    assert not multiply_divide(wide(a), wide(b), wide(0), wide(divisor))[1]
