"""Journal: what one key signed on one chain and what became of it, on disk before anything is broadcast.

One record a line, before it the CRC-32 of all records so far: a line that is changed, missing or out of place shows. A
record counts once fsync has returned; a last line without its end was never broadcast and is dropped when the journal
is opened. A journal damaged in any other way is refused.
"""

import json
import os
import zlib
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from liqcli.aave.ray import div_ceil
from liqcli.errors import InputError
from liqcli.model import WAD
from liqcli.wallet.policy import DAY_S, HOUR_S, Denied, Spent, Transaction

KEPT_LANDED = 64
"""Landed transactions remembered with their bytes, in case the chain takes blocks back."""
_CRC_CHARS = 8


@dataclass(frozen=True, slots=True)
class Attempt:
    """Signed bytes for a nonce, and what they are for.

    `subject` is what must not be done twice at once (a borrower), `memo` what the sender needs to read the receipt;
    `at` is a Unix second, `epoch` the ownership under which it was signed.
    """

    transaction: Transaction
    raw: str
    hash: str
    subject: str
    memo: Mapping[str, Any]
    native_price: int
    is_cancel: bool
    epoch: int
    at: float

    @property
    def worst_base(self) -> int:
        """The most it can cost in base currency."""
        return div_ceil(self.transaction.worst_fee_wei * self.native_price, WAD)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a nonce; without a hash a transaction that is not ours took it."""

    nonce: int
    hash: str | None
    block: int
    succeeded: bool
    loss_base: int
    at: float


@dataclass(slots=True)
class _Slot:
    """One nonce: its attempts in order, and its outcome once known."""

    attempts: list[Attempt] = field(default_factory=list)
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class _Past:
    """What the limits must know of a nonce whose bytes nobody needs any more."""

    signed_at: float
    ended_at: float
    loss_base: int


class Journal:
    """The records of one file, kept open; `append` returns only when they are on disk.

    `is_new` and `was_cut` tell how the file was found: without a record, or with a last one that a crash cut.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_new = self.was_cut = False
        self._slots: dict[int, _Slot] = {}
        self._past: deque[_Past] = deque()
        self._nonce_of: dict[str, int] = {}
        self._broken = False
        self._fd = _open(path)
        self._size = 0
        self._crc = 0
        self._load()

    def close(self) -> None:
        """Let the file go."""
        os.close(self._fd)

    @property
    def next_nonce(self) -> int:
        """The nonce after the highest one used, 0 for an empty journal."""
        return max(self._slots, default=-1) + 1

    @property
    def open(self) -> dict[int, list[Attempt]]:
        """Attempts by nonce whose outcome is not known yet, lowest nonce first."""
        return {nonce: slot.attempts for nonce, slot in sorted(self._slots.items()) if slot.outcome is None}

    def landed_from(self, nonce: int) -> list[Attempt]:
        """What landed at this nonce or after it, as far as it is remembered."""
        return [
            attempt
            for number, slot in sorted(self._slots.items())
            if number >= nonce and slot.outcome is not None
            for attempt in slot.attempts
            if attempt.hash == slot.outcome.hash
        ]

    def attempts_of(self, tx_hash: str) -> tuple[Attempt, ...]:
        """All attempts at the nonce that this hash was signed for."""
        return tuple(self._slots[self._nonce_of[tx_hash]].attempts)

    def outcome_of(self, tx_hash: str) -> Outcome | None:
        """What became of the nonce that this hash was signed for."""
        return self._slots[self._nonce_of[tx_hash]].outcome

    def spent(self, now: float, *, beside: int) -> Spent:
        """What the policy weighs, without the nonce `beside`."""
        others = [slot for nonce, slot in self._slots.items() if nonce != beside]
        signed_at = [slot.attempts[0].at for slot in others if slot.attempts] + [past.signed_at for past in self._past]
        return Spent(
            loss_base=sum(_loss(slot, now) for slot in others)
            + sum(past.loss_base for past in self._past if past.ended_at > now - DAY_S),
            liquidations=sum(at > now - HOUR_S for at in signed_at),
        )

    def append(self, record: Attempt | Outcome) -> None:
        """Put a record on disk; Denied when that is not possible, and then it does not count."""
        if self._broken:
            raise _unwritable(self.path, "an earlier write failed; start again once the disk is well")
        line = _packed(record, self._crc)
        try:
            self._write(line)
        except OSError as err:
            self._take_back()
            raise _unwritable(self.path, os.strerror(err.errno or 0)) from err
        try:
            self._sync()
        except OSError as err:  # whether the record is on disk is unknown: nothing may be built on it
            self._broken = True
            raise _unwritable(self.path, os.strerror(err.errno or 0)) from err
        self._count(line)
        self.remember(record)

    def _count(self, line: bytes) -> None:
        self._size += len(line)
        self._crc = int(line[:_CRC_CHARS], 16)

    def _write(self, line: bytes) -> None:
        while line:
            line = line[os.write(self._fd, line) :]

    def _sync(self) -> None:
        os.fsync(self._fd)

    def _take_back(self) -> None:
        try:
            os.ftruncate(self._fd, self._size)
        except OSError:
            self._broken = True

    def remember(self, record: Attempt | Outcome) -> None:
        """Let a record count without putting it on disk."""
        if isinstance(record, Attempt):
            nonce = record.transaction.nonce
            self._slots.setdefault(nonce, _Slot()).attempts.append(record)
            self._nonce_of[record.hash] = nonce
            return
        self._slots.setdefault(record.nonce, _Slot()).outcome = record
        self._forget(record.at)

    def _forget(self, now: float) -> None:
        """Drop the bytes that a chain which takes blocks back cannot need, and what is too old for the limits."""
        for nonce in sorted(self._slots)[:-KEPT_LANDED]:
            outcome = self._slots[nonce].outcome
            if outcome is not None:
                attempts = self._slots.pop(nonce).attempts
                for attempt in attempts:
                    del self._nonce_of[attempt.hash]
                self._past.append(_Past(attempts[0].at if attempts else 0.0, outcome.at, outcome.loss_base))
        while self._past and self._past[0].ended_at <= now - DAY_S:
            self._past.popleft()

    def _load(self) -> None:
        content = self.path.read_bytes()
        *lines, cut = content.split(b"\n")
        for number, line in enumerate(lines, start=1):
            record = _unpacked(line, self._crc)
            if record is None:
                raise InputError(
                    f"the journal {self.path} is damaged at line {number}",
                    hint="a copy of it may be whole; without one, check the key's transactions before you remove it",
                )
            self.remember(record)
            self._count(line + b"\n")
        self.is_new, self.was_cut = not lines, bool(cut)
        if cut:
            os.ftruncate(self._fd, self._size)
            os.fsync(self._fd)


def _open(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as err:
        raise InputError(
            f"cannot open the journal {path} ({os.strerror(err.errno or 0)})",
            hint="it must be a plain file in the data directory",
        ) from err
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return fd


def _loss(slot: _Slot, now: float) -> int:
    if slot.outcome is None:
        return max((attempt.worst_base for attempt in slot.attempts), default=0)
    return slot.outcome.loss_base if slot.outcome.at > now - DAY_S else 0


def _packed(record: Attempt | Outcome, crc: int) -> bytes:
    facts = asdict(record)
    if isinstance(record, Attempt):
        facts["transaction"]["data"] = record.transaction.data.hex()
    body = json.dumps(facts, separators=(",", ":")).encode()
    return b"%08x %b\n" % (zlib.crc32(body, crc), body)


def _unpacked(line: bytes, crc: int) -> Attempt | Outcome | None:
    """The record of a line, None when it is not the one that was written after the records with this CRC."""
    written, body = line[:_CRC_CHARS], line[_CRC_CHARS + 1 :]
    if written != b"%08x" % zlib.crc32(body, crc) or not body:
        return None
    facts = json.loads(body)
    if "transaction" not in facts:
        return Outcome(**facts)
    transaction = facts.pop("transaction")
    return Attempt(Transaction(**transaction | {"data": bytes.fromhex(transaction["data"])}), **facts)


def _unwritable(path: Path, why: str) -> Denied:
    return Denied(
        f"the journal {path} cannot be written ({why})", reason="journal not writable", hint="free disk space"
    )
