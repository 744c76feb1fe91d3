"""Decimal digits in eight-byte words, many rows at a time, by arithmetic instead of a loop."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Words: TypeAlias = NDArray[np.uint64]

ZEROS = np.uint64(0x3030303030303030)
_LOW_BITS = np.uint64(0x7F7F7F7F7F7F7F7F)
_HIGH_BITS = np.uint64(0x8080808080808080)
_PAST_NINE = np.uint64(0x7676767676767676)
_BYTES = np.uint64(0x000000FF000000FF)
_EVEN = np.uint64(100 + (1_000_000 << 32))
_ODD = np.uint64(1 + (10_000 << 32))


def leading_digits(words: Words) -> Words:
    """How many of the eight bytes, from the first in memory, are digits."""
    values = words ^ ZEROS
    others = (((values & _LOW_BITS) + _PAST_NINE) | values) & _HIGH_BITS
    lowest = others & (~others + np.uint64(1))
    return np.bitwise_count(lowest - np.uint64(1)).astype(np.uint64) >> np.uint64(3)


def leading_number(words: Words, count: Words | np.uint64) -> Words:
    """The number written in the first `count` bytes (1 to 8); `count` may be one value for all rows."""
    return _value((words ^ ZEROS) << (np.uint64(64) - (count << np.uint64(3))))


def trailing_number(words: Words, count: int) -> Words:
    """The number written in the last `count` bytes (1 to 8)."""
    others = np.uint64(64 - 8 * count)
    return _value((words ^ ZEROS) >> others << others)


def _value(digits: Words) -> Words:
    """Eight digit values, the first in memory the highest: neighbours are joined to pairs, fours, and all."""
    pairs = digits * np.uint64(10) + (digits >> np.uint64(8))
    even = (pairs & _BYTES) * _EVEN
    odd = ((pairs >> np.uint64(16)) & _BYTES) * _ODD
    return (even + odd) >> np.uint64(32)
