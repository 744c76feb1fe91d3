"""The shared cache of readings."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from liqcli.model import NO_DEBT, Reading
from liqcli.sandbox.process import spawn
from liqcli.sandbox.valkey import find_valkey
from liqcli.store.cache import HealthCache
from liqcli.store.connection import open_redis
from tests.store.conftest import NAMESPACE, address


@pytest.fixture(params=["server expires", "packed expiry"])
def cache(redis: Redis, request: pytest.FixtureRequest) -> HealthCache:
    """A cache on a server with HSETEX, and one that does without."""
    made = HealthCache(redis, namespace=NAMESPACE)
    made._expires_fields = request.param == "server expires"
    return made


def _reading(number: int, health_factor: int = NO_DEBT) -> Reading:
    return Reading(address(number), 2**200 + number, number, health_factor, 31_337, 1_790_000_000)


async def test_readings_come_back_exactly(cache: HealthCache) -> None:
    """Every field to the last bit, 5,000 at a time; unknown borrowers are left out and counted."""
    readings = [_reading(number, NO_DEBT - number) for number in range(5000)]
    await cache.put_many([(reading, 30.0) for reading in readings])
    found = await cache.get_many([address(number) for number in range(6000)])
    assert found == {reading.borrower: reading for reading in readings}


wide = st.integers(0, 2**256 - 1)
narrow = st.integers(0, 2**63)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(st.tuples(wide, wide, wide, narrow, narrow), min_size=1, max_size=5))
async def test_any_numbers(cache: HealthCache, values: list[tuple[int, int, int, int, int]]) -> None:
    """Whatever 256-bit numbers the pool reports."""
    readings = [Reading(address(number), *value) for number, value in enumerate(values)]
    await cache.put_many([(reading, 60.0) for reading in readings])
    assert list((await cache.get_many([reading.borrower for reading in readings])).values()) == readings


async def test_each_reading_has_its_own_time(cache: HealthCache) -> None:
    """One is gone after its time, the other stays; a new one takes its place."""
    await cache.put_many([(_reading(1), 0.1), (_reading(2), 30.0), (_reading(3), 0.0)])
    assert set(await cache.get_many([address(1), address(2), address(3)])) == {address(1), address(2)}
    await asyncio.sleep(0.15)
    assert set(await cache.get_many([address(1), address(2)])) == {address(2)}
    await cache.put_many([(_reading(1, 5), 30.0)])
    assert (await cache.get_many([address(1)]))[address(1)].health_factor == 5


async def test_dropped_readings_are_gone(cache: HealthCache) -> None:
    """An event makes what was known worthless."""
    await cache.put_many([(_reading(number), 30.0) for number in range(3)])
    await cache.drop_many([address(0), address(2), address(9)])
    assert set(await cache.get_many([address(number) for number in range(3)])) == {address(1)}


async def test_many_are_dropped_in_one_call(cache: HealthCache) -> None:
    """However many readings are dropped at once, all of them are gone, and no other."""
    await cache.put_many([(_reading(number), 30.0) for number in range(1_202)])
    await cache.drop_many([address(number) for number in range(1_201)])
    assert set(await cache.get_many([address(number) for number in range(1_202)])) == {address(1_201)}


async def test_nothing_asked_nothing_done(cache: HealthCache) -> None:
    """Empty calls are no errors."""
    await cache.put_many([])
    await cache.drop_many([])
    assert await cache.get_many([]) == {}


async def test_another_process_reads_what_this_one_wrote(cache: HealthCache, redis: Redis) -> None:
    """A restart starts with the readings of before, however they were written."""
    await cache.put_many([(_reading(1), 30.0)])
    assert await HealthCache(redis, namespace=NAMESPACE).get_many([address(1)]) == {address(1): _reading(1)}


async def test_garbage_is_not_a_reading(cache: HealthCache, redis: Redis) -> None:
    """A value too short to be ours counts as missing."""
    await redis.hset(f"{{{NAMESPACE}:cache}}:readings", bytes.fromhex(address(1)[2:]), b"xyz")
    assert await cache.get_many([address(1)]) == {}


async def test_a_server_without_hsetex(tmp_path: Path) -> None:
    """The first refusal is remembered, and the readings are stored the other way."""
    socket = tmp_path / "old.sock"
    options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--rename-command", "HSETEX", ""]
    child = spawn([str(find_valkey()), *options], log=tmp_path / "log")

    async def is_there() -> bool:
        return socket.exists()

    await child.wait_ready(is_there, 10.0)
    redis = await open_redis(f"unix://{socket}", timeout_s=2.0)
    cache = HealthCache(redis, namespace=NAMESPACE)
    await cache.put_many([(_reading(1), 30.0), (_reading(2), 60.0)])
    assert not cache._expires_fields
    await cache.put_many([(_reading(3), 0.05)])
    assert set(await cache.get_many([address(number) for number in (1, 2, 3)])) >= {address(1), address(2)}
    await asyncio.sleep(0.06)
    assert await cache.get_many([address(3)]) == {}
    await redis.aclose()
    await child.stop()
