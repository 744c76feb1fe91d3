"""The queue's own figures: depth and age by tier, rates, and how long borrowers waited."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from liqcli.model import Tier
from liqcli.store.entries import State, band, is_ours, place, pushed_ms
from liqcli.store.shard import Shard, milliseconds

RATE_SECONDS = 10
HEADS = 100
"""Entries of each tier whose age is read: the next to be served, among them the oldest but for large scores."""


@dataclass(frozen=True, slots=True)
class TierDepth:
    """How many borrowers of a tier are ready, and how long the oldest of the next hundred has waited (None: empty)."""

    depth: int
    oldest_s: float | None


@dataclass(frozen=True, slots=True)
class Waits:
    """Milliseconds from first push to claim over the last 5 to 10 minutes, within a fifth; None: nothing claimed."""

    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class QueueStats:
    """`items` are ready or wait for another try; rates are over the last ten whole seconds; `totals` since the start.

    Totals: pushed, merged, claimed, done, late (refused by the fencing token), retried, expired (leases that ran out),
    died, foreign (members that were no addresses and were thrown out).
    """

    items: int
    leased: int
    dead: int
    later: int
    paused: bool
    by_tier: Mapping[Tier, TierDepth]
    in_per_s: float
    out_per_s: float
    wait_ms: Waits
    wait_ms_by_tier: Mapping[Tier, Waits]
    totals: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ShardFigures:
    """What one shard says of itself."""

    cards: Mapping[State, int]
    depths: Mapping[Tier, int]
    oldest_s: Mapping[Tier, float | None]
    meta: Mapping[str, str]
    second: int
    waits: Counter[tuple[Tier, int]]


async def ask_figures(shard: Shard) -> ShardFigures:
    """Read one shard's figures: two round trips, bounded by constants."""
    keys = shard.keys
    clock, meta, wait0, wait1, *counts = await shard.ask(
        shard.clock,
        ("HGETALL", keys["meta"]),
        ("HGETALL", keys["wait0"]),
        ("HGETALL", keys["wait1"]),
        *(("ZCOUNT", keys["queue"], *place(state)) for state in State),
        *(("ZCOUNT", keys["queue"], *band(tier)) for tier in Tier),
    )
    return ShardFigures(
        cards=dict(zip(State, counts, strict=False)),
        depths=dict(zip(Tier, counts[len(State) :], strict=True)),
        oldest_s=await _oldest(shard),
        meta=_text(meta),
        second=int(clock[0]),
        waits=_waits((_text(wait0), _text(wait1)), int(clock[0])),
    )


def combine(figures: Sequence[ShardFigures]) -> QueueStats:
    """The figures of all shards together."""
    waits = sum((shard.waits for shard in figures), Counter[tuple[Tier, int]]())
    cards = {state: sum(shard.cards[state] for shard in figures) for state in State}
    return QueueStats(
        items=cards[State.READY] + cards[State.LATER],
        leased=cards[State.LEASED],
        dead=cards[State.DEAD],
        later=cards[State.LATER],
        paused=any("paused" in shard.meta for shard in figures),
        by_tier={tier: _depth(figures, tier) for tier in Tier},
        in_per_s=sum(_rate(shard, "i") for shard in figures),
        out_per_s=sum(_rate(shard, "o") for shard in figures),
        wait_ms=_percentiles(waits, Tier),
        wait_ms_by_tier={tier: _percentiles(waits, [tier]) for tier in Tier},
        totals={name: sum(int(shard.meta.get(name, 0)) for shard in figures) for name in _TOTALS},
    )


_TOTALS = ("pushed", "merged", "claimed", "done", "late", "retried", "expired", "died", "foreign")
_WINDOW_S = 300


async def _oldest(shard: Shard) -> dict[Tier, float | None]:
    queue, info = shard.keys["queue"], shard.keys["info"]
    heads = await shard.ask(
        *(("ZRANGEBYSCORE", queue, *band(tier), "WITHSCORES", "LIMIT", 0, HEADS) for tier in Tier),
    )
    members = [member for head in heads for member, _ in head]
    clock, *values = await shard.ask(shard.clock, *((("HMGET", info, *members),) if members else ()))
    stored = dict(zip(members, values[0], strict=True)) if members else {}
    now_ms = milliseconds(clock)
    return {tier: _age_s(now_ms, head, stored) for tier, head in zip(Tier, heads, strict=True)}


def _age_s(now_ms: float, head: Sequence[tuple[bytes, float]], stored: Mapping[bytes, bytes | None]) -> float | None:
    values = ((stored[member], rank) for member, rank in head)
    since = [pushed_ms(value, rank) for value, rank in values if value is not None and is_ours(value)]
    return max(now_ms - min(since), 0.0) / 1000 if since else None


def _depth(figures: Sequence[ShardFigures], tier: Tier) -> TierDepth:
    ages = [age for shard in figures if (age := shard.oldest_s[tier]) is not None]
    return TierDepth(sum(shard.depths[tier] for shard in figures), max(ages, default=None))


def _rate(shard: ShardFigures, side: str) -> float:
    """Per second over the last whole seconds, from a ring of fields `side + slot` = "second:count"."""
    wanted = range(shard.second - RATE_SECONDS, shard.second)
    slots = (shard.meta.get(f"{side}{second % 64}", "0:0").split(":") for second in wanted)
    pairs = ((int(at), int(count)) for at, count in slots)
    return sum(count for at, count in pairs if at in wanted) / RATE_SECONDS


def _waits(windows: Iterable[Mapping[str, str]], second: int) -> Counter[tuple[Tier, int]]:
    found: Counter[tuple[Tier, int]] = Counter()
    current = second // _WINDOW_S
    tiers = tuple(Tier)
    for window in windows:
        if int(window.get("window", -2)) < current - 1:
            continue
        for field, count in window.items():
            if field != "window":
                tier, bucket = field.split(":")
                found[tiers[int(tier)], int(bucket)] += int(count)
    return found


def _percentiles(waits: Counter[tuple[Tier, int]], tiers: Iterable[Tier]) -> Waits:
    wanted = set(tiers)
    buckets = sorted((bucket, count) for (tier, bucket), count in waits.items() if tier in wanted)
    return Waits(*(_percentile(buckets, share) for share in (0.50, 0.95, 0.99)))


def _percentile(buckets: Sequence[tuple[int, int]], share: float) -> float | None:
    """The middle of the bucket in which the share falls; bucket b holds 2**(b/4) - 1 up to 2**((b+1)/4) - 1 ms."""
    reached = list(accumulate(count for _, count in buckets))
    if not reached:
        return None
    bucket = next(bucket for (bucket, _), sum_ in zip(buckets, reached, strict=True) if sum_ >= share * reached[-1])
    return float(2 ** ((bucket + 0.5) / 4) - 1)


def _text(fields: Mapping[bytes, bytes]) -> dict[str, str]:
    return {field.decode(): value.decode() for field, value in fields.items()}
