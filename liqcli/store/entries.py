"""What the queue holds: its nouns, and how one borrower is packed into the bytes the Lua scripts work on."""

import math
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

from liqcli.errors import InputError
from liqcli.model import Address, Tier

SCORE_LIMIT = 1000.0
SCORE_MS = 60_000
SCORE_DIGITS = 4
BAND_MS = 1e13
"""Width of a tier, and of each place that is not `ready`, in the scores."""
ZERO_MS = 1e8
"""Offset that keeps the most urgent score of a tier inside its band."""
REASON_BYTES = 80

_HEAD = struct.Struct("<dddH")
_FRONT = struct.Struct("<20sBdddH")
_ROW = struct.Struct("<20sBdddHBQ")
_TAIL = struct.Struct("<dH")
_SHORT = struct.Struct("<BQ")
_FACTS = _HEAD.size + _SHORT.size
_TIERS = tuple(Tier)
_BASES = {tier: index * BAND_MS + ZERO_MS for index, tier in enumerate(_TIERS)}


class State(StrEnum):
    """Where a borrower is: exactly one of these."""

    READY = "ready"
    LEASED = "leased"
    LATER = "later"
    DEAD = "dead"


_STATES = tuple(State)


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


def band(tier: Tier) -> tuple[str, str]:
    """The ranks a tier occupies, as Redis takes them: the first is one of them, the last is not."""
    index = _TIERS.index(tier)
    return repr(index * BAND_MS), f"({(index + 1) * BAND_MS!r}"


def place(state: State) -> tuple[str, str]:
    """The scores of a state, as Redis takes them; those of all ready borrowers are their ranks."""
    start = (len(_TIERS) + _STATES.index(state) - 1) * BAND_MS
    return "-inf" if state is State.READY else repr(start), f"({start + BAND_MS!r}"


def pack_addresses(borrowers: Sequence[Address]) -> bytes:
    """The members of these, one after the other."""
    digits = [borrower[2:] for borrower in borrowers if len(borrower) == 42 and borrower[:2] == "0x"]
    with suppress(ValueError):
        members = bytes.fromhex("".join(digits))
        if len(members) == 20 * len(borrowers):
            return members
    return b"".join(map(pack_address, borrowers))  # says which of them is none


def pack_entries(entries: Sequence[Entry]) -> tuple[bytes, bytes]:
    """The columns a push takes: members with their values, and bases."""
    members = pack_addresses([entry.borrower for entry in entries])
    bases = [base_of(entry.tier, entry.score) for entry in entries]
    parts: list[bytes] = []
    add = parts.append
    for first, entry, base in zip(range(0, len(members), 20), entries, bases, strict=True):
        member, health_factor, because = members[first : first + 20], entry.health_factor, _clipped(entry.because)
        if health_factor is not None and health_factor < 2**64:  # by far the most: one step instead of three
            add(_ROW.pack(member, _FACTS + len(because), 0.0, 0.0, base, 0, 8, health_factor))
            add(because)
        else:
            facts = pack_wide(health_factor) + because
            add(_FRONT.pack(member, _HEAD.size + len(facts), 0.0, 0.0, base, 0))
            add(facts)
    return b"".join(parts), _doubles(bases)


def pack_item(item: QueueItem) -> bytes:
    """A value as `pack_entries` makes it, of a borrower that was exported, with its tries."""
    head = _HEAD.pack(0.0, 0.0, base_of(item.tier, item.score), item.tries)
    return head + pack_wide(item.health_factor) + _clipped(item.because)


def pack_claims(claims: Sequence[Claim]) -> tuple[bytes, bytes]:
    """The columns that prove leases: members and tokens."""
    return pack_addresses([claim.borrower for claim in claims]), _doubles([claim.token for claim in claims])


def unpack_claims(reply: Sequence[Any]) -> list[Claim]:
    """The claims in an answer of the claim script: a token, then members and the rest of their values."""
    token, *rows = reply
    return [_unpack_claim(token, member, rest) for member, rest in zip(rows[::2], rows[1::2], strict=True)]


def unpack_item(member: bytes, value: bytes, score: float, now_ms: float, failure: bytes | None) -> QueueItem:
    """An operator's view of a stored value; `score` says where it is."""
    pushed, _, base, tries = _HEAD.unpack_from(value)
    tier, urgency = _split(base)
    health_factor, because = unpack_wide(value[_HEAD.size :])
    state = _state_at(score)
    since = score - base if state is State.READY else pushed
    return QueueItem(
        borrower=unpack_address(member),
        score=urgency,
        tier=tier,
        health_factor=health_factor,
        because=_text(because),
        age_s=max(now_ms - since, 0.0) / 1000 if since > 0 else 0.0,  # another's rank says nothing
        tries=tries,
        state=state,
        failure=None if failure is None else failure.decode(errors="replace"),
    )


def pushed_ms(value: bytes, rank: float) -> float:
    """The server's time of the first push of a ready borrower."""
    base: float = _HEAD.unpack_from(value)[2]
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


@lru_cache(maxsize=1024)
def _text(because: bytes) -> str:
    return because.decode(errors="replace")


def _doubles(numbers: Sequence[float]) -> bytes:
    return struct.pack(f"<{len(numbers)}d", *numbers)


def _state_at(score: float) -> State:
    places_after_ready = int(min(max(score / BAND_MS - len(_TIERS) + 1, 0), len(_STATES) - 1))
    return _STATES[places_after_ready]


def _unpack_claim(token: int, member: bytes, rest: bytes) -> Claim:
    base, tries = _TAIL.unpack_from(rest)
    tier, score = _split(base)
    health_factor, because = unpack_wide(rest[_TAIL.size :])
    return Claim("0x" + member.hex(), token, score, tries, tier, _text(because), health_factor)


def _split(base: float) -> tuple[Tier, float]:
    index = min(int(base // BAND_MS), len(_TIERS) - 1)
    return _TIERS[index], round((base - index * BAND_MS - ZERO_MS) / SCORE_MS, SCORE_DIGITS)
