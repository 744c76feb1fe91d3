"""A node of the cluster dies: with a replica the shards go on there, without one they wait; the others work."""

import asyncio
from pathlib import Path

import pytest

from liqcli.errors import Unreachable
from liqcli.sandbox.cluster import start_cluster
from liqcli.store.connection import open_redis
from liqcli.store.queue import BorrowerQueue
from tests.cluster.conftest import NAMESPACE
from tests.cluster.test_cluster import address, entries


async def _push_all(queue: BorrowerQueue, numbers: range) -> int:
    """Push until every shard has taken it, as the engine does; returns how many refusals there were."""
    refused = 0
    async with asyncio.timeout(30):
        while True:
            try:
                await queue.push(entries(numbers))
            except Unreachable:
                refused += 1
                await asyncio.sleep(0.2)
            else:
                return refused


async def test_a_replica_takes_over(tmp_path: Path) -> None:
    """After the death of a primary pushes are refused for some seconds, then all works; what was done twice is merged.

    What the replica had not received is lost: the push after it (the next sweep of a run) brings it back.
    """
    cluster = await start_cluster(tmp_path, primaries=3, replicas=3)
    try:
        redis = await open_redis(cluster.url, timeout_s=1.0)
        queue = BorrowerQueue(redis, namespace=NAMESPACE)
        await queue.push(entries(range(500)))
        cluster.nodes[0].process.kill()
        assert await _push_all(queue, range(500)) > 0
        seen = set()
        while claims := await queue.claim(100):
            seen |= {claim.borrower for claim in await queue.done(claims)}
        assert seen == {address(number) for number in range(500)}
        await redis.aclose()
    finally:
        await cluster.stop()


async def test_without_a_replica_the_other_shards_go_on(tmp_path: Path) -> None:
    """Claims in hand are returned although a node is gone; a push says which server does not answer."""
    cluster = await start_cluster(tmp_path, primaries=3)
    try:
        redis = await open_redis(cluster.url, timeout_s=1.0)
        queue = BorrowerQueue(redis, namespace=NAMESPACE)
        await queue.push(entries(range(300)))
        cluster.nodes[0].process.kill()
        seen: set[str] = set()
        for _ in range(60):
            try:
                seen |= {claim.borrower for claim in await queue.done(await queue.claim(20))}
            except Unreachable:
                await asyncio.sleep(0.05)
        assert len(seen) >= 100
        with pytest.raises(Unreachable, match="cluster"):
            await queue.push(entries(range(300)))
        await redis.aclose()
    finally:
        await cluster.stop()
