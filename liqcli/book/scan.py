"""Passes over the bytes of an eth_getLogs answer: every log's fields as columns of numbers, without parsing JSON.

They read what nodes really write: hex strings under known keys, in any order. Anything else makes them give up, and
then the reference decoder judges. Each pass is one plain loop, because numba counts references at every call.
"""

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from liqcli.book.jit import compiled

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
"""Zeros behind the answer, so that no look-ahead leaves the array; a multiple of eight with it."""

_QUOTE, _BACKSLASH, _COMMA, _COLON, _OPEN, _CLOSE, _BEGIN, _END, _SPACE = (ord(sign) for sign in '"\\,:{}[] ')
_ADDRESS, _TOPICS, _DATA, _BLOCK, _HASH, _TX_HASH, _TIME, _INDEX = (
    len(key) * 256 + ord(key[0])
    for key in (
        "address", "topics", "data", "blockNumber", "blockHash", "transactionHash", "blockTimestamp", "logIndex",
    )
)  # fmt: skip
_KEYS = 16
_BAD = 16
_HEX = np.full(256, _BAD, np.int64)
for _digit in range(16):
    _HEX[ord(f"{_digit:x}")] = _HEX[ord(f"{_digit:X}")] = _digit


class Fields(NamedTuple):
    """Where each log's fields stand in the answer, one row a log; `times` is -1 without a timestamp."""

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


class Directory(NamedTuple):
    """Addresses by number, found by hashing: `keys` are their 20 bytes, `slots` the numbers (-1: free).

    `known`, of one element, is how many there are.
    """

    keys: Limbs
    slots: npt.NDArray[np.int32]
    known: Longs


@compiled
def find_fields(raw: Bytes, at: int, limit: int, fields: Fields) -> int:  # noqa: C901, PLR0911, PLR0912, PLR0915
    """Where everything stands in the list of logs that begins at `at`; how many logs there are, or GAVE_UP."""
    begins, ends, address_at, topics_at, topic_count, data_at, data_digits, hash_at, blocks, indexes, times = fields
    lengths = np.zeros(_KEYS, np.int64)
    row = nth = 0
    inside = False
    at += 1
    while at < limit:
        sign = raw[at]
        if sign == _COMMA or sign <= _SPACE:
            at += 1
        elif not inside:
            if sign == _END:
                return row
            if sign != _OPEN or row == len(begins):
                return GAVE_UP
            begins[row], times[row] = at, -1
            address_at[row] = topics_at[row] = data_at[row] = hash_at[row] = blocks[row] = indexes[row] = -1
            inside, nth = True, 0
            at += 1
        elif sign == _CLOSE:
            at += 1
            ends[row] = at
            found = address_at[row] | topics_at[row] | data_at[row] | hash_at[row] | blocks[row] | indexes[row]
            if found < 0:
                return GAVE_UP
            row += 1
            inside = False
        elif sign == _QUOTE:
            first = at + 1
            # Nodes write every log alike: the key in this place is as long as in the log before.
            at = first + lengths[nth]
            if raw[at] != _QUOTE:
                at = first
            while raw[at] != _QUOTE:
                if at >= limit:
                    return GAVE_UP
                at += 1
            lengths[nth] = at - first
            nth = min(nth + 1, _KEYS - 1)
            key = (at - first) * 256 + raw[first]
            at += 1
            while raw[at] <= _SPACE and at < limit:
                at += 1
            if raw[at] != _COLON:
                return GAVE_UP
            at += 1
            while raw[at] <= _SPACE and at < limit:
                at += 1
            sign = raw[at]
            if sign == _QUOTE:
                first = at + 1
                at = first
                if key == _ADDRESS and raw[first + 42] == _QUOTE:
                    at = first + 42
                elif key in (_HASH, _TX_HASH) and raw[first + 66] == _QUOTE:
                    at = first + 66
                elif key == _DATA:
                    at = first + 2
                    while raw[at] != _QUOTE and at < first + 64 * WORDS:
                        at += 64
                    if raw[at] != _QUOTE:
                        at = first
                while raw[at] != _QUOTE:
                    if raw[at] == _BACKSLASH or at >= limit:
                        return GAVE_UP
                    at += 1
                if key == _ADDRESS:
                    if at - first != 42:
                        return GAVE_UP
                    address_at[row] = first + 2
                elif key == _DATA:
                    data_at[row], data_digits[row] = first + 2, at - first - 2
                elif key == _HASH:
                    if at - first != 66:
                        return GAVE_UP
                    hash_at[row] = first
                elif key in (_BLOCK, _INDEX, _TIME):
                    if at - first < 3 or at - first > 17:
                        return GAVE_UP
                    value = 0
                    bad = 0
                    for place in range(first + 2, at):
                        digit = _HEX[raw[place]]
                        bad |= digit
                        value = value * 16 + digit
                    if bad >= _BAD:
                        return GAVE_UP
                    if key == _BLOCK:
                        blocks[row] = value
                    elif key == _INDEX:
                        indexes[row] = value
                    else:
                        times[row] = value
                at += 1
            elif sign == _BEGIN and key == _TOPICS:
                at += 1
                count = 0
                while raw[at] != _END:
                    if raw[at] == _QUOTE:
                        if raw[at + 67] != _QUOTE or count == TOPICS:
                            return GAVE_UP
                        if count == 0:
                            topics_at[row] = at + 3
                        elif at + 3 != topics_at[row] + 69 * count:
                            return GAVE_UP
                        count += 1
                        at += 68
                    elif raw[at] == _COMMA or raw[at] <= _SPACE:
                        at += 1
                    else:
                        return GAVE_UP
                    if at >= limit:
                        return GAVE_UP
                topic_count[row] = count
                at += 1
            else:
                if sign in (_OPEN, _BEGIN):
                    return GAVE_UP
                while at < limit and raw[at] != _COMMA and raw[at] != _CLOSE:
                    at += 1
        else:
            return GAVE_UP
    return GAVE_UP


@compiled
def read_limbs(octets: Limbs, places: Longs, limbs: Limbs) -> bool:
    """The sixteen hex digits at each place as a number; False when something else stands there.

    `octets` is the answer in groups of eight bytes: two of them make the eight characters from any place on, and a
    few steps on all eight at once make digits of them.
    """
    low_nibbles, ones = np.uint64(0x0F0F0F0F0F0F0F0F), np.uint64(0x0101010101010101)
    bytes_of, pairs_of, half = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0000FFFF0000FFFF), np.uint64(0xFFFFFFFF)
    tops = np.uint64(0x8080808080808080)
    wrong = np.uint64(0)
    for number in range(len(places)):
        value = np.uint64(0)
        for part in range(2):
            place = places[number] + 8 * part
            shift = np.uint64((place & 7) << 3)
            text = octets[place >> 3] >> shift
            text |= octets[(place >> 3) + 1] << np.uint64(1) << (np.uint64(63) - shift)
            letters = (text >> np.uint64(6)) & ones
            # A digit is 0x30-0x39; a letter, without the bit of its case, 0x41-0x46.
            folded = text & ~(letters << np.uint64(5))
            least = np.uint64(0x3030303030303030) + letters * np.uint64(0x11)
            most = np.uint64(0x3939393939393939) + letters * np.uint64(0x0D)
            wrong |= text & tops
            wrong |= ((folded | tops) - least) & tops ^ tops
            wrong |= ((most | tops) - folded) & tops ^ tops
            digits = (text & low_nibbles) + letters * np.uint64(9)
            digits = (digits << np.uint64(4) | digits >> np.uint64(8)) & bytes_of
            digits = (digits | digits >> np.uint64(8)) & pairs_of
            digits = (digits | digits >> np.uint64(16)) & half
            digits = (digits & np.uint64(0x00FF00FF)) << np.uint64(8) | (digits >> np.uint64(8)) & np.uint64(0x00FF00FF)
            digits = (digits << np.uint64(16) | digits >> np.uint64(16)) & half
            value = value << np.uint64(32) | digits
        limbs[number] = value
    return bool(wrong == np.uint64(0))


@compiled
def are_zeros(octets: Limbs, places: Longs) -> bool:
    """Whether 32 zeros stand at each place."""
    zeros, wrong = np.uint64(0x3030303030303030), np.uint64(0)
    for number in range(len(places)):
        first = places[number] >> 3
        shift = np.uint64((places[number] & 7) << 3)
        for part in range(4):
            text = octets[first + part] >> shift
            text |= octets[first + part + 1] << np.uint64(1) << (np.uint64(63) - shift)
            wrong |= text ^ zeros
    return bool(wrong == np.uint64(0))


@compiled
def number_addresses(keys: Limbs, directory: Directory, numbers: npt.NDArray[np.int32], fresh: Longs) -> int:
    """The number of each address, given anew to a new one; how many are new, and in `fresh` which rows brought them."""
    known, slots, counts = directory
    mask = np.uint64(len(slots) - 1)
    count, new = counts[0], 0
    for row in range(len(keys)):
        high, middle, low = keys[row, 0], keys[row, 1], keys[row, 2]
        slot = (low * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(20)) & mask
        number = slots[slot]
        while number >= 0:
            if known[number, 2] == low and known[number, 1] == middle and known[number, 0] == high:
                break
            slot = (slot + np.uint64(1)) & mask
            number = slots[slot]
        if number < 0:
            slots[slot] = count
            known[count, 0], known[count, 1], known[count, 2] = high, middle, low
            fresh[new] = row
            new += 1
            number = np.int32(count)
            count += 1
        numbers[row] = number
    counts[0] = count
    return new


@compiled
def place_again(directory: Directory) -> None:
    """Fill the slots from the keys, after there have become more of them."""
    known, slots, counts = directory
    mask = np.uint64(len(slots) - 1)
    for number in range(counts[0]):
        slot = (known[number, 2] * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(20)) & mask
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = number
