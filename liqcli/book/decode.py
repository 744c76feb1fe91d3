"""eth_getLogs answers to the book's events, fast: scanned as bytes into columns, made into tuples where asked for.

The events are those of `events.decode_logs`, in its order; whatever the scanner does not understand is left to it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, repeat
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from liqcli.book import scan, transcribe
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
    Unmade,
    decode_logs,
)
from liqcli.chain import topics
from liqcli.chain.answers import json_in
from liqcli.errors import Unreachable
from liqcli.model import Address, EventKind

Rows: TypeAlias = npt.NDArray[np.intp]
Field: TypeAlias = str | bool | EventKind

_FIRST_SLOTS = 1 << 16
_SPARSE = 2
"""There are at least this many slots for each address."""
_SHORTEST_LOG = 256
"""Characters; hashes and topics alone are more."""
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
KNOWN = sorted(TOPICS)
"""The topics by the numbers that they have in columns."""
_KNOWN_FORMS = [_FORMS.get(topic) for topic in KNOWN]
_PARTS_OF = [form.fields if form else () for form in _KNOWN_FORMS]
_PLACES = ("emitter", *(f"topic {place}" for place in range(1, scan.TOPICS)))


def _forms() -> transcribe.Forms:
    """What the scanner has to know of the events that come often."""
    texts = np.array([list(topic[2:].encode()) for topic in KNOWN], np.uint8).view(np.uint64)
    slots = np.full(transcribe.TOPIC_SLOTS, -1, np.int32)
    for number, text in enumerate(texts):
        slot = int(transcribe.slot_of_topic(text[0]))
        slot = next(free for free in chain(range(slot, len(slots)), range(slot)) if slots[free] < 0)
        slots[slot] = number
    return transcribe.Forms(
        texts,
        slots,
        np.array([[place in parts for place in _PLACES] for parts in _PARTS_OF]),
        np.array([form.words if form else 0 for form in _KNOWN_FORMS]),
        np.array([[f"word {place}" in parts for place in range(scan.WORDS)] for parts in _PARTS_OF]),
    )


class Scanned(Unmade):
    """A scanned answer as columns, one row a log, in the order given.

    `topic` is a place in KNOWN or -1; `named`, the emitter and topics 1 to 3, are numbers of `addresses` where the
    event takes them, the same in all answers of one `numbering`; `words` are the lower 128 bits of those it takes, high
    half first; `at` is the block's timestamp.
    """

    def __init__(
        self,
        answer: bytes,
        fields: scan.Fields,
        *,
        read: transcribe.Columns,
        at: scan.Longs,
        addresses: npt.NDArray[Any],
        numbering: object,
    ) -> None:
        self._answer = answer
        self.fields = fields
        self.topic, self.named, self.words = read
        self.at = at
        self.addresses = addresses
        self.numbering = numbering

    def __len__(self) -> int:
        return int(np.count_nonzero(self.topic >= 0))

    def __getitem__(self, place: Any) -> Any:
        return self._all[place]

    def of(self, *kinds: type[BookEvent]) -> list[BookEvent]:
        """The events of these kinds, in order; only they are made, and those that seldom come."""
        wanted = [form is None or issubclass(form.make, kinds) for form in _KNOWN_FORMS]
        rows = np.flatnonzero(np.array([*wanted, False])[self.topic])
        return [event for event in self.made(rows) if isinstance(event, kinds)]

    def made(self, rows: Rows) -> list[BookEvent]:
        """The events in these rows."""
        if not len(rows):
            return []
        topic = self.topic[rows]
        order = np.argsort(topic, kind="stable")
        borders = np.searchsorted(topic[order], np.arange(len(KNOWN) + 1))
        groups = [
            self._made(form, rows[order[first:last]]) if form is not None else self._rare(rows[order[first:last]])
            for form, first, last in zip(_KNOWN_FORMS, borders, borders[1:], strict=False)
            if first < last
        ]
        events = list(chain.from_iterable(groups))
        places = np.argsort(order[borders[0] :], kind="stable")
        return list(map(events.__getitem__, places.tolist()))

    @cached_property
    def _all(self) -> list[BookEvent]:
        return self.made(np.arange(len(self.topic)))

    def _made(self, form: _Form, rows: Rows) -> Iterable[BookEvent]:
        fields = self.fields
        parts: list[Iterable[Any]] = [
            fields.blocks[rows].tolist(),
            fields.indexes[rows].tolist(),
            self.at[rows].tolist(),
        ]
        parts += [self._part(field, rows) for field in form.fields]
        make: Any = tuple.__new__
        made: Iterable[BookEvent] = map(make, repeat(form.make), zip(*parts, strict=False))
        return made

    def _part(self, field: Field, rows: Rows) -> Iterable[Any]:
        if isinstance(field, bool | EventKind):
            return repeat(field)
        if field.startswith("word"):
            words = self.words[rows, int(field[-1])].astype(">u8", order="C").view("V16")[:, 0]
            return map(int.from_bytes, words.tolist())
        found: list[Address] = self.addresses[self.named[rows, _PLACES.index(field)]].tolist()
        return found

    def _rare(self, rows: Rows) -> Iterable[BookEvent]:
        """Events that seldom come, by the reference decoder."""
        fields = self.fields
        for row in rows.tolist():
            log = json_in(self._answer[fields.begins[row] : fields.ends[row]])
            yield from decode_logs([log], times={int(fields.blocks[row]): int(self.at[row])})


@dataclass(frozen=True, slots=True)
class Plain:
    """Events, and the hash of every block with logs."""

    events: Scanned
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
        self._forms = _forms()
        self._most_named = int(self._forms.takes.sum(axis=1).max())

    def decode(self, answer: bytes, *, times: Mapping[int, int] | None = None) -> list[BookEvent]:
        """The events of a JSON-RPC answer's logs, in the order given; Unreachable when one cannot be read.

        `times` are the timestamps of blocks whose logs carry none.
        """
        try:
            return list(self._scan(answer, times))
        except _NotUnderstood:
            return decode_logs(_logs_in(answer), times=times)

    def decode_plain(self, answer: bytes, *, last: int) -> "Plain | None":
        """The events of a list of logs in which there is nothing to be judged log by log, else None.

        To be judged are logs that were removed, lie behind block `last` or another one that comes later, carry no time,
        or tell two hashes of a block.
        """
        try:
            scanned = self._scan(answer)
        except _NotUnderstood:
            return None
        fields = scanned.fields
        rows = np.empty(len(fields.blocks), np.int64)
        count = scan.list_blocks(self._raw, fields, last, rows)
        if count <= 0:
            return None
        rows = rows[:count]
        places = fields.hash_at[rows].tolist()
        hashes = (answer[at : at + _HASH_LENGTH].decode() for at in places)
        return Plain(scanned, dict(zip(fields.blocks[rows].tolist(), hashes, strict=True)))

    def _scan(self, answer: bytes, times: Mapping[int, int] | None = None) -> Scanned:
        raw = self._loaded(answer)
        fields = _fields(raw, answer)
        read = self._read(raw, answer, fields)
        return Scanned(
            answer, fields, read=read, at=_timestamps(fields, times or {}), addresses=self._addresses, numbering=self
        )

    def _loaded(self, answer: bytes) -> scan.Bytes:
        """The answer in the one buffer, which is kept because fresh memory costs as much as reading it."""
        size = len(answer) + scan.PADDING
        if size > len(self._raw):
            self._raw = np.zeros(size, np.uint8)
        self._raw[: len(answer)] = np.frombuffer(answer, np.uint8)
        self._raw[len(answer) : size] = 0
        return self._raw[:size]

    def _read(self, raw: scan.Bytes, answer: bytes, fields: scan.Fields) -> transcribe.Columns:
        """The columns of all logs; addresses that are new have their names."""
        count = len(fields.blocks)
        read = transcribe.Columns(
            np.empty(count, np.int64),
            np.zeros((count, scan.TOPICS), np.int32),
            np.empty((count, scan.WORDS, 2), np.uint64),
        )
        self._make_room(count * self._most_named)
        new = transcribe.read_columns(raw, fields, self._forms, self._directory, read)
        if new == scan.GAVE_UP:
            self._rebuild(len(self._directory.slots))
            raise _NotUnderstood
        for number, place in enumerate(self._directory.fresh[:new].tolist(), start=self._known):
            self._addresses[number] = "0x" + answer[place : place + 40].decode().lower()
        self._known += new
        return read

    def _make_room(self, more: int) -> None:
        most = self._known + more
        if most * _SPARSE > len(self._directory.slots):
            self._rebuild(1 << (most * _SPARSE * 2).bit_length())
            self._addresses = np.concatenate([self._addresses, np.empty(most, object)])
        if more > len(self._directory.fresh):
            self._directory = self._directory._replace(fresh=np.empty(more, np.int64))

    def _rebuild(self, slots: int) -> None:
        """The directory anew, of the addresses that have a name."""
        grown = _directory(slots)
        grown.keys[: self._known] = self._directory.keys[: self._known]
        grown.known[0] = self._known
        transcribe.place_again(grown)
        self._directory = grown


def _fields(raw: scan.Bytes, answer: bytes) -> scan.Fields:
    is_list = answer[:1] == b"["
    at, most = 0 if is_list else answer.find(b"[", max(answer.find(b'"result"'), 0)), len(answer) // _SHORTEST_LOG
    fields = np.empty((len(scan.Fields._fields), most), np.int64)
    count = (
        scan.find_fields(raw, at, scan.Fields(*fields), np.zeros((scan.KEYS, scan.HABITS), np.uint64))
        if at >= 0
        else scan.GAVE_UP
    )
    if count == scan.GAVE_UP:
        raise _NotUnderstood
    return scan.Fields(*fields[:, :count])


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


def _logs_in(answer: bytes) -> Sequence[Mapping[str, Any]]:
    try:
        document = json_in(answer)
    except ValueError as err:
        raise Unreachable("the node answered eth_getLogs with something that is no JSON") from err
    logs = document.get("result") if isinstance(document, dict) else document
    if not isinstance(logs, list):
        raise Unreachable("the node answered eth_getLogs with something that is no list of logs")
    return logs


def _directory(slots: int) -> transcribe.Directory:
    most = slots // _SPARSE
    free = np.full(slots, -1, np.int32)
    return transcribe.Directory(np.empty((most, 5), np.uint64), free, np.zeros(1, np.int64), np.empty(0, np.int64))
