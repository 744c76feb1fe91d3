"""One leader at a time, each with a higher epoch than the one before."""

import asyncio

import pytest
from redis.asyncio import Redis

from liqcli.errors import AlreadyRunning, Unreachable
from liqcli.sandbox.valkey import start_valkey
from liqcli.store.connection import open_redis
from liqcli.store.leader import LeaderLease
from tests.store.conftest import NAMESPACE

LEASE_S = 0.2


def lease(redis: Redis, owner: str, lease_s: float = LEASE_S) -> LeaderLease:
    """The claim of a process of that name."""
    return LeaderLease(redis, namespace=NAMESPACE, owner=owner, lease_s=lease_s)


async def test_of_twenty_racers_one_leads(redis: Redis) -> None:
    """However many ask at once, one acquires the lease."""
    racers = [lease(redis, str(number), 5.0) for number in range(20)]
    assert sum(await asyncio.gather(*(racer.acquire() for racer in racers))) == 1
    assert [racer.is_held for racer in racers].count(True) == 1


async def test_a_standby_takes_over_from_the_dead(redis: Redis) -> None:
    """A leader that stops renewing is followed within a lease and a quarter, with a higher epoch."""
    first, second, told = lease(redis, "first"), lease(redis, "second"), []
    assert await first.acquire()
    assert not await second.acquire()
    async with asyncio.timeout(10 * LEASE_S):
        await second.stand_by(told.append)
    assert told == [f"standby: first (epoch {first.epoch}) leads"]
    assert second.epoch == first.epoch + 1
    assert (await second.leader()).owner == "second"


async def test_a_deposed_leader_is_told_and_fenced(redis: Redis) -> None:
    """It hears of its end once, its renewals and its sends are refused, and it cannot release what is not its own."""
    first, second, heard = lease(redis, "first"), lease(redis, "second", 5.0), []
    await first.acquire()
    await asyncio.sleep(LEASE_S)
    await second.acquire()
    await first.keep(heard.append)
    assert heard == ["leadership went to second (epoch 2); ours was epoch 1"]
    assert not first.is_held
    with pytest.raises(AlreadyRunning):
        await first.fence()
    await first.release()
    assert second.is_held
    assert await second.renew()


async def test_a_kept_lease_outlives_its_length(redis: Redis) -> None:
    """While the leader lives no standby comes in."""
    first, second = lease(redis, "first"), lease(redis, "second")
    await first.acquire()
    keeping = asyncio.create_task(first.keep(lambda _: None))
    await asyncio.sleep(3 * LEASE_S)
    assert not await second.acquire()
    assert first.epoch == 1
    keeping.cancel()


async def test_a_released_lease_is_free_at_once(redis: Redis) -> None:
    """A leader that ends in order leaves no gap."""
    first, second = lease(redis, "first", 60.0), lease(redis, "second", 60.0)
    await first.acquire()
    await first.release()
    assert not first.is_held
    assert await second.acquire()


async def test_a_silent_redis_ends_certainty_and_its_return_restores_it(tmp_path) -> None:
    """No answer for a lease: not certain to lead, no send passes; once it answers again the leader goes on."""
    server = await start_valkey(tmp_path / "valkey", persist=True)
    client = await open_redis(server.url, timeout_s=0.2)
    first, heard = lease(client, "first"), []
    await first.acquire()
    keeping = asyncio.create_task(first.keep(heard.append))
    server.process.kill()
    await asyncio.sleep(LEASE_S)
    assert not first.is_held
    with pytest.raises(Unreachable):
        await first.fence()
    again = await start_valkey(tmp_path / "valkey", persist=True)
    async with asyncio.timeout(5):
        while not first.is_held:
            await asyncio.sleep(0.02)
    assert heard == []
    assert first.epoch == 1
    keeping.cancel()
    await client.aclose()
    await again.stop()


async def test_an_emptied_redis_does_not_bring_an_old_leader_back(redis: Redis) -> None:
    """Epochs start anew there, so the owner's name decides: who came first on the empty server leads."""
    first, second = lease(redis, "first"), lease(redis, "second", 5.0)
    await first.acquire()
    await redis.flushdb()
    assert await second.acquire()
    with pytest.raises(AlreadyRunning):
        await first.fence()
    assert not first.is_held
