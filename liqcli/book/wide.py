"""Integers of 128 bits as two machine words, for the loops that are compiled; every operation is exact or says no.

The schoolbook's long division, in digits of 64 bits (Knuth's algorithm D).
"""

from typing import NamedTuple

import numpy as np

from liqcli.aave.ray import RAY
from liqcli.book.jit import compiled

Word = np.uint64

_ZERO, _ONE, _HALF, _MOST_SHIFT, _BITS = (np.uint64(number) for number in (0, 1, 32, 63, 64))
_LOW_HALF = np.uint64((1 << 32) - 1)
_ALL = np.uint64((1 << 64) - 1)
_TOP = np.uint64(1 << 63)


class Wide(NamedTuple):
    """An integer from 0 to 2**128 - 1."""

    high: Word
    low: Word


def wide(number: int) -> Wide:
    """A number's two words."""
    return Wide(np.uint64(number >> 64), np.uint64(number & (1 << 64) - 1))


NOTHING = wide(0)
WIDE_RAY = wide(RAY)


@compiled
def add(a: Wide, b: Wide) -> tuple[Wide, bool]:
    """The sum, and whether it fits."""
    low = a.low + b.low
    carry = _ONE if low < b.low else _ZERO
    part = a.high + b.high
    high = part + carry
    return Wide(high, low), bool(part >= b.high and high >= carry)


@compiled
def subtract(a: Wide, b: Wide) -> tuple[Wide, bool]:
    """The difference, and whether it is at least zero; if not, it is 2**128 more."""
    borrow = _ONE if a.low < b.low else _ZERO
    fits = a.high > b.high or (a.high == b.high and borrow == _ZERO)
    return Wide(a.high - b.high - borrow, a.low - b.low), bool(fits)


@compiled
def halved(a: Wide) -> Wide:
    """Half of it, rounded down."""
    return Wide(a.high >> _ONE, a.low >> _ONE | a.high << _MOST_SHIFT)


@compiled
def multiply_divide(a: Wide, b: Wide, more: Wide, divisor: Wide) -> tuple[Wide, bool]:
    """(a * b + more) // divisor, and whether it fits; by a divisor below 2**64 nothing does."""
    n1, n0 = _product(a.low, b.low)
    n2, low = _product(a.low, b.high)
    n1 += low
    n2 += _ONE if n1 < low else _ZERO
    high, low = _product(a.high, b.low)
    n1 += low
    high += _ONE if n1 < low else _ZERO
    n2 += high
    n3 = _ONE if n2 < high else _ZERO
    high, low = _product(a.high, b.high)
    n2 += low
    n3 += high + (_ONE if n2 < low else _ZERO)
    n0 += more.low
    carry = _ONE if n0 < more.low else _ZERO
    n1 += carry
    carry = _ONE if n1 < carry else _ZERO
    n1 += more.high
    carry += _ONE if n1 < more.high else _ZERO
    n2 += carry
    n3 += _ONE if n2 < carry else _ZERO
    d1, d0 = divisor.high, divisor.low
    if d1 == _ZERO or n3 > d1 or (n3 == d1 and n2 >= d0):
        return Wide(_ZERO, _ZERO), False
    shift = _ZERO
    while d1 < _TOP:
        d1 = d1 << _ONE | d0 >> _MOST_SHIFT
        d0 <<= _ONE
        shift += _ONE
    if shift > _ZERO:
        back = _BITS - shift
        n3 = n3 << shift | n2 >> back
        n2 = n2 << shift | n1 >> back
        n1 = n1 << shift | n0 >> back
        n0 <<= shift
    quotient_high, n3, n2 = _digit(n3, n2, n1, d1, d0)
    quotient_low, n3, n2 = _digit(n3, n2, n0, d1, d0)
    return Wide(quotient_high, quotient_low), True


@compiled
def _product(a: Word, b: Word) -> tuple[Word, Word]:
    """Both words of a * b."""
    a1, a0, b1, b0 = a >> _HALF, a & _LOW_HALF, b >> _HALF, b & _LOW_HALF
    p00, p01, p10 = a0 * b0, a0 * b1, a1 * b0
    middle = (p00 >> _HALF) + (p01 & _LOW_HALF) + (p10 & _LOW_HALF)
    high = a1 * b1 + (p01 >> _HALF) + (p10 >> _HALF) + (middle >> _HALF)
    return high, p00 & _LOW_HALF | middle << _HALF


@compiled
def _digit(r1: Word, r0: Word, n: Word, d1: Word, d0: Word) -> tuple[Word, Word, Word]:
    """One digit of (r1, r0, n) / (d1, d0), and what is left; the divisor's top bit is set, (r1, r0) is below it."""
    if r1 == d1:
        digit, rest = _ALL, r0 + d1
        over = bool(rest < d1)
    else:
        digit, rest = _quotient(r1, r0, d1)
        over = False
    high, low = _product(digit, d0)
    while not over and (high > rest or (high == rest and low > n)):
        digit -= _ONE
        high -= _ONE if low < d0 else _ZERO
        low -= d0
        rest += d1
        over = bool(rest < d1)
    return digit, rest - high - (_ONE if n < low else _ZERO), n - low


@compiled
def _quotient(u1: Word, u0: Word, d: Word) -> tuple[Word, Word]:
    """(u1, u0) / d by half words, and what is left; the divisor's top bit is set, and u1 is below it."""
    d1, d0 = d >> _HALF, d & _LOW_HALF
    high, rest = _half(u1, u0 >> _HALF, d1, d0)
    low, rest = _half(rest, u0 & _LOW_HALF, d1, d0)
    return high << _HALF | low, rest


@compiled
def _half(u: Word, n: Word, d1: Word, d0: Word) -> tuple[Word, Word]:
    """One half word of (u, n) / (d1, d0), and what is left."""
    half = u // d1
    rest = u - half * d1
    while half > _LOW_HALF or half * d0 > (rest << _HALF | n):
        half -= _ONE
        rest += d1
        if rest > _LOW_HALF:
            break
    return half, (u << _HALF | n) - half * (d1 << _HALF | d0)
