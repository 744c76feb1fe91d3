"""Children and the embedded Valkey: they start, they stop, and they never outlive us."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from liqcli.errors import AlreadyRunning, Unreachable
from liqcli.sandbox.process import Child, free_port, spawn
from liqcli.sandbox.valkey import SOCKET_PATH_LIMIT, start_valkey
from liqcli.store.connection import open_redis

PARENT = """
import asyncio, sys
from pathlib import Path
from liqcli.sandbox.valkey import start_valkey
async def main():
    server = await start_valkey(Path(sys.argv[1]), persist=True)
    print(server.process.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


def _sleeper(log: Path, code: str = "import time; time.sleep(60)") -> Child:
    return spawn([sys.executable, "-c", code], log=log)


async def _never() -> bool:
    return False


def _gone(pid: int, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.01)
    return False


def _parent_of_valkey(directory: Path) -> tuple[subprocess.Popen[str], int]:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(directory)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    return parent, int(parent.stdout.readline())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a parent-death signal")
def test_a_child_dies_with_a_killed_parent(tmp_path: Path) -> None:
    """Kill -9 of the parent leaves no Valkey behind."""
    parent, child = _parent_of_valkey(tmp_path)
    assert psutil.pid_exists(child)
    parent.kill()
    parent.communicate()
    assert _gone(child, 2.0)


async def test_a_killed_run_stops_nobody(tmp_path: Path) -> None:
    """Right after kill -9 the next server starts over the same directory, with what was written."""
    parent, _ = _parent_of_valkey(tmp_path)
    redis = await open_redis(f"unix://{tmp_path}/valkey.sock", timeout_s=1.0)
    await redis.set("written", "before")
    await redis.aclose()
    parent.kill()
    server = await start_valkey(tmp_path, persist=True)
    parent.communicate()
    redis = await open_redis(server.url, timeout_s=1.0)
    assert await redis.get("written") == b"before"
    await redis.aclose()
    await server.stop()


async def test_stop_is_orderly(tmp_path: Path) -> None:
    """A child that listens ends by itself; one that does not is killed after its grace."""
    polite = _sleeper(tmp_path / "polite")
    await polite.stop()
    assert polite.popen.returncode == -signal.SIGTERM
    deaf = _sleeper(
        tmp_path / "deaf",
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)",
    )

    async def is_deaf() -> bool:
        return "deaf" in deaf.log.read_text()

    await deaf.wait_ready(is_deaf, 10.0)
    await deaf.stop(grace_s=0.2)
    assert deaf.popen.returncode == -signal.SIGKILL
    await deaf.stop()


async def test_ctrl_c_reaches_only_us(tmp_path: Path) -> None:
    """A child has a session of its own, so the terminal's SIGINT passes it by."""
    child = _sleeper(tmp_path / "log")
    assert os.getsid(child.pid) == child.pid != os.getsid(0)
    await child.stop()


async def test_a_child_that_ends_early_is_an_error(tmp_path: Path) -> None:
    """Its last words are in the message, its log in the hint."""
    child = _sleeper(tmp_path / "log", "import sys; print('cannot bind port'); sys.exit(3)")
    with pytest.raises(Unreachable, match="ended with code 3: cannot bind port") as caught:
        await child.wait_ready(_never, 10.0)
    assert str(tmp_path / "log") in caught.value.hint
    await child.stop()


async def test_a_child_that_is_never_ready_is_an_error(tmp_path: Path) -> None:
    """The deadline is kept."""
    child = _sleeper(tmp_path / "log")
    with pytest.raises(Unreachable, match=r"not ready within 0\.2 s"):
        await child.wait_ready(_never, 0.2)
    await child.stop()


async def test_a_free_port_is_free() -> None:
    """It can be listened on."""
    port = free_port()
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", port)
    assert [listening.getsockname() for listening in server.sockets] == [("127.0.0.1", port)]
    server.close()
    await server.wait_closed()


async def test_valkey_keeps_what_it_must(tmp_path: Path) -> None:
    """With persist the data is there after a restart, without it nothing is."""
    for persist, expected in ((True, b"kept"), (False, None)):
        directory = tmp_path / str(persist)
        for round_ in range(2):
            server = await start_valkey(directory, persist=persist)
            redis = await open_redis(server.url, timeout_s=1.0)
            if round_ == 0:
                await redis.set("key", "kept")
            else:
                assert await redis.get("key") == expected
            await redis.aclose()
            await server.stop()


async def test_valkey_is_private_and_safe(tmp_path: Path) -> None:
    """No TCP port, a socket only we can open, and no eviction: a full server refuses rather than forgets."""
    server = await start_valkey(tmp_path / "data", persist=True)
    redis = await open_redis(server.url, timeout_s=1.0)
    config = await redis.config_get("*")
    assert (config["port"], config["maxmemory-policy"], config["appendfsync"]) == ("0", "noeviction", "everysec")
    assert psutil.Process(server.process.pid).net_connections(kind="inet") == []
    assert server.socket.stat().st_mode & 0o077 == 0
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0
    await redis.aclose()
    await server.stop()


async def test_one_server_a_directory(tmp_path: Path) -> None:
    """A second one is refused and told who is there; the first is not disturbed."""
    first = await start_valkey(tmp_path, persist=True)
    with pytest.raises(AlreadyRunning, match=f"pid {first.process.pid} works on"):
        await start_valkey(tmp_path, persist=True)
    assert first.process.is_alive
    await first.stop()
    second = await start_valkey(tmp_path, persist=True)
    await second.stop()


async def test_a_deep_directory_gets_a_short_socket(tmp_path: Path) -> None:
    """A path too long for the kernel is no error, and leaves nothing behind."""
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    server = await start_valkey(deep, persist=False)
    assert len(os.fsencode(server.socket)) < SOCKET_PATH_LIMIT
    await server.stop()
    assert not server.socket.parent.exists()


async def test_a_ruined_file_is_an_error(tmp_path: Path) -> None:
    """A server that cannot read its own data says so instead of starting empty."""
    server = await start_valkey(tmp_path, persist=True)
    redis = await open_redis(server.url, timeout_s=1.0)
    await redis.set("key", "kept")
    await redis.aclose()
    await server.stop()
    for file in (tmp_path / "appendonlydir").glob("*.aof"):
        file.write_bytes(b"not an append-only file")
    with pytest.raises(Unreachable, match="valkey-server ended"):
        await start_valkey(tmp_path, persist=True)
