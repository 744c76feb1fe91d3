"""Two `liq run` over one Redis: one leads, the other takes over when it dies."""

import asyncio
import time

import pytest

from liqcli.sandbox.valkey import start_valkey
from tests.cli.conftest import Place
from tests.cli.test_run import ready
from tests.cli.test_worker import connection

LEASE_S = 10.0


@pytest.fixture
def shared_redis(tmp_path):
    """A server of its own for the two."""
    valkey = asyncio.run(start_valkey(tmp_path / "valkey", persist=False))
    yield valkey.url
    asyncio.run(valkey.stop())


def test_a_standby_takes_over_from_a_killed_leader(tmp_path, running, shared_redis):
    """It says whom it waits for, is READY within a lease and a quarter after kill -9, and no queue is lost."""
    places = [Place(tmp_path / name) for name in ("first", "second")]
    for place in places:
        place.directory.mkdir()
    options = (*connection(running)[:6], "--redis", shared_redis)
    with places[0].start("run", *options) as leader:
        ready(leader)
        with places[1].start("run", *options) as standby:
            assert "(epoch 1) leads" in standby.stderr.readline()
            leader.kill()
            killed = time.monotonic()
            ready(standby)
            took_s = time.monotonic() - killed
            standby.terminate()
            out, err = standby.communicate(timeout=20)
    assert standby.returncode == 0, err
    assert took_s < LEASE_S * 1.25 + 5
    assert "liquidations  planned" in out


def test_a_leader_that_ends_leaves_no_gap(tmp_path, running, shared_redis):
    """After SIGTERM it releases the lease, and the next run starts at once."""
    options = (*connection(running)[:6], "--redis", shared_redis, "--duration", "1s", "--json")
    started = time.monotonic()
    assert Place(tmp_path).liq("run", *options).code == 0
    assert Place(tmp_path).liq("run", *options).code == 0
    assert time.monotonic() - started < LEASE_S
