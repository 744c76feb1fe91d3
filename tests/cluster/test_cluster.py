"""The queue on Redis Cluster: shards by hash tag, nothing lost between them."""

import asyncio
import random
import time

from redis.asyncio.cluster import RedisCluster
from redis.crc import key_slot

from liqcli.model import Reading, Tier
from liqcli.sandbox.cluster import SLOTS, Cluster
from liqcli.store.cache import HealthCache
from liqcli.store.connection import open_redis
from liqcli.store.leader import LeaderLease
from liqcli.store.queue import BorrowerQueue, Entry, State
from tests.cluster.conftest import NAMESPACE


def address(number: int) -> str:
    """A fixed, spread-out address for a number."""
    return f"0x{random.Random(number).getrandbits(160):040x}"


def entries(numbers: range, tier: Tier = Tier.CRITICAL) -> list[Entry]:
    """Entries of one tier."""
    return [Entry(address(number), 0.5, tier, 10**18, "borrow") for number in numbers]


async def test_any_node_opens_the_whole_cluster(nodes: Cluster) -> None:
    """A plain redis:// URL of one node is enough: the client finds the others, and every node holds shards."""
    client = await open_redis(f"redis://127.0.0.1:{nodes.nodes[2].port}", timeout_s=5.0)
    assert isinstance(client, RedisCluster)
    assert len(client.get_primaries()) == 3
    await client.aclose()
    for name in ("hyperlend", "hypurrfi", "sandbox", "x"):
        queue = BorrowerQueue(client, namespace=f"liq:999:{name}:v1")
        slots = [key_slot(shard.keys["queue"]) for shard in queue._shards]
        assert {slot * 3 // SLOTS for slot in slots} == {0, 1, 2}


async def test_everything_pushed_is_claimed_once(cluster: RedisCluster) -> None:
    """5,000 borrowers over all nodes: each claimed once, finished once, none left."""
    queue = BorrowerQueue(cluster, namespace=NAMESPACE)
    assert await queue.push(entries(range(5000))) == 5000
    assert await queue.push(entries(range(100))) == 0
    seen: list[str] = []
    while claims := await queue.claim(400):
        seen += [claim.borrower for claim in claims]
        assert len(await queue.done(claims)) == len(claims)
    assert sorted(seen) == sorted(address(number) for number in range(5000))
    stats = await queue.stats()
    assert (stats.items, stats.leased, stats.totals["done"]) == (0, 0, 5000)


async def test_four_workers_share_the_cluster(cluster: RedisCluster) -> None:
    """No borrower is held twice and none is left, with retries, releases and late events in between."""
    queue, done, dice = BorrowerQueue(cluster, namespace=NAMESPACE), set[str](), random.Random(3)
    await queue.push(entries(range(2000)))

    async def work() -> None:
        while claims := await queue.claim(50):
            back, now = claims[: len(claims) // 5], claims[len(claims) // 5 :]
            if len(done) < 1000:
                again = dice.choice(claims).borrower
                await queue.push([Entry(again, 0.1, Tier.SAFE, 1, "price")])
            assert len(await queue.done(now)) == len(now)
            done.update(claim.borrower for claim in now)
            assert len(await queue.release(back)) == len(back)

    await asyncio.gather(*(work() for _ in range(4)))
    while claims := await queue.claim(500):
        done.update(claim.borrower for claim in await queue.done(claims))
    assert len(done) == 2000


async def test_critical_first_from_every_shard(cluster: RedisCluster) -> None:
    """While any shard has a critical borrower no lower tier is claimed, but for starving ones."""
    queue = BorrowerQueue(cluster, namespace=NAMESPACE)
    await queue.push(entries(range(1000), Tier.SAFE))
    await queue.push(entries(range(1000, 1080)))
    got = [await queue.claim(16) for _ in range(5)]
    assert [[claim.tier for claim in claims].count(Tier.CRITICAL) for claims in got] == [16] * 5
    assert {claim.tier for claim in await queue.claim(200, at_most=Tier.HIGH_RISK)} <= {Tier.CRITICAL}


async def test_leases_end_on_every_node(cluster: RedisCluster) -> None:
    """Claims of a dead worker come back from all shards, a few claims later."""
    dead = BorrowerQueue(cluster, namespace=NAMESPACE, lease_s=0.1)
    await dead.push(entries(range(200)))
    assert len(await dead.claim(200)) == 200
    await asyncio.sleep(0.15)
    queue = BorrowerQueue(cluster, namespace=NAMESPACE)
    again = [claim for _ in range(len(queue._shards)) for claim in await queue.claim(200)]
    assert len(again) == 200
    assert {claim.tries for claim in again} == {1}


async def test_the_operators_hand_reaches_every_shard(cluster: RedisCluster) -> None:
    """ls, export, pause, purge, promote and the dead letters cover all nodes."""
    queue = BorrowerQueue(cluster, namespace=NAMESPACE, max_tries=1)
    await queue.push(entries(range(60)) + entries(range(60, 100), Tier.SAFE))
    await queue.retry(await queue.claim(20, at_most=Tier.CRITICAL), "why")
    assert len(await queue.dead(100)) == 20
    assert len([item async for item in queue.export()]) == 100
    await queue.pause()
    assert await queue.claim(10) == []
    await queue.resume()
    assert await queue.promote(address(99))
    first_of_each = [claim for _ in queue._shards for claim in await queue.claim(1)]
    assert address(99) in {claim.borrower for claim in first_of_each}
    assert await queue.purge(Tier.SAFE) == 39
    assert len(await queue.ls(State.READY)) + len(first_of_each) == 41


async def test_cache_and_leadership_work_there(cluster: RedisCluster) -> None:
    """Their keys lie in one slot each, and freshness is judged by the clock of the node that holds them."""
    cache = HealthCache(cluster, namespace=NAMESPACE)
    readings = [Reading(address(number), 1, 2, 3, 4, 5) for number in range(50)]
    await cache.put_many([(reading, 0.2 if number < 20 else 30.0) for number, reading in enumerate(readings)])
    assert len(await cache.get_many([reading.borrower for reading in readings])) == 50
    await asyncio.sleep(0.3)
    assert len(await cache.get_many([reading.borrower for reading in readings])) == 30
    first, second = (LeaderLease(cluster, namespace=NAMESPACE, owner=name) for name in "ab")
    assert await first.acquire()
    assert not await second.acquire()
    assert (await second.leader()).owner == "a"


async def test_an_idle_claim_is_quick(cluster: RedisCluster) -> None:
    """A worker that finds nothing has asked few nodes, not every shard one after the other."""
    queue = BorrowerQueue(cluster, namespace=NAMESPACE)
    await queue.claim(50)
    started = time.perf_counter()
    for _ in range(20):
        await queue.claim(50)
    assert (time.perf_counter() - started) / 20 < 0.05
