"""eth_getLogs answers to the book's events, fast: scanned as bytes, made into tuples column by column.

The events are those of `events.decode_logs`, in its order; whatever the scanner does not understand is left to it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from liqcli.book import scan
from liqcli.book.events import (
    TOPICS,
    Acted,
    BalanceTransfer,
    BookEvent,
    Burn,
    CollateralSwitched,
    EModeEntered,
    Mint,
    ReserveUpdated,
    decode_logs,
)
from liqcli.chain import topics
from liqcli.errors import Unreachable
from liqcli.model import Address, EventKind

Rows: TypeAlias = npt.NDArray[np.intp]
Field: TypeAlias = str | bool | EventKind

_FIRST_SLOTS = 1 << 16
_SPARSE = 2
"""There are at least this many slots for each address."""
_SHORTEST_LOG = 256
"""Characters; hashes and topics alone are more."""
_TOPIC_STEP = 69
_WORD_DIGITS = 64
_HASH_LENGTH = 66


@dataclass(frozen=True, slots=True)
class _Form:
    """How an event is made: its parts behind its place, named or given, from data of `words` words."""

    make: type[BookEvent]
    words: int
    fields: tuple[Field, ...]


def _acted(kind: EventKind, asset: str, account: str) -> _Form:
    return _Form(Acted, 0, (kind, asset, account))


_FORMS = {
    topics.MINT: _Form(Mint, 3, ("emitter", "topic 2", "word 0", "word 1", "word 2")),
    topics.BURN: _Form(Burn, 3, ("emitter", "topic 1", "word 0", "word 1", "word 2")),
    topics.BALANCE_TRANSFER: _Form(BalanceTransfer, 2, ("emitter", "topic 1", "topic 2", "word 0", "word 1")),
    topics.RESERVE_DATA_UPDATED: _Form(ReserveUpdated, 5, ("topic 1", "word 0", "word 2", "word 3", "word 4")),
    topics.COLLATERAL_ENABLED: _Form(CollateralSwitched, 0, ("topic 1", "topic 2", True)),
    topics.COLLATERAL_DISABLED: _Form(CollateralSwitched, 0, ("topic 1", "topic 2", False)),
    topics.EMODE_SET: _Form(EModeEntered, 1, ("topic 1", "word 0")),
    topics.SUPPLY: _acted(EventKind.SUPPLY, "topic 1", "topic 2"),
    topics.WITHDRAW: _acted(EventKind.WITHDRAW, "topic 1", "topic 2"),
    topics.BORROW: _acted(EventKind.BORROW, "topic 1", "topic 2"),
    topics.REPAY: _acted(EventKind.REPAY, "topic 1", "topic 2"),
}
_KNOWN = sorted(TOPICS)
_KNOWN_FORMS = [_FORMS.get(topic) for topic in _KNOWN]
_KNOWN_TEXTS = np.array([list(topic[2:].encode()) for topic in _KNOWN], np.uint8).view(np.uint64)
_PARTS_OF = [form.fields if form else () for form in _KNOWN_FORMS]
_WORDS_OF = np.array([form.words if form else 0 for form in _KNOWN_FORMS] + [0])
_TAKES_WORD = np.array([[f"word {place}" in parts for place in range(scan.WORDS)] for parts in [*_PARTS_OF, ()]])
_TAKES_TOPIC = np.array([[f"topic {place}" in parts for place in range(1, scan.TOPICS)] for parts in [*_PARTS_OF, ()]])
_TAKES_EMITTER = np.array(["emitter" in parts for parts in [*_PARTS_OF, ()]])


@dataclass(frozen=True, slots=True)
class _Columns:
    """A scanned answer: `topic` is a place in _KNOWN or -1, emitters and named ones are numbers of addresses."""

    fields: scan.Fields
    topic: Rows
    emitter: npt.NDArray[np.int32]
    named: npt.NDArray[np.int32]
    words: npt.NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Plain:
    """Events, and the hash of every block with logs."""

    events: list[BookEvent]
    hashes: dict[int, str]


class _NotUnderstood(Exception):
    """The scanner met something that the reference decoder has to judge."""


class Decoder:
    """Decodes one answer after the other; it remembers addresses, so that each is one string however often it comes."""

    def __init__(self) -> None:
        self._addresses: npt.NDArray[Any] = np.empty(_FIRST_SLOTS, object)
        self._known = 0
        self._directory = _directory(_FIRST_SLOTS)
        self._raw: scan.Bytes = np.zeros(0, np.uint8)

    def decode(self, answer: bytes, *, times: Mapping[int, int] | None = None) -> list[BookEvent]:
        """The events of a JSON-RPC answer's logs, in the order given; Unreachable when one cannot be read.

        `times` are the timestamps of blocks whose logs carry none.
        """
        try:
            columns = self._scan(answer)
            return self._events(answer, columns, times or {})
        except _NotUnderstood:
            return decode_logs(_logs_in(answer), times=times)

    def decode_plain(self, answer: bytes, *, last: int) -> "Plain | None":
        """The events of a list of logs in which there is nothing to be judged log by log, else None.

        To be judged are logs that were removed, lie behind block `last`, carry no time, or tell two hashes of a block.
        """
        try:
            columns = self._scan(answer)
            if b"true" in answer or not _is_plain(columns.fields, self._raw, last):
                return None
            events = self._events(answer, columns, {})
        except _NotUnderstood:
            return None
        blocks, rows = np.unique(columns.fields.blocks, return_index=True)
        places = columns.fields.hash_at[rows].tolist()
        hashes = (answer[at : at + _HASH_LENGTH].decode() for at in places)
        return Plain(events, dict(zip(blocks.tolist(), hashes, strict=True)))

    def _scan(self, answer: bytes) -> _Columns:
        raw = self._loaded(answer)
        octets = raw.view(np.uint64)
        fields = _fields(raw, answer)
        topic = _topic_of(octets, fields)
        emitter, named = self._numbers(answer, octets, fields, topic)
        return _Columns(fields, topic, emitter, named, _words(octets, fields, topic))

    def _loaded(self, answer: bytes) -> scan.Bytes:
        """The answer in the one buffer, which is kept because fresh memory costs as much as reading it."""
        size = len(answer) + scan.PADDING - len(answer) % 8
        if size > len(self._raw):
            self._raw = np.zeros(size, np.uint8)
        self._raw[: len(answer)] = np.frombuffer(answer, np.uint8)
        self._raw[len(answer) : size] = 0
        return self._raw[:size]

    def _numbers(
        self, answer: bytes, octets: scan.Limbs, fields: scan.Fields, topic: Rows
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """The emitters and indexed arguments that the events take, as numbers of addresses."""
        steps = np.arange(1, scan.TOPICS)
        takes, takes_emitter = _TAKES_TOPIC[topic], _TAKES_EMITTER[topic]
        if np.any(takes & (fields.topic_count[:, None] <= steps)):
            raise _NotUnderstood
        arguments = (fields.topics_at[:, None] + (_TOPIC_STEP * steps + 24))[takes]
        emitters = fields.address_at[takes_emitter]
        numbers = self._numbers_at(answer, octets, np.concatenate([emitters, arguments]))
        emitter, named = np.zeros(len(topic), np.int32), np.zeros(takes.shape, np.int32)
        emitter[takes_emitter], named[takes] = numbers[: len(emitters)], numbers[len(emitters) :]
        return emitter, named

    def _numbers_at(self, answer: bytes, octets: scan.Limbs, places: scan.Longs) -> npt.NDArray[np.int32]:
        self._make_room(len(places))
        numbers, fresh = np.empty(len(places), np.int32), np.empty(len(places), np.int64)
        new = scan.number_addresses(octets, places, self._directory, numbers, fresh)
        if new == scan.GAVE_UP:
            self._rebuild(len(self._directory.slots))
            raise _NotUnderstood
        for number, place in enumerate(fresh[:new].tolist(), start=self._known):
            self._addresses[number] = "0x" + answer[place : place + 40].decode().lower()
        self._known += new
        return numbers

    def _make_room(self, more: int) -> None:
        most = self._known + more
        if most * _SPARSE > len(self._directory.slots):
            self._rebuild(1 << (most * _SPARSE * 2).bit_length())
            self._addresses = np.concatenate([self._addresses, np.empty(most, object)])

    def _rebuild(self, slots: int) -> None:
        """The directory anew, of the addresses that have a name."""
        grown = _directory(slots)
        grown.keys[: self._known] = self._directory.keys[: self._known]
        grown.known[0] = self._known
        scan.place_again(grown)
        self._directory = grown

    def _events(self, answer: bytes, columns: _Columns, times: Mapping[int, int]) -> list[BookEvent]:
        order = np.argsort(columns.topic, kind="stable")
        borders = np.searchsorted(columns.topic[order], np.arange(len(_KNOWN) + 1))
        at = _timestamps(columns.fields, times)
        groups = [
            _made(form, columns, order[first:last], at, self._addresses)
            if form is not None
            else _rare(answer, columns.fields, order[first:last], at)
            for form, first, last in zip(_KNOWN_FORMS, borders, borders[1:], strict=False)
            if first < last
        ]
        events = list(chain.from_iterable(groups))
        places = np.argsort(order[borders[0] :], kind="stable")
        return list(map(events.__getitem__, places.tolist()))


def _fields(raw: scan.Bytes, answer: bytes) -> scan.Fields:
    at, most = answer.find(b"[", max(answer.find(b'"result"'), 0)), len(answer) // _SHORTEST_LOG
    fields = np.empty((len(scan.Fields._fields), most), np.int64)
    count = scan.find_fields(raw, at, len(answer), scan.Fields(*fields)) if at >= 0 else scan.GAVE_UP
    if count == scan.GAVE_UP:
        raise _NotUnderstood
    return scan.Fields(*fields[:, :count])


def _is_plain(fields: scan.Fields, raw: scan.Bytes, last: int) -> bool:
    """Whether every log has a time, lies at or before `last`, and names the same hash as the others of its block."""
    if np.any(fields.times < 0) or not len(fields.blocks) or int(fields.blocks.max()) > last:
        return False
    order = np.argsort(fields.blocks, kind="stable")
    blocks = fields.blocks[order]
    hashes = raw[fields.hash_at[order][:, None] + np.arange(_HASH_LENGTH)]
    differ = np.any(hashes[1:] != hashes[:-1], axis=1)
    return not np.any(differ & (blocks[1:] == blocks[:-1]))


def _topic_of(octets: scan.Limbs, fields: scan.Fields) -> scan.Longs:
    raw = octets.view(np.uint8)
    for at in (fields.topics_at, fields.address_at, fields.data_at):
        if np.any((raw[at - 2] != ord("0")) | (raw[at - 1] != ord("x"))):
            raise _NotUnderstood
    topic = np.empty(len(fields.topics_at), np.int64)
    scan.recognise(octets, fields.topics_at, _KNOWN_TEXTS, topic)
    return topic


def _words(octets: scan.Limbs, fields: scan.Fields, topic: Rows) -> npt.NDArray[np.void]:
    """The lower 128 bits of the words that the events take, big-endian; larger ones are left to the reference."""
    wanted = _WORDS_OF[topic]
    if np.any((wanted > 0) & (fields.data_digits != _WORD_DIGITS * wanted)):
        raise _NotUnderstood
    words = np.empty((len(topic), scan.WORDS, 2), np.uint64)
    if not scan.read_words(octets, fields.data_at, _TAKES_WORD[topic], words):
        raise _NotUnderstood
    return words.astype(">u8").view("V16")[:, :, 0]


def _timestamps(fields: scan.Fields, times: Mapping[int, int]) -> scan.Longs:
    missing = np.flatnonzero(fields.times < 0)
    if not len(missing):
        return fields.times
    at = fields.times.copy()
    try:
        at[missing] = [times[block] for block in fields.blocks[missing].tolist()]
    except KeyError:
        raise _NotUnderstood from None
    return at


def _made(
    form: _Form, columns: _Columns, rows: Rows, at: scan.Longs, addresses: npt.NDArray[Any]
) -> Iterable[BookEvent]:
    fields = columns.fields
    parts: list[Iterable[Any]] = [fields.blocks[rows].tolist(), fields.indexes[rows].tolist(), at[rows].tolist()]
    parts += [_part(field, columns, rows, addresses) for field in form.fields]
    make: Any = tuple.__new__
    made: Iterable[BookEvent] = map(make, repeat(form.make), zip(*parts, strict=False))
    return made


def _part(field: Field, columns: _Columns, rows: Rows, addresses: npt.NDArray[Any]) -> Iterable[Any]:
    if isinstance(field, bool | EventKind):
        return repeat(field)
    if field.startswith("word"):
        return map(int.from_bytes, columns.words[rows, int(field[-1])].tolist())
    numbers = columns.emitter[rows] if field == "emitter" else columns.named[rows, int(field[-1]) - 1]
    found: list[Address] = addresses[numbers].tolist()
    return found


def _rare(answer: bytes, fields: scan.Fields, rows: Rows, at: scan.Longs) -> Iterable[BookEvent]:
    """Events that seldom come, by the reference decoder."""
    for row in rows.tolist():
        log = json.loads(answer[fields.begins[row] : fields.ends[row]])
        yield from decode_logs([log], times={int(fields.blocks[row]): int(at[row])})


def _logs_in(answer: bytes) -> Sequence[Mapping[str, Any]]:
    try:
        document = json.loads(answer)
    except ValueError as err:
        raise Unreachable("the node answered eth_getLogs with something that is no JSON") from err
    logs = document.get("result") if isinstance(document, dict) else document
    if not isinstance(logs, list):
        raise Unreachable("the node answered eth_getLogs with something that is no list of logs")
    return logs


def _directory(slots: int) -> scan.Directory:
    most = slots // _SPARSE
    free = np.full(slots, -1, np.int32)
    return scan.Directory(np.empty((most, 3), np.uint64), free, np.zeros(1, np.int64))
