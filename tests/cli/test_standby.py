"""Two `liq run` over one Redis: one leads, the other takes over when it dies."""

import asyncio
from contextlib import contextmanager

import pytest

from liqcli.sandbox.valkey import start_valkey
from tests.cli.conftest import Place
from tests.cli.test_run import ready
from tests.cli.test_worker import connection


@pytest.fixture
def shared_redis(tmp_path):
    """A server of its own for the two."""
    valkey = asyncio.run(start_valkey(tmp_path / "valkey", persist=False))
    yield valkey.url
    asyncio.run(valkey.stop())


@contextmanager
def started(place, *options):
    """A run that ends with the block, whatever happens in it."""
    with place.start("run", *options) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_standby_takes_over_from_a_killed_leader(tmp_path, running, shared_redis):
    """It says whom it waits for, is READY once the lease of the killed one has run out, and sums up in the end."""
    places = [Place(tmp_path / name) for name in ("first", "second")]
    for place in places:
        place.directory.mkdir()
    options = (*connection(running)[:6], "--redis", shared_redis)
    with started(places[0], *options) as leader:
        ready(leader)
        with started(places[1], *options) as standby:
            assert any("(epoch 1) leads" in line for line in standby.stderr)
            told = places[1].liq("status")
            assert (told.code, "(epoch 1) leads" in told.err) == (7, True), told.err
            assert "(epoch 1) leads" in places[1].liq("health").out
            leader.kill()
            ready(standby)
            standby.terminate()
            out, err = standby.communicate(timeout=60)
    assert standby.returncode == 0, err
    assert "liquidations  planned" in out


def test_a_leader_that_ends_leaves_no_gap(tmp_path, running, shared_redis):
    """It gives the lease back, and the next run has nobody to wait for."""
    options = (*connection(running)[:6], "--redis", shared_redis, "--duration", "1s", "--json")
    for _ in range(2):
        finished = Place(tmp_path).liq("run", *options)
        assert finished.code == 0, finished.err
        assert "standby" not in finished.err
