"""One owner per key on one Redis, by the server's clock."""

import asyncio
import os
import signal

import pytest

from liqcli.errors import AlreadyRunning
from liqcli.sandbox.valkey import start_valkey
from liqcli.store.connection import open_redis
from liqcli.store.ownership import Ownership, owning

NAME = "liq:999:key:0xabc:v1"


def lease(redis, owner, lease_s=10.0):
    """A claim on the key."""
    return Ownership(redis, name=NAME, owner=owner, lease_s=lease_s)


@pytest.mark.usefixtures("redis")
async def test_twenty_races_have_one_owner_each(valkey):
    """Of ten that take the key at once over connections of their own, exactly one gets it, twenty times over."""
    clients = [await open_redis(valkey.url, timeout_s=5.0) for _ in range(10)]
    for race in range(20):
        name = f"{NAME}:{race}"
        claims = [Ownership(client, name=name, owner=f"bot {n}") for n, client in enumerate(clients)]
        results = await asyncio.gather(*(claim.take() for claim in claims), return_exceptions=True)
        assert [isinstance(result, AlreadyRunning) for result in results].count(False) == 1
        assert sum(claim.is_held for claim in claims) == 1
    for client in clients:
        await client.aclose()


async def test_the_error_names_the_owner(redis):
    """Whoever is refused learns who has the key."""
    await lease(redis, "host-a:/data/a.lock").take()
    with pytest.raises(AlreadyRunning, match=r"host-a:/data/a\.lock"):
        await lease(redis, "host-b:/data/b.lock").take()


async def test_the_epoch_rises_with_each_taking_and_not_with_renewals(redis):
    """So that what was signed under an older one can be told."""
    first = lease(redis, "a")
    await first.take()
    await first.take()
    assert first.epoch == 1
    await first.release()
    second = lease(redis, "b")
    await second.take()
    assert second.epoch == 2


async def test_a_successor_behind_the_same_lock_takes_over_at_once(redis):
    """A process killed with -9 does not keep its own successor waiting, and could not go on beside it."""
    killed, successor = lease(redis, "host:/data/x.lock"), lease(redis, "host:/data/x.lock")
    await killed.take()
    await successor.take()
    assert successor.epoch == killed.epoch + 1
    with pytest.raises(AlreadyRunning):
        await killed.take()
    assert not killed.is_held


async def test_a_lease_that_ran_out_is_free_and_its_owner_knows(redis):
    """Without renewal the key is free after the lease, and the former owner stopped believing before."""
    dead = lease(redis, "a", lease_s=0.3)
    await dead.take()
    assert dead.is_held
    await asyncio.sleep(0.28)
    assert not dead.is_held
    with pytest.raises(AlreadyRunning):
        await lease(redis, "b").take()
    await asyncio.sleep(0.05)
    await lease(redis, "b").take()
    with pytest.raises(AlreadyRunning):
        await dead.take()


async def test_a_kept_lease_outlives_its_length(redis):
    """Renewals go on in the background, and the end gives the key back at once."""
    async with owning(redis, chain_id=999, address="0xabc", owner="a") as owned:
        owned._lease_s = 0.2
        await asyncio.sleep(0.01)
        assert owned.is_held
        with pytest.raises(AlreadyRunning):
            await lease(redis, "b").take()
    await lease(redis, "b").take()


async def test_a_wiped_server_gives_the_key_back_to_whoever_renews(redis):
    """After FLUSHALL the owner goes on under a higher epoch."""
    owned = lease(redis, "a")
    await owned.take()
    await redis.flushdb()
    await owned.take()
    assert (owned.is_held, owned.epoch) == (True, 2)


async def test_a_hung_server_ends_the_ownership(tmp_path):
    """While Redis does not answer, the owner counts on the lease only as long as it surely lasts."""
    server = await start_valkey(tmp_path / "valkey", persist=False)
    client = await open_redis(server.url, timeout_s=0.1)
    owned = lease(client, "a", lease_s=0.6)
    await owned.take()
    keeping = asyncio.create_task(owned.keep())
    os.kill(server.process.pid, signal.SIGSTOP)
    await asyncio.sleep(0.7)
    assert not owned.is_held
    os.kill(server.process.pid, signal.SIGCONT)
    async with asyncio.timeout(3):
        while not owned.is_held:
            await asyncio.sleep(0.02)
    keeping.cancel()
    await client.aclose()
    await server.stop()


async def test_a_dead_server_does_not_spoil_the_end(tmp_path):
    """Who owned a key ends in order though nobody can be told: the lease runs out by itself."""
    valkey = await start_valkey(tmp_path, persist=False)
    client = await open_redis(valkey.url, timeout_s=0.5)
    async with owning(client, chain_id=999, address="0xabc", owner="a") as owned:
        os.kill(valkey.process.pid, signal.SIGKILL)
        assert owned.is_held
    await client.aclose()
    await valkey.stop()
