"""What the queue holds: its nouns, and how one borrower is packed into the bytes the Lua scripts work on."""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from liqcli.errors import InputError
from liqcli.model import Address, Tier

SCORE_LIMIT = 1000.0
SCORE_MS = 60_000
SCORE_DIGITS = 4
BAND_MS = 1e13
ZERO_MS = 1e8
"""Offset that keeps the most urgent score of a tier inside its band."""
REASON_BYTES = 80

READY_MARK, DEAD_MARK = b"R", b"D"

_HEAD = struct.Struct("<dddHc")
_SHORT = struct.Struct("<BQ")
_SIZES = [bytes((size,)) for size in range(256)]
_TIERS = tuple(Tier)
_BASES = {tier: index * BAND_MS + ZERO_MS for index, tier in enumerate(_TIERS)}


class State(StrEnum):
    """Where a borrower is: exactly one of these."""

    READY = "ready"
    LEASED = "leased"
    LATER = "later"
    DEAD = "dead"


_STATES = {READY_MARK: State.READY, b"L": State.LEASED, b"W": State.LATER, DEAD_MARK: State.DEAD}


@dataclass(frozen=True, slots=True)
class Entry:
    """A borrower to look at: lower scores are more urgent, one unit weighs as much as a minute of waiting."""

    borrower: Address
    score: float
    tier: Tier
    health_factor: int | None
    because: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A borrower leased to us; `token` proves it to `done`, `renew` and `retry`. `tries` counts earlier failures."""

    borrower: Address
    token: int
    score: float
    tries: int
    tier: Tier
    because: str
    health_factor: int | None


@dataclass(frozen=True, slots=True)
class QueueItem:
    """One borrower as an operator sees it; `failure` is why its last try failed, if one did."""

    borrower: Address
    score: float
    tier: Tier
    health_factor: int | None
    because: str
    age_s: float
    tries: int
    state: State
    failure: str | None = None

    @property
    def leased(self) -> bool:
        """Whether a worker holds it."""
        return self.state is State.LEASED


def pack_address(borrower: Address) -> bytes:
    """The 20 bytes that are the member: half the network and 22 bytes less memory a copy than text."""
    try:
        member = bytes.fromhex(borrower[2:])
    except ValueError:
        member = b""
    if len(member) == 20 and borrower[:2] == "0x":
        return member
    raise InputError(f"{borrower!r} is not an address", hint="0x and 40 hex digits")


def unpack_address(member: bytes) -> Address:
    """The address of a member."""
    return "0x" + member.hex()


def base_of(tier: Tier, score: float) -> float:
    """Tier and score as one whole number of milliseconds; rank = base + the time of the first push."""
    if -SCORE_LIMIT <= score <= SCORE_LIMIT:
        return _BASES[tier] + round(score * SCORE_MS)
    if math.isnan(score):
        raise InputError("a score is not a number")
    return _BASES[tier] + math.copysign(SCORE_LIMIT, score) * SCORE_MS


def band(tier: Tier) -> tuple[float, float]:
    """The ranks a tier occupies, both ends included."""
    start = _TIERS.index(tier) * BAND_MS
    return start, start + BAND_MS - 1


def pack_entries(entries: Sequence[Entry]) -> bytes:
    """Member, size of value and value, one after the other."""
    parts = []
    for entry in entries:
        value = pack_value(entry)
        parts.append(pack_address(entry.borrower))
        parts.append(_SIZES[len(value)])
        parts.append(value)
    return b"".join(parts)


def pack_value(entry: Entry | QueueItem, mark: bytes = READY_MARK) -> bytes:
    """Everything the queue keeps of an entry except the time it was first pushed: that is the server's to say."""
    base = base_of(entry.tier, entry.score)
    return _HEAD.pack(0.0, base, 0.0, 0, mark) + pack_wide(entry.health_factor) + _clipped(entry.because)


def unpack_claim(member: bytes, value: bytes) -> Claim:
    """A claim from what the claim script returned."""
    _, base, token, tries, _ = _HEAD.unpack_from(value)
    tier, score = _split(base)
    health_factor, rest = unpack_wide(value[_HEAD.size :])
    return Claim(unpack_address(member), int(token), score, tries, tier, rest.decode(errors="replace"), health_factor)


def unpack_item(
    member: bytes, value: bytes, now_ms: float, *, rank: float | None = None, failure: bytes | None = None
) -> QueueItem:
    """An operator's view of a stored value; `rank` is its score in the ready set, if it is there."""
    pushed, base, _, tries, mark = _HEAD.unpack_from(value)
    tier, score = _split(base)
    health_factor, rest = unpack_wide(value[_HEAD.size :])
    return QueueItem(
        borrower=unpack_address(member),
        score=score,
        tier=tier,
        health_factor=health_factor,
        because=rest.decode(errors="replace"),
        age_s=max(now_ms - (pushed or _first_push(rank, base, now_ms)), 0.0) / 1000,
        tries=tries,
        state=_STATES.get(mark, State.READY),
        failure=None if failure is None else failure.decode(errors="replace"),
    )


def pushed_ms(value: bytes, rank: float) -> float:
    """The server's time of the first push of a ready borrower."""
    base: float = _HEAD.unpack_from(value)[1]
    return rank - base


def is_ours(value: bytes | None) -> bool:
    """Whether a stored value can be one of ours."""
    return value is not None and len(value) > _HEAD.size


def pack_wide(number: int | None) -> bytes:
    """A length byte and that many little-endian bytes, for integers up to 2**256-1; None has no bytes."""
    if number is None:
        return b"\0"
    if number < 2**64:
        return _SHORT.pack(8, number)
    return b"\x20" + number.to_bytes(32, "little")


def unpack_wide(packed: bytes) -> tuple[int | None, bytes]:
    """The integer in front, and the bytes after it."""
    end = 1 + packed[0]
    return (int.from_bytes(packed[1:end], "little") if end > 1 else None), packed[end:]


def clip(text: str, size: int) -> bytes:
    """At most `size` bytes of UTF-8, cut between characters."""
    return text.encode(errors="replace")[:size].decode(errors="ignore").encode()


@lru_cache(maxsize=1024)
def _clipped(because: str) -> bytes:
    return clip(because, REASON_BYTES)


def _first_push(rank: float | None, base: float, now_ms: float) -> float:
    return now_ms if rank is None else rank - base


def _split(base: float) -> tuple[Tier, float]:
    index, rest = divmod(base, BAND_MS)
    return _TIERS[min(int(index), len(_TIERS) - 1)], round((rest - ZERO_MS) / SCORE_MS, SCORE_DIGITS)
