import asyncio
import socket

import pytest

from liqcli.ops.standing import Standing
from liqcli.ops.systemd import Supervisor


@pytest.fixture
def listener(tmp_path):
    """A socket as systemd has one."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as found:
        found.bind(str(tmp_path / "notify"))
        found.settimeout(2)
        yield found


def test_ready_is_said_once(listener, tmp_path):
    """A second READY would tell systemd nothing."""
    supervisor = Supervisor(str(tmp_path / "notify"))
    supervisor.ready()
    supervisor.ready()
    supervisor.status("LIVE: ready, head 7")
    supervisor.stopping()
    assert [listener.recv(100) for _ in range(3)] == [b"READY=1", b"STATUS=LIVE: ready, head 7", b"STOPPING=1"]


async def test_every_beat_of_the_loop_feeds_the_watchdog(listener, tmp_path):
    """It is the loop that says it is alive, so a stuck one is restarted."""
    standing = Standing(every_s=0.01)
    beating = asyncio.create_task(standing.keep_beating(Supervisor(str(tmp_path / "notify")).alive))
    await asyncio.sleep(0.05)
    beating.cancel()
    assert [listener.recv(100) for _ in range(2)] == [b"WATCHDOG=1"] * 2


@pytest.mark.parametrize("address", [None, "/nowhere/notify", "@nobody-listens-here"])
def test_nobody_need_listen(address):
    """Without a supervisor, or after it went away, telling is no error."""
    supervisor = Supervisor(address)
    assert [tell() for tell in (supervisor.ready, supervisor.alive, supervisor.stopping)] == [None] * 3
