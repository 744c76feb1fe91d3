"""Passes over the bytes of an eth_getLogs answer: every log's fields as columns of numbers, without parsing JSON.

They read what nodes really write: hex strings under known keys, in any order. Anything else makes them give up, and
then the reference decoder judges.
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
_NOTHING, _ONE, _ZEROS = (np.uint64(number) for number in (0, 1, 0x3030303030303030))
_HALF_LIMB, _SPREAD, _SPREAD_TOO = np.uint64(32), np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
TOPIC_SLOTS = 256
_TOPIC_SHIFT = np.uint64(56)
_TOPIC_STEP, _TOPIC_HEAD, _WORD_DIGITS = 69, 24, 64
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
    """Addresses by number, found by hashing: `keys` are their digits, `slots` the numbers (-1: free).

    `known`, of one element, is how many there are; `fresh` is where those stand that the last answer brought.
    """

    keys: Limbs
    slots: npt.NDArray[np.int32]
    known: Longs
    fresh: Longs


class Forms(NamedTuple):
    """What events take, by the number of their first topic: the topics' texts, eight octets of digits each.

    `takes` are the emitter and topics 1 to 3; `words` how many words of data there are, of which it `takes_word`.
    """

    texts: Limbs
    slots: npt.NDArray[np.int32]
    takes: Flags
    words: Longs
    takes_word: Flags


class Columns(NamedTuple):
    """What the logs say, one row a log: which event it is (-1: none that is known), who is named in it, and its words.

    `named` are the emitter and topics 1 to 3 as numbers of addresses, `words` the lower 128 bits, high half first.
    """

    topic: Longs
    named: npt.NDArray[np.int32]
    words: Limbs


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
    while raw[at] != _QUOTE and at < first + _WORD_DIGITS * WORDS:
        at += _WORD_DIGITS
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
            elif at + 3 != fields.topics_at[row] + _TOPIC_STEP * count:
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


@compiled
def slot_of_topic(first_octet: np.uint64) -> np.uint64:
    """Where a topic is looked for first, by its first eight digits."""
    return first_octet * _SPREAD >> _TOPIC_SHIFT


@compiled
def read_columns(raw: Bytes, fields: Fields, forms: Forms, directory: Directory, columns: Columns) -> int:
    """Read all rows; how many addresses are new.

    GAVE_UP where a log is other than its event's logs are; the directory has then to be cleaned.
    """
    new, wrong = 0, _NOTHING
    for row in range(len(columns.topic)):
        wrong |= _prefix_faults(raw, fields.topics_at[row]) | _prefix_faults(raw, fields.address_at[row])
        wrong |= _prefix_faults(raw, fields.data_at[row])
        topic = columns.topic[row] = _recognise(raw, fields.topics_at[row], forms)
        if topic < 0:
            continue
        for place in range(TOPICS):
            if forms.takes[topic, place]:
                if fields.topic_count[row] <= place:
                    return GAVE_UP
                at = fields.address_at[row] if place == 0 else fields.topics_at[row] + _TOPIC_STEP * place + _TOPIC_HEAD
                columns.named[row, place] = number = _number_of(raw, at, directory)
                if number == directory.known[0]:
                    wrong |= _address_faults(raw, at)
                    directory.known[0] += 1
                    directory.fresh[new] = at
                    new += 1
        if forms.words[topic] > 0 and fields.data_digits[row] != _WORD_DIGITS * forms.words[topic]:
            return GAVE_UP
        for word in range(WORDS):
            if forms.takes_word[topic, word]:
                wrong |= _read_word(raw, fields.data_at[row] + _WORD_DIGITS * word, columns.words[row, word])
    return new if wrong == _NOTHING else GAVE_UP


@compiled
def _prefix_faults(raw: Bytes, at: int) -> np.uint64:
    """Zero when 0x stands before that place."""
    return np.uint64(raw[at - 2] ^ _ZERO | raw[at - 1] ^ _X)


@compiled
def _recognise(raw: Bytes, at: int, forms: Forms) -> int:
    """The number of the topic whose digits stand there, or -1."""
    slot = slot_of_topic(octet(raw, at))
    topic = int(forms.slots[slot])
    while topic >= 0:
        wrong = _NOTHING
        for part in range(8):
            wrong |= octet(raw, at + 8 * part) ^ forms.texts[topic, part]
        if wrong == _NOTHING:
            return topic
        slot = (slot + _ONE) & np.uint64(len(forms.slots) - 1)
        topic = int(forms.slots[slot])
    return topic


@compiled
def _read_word(raw: Bytes, at: int, halves: Limbs) -> np.uint64:
    """The lower 128 bits of the word whose digits stand there; zero unless it is larger, or no number."""
    wrong = _NOTHING
    for part in range(4):
        wrong |= octet(raw, at + 8 * part) ^ _ZEROS
    for half in range(2):
        high, low = octet(raw, at + 32 + 16 * half), octet(raw, at + 40 + 16 * half)
        wrong |= _faults(high) | _faults(low)
        halves[half] = _digits(high) << _HALF_LIMB | _digits(low)
    return wrong


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
def _number_of(raw: Bytes, at: int, directory: Directory) -> int:
    """The number of the address whose digits stand there; a new one gets the next, which is not counted yet."""
    keys, slots, known, _ = directory
    mask = np.uint64(len(slots) - 1)
    slot = _slot_of(_lowered(octet(raw, at + 24)), _lowered(octet(raw, at + 32))) & mask
    number = slots[slot]
    while number >= 0:
        wrong = _NOTHING
        for part in range(5):
            wrong |= _lowered(octet(raw, at + 8 * part)) ^ keys[number, part]
        if wrong == _NOTHING:
            return int(number)
        slot = (slot + _ONE) & mask
        number = slots[slot]
    slots[slot] = known[0]
    for part in range(5):
        keys[known[0], part] = _lowered(octet(raw, at + 8 * part))
    return int(known[0])


@compiled
def _lowered(text: np.uint64) -> np.uint64:
    """Letters in lower case; nothing that is no hex digit becomes one."""
    return text | (text & np.uint64(0x4040404040404040)) >> _ONE


@compiled
def _address_faults(raw: Bytes, at: int) -> np.uint64:
    """Zero when forty hex digits stand there."""
    wrong = _NOTHING
    for part in range(5):
        wrong |= _faults(octet(raw, at + 8 * part))
    return wrong


@compiled
def _slot_of(text: np.uint64, last_text: np.uint64) -> np.uint64:
    """Where an address is looked for, by its last digits."""
    return (last_text * _SPREAD ^ text * _SPREAD_TOO) >> _HALF_LIMB


@compiled
def place_again(directory: Directory) -> None:
    """Fill the slots from the keys, after there have become more of them."""
    keys, slots, known, _ = directory
    mask = np.uint64(len(slots) - 1)
    for number in range(known[0]):
        slot = _slot_of(keys[number, 3], keys[number, 4]) & mask
        while slots[slot] >= 0:
            slot = (slot + _ONE) & mask
        slots[slot] = number
