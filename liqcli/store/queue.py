"""The priority queue of borrowers in Redis: many workers, one holder at a time, none lost.

**Order.** A borrower's rank is its tier, then the time of its first push plus its score times 60 s: a more urgent
tier always comes first, and inside a tier one unit of score weighs as much as a minute of waiting, so in the end an
older entry overtakes newer, more urgent ones. Lower scores are more urgent; they are cut to +-1000. Across tiers, one
place in eight of what is claimed goes to a lower tier's entry that has waited longer than `STARVING_S`, so no tier
starves either. The rank is made here: whatever score a caller gives, it cannot leave its tier.

**Life.** `push` makes a borrower ready, or merges into the entry that is there: most urgent tier and score, oldest age,
newest health factor, all reasons (bounded). `claim` leases; the lease ends by the server's clock. `done` forgets the
borrower unless something arrived meanwhile: then it is ready again with those facts. `retry` waits 1, 2, 4 .. 60 s, and
after `max_tries` failures lays it with the dead letters, from where a new push wakes it for one more try: failing is no
reason to stop watching. A lease that runs out counts as a try. A push wakes a waiting retry only if its tier rises.

**Names.** Keys are `{namespace:sN}:queue` and so on, one hash slot a shard. With several shards order holds within each
shard, and critical borrowers are taken from every shard first. Members are 20 raw bytes.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, TypeVar

from redis.asyncio.cluster import RedisCluster

from liqcli.errors import Unreachable
from liqcli.model import Address, Tier
from liqcli.store.connection import Client
from liqcli.store.entries import (
    SCORE_LIMIT,
    Claim,
    Entry,
    QueueItem,
    State,
    band,
    base_of,
    clip,
    pack_address,
    pack_claims,
    pack_entries,
    pack_item,
    unpack_claims,
)
from liqcli.store.figures import QueueStats, ask_figures, combine
from liqcli.store.shard import Shard

__all__ = ["BorrowerQueue", "Claim", "Entry", "QueueItem", "QueueStats", "State", "namespace_of"]

_HasBorrower = TypeVar("_HasBorrower", Entry, Claim, QueueItem)
_Answer = TypeVar("_Answer")

SCHEMA = "v2"
BATCH = 2000
"""Borrowers in one script call: a few milliseconds of the server's time."""
PUSH_BATCH = 1000
IN_FLIGHT = 4
"""Pushes under way at once: we pack the next while the server works on the last."""
CLUSTER_SHARDS = 8
"""The same for every process, since it says where a borrower is; names that end in 0 to 7 spread over all slots."""
PAGE = 500
PEEK_LIMIT = 1000
STARVING_S = 60.0
BACK_OFF_S = 1.0
BACK_OFF_LIMIT_S = 60.0
FAILURE_BYTES = 200


def namespace_of(chain_id: int, market: str) -> str:
    """The prefix of every key of a market's queue and cache, with the schema's version."""
    return f"liq:{chain_id}:{market}:{SCHEMA}"


class BorrowerQueue:
    """A market's queue; safe to use from any number of tasks, processes and machines at once."""

    def __init__(
        self, redis: Client, *, namespace: str, shards: int | None = None, lease_s: float = 30.0, max_tries: int = 5
    ) -> None:
        count = shards or (CLUSTER_SHARDS if isinstance(redis, RedisCluster) else 1)
        self._shards = [Shard(redis, f"{namespace}:s{number}") for number in range(count)]
        self._lease_ms = round(lease_s * 1000)
        self._max_tries = max_tries
        self._turn = 0

    async def push(self, entries: Sequence[Entry]) -> int:
        """Queue these borrowers; returns how many were not known, the others were merged."""
        unique = len({entry.borrower for entry in entries}) == len(entries)
        parts = [part for batch in _batches(entries, PUSH_BATCH) for part in self._split(batch)]
        waiting = iter(parts)

        async def lane() -> int:
            return sum([await _push(*part, unique=unique) for part in waiting])

        lanes = min(IN_FLIGHT, len(parts)) if unique else 1  # a borrower's entries must arrive in their order
        return sum(await _at_once([lane() for _ in range(lanes)]))

    async def claim(self, count: int, *, at_most: Tier = Tier.SAFE) -> list[Claim]:
        """Lease up to `count` of the most urgent borrowers, of tiers at least as urgent as `at_most`.

        Nothing is claimed while the queue is paused.
        """
        self._turn += 1
        turn = self._turn % len(self._shards)
        shards = self._shards[turn:] + self._shards[:turn]
        if len(shards) == 1 or at_most is Tier.CRITICAL:
            return await self._claim_from(shards, count, take=at_most, at_most=at_most)
        critical, urgent = await _with_critical(shards), list[Claim]()
        with suppress(Unreachable):  # other shards may still have what is less urgent
            urgent += await self._claim_from(critical, count, take=Tier.CRITICAL, at_most=at_most)
        try:
            return urgent + await self._claim_from(shards, count - len(urgent), take=at_most, at_most=at_most)
        except Unreachable:
            if urgent:
                return urgent
            raise

    async def renew(self, claims: Sequence[Claim]) -> list[Claim]:
        """Start these leases anew; returns those still ours: stop work on the others."""
        return await self._settle("renew", claims, self._lease_ms)

    async def done(self, claims: Sequence[Claim]) -> list[Claim]:
        """Finish these borrowers; returns those that were still ours. The others belong to somebody else by now."""
        return await self._settle("done", claims)

    async def retry(self, claims: Sequence[Claim], reason: str) -> list[Claim]:
        """Put back what failed, with a growing pause, or among the dead letters; returns those that were still ours."""
        pauses = (round(BACK_OFF_S * 1000), round(BACK_OFF_LIMIT_S * 1000))
        return await self._settle("retry", claims, self._max_tries, *pauses, clip(reason, FAILURE_BYTES))

    async def release(self, claims: Sequence[Claim]) -> list[Claim]:
        """Give leases back untouched, as when a worker ends; returns those that were still ours."""
        return await self._settle("release", claims)

    async def peek(self, count: int = 20) -> list[QueueItem]:
        """The most urgent borrowers, ready or leased; takes nothing out."""
        wanted = min(count, PEEK_LIMIT)
        found: list[QueueItem] = []
        for shard in self._shards:
            for state in (State.LEASED, State.READY):
                found += await shard.items(await shard.page(state, 0, wanted))
        return sorted(found, key=_urgency)[:wanted]

    async def show(self, borrower: Address) -> QueueItem | None:
        """One borrower, or None when the queue does not hold it."""
        member = pack_address(borrower)
        return next(iter(await self._shard_of(member).items([member])), None)

    async def ls(self, state: State, *, first: int = 0, count: int = 100) -> list[QueueItem]:
        """A page of the borrowers in one state, in each shard's order."""
        found: list[QueueItem] = []
        for shard in self._shards:
            found += await shard.items(await shard.page(state, first, min(count, PEEK_LIMIT)))
        return found

    async def dead(self, count: int = 100) -> list[QueueItem]:
        """The dead letters, earliest first, each with why it failed."""
        return await self.ls(State.DEAD, count=count)

    async def stats(self) -> QueueStats:
        """Depth, age, rates and waits, from a bounded number of reads."""
        return combine([await ask_figures(shard) for shard in self._shards])

    async def promote(self, borrower: Address) -> bool:
        """Put one borrower in front of all others; false when it is not here or a worker holds it."""
        return await self._mend("promote", borrower, repr(base_of(Tier.CRITICAL, -SCORE_LIMIT)))

    async def requeue(self, borrower: Address) -> bool:
        """Make a dead or waiting borrower ready with no failures on record; false when it is neither."""
        return await self._mend("requeue", borrower, "")

    async def purge(self, tier: Tier | None = None) -> int:
        """Drop the borrowers of a tier (of all) that nobody holds, dead letters too; returns how many."""
        return sum([await _each_free(shard, "drop", tier) for shard in self._shards])

    async def purgeable(self, tier: Tier | None = None) -> int:
        """How many `purge` would drop now."""
        return sum([await _each_free(shard, "count", tier) for shard in self._shards])

    async def clear(self) -> None:
        """Delete everything of this queue, leases and counters too."""
        for shard in self._shards:
            await shard.ask(("UNLINK", *shard.keys.values()))

    async def pause(self) -> None:
        """Stop handing out claims; pushes still come in and leases still end."""
        for shard in self._shards:
            await shard.ask(("HSET", shard.keys["meta"], "paused", 1))

    async def resume(self) -> None:
        """Hand out claims again."""
        for shard in self._shards:
            await shard.ask(("HDEL", shard.keys["meta"], "paused"))

    async def is_paused(self) -> bool:
        """Whether claims are being held back."""
        replies = [await shard.ask(("HEXISTS", shard.keys["meta"], "paused")) for shard in self._shards]
        return any(bool(paused) for [paused] in replies)

    async def export(self) -> AsyncIterator[QueueItem]:
        """Every borrower here; one that changes meanwhile may be given twice or as it was."""
        for shard in self._shards:
            cursor = 0
            while True:
                [[cursor, found]] = await shard.ask(("HSCAN", shard.keys["info"], cursor, "COUNT", PAGE))
                for item in await shard.items(list(found)):
                    yield item
                if int(cursor) == 0:
                    break

    async def load(self, items: Iterable[QueueItem]) -> int:
        """Take exported borrowers in with their age and tries, but not over those already here; returns how many."""
        loaded = 0
        pending = iter(items)
        while batch := list(islice(pending, PAGE)):
            for shard, part in self._split(batch):
                loaded += int(await shard.run("load", [arg for item in part for arg in _exported(item)]))
        return loaded

    async def _claim_from(self, shards: Sequence[Shard], count: int, *, take: Tier, at_most: Tier) -> list[Claim]:
        """Those down to tier `take`, and starving ones down to `at_most`."""
        ceiling = band(take)[1]
        lowest, starving_ms = list(Tier).index(at_most), round(STARVING_S * 1000)
        claims: list[Claim] = []
        silent: list[Unreachable] = []
        for shard in shards:
            while len(claims) < count:
                wanted = min(count - len(claims), BATCH)
                try:
                    reply = await shard.run("claim", (wanted, self._lease_ms, ceiling, starving_ms, lowest))
                except Unreachable as err:
                    silent.append(err)
                    break
                claims += unpack_claims(reply)
                if len(reply) // 2 < wanted:
                    break
        if silent and not claims:
            raise silent[0]
        return claims  # leased to us: work, although a shard did not answer

    async def _settle(self, script: str, claims: Sequence[Claim], *args: bytes | str | int) -> list[Claim]:
        parts = [part for batch in _batches(claims) for part in self._split(batch)]
        answers = await _at_once([shard.run(script, (*pack_claims(part), *args)) for shard, part in parts])
        ours: list[Claim] = []
        for (_, part), refused in zip(parts, map(set, answers), strict=True):
            ours += [claim for place, claim in enumerate(part) if place not in refused] if refused else part
        return ours

    async def _mend(self, deed: str, borrower: Address, argument: str) -> bool:
        member = pack_address(borrower)
        return bool(await self._shard_of(member).run("mend", (deed, argument, member)))

    def _shard_of(self, member: bytes) -> Shard:
        return self._shards[int.from_bytes(member[:4], "big") % len(self._shards)]

    def _split(self, batch: Sequence[_HasBorrower]) -> Iterable[tuple[Shard, Sequence[_HasBorrower]]]:
        if len(self._shards) == 1:
            return [(self._shards[0], batch)]
        parts: dict[Shard, list[_HasBorrower]] = {}
        for item in batch:
            parts.setdefault(self._shard_of(pack_address(item.borrower)), []).append(item)
        return parts.items()


async def _at_once(asked: Sequence[Coroutine[Any, Any, _Answer]]) -> list[_Answer]:
    """All answers; an error is raised after the last of them, so that no shard misses what another one refused."""
    if len(asked) == 1:
        return [await asked[0]]  # a task less
    answers = await asyncio.gather(*asked, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return [answer for answer in answers if not isinstance(answer, BaseException)]


async def _with_critical(shards: Sequence[Shard]) -> list[Shard]:
    """The shards that have a critical borrower ready: all asked at once, for a visit to each costs a round trip."""
    last = band(Tier.CRITICAL)[1]
    try:
        counts = await shards[0].ask(*(("ZCOUNT", shard.keys["queue"], "-inf", last) for shard in shards))
    except Unreachable:
        return list(shards)  # a node is away: the others' turn comes all the same
    return [shard for shard, ready in zip(shards, counts, strict=True) if ready]


async def _push(shard: Shard, entries: Sequence[Entry], *, unique: bool) -> int:
    return int(await shard.run("push", (int(unique), *pack_entries(entries))))


async def _each_free(shard: Shard, deed: str, tier: Tier | None) -> int:
    """Page through what nobody holds; what stays moves the next page on."""
    argument = "" if tier is None else str(list(Tier).index(tier))
    meant = 0
    for state in (State.READY, State.LATER, State.DEAD):
        first = 0
        while members := await shard.page(state, first, PAGE):
            changed = int(await shard.run("mend", (deed, argument, *members)))
            first += len(members) - (changed if deed == "drop" else 0)
            meant += changed
    return meant


def _exported(item: QueueItem) -> tuple[bytes | str | float, ...]:
    failure, is_dead = clip(item.failure or "", FAILURE_BYTES), int(item.state is State.DEAD)
    return pack_address(item.borrower), item.age_s * 1000, failure, is_dead, pack_item(item)


def _urgency(item: QueueItem) -> float:
    return base_of(item.tier, item.score) - item.age_s * 1000


def _batches(items: Sequence[_HasBorrower], size: int = BATCH) -> Iterable[Sequence[_HasBorrower]]:
    return (items[first : first + size] for first in range(0, len(items), size))
