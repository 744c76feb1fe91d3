"""Real parts for every test: a node with the real contracts, started once and rolled back around each test.

A part that cannot start fails the test; nothing is skipped.
"""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from time import time

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings
from redis.asyncio import Redis

from liqcli.sandbox.scenario import Scenario
from liqcli.sandbox.valkey import Valkey, start_valkey
from liqcli.sandbox.world import World, open_world
from liqcli.store.connection import open_redis
from tests.canary import leaks_in

BORROWERS = 60

# How long an example takes says how busy the machine is: what hangs is ended by the timeout of its test.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A market with borrowers on a node of this session's own; a test that writes takes `chain` instead.

    Blocks come from transactions and `evm_mine` only, and no scenario runs.
    """
    directory = tmp_path_factory.mktemp("world")
    async with open_world(directory, borrowers=BORROWERS, scenario=False, block_time=None, redis=False) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def chain(world: World) -> AsyncIterator[World]:
    """The world with a play of its own, whose chain is put back after the test as it was before.

    Another test's play would go on with the prices and people of a chain that is no more, and its clock too: a revert
    takes back the block whose time was set, not the difference between the node's clock and ours that this made.
    """
    await world.rpc.call("anvil_setTime", int(time()))
    snapshot = await world.rpc.call("evm_snapshot")
    play = Scenario(world.rpc, world.deployment, world.plans, exchange=world.exchange, seed=1, pause_s=1.0)
    yield replace(world, scenario=play)
    await world.rpc.call("evm_revert", snapshot)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def valkey(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Valkey]:
    """This session's own Valkey server, without persistence."""
    server = await start_valkey(tmp_path_factory.mktemp("valkey"), persist=False)
    yield server
    await server.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def redis(valkey: Valkey) -> AsyncIterator[Redis]:
    """An empty database on the session's server."""
    client = await open_redis(valkey.url, timeout_s=5.0)
    await client.flushdb()
    yield client
    await client.aclose()


@pytest.fixture(scope="session", autouse=True)
def _interrupts_are_heard() -> None:
    """A shell that starts the tests in the background has them ignore SIGINT, and so would every child of theirs."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _the_key_is_in_no_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """After the last test: of all files that any test or any process of one left, none has the live tests' key in it.

    Logs, journals, ledgers, reports, checkpoints, Redis's own files and core files are among them.
    """
    yield
    left = (path for path in tmp_path_factory.getbasetemp().rglob("*") if path.is_file() and not path.is_symlink())
    assert [path for path in left if os.access(path, os.R_OK) and leaks_in(path.read_bytes())] == []
