"""The second pass over an eth_getLogs answer: what stands in the fields that were found, as numbers.

Topics become the numbers of events, addresses their numbers in a directory, words of data two halves of 128 bits.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from liqcli.book.jit import compiled, octet
from liqcli.book.scan import GAVE_UP, TOPIC_STEP, TOPICS, WORD_DIGITS, WORDS, Bytes, Fields, Flags, Limbs, Longs

TOPIC_SLOTS = 256
_TOPIC_SHIFT = np.uint64(56)
_TOPIC_HEAD = 24
_ZERO, _X = ord("0"), ord("x")
_NOTHING, _ONE, _ZEROS = (np.uint64(number) for number in (0, 1, 0x3030303030303030))
_HALF_LIMB, _SPREAD, _SPREAD_TOO = np.uint64(32), np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)


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
                at = fields.address_at[row] if place == 0 else fields.topics_at[row] + TOPIC_STEP * place + _TOPIC_HEAD
                columns.named[row, place] = number = _number_of(raw, at, directory)
                if number == directory.known[0]:
                    wrong |= _address_faults(raw, at)
                    directory.known[0] += 1
                    directory.fresh[new] = at
                    new += 1
        if forms.words[topic] > 0 and fields.data_digits[row] != WORD_DIGITS * forms.words[topic]:
            return GAVE_UP
        for word in range(WORDS):
            if forms.takes_word[topic, word]:
                wrong |= _read_word(raw, fields.data_at[row] + WORD_DIGITS * word, columns.words[row, word])
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
