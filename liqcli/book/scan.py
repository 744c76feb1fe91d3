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
_ZERO, _X = ord("0"), ord("x")
_ADDRESS, _TOPICS, _DATA, _BLOCK, _HASH, _TX_HASH, _TIME, _INDEX, _REMOVED = (
    len(key) * 256 + ord(key[0])
    for key in (
        "address", "topics", "data", "blockNumber", "blockHash", "transactionHash", "blockTimestamp", "logIndex",
        "removed",
    )
)  # fmt: skip
_FALSE = ord("f")
_KEYS = 16
_HASH_LENGTH = 66
_NOTHING, _ONE, _MOST_SHIFT, _ZEROS = (np.uint64(number) for number in (0, 1, 63, 0x3030303030303030))
_HALF_LIMB, _SPREAD = np.uint64(32), np.uint64(0x9E3779B97F4A7C15)
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
    begins, ends, address_at, topics_at, topic_count, data_at, data_digits, hash_at, blocks, indexes, times = fields[
        :11
    ]
    removed = fields.removed
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
            begins[row], times[row], removed[row] = at, -1, 0
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
                    if at - first < 3 or at - first > 17 or raw[first] != _ZERO or raw[first + 1] != _X:
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
                if key == _REMOVED and sign != _FALSE:
                    removed[row] = 1
                while at < limit and raw[at] != _COMMA and raw[at] != _CLOSE:
                    at += 1
        else:
            return GAVE_UP
    return GAVE_UP


@compiled
def share_hashes(raw: Bytes, blocks: Longs, hash_at: Longs) -> bool:
    """Whether the blocks are in order, and all logs of one name the same hash."""
    for row in range(1, len(blocks)):
        if blocks[row] < blocks[row - 1]:
            return False
        if blocks[row] == blocks[row - 1]:
            ours, theirs = hash_at[row], hash_at[row - 1]
            for place in range(_HASH_LENGTH):
                if raw[ours + place] != raw[theirs + place]:
                    return False
    return True


@compiled
def recognise(octets: Limbs, places: Longs, known: Limbs, topic: Longs) -> None:
    """Which of the known topics (as eight octets of text each) stands at each place, -1 for none."""
    for row in range(len(places)):
        first = places[row] >> 3
        shift = np.uint64((places[row] & 7) << 3)
        text = octets[first] >> shift | octets[first + 1] << _ONE << (_MOST_SHIFT - shift)
        topic[row] = -1
        for number in range(len(known)):
            if known[number, 0] == text:
                wrong = _NOTHING
                for part in range(1, 8):
                    text = octets[first + part] >> shift | octets[first + part + 1] << _ONE << (_MOST_SHIFT - shift)
                    wrong |= text ^ known[number, part]
                if wrong == _NOTHING:
                    topic[row] = number
                break


@compiled
def read_words(octets: Limbs, data_at: Longs, takes: Flags, words: Limbs) -> bool:
    """The lower 128 bits of each word taken, high half first; False when one is larger, or is no number."""
    wrong = _NOTHING
    for row in range(len(data_at)):
        for word in range(WORDS):
            if takes[row, word]:
                first = (data_at[row] + 64 * word) >> 3
                shift = np.uint64(((data_at[row] + 64 * word) & 7) << 3)
                for part in range(4):
                    text = octets[first + part] >> shift | octets[first + part + 1] << _ONE << (_MOST_SHIFT - shift)
                    wrong |= text ^ _ZEROS
                for half in range(2):
                    value = _NOTHING
                    for part in range(4 + 2 * half, 6 + 2 * half):
                        text = octets[first + part] >> shift | octets[first + part + 1] << _ONE << (_MOST_SHIFT - shift)
                        wrong |= _faults(text)
                        value = value << np.uint64(32) | _digits(text)
                    words[row, word, half] = value
    return bool(wrong == _NOTHING)


@compiled
def _digits(text: np.uint64) -> np.uint64:
    """Eight hex digits, the first in the lowest byte, as a number: all at once, in ever wider lanes."""
    letters = (text >> np.uint64(6)) & np.uint64(0x0101010101010101)
    lanes = (text & np.uint64(0x0F0F0F0F0F0F0F0F)) + letters * np.uint64(9)
    lanes = (lanes << np.uint64(4) | lanes >> np.uint64(8)) & np.uint64(0x00FF00FF00FF00FF)
    lanes = (lanes | lanes >> np.uint64(8)) & np.uint64(0x0000FFFF0000FFFF)
    lanes = (lanes | lanes >> np.uint64(16)) & np.uint64(0xFFFFFFFF)
    lanes = (lanes & np.uint64(0x00FF00FF)) << np.uint64(8) | (lanes >> np.uint64(8)) & np.uint64(0x00FF00FF)
    return (lanes << np.uint64(16) | lanes >> np.uint64(16)) & np.uint64(0xFFFFFFFF)


@compiled
def _faults(text: np.uint64) -> np.uint64:
    """Zero when all eight characters are hex digits: 0x30-0x39, or letters that are 0x41-0x46 without their case."""
    tops = np.uint64(0x8080808080808080)
    letters = (text >> np.uint64(6)) & np.uint64(0x0101010101010101)
    folded = text & ~(letters << np.uint64(5))
    least = np.uint64(0x3030303030303030) + letters * np.uint64(0x11)
    most = np.uint64(0x3939393939393939) + letters * np.uint64(0x0D)
    below = ((folded | tops) - least) & tops ^ tops
    above = ((most | tops) - folded) & tops ^ tops
    return text & tops | below | above


@compiled
def number_addresses(
    octets: Limbs, places: Longs, directory: Directory, numbers: npt.NDArray[np.int32], fresh: Longs
) -> int:
    """The number of the address at each place, given anew to a new one; how many are new, and in `fresh` their places.

    GAVE_UP when something else than an address stands somewhere; the directory has then to be cleaned.
    """
    keys, slots, counts = directory
    mask, wrong = np.uint64(len(slots) - 1), _NOTHING
    known, new = counts[0], 0
    for row in range(len(places)):
        shift = np.uint64((places[row] & 7) << 3)
        first = places[row] >> 3
        high = middle = low = _NOTHING
        for part in range(5):
            text = octets[first + part] >> shift | octets[first + part + 1] << _ONE << (_MOST_SHIFT - shift)
            wrong |= _faults(text)
            high = high << _HALF_LIMB | middle >> _HALF_LIMB
            middle = middle << _HALF_LIMB | low >> _HALF_LIMB
            low = low << _HALF_LIMB | _digits(text)
        slot = (low * _SPREAD >> np.uint64(20)) & mask
        number = slots[slot]
        while number >= 0:
            if keys[number, 2] == low and keys[number, 1] == middle and keys[number, 0] == high:
                break
            slot = (slot + _ONE) & mask
            number = slots[slot]
        if number < 0:
            slots[slot] = known
            keys[known, 0], keys[known, 1], keys[known, 2] = high, middle, low
            fresh[new] = places[row]
            new += 1
            number = np.int32(known)
            known += 1
        numbers[row] = number
    counts[0] = known
    return new if wrong == _NOTHING else GAVE_UP


@compiled
def place_again(directory: Directory) -> None:
    """Fill the slots from the keys, after there have become more of them."""
    keys, slots, counts = directory
    mask = np.uint64(len(slots) - 1)
    for number in range(counts[0]):
        slot = (keys[number, 2] * _SPREAD >> np.uint64(20)) & mask
        while slots[slot] >= 0:
            slot = (slot + _ONE) & mask
        slots[slot] = number
