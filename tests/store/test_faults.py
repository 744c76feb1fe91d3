"""Redis itself in trouble, or other people's data in it."""

import asyncio
import hashlib
import math
import random
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from liqcli.errors import Unreachable
from liqcli.model import Reading, Tier
from liqcli.sandbox.valkey import Valkey, start_valkey
from liqcli.store.cache import HealthCache
from liqcli.store.connection import open_redis
from liqcli.store.queue import BorrowerQueue, State
from tests.store.conftest import NAMESPACE, address, entry, let_end

KEYS = ["queue", "info", "dirty", "reason", "meta", "wait0", "wait1"]


@pytest_asyncio.fixture(loop_scope="session")
async def own_server(tmp_path: Path) -> AsyncIterator[Valkey]:
    """A persistent server that the test may ill-treat."""
    server = await start_valkey(tmp_path / "valkey", persist=True)
    yield server
    await server.stop()


async def _members(queue: BorrowerQueue) -> set[str]:
    return {item.borrower for state in State for item in await queue.ls(state)}


async def _some_of_everything(redis: Redis) -> BorrowerQueue:
    queue = BorrowerQueue(redis, namespace=NAMESPACE, max_tries=1)
    await queue.push([entry(number) for number in range(40)])
    await queue.retry(await queue.claim(10), "dead")
    patient = BorrowerQueue(redis, namespace=NAMESPACE, max_tries=9)
    await patient.retry(await patient.claim(10), "later")
    return queue


async def _ignore_wrong_type(coroutine: object) -> None:
    try:
        await coroutine  # type: ignore[misc]
    except Unreachable as err:
        assert "WRONGTYPE" in err.message  # noqa: PT017 - either it works or it says this


@pytest.mark.parametrize("broken", KEYS)
async def test_a_foreign_type_at_a_key_loses_nothing(redis: Redis, broken: str) -> None:
    """A script that fails half-way because a key is not ours loses no borrower and leaves that key as it is."""
    queue = await _some_of_everything(redis)
    held = await queue.claim(10)
    key = f"{{{NAMESPACE}:s0}}:{broken}"
    before = await _members(queue)
    saved = await redis.dump(key)
    await redis.delete(key)
    await redis.set(key, "foreign")
    everything = [
        queue.push([entry(number) for number in range(50)]),
        queue.claim(5),
        queue.retry(held[:3], "no"),
        queue.release(held[3:5]),
        queue.requeue(address(0)),
        queue.promote(address(15)),
        queue.renew(held),
    ]
    for verb in everything:
        await _ignore_wrong_type(verb)
    assert await redis.get(key) == b"foreign"
    await redis.delete(key)
    if saved is not None:
        await redis.restore(key, 0, saved)
    await _make_all_due(queue, redis)
    assert before <= {claim.borrower for claim in await queue.claim(200)}


async def _make_all_due(queue: BorrowerQueue, redis: Redis) -> None:
    """End all leases and back-offs, forgive all dead letters."""
    for state in (State.LEASED, State.LATER):
        await let_end(redis, state, *[item.borrower for item in await queue.ls(state)])
    for item in await queue.dead():
        await queue.requeue(item.borrower)


def _key(name: str) -> str:
    return f"{{{NAMESPACE}:s0}}:{name}"


async def test_a_foreign_type_is_a_named_error(queue: BorrowerQueue, redis: Redis) -> None:
    """The message says what is wrong, the hint what to do."""
    await redis.set(_key("queue"), "foreign")
    with pytest.raises(Unreachable, match="another type") as caught:
        await queue.push([entry(1)])
    assert "another database" in caught.value.hint
    await redis.set(f"{{{NAMESPACE}:cache}}:readings", "foreign")
    cache = HealthCache(redis, namespace=NAMESPACE)
    with pytest.raises(Unreachable, match="another type"):
        await cache.put_many([(Reading(address(1), 1, 1, 1, 1, 1), 5.0)])
    with pytest.raises(Unreachable, match="another type"):
        await cache.get_many([address(1)])


async def test_members_that_are_no_addresses_are_thrown_out(queue: BorrowerQueue, redis: Redis) -> None:
    """Someone else's members are counted and removed, never handed out; theirs without facts are looked at."""
    dice = random.Random(1)
    garbage = {dice.randbytes(dice.choice([0, 1, 19, 21, 64])): float(number) for number in range(2000)}
    await redis.zadd(_key("queue"), garbage)
    await redis.zadd(_key("queue"), {bytes.fromhex(address(7)[2:]): 0.0})
    await redis.hset(_key("info"), mapping={bytes.fromhex(address(8)[2:]): b"short"})
    await queue.push([entry(8, 0.5), entry(9, 0.5, Tier.SAFE)])
    await queue.claim(5000)
    claims = await queue.claim(5000)
    stats = await queue.stats()
    assert stats.totals["foreign"] == len(garbage)
    assert stats.leased == 3
    assert claims == []
    assert {item.borrower for item in await queue.ls(State.LEASED)} == {address(7), address(8), address(9)}


async def test_a_score_that_is_no_place_is_brought_back(queue: BorrowerQueue, redis: Redis) -> None:
    """Whoever was moved by other hands beyond every place, or never pushed, is looked at all the same."""
    await queue.push([entry(1), entry(2)])
    scores = {1: 8e13, 2: -math.inf, 3: 1e300, 4: -math.inf}
    await redis.zadd(_key("queue"), {bytes.fromhex(address(number)[2:]): score for number, score in scores.items()})
    assert all(item.age_s < 60 for item in await queue.peek())
    assert {claim.borrower for claim in await queue.claim(5)} == {address(number) for number in scores}
    waits = (await queue.stats()).wait_ms
    assert waits.p99 is not None
    assert waits.p99 < 60_000


async def test_foreign_keys_are_never_touched(redis: Redis) -> None:
    """A hundred keys of others are byte for byte the same after everything the queue and the cache can do."""
    for number in range(100):
        await redis.set(f"liq:999:other:{number}", random.Random(number).randbytes(50))
        await redis.zadd(f"bull:{number}", {"job": number})
    before = await _digest(redis)
    queue = await _some_of_everything(redis)
    await queue.done(await queue.claim(5))
    await queue.purge()
    cache = HealthCache(redis, namespace=NAMESPACE)
    await cache.put_many([(Reading(address(1), 1, 1, 1, 1, 1), 5.0)])
    await cache.drop_many([address(1)])
    await queue.clear()
    assert await _digest(redis) == before


async def _digest(redis: Redis) -> str:
    ours = NAMESPACE.encode()
    keys = sorted([key async for key in redis.scan_iter() if ours not in key])
    return hashlib.sha256(b"".join([key + await redis.dump(key) for key in keys])).hexdigest()


async def test_a_dead_server_is_unreachable(own_server: Valkey) -> None:
    """Killed in mid-run, the next command says so at once; started again, everything written is there."""
    redis = await open_redis(own_server.url, timeout_s=1.0)
    queue = BorrowerQueue(redis, namespace=NAMESPACE)
    await queue.push([entry(number) for number in range(1000)])
    held = await queue.claim(100)
    own_server.process.kill()
    started = time.monotonic()
    with pytest.raises(Unreachable, match="is not answering at unix://"):
        await queue.claim(1)
    assert time.monotonic() - started < 0.5
    again = await start_valkey(own_server.process.log.parent, persist=True)
    assert len(await queue.done(held)) == 100
    assert (await queue.stats()).items == 900
    await redis.aclose()
    await again.stop()


async def test_a_hung_server_is_unreachable_in_time(own_server: Valkey) -> None:
    """A stopped process costs one deadline, not ten; after it goes on, so do we."""
    redis = await open_redis(own_server.url, timeout_s=0.3)
    queue = BorrowerQueue(redis, namespace=NAMESPACE)
    await queue.push([entry(1)])
    own_server.process.popen.send_signal(signal.SIGSTOP)
    try:
        for _ in range(2):
            started = time.monotonic()
            with pytest.raises(Unreachable, match="no reply in time"):
                await queue.stats()
            assert time.monotonic() - started < 0.9
    finally:
        own_server.process.popen.send_signal(signal.SIGCONT)
    await asyncio.sleep(0.1)
    assert (await queue.stats()).items == 1
    await redis.aclose()


async def test_a_server_restarted_empty_takes_work_again(own_server: Valkey) -> None:
    """Scripts are loaded again by themselves; late claims are refused, not errors."""
    redis = await open_redis(own_server.url, timeout_s=1.0)
    queue = BorrowerQueue(redis, namespace=NAMESPACE)
    await queue.push([entry(1)])
    held = await queue.claim(1)
    await redis.flushall()
    await redis.script_flush()
    assert await queue.done(held) == []
    assert await queue.push([entry(1)]) == 1
    assert len(await queue.claim(1)) == 1
    await redis.aclose()


async def test_a_full_server_refuses_and_keeps(own_server: Valkey) -> None:
    """Out of memory is an error with a name; what is queued stays and can be worked off."""
    redis = await open_redis(own_server.url, timeout_s=1.0)
    queue = BorrowerQueue(redis, namespace=NAMESPACE)
    await queue.push([entry(number) for number in range(500)])
    await redis.config_set("maxmemory", "1mb")
    with pytest.raises(Unreachable, match="out of memory"):
        await queue.push([entry(number) for number in range(500, 1000)])
    assert (await queue.stats()).items == 500
    await redis.config_set("maxmemory", "0")
    assert len(await queue.done(await queue.claim(500))) == 500
    await redis.aclose()
