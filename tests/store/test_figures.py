"""The queue's own figures."""

import asyncio

import pytest
from redis.asyncio import Redis

from liqcli.model import Tier
from liqcli.store.queue import BorrowerQueue
from tests.store.conftest import NAMESPACE, entry


async def test_an_empty_queue_has_figures(queue: BorrowerQueue) -> None:
    """Nothing is zero or unknown, never an error."""
    stats = await queue.stats()
    assert (stats.items, stats.leased, stats.dead, stats.in_per_s) == (0, 0, 0, 0)
    assert stats.wait_ms.p50 is None
    assert stats.by_tier[Tier.CRITICAL].oldest_s is None


async def test_depth_and_age_by_tier(queue: BorrowerQueue) -> None:
    """Each tier has its depth and the age of its oldest."""
    await queue.push([entry(1, tier=Tier.HIGH_RISK), entry(2, tier=Tier.SAFE)])
    await asyncio.sleep(0.1)
    await queue.push([entry(3, -1.0, tier=Tier.SAFE)])
    depths = (await queue.stats()).by_tier
    assert [depths[tier].depth for tier in Tier] == [0, 1, 0, 0, 2]
    oldest = depths[Tier.SAFE].oldest_s
    assert oldest is not None
    assert 0.1 <= oldest < 5


async def test_waits_are_measured_from_push_to_claim(queue: BorrowerQueue) -> None:
    """The percentiles are within a fifth of what was waited."""
    await queue.push([entry(number) for number in range(100)])
    await asyncio.sleep(0.2)
    await queue.claim(100)
    stats = await queue.stats()
    assert stats.wait_ms.p50 is not None
    assert 160 < stats.wait_ms.p50 < 400
    assert stats.wait_ms_by_tier[Tier.CRITICAL].p99 == stats.wait_ms.p99
    assert stats.wait_ms_by_tier[Tier.SAFE].p99 is None


async def test_rates_are_per_second(queue: BorrowerQueue) -> None:
    """Ten whole seconds are averaged: 500 in and 200 out make 50 and 20 a second."""
    await queue.push([entry(number) for number in range(500)])
    await queue.done(await queue.claim(200))
    await asyncio.sleep(1.05)
    stats = await queue.stats()
    assert (stats.in_per_s, stats.out_per_s) == (50.0, 20.0)


async def test_figures_do_not_grow(queue: BorrowerQueue, redis: Redis) -> None:
    """A thousand rounds leave a bounded number of counters."""
    for number in range(1000):
        await queue.push([entry(number)])
        await queue.done(await queue.claim(1))
    assert await redis.hlen(f"{{{NAMESPACE}:s0}}:meta") < 150
    assert await redis.dbsize() <= 3


async def test_shards_add_up(redis: Redis) -> None:
    """The figures of four shards are one."""
    queue = BorrowerQueue(redis, namespace=NAMESPACE, shards=4)
    await queue.push([entry(number, tier=Tier.LOW_RISK) for number in range(400)])
    await queue.claim(100)
    stats = await queue.stats()
    assert (stats.items, stats.leased, stats.totals["pushed"]) == (300, 100, 400)
    assert stats.by_tier[Tier.LOW_RISK].depth == 300
    assert stats.wait_ms.p50 == pytest.approx(stats.wait_ms_by_tier[Tier.LOW_RISK].p50)
