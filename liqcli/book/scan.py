"""The first pass over the bytes of an eth_getLogs answer: where every log's fields stand, without parsing JSON.

It reads what nodes really write: hex strings under known keys, in any order. Anything else makes it give up, and then
the reference decoder judges.
"""

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from liqcli.book.jit import compiled, octet

Bytes: TypeAlias = npt.NDArray[np.uint8]
Longs: TypeAlias = npt.NDArray[np.int64]
Limbs: TypeAlias = npt.NDArray[np.uint64]
Flags: TypeAlias = npt.NDArray[np.bool_]

GAVE_UP = -1
TOPICS = 4
"""The most topics a log has."""
WORDS = 5
"""The most data words that are looked at."""
PADDING = 1024
"""Zeros behind the answer, so that no look-ahead leaves the array."""

_QUOTE, _BACKSLASH, _COMMA, _COLON, _OPEN, _CLOSE, _BEGIN, _END, _SPACE = (ord(sign) for sign in '"\\,:{}[] ')
_ZERO, _X = ord("0"), ord("x")
_ADDRESS, _TOPICS, _DATA, _BLOCK, _HASH, _TX_HASH, _TIME, _INDEX, _REMOVED = (
    len(key) * 256 + ord(key[0])
    for key in (
        "address", "topics", "data", "blockNumber", "blockHash", "transactionHash", "blockTimestamp", "logIndex",
        "removed",
    )
)  # fmt: skip
_FALSE = ord("f")
KEYS = 32
"""The most keys a log has."""
HABITS = 3
"""A key's length, and its first and last eight bytes: all of it up to sixteen."""
_LONGEST_HABIT = 16
_ADDRESS_LENGTH, _HASH_LENGTH = 42, 66
_MOST_DIGITS = 15
"""Of a number that is no amount."""
_NOTHING = np.uint64(0)
TOPIC_STEP, WORD_DIGITS = 69, 64
"""From one topic to the next where nothing but `","0x` stands between them; the digits of a word."""
_BAD = 16
_HEX = np.full(256, _BAD, np.int64)
for _digit in range(16):
    _HEX[ord(f"{_digit:x}")] = _HEX[ord(f"{_digit:X}")] = _digit


class Fields(NamedTuple):
    """Where each log's fields stand in the answer, one row a log.

    `times` is -1 without a timestamp; `removed` is 0 where the log is not, or does not say.
    """

    begins: Longs
    ends: Longs
    address_at: Longs
    topics_at: Longs
    topic_count: Longs
    data_at: Longs
    data_digits: Longs
    hash_at: Longs
    blocks: Longs
    indexes: Longs
    times: Longs
    removed: Longs


@compiled
def find_fields(raw: Bytes, at: int, fields: Fields, habits: Limbs) -> int:
    """Where everything stands in the list of logs that begins at `at`; how many logs there are, or GAVE_UP.

    `habits`, a row for each of KEYS keys, is how the node wrote the keys of the log before: zeros for the first.
    """
    row = 0
    at += 1
    while at < _limit(raw):
        sign = raw[at]
        if sign == _COMMA or sign <= _SPACE:
            at += 1
        elif sign == _END:
            return row
        elif sign != _OPEN or row == len(fields.begins):
            return GAVE_UP
        else:
            at = _find_in_log(raw, at, row, fields, habits)
            if at == GAVE_UP:
                return GAVE_UP
            row += 1
    return GAVE_UP


@compiled
def _find_in_log(raw: Bytes, at: int, row: int, fields: Fields, habits: Limbs) -> int:
    """Where everything stands in the log that begins at `at`; where it ends, or GAVE_UP."""
    _find_nothing(row, at, fields)
    at += 1
    for nth in range(KEYS):
        while raw[at] == _COMMA or (raw[at] <= _SPACE and at < _limit(raw)):
            at += 1
        if raw[at] == _CLOSE:
            fields.ends[row] = at + 1
            return at + 1 if _is_whole(row, fields) else GAVE_UP
        if raw[at] != _QUOTE:
            return GAVE_UP
        first = at + 1
        at = _end_of_key(raw, first, habits[nth])
        key = (at - first) * 256 + raw[first]
        at = _after_spaces(raw, at + 1)
        if raw[at] != _COLON or at >= _limit(raw):
            return GAVE_UP
        at = _after_spaces(raw, at + 1)
        at = _find_value(raw, at, key, row, fields)
        if at == GAVE_UP:
            return GAVE_UP
    return GAVE_UP


@compiled
def _limit(raw: Bytes) -> int:
    """Where the answer ends in its padding."""
    return len(raw) - PADDING


@compiled
def _find_nothing(row: int, at: int, fields: Fields) -> None:
    fields.begins[row], fields.times[row], fields.removed[row] = at, -1, 0
    fields.address_at[row] = fields.topics_at[row] = fields.data_at[row] = fields.hash_at[row] = -1
    fields.blocks[row] = fields.indexes[row] = -1


@compiled
def _is_whole(row: int, fields: Fields) -> bool:
    """Whether there is nothing missing that every log has."""
    places = fields.address_at[row] | fields.topics_at[row] | fields.data_at[row] | fields.hash_at[row]
    return bool(places | fields.blocks[row] | fields.indexes[row] >= 0)


@compiled
def _end_of_key(raw: Bytes, first: int, habit: Limbs) -> int:
    """Where the key ends that begins at `first`: most likely it is that of the log before, as nodes write all alike."""
    end = first + int(habit[0])
    if raw[end] == _QUOTE and octet(raw, first) == habit[1] and octet(raw, max(first, end - 8)) == habit[2]:
        return end
    end = _end_of_string(raw, first)
    if end - first <= _LONGEST_HABIT:
        habit[0], habit[1] = end - first, octet(raw, first)
        habit[2] = octet(raw, max(first, end - 8))
    return end


@compiled
def _end_of_string(raw: Bytes, at: int) -> int:
    """Where the string ends that goes on at `at`; behind all when it never does or is not written plainly."""
    while raw[at] != _QUOTE:
        if raw[at] == _BACKSLASH or at >= _limit(raw):
            return _limit(raw)
        at += 1
    return at


@compiled
def _after_spaces(raw: Bytes, at: int) -> int:
    while raw[at] <= _SPACE and at < _limit(raw):
        at += 1
    return at


@compiled
def _find_value(raw: Bytes, at: int, key: int, row: int, fields: Fields) -> int:  # noqa: C901, PLR0911 - one key after the other
    """Take in the value of a key that begins at `at`; where it ends, or GAVE_UP."""
    sign, first = raw[at], at + 1
    if sign != _QUOTE:
        if sign == _BEGIN and key == _TOPICS:
            return _find_topics(raw, first, row, fields)
        if sign in (_OPEN, _BEGIN):
            return GAVE_UP
        fields.removed[row] |= key == _REMOVED and sign != _FALSE
        return _end_of_word(raw, at)
    if key == _ADDRESS:
        fields.address_at[row] = first + 2
        return _end_after(raw, first + _ADDRESS_LENGTH)
    if key == _HASH:
        fields.hash_at[row] = first
        return _end_after(raw, first + _HASH_LENGTH)
    if key == _DATA:
        at = _end_of_data(raw, first)
        fields.data_at[row], fields.data_digits[row] = first + 2, at - first - 2
        return _end_after(raw, at)
    if key == _BLOCK:
        at, fields.blocks[row] = _quantity(raw, first)
        return at
    if key == _INDEX:
        at, fields.indexes[row] = _quantity(raw, first)
        return at
    if key == _TIME:
        at, fields.times[row] = _quantity(raw, first)
        return at
    if key == _TX_HASH and raw[first + _HASH_LENGTH] == _QUOTE:
        return first + _HASH_LENGTH + 1
    return _end_after(raw, _end_of_string(raw, first))


@compiled
def _end_after(raw: Bytes, at: int) -> int:
    """Behind the string that ends at `at`, or GAVE_UP when it does not; behind an answer there are no quotes."""
    return at + 1 if raw[at] == _QUOTE else GAVE_UP


@compiled
def _end_of_word(raw: Bytes, at: int) -> int:
    """Where a number or a name ends, which are not looked at."""
    while at < _limit(raw) and raw[at] != _COMMA and raw[at] != _CLOSE:
        at += 1
    return at


@compiled
def _end_of_data(raw: Bytes, first: int) -> int:
    """Where data end, most of which are a few words."""
    at = first + 2
    while raw[at] != _QUOTE and at < first + WORD_DIGITS * WORDS:
        at += WORD_DIGITS
    return at if raw[at] == _QUOTE else _end_of_string(raw, first)


@compiled
def _find_topics(raw: Bytes, at: int, row: int, fields: Fields) -> int:
    """Take in the list of topics that goes on at `at`, which are all of a length and stand side by side."""
    count = 0
    while raw[at] != _END:
        if raw[at] == _QUOTE:
            if raw[at + 1 + _HASH_LENGTH] != _QUOTE or count == TOPICS:
                return GAVE_UP
            if count == 0:
                fields.topics_at[row] = at + 3
            elif at + 3 != fields.topics_at[row] + TOPIC_STEP * count:
                return GAVE_UP
            count += 1
            at += _HASH_LENGTH + 2
        elif raw[at] == _COMMA or raw[at] <= _SPACE:
            at += 1
        else:
            return GAVE_UP
        if at >= _limit(raw):
            return GAVE_UP
    fields.topic_count[row] = count
    return at + 1


@compiled
def _quantity(raw: Bytes, at: int) -> tuple[int, int]:
    """Where the hex number ends whose string goes on at `at`, or GAVE_UP, and the number."""
    first, value = at + 2, 0
    if raw[at] != _ZERO or raw[at + 1] != _X:
        return GAVE_UP, value
    at = first
    digit = _HEX[raw[at]]
    while digit < _BAD and at < first + _MOST_DIGITS:
        value = value * 16 + digit
        at += 1
        digit = _HEX[raw[at]]
    return (at + 1 if at > first and raw[at] == _QUOTE else GAVE_UP), value


@compiled
def list_blocks(raw: Bytes, fields: Fields, last: int, found: Longs) -> int:
    """Write each block's first row into `found`; how many blocks there are.

    GAVE_UP unless the blocks come in order, none behind `last`, and each log has a time, was not removed, and names the
    same hash as the others of its block.
    """
    count = 0
    for row in range(len(fields.blocks)):
        if fields.times[row] < 0 or fields.removed[row] or fields.blocks[row] > last:
            return GAVE_UP
        if row > 0 and fields.blocks[row] < fields.blocks[row - 1]:
            return GAVE_UP
        if row > 0 and fields.blocks[row] == fields.blocks[row - 1]:
            if not _is_same_hash(raw, fields.hash_at[row], fields.hash_at[row - 1]):
                return GAVE_UP
        else:
            found[count] = row
            count += 1
    return count


@compiled
def _is_same_hash(raw: Bytes, ours: int, theirs: int) -> bool:
    wrong = octet(raw, ours + _HASH_LENGTH - 8) ^ octet(raw, theirs + _HASH_LENGTH - 8)
    for place in range(0, _HASH_LENGTH - 8, 8):
        wrong |= octet(raw, ours + place) ^ octet(raw, theirs + place)
    return bool(wrong == _NOTHING)
