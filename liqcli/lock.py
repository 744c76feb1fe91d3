"""One process holds a directory; the others can read who it is. The kernel frees the hold, also after kill -9."""

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from liqcli.errors import AlreadyRunning, ConfigError

Facts = dict[str, Any]
_PROBE_PASSES_S = (0.02, 0.08)
"""A probe by `holder_of` holds the lock for microseconds; wait for it before calling the place taken."""


class Holding:
    """An exclusive lock on `NAME.lock`; `NAME.json` beside it tells others the holder's facts (mode 0600)."""

    def __init__(self, path: Path, lock_fd: int) -> None:
        self.path = path
        self._lock_fd = lock_fd

    def publish(self, facts: Mapping[str, Any]) -> None:
        """Replace the facts others read, atomically."""
        fresh = self.path.with_suffix(f".{os.getpid()}.tmp")
        try:
            fresh.touch(mode=0o600)
            fresh.write_text(json.dumps({"pid": os.getpid(), **facts}))
            fresh.replace(self.path.with_suffix(".json"))
        finally:
            fresh.unlink(missing_ok=True)

    def release(self) -> None:
        """Let others hold it."""
        self.path.with_suffix(".json").unlink(missing_ok=True)
        os.close(self._lock_fd)


@contextmanager
def hold(directory: Path, name: str, facts: Mapping[str, Any]) -> Iterator[Holding]:
    """Hold `name` in `directory`, or raise AlreadyRunning saying who does."""
    path = _private_directory(directory) / f"{name}.lock"
    lock_fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    if not _take(lock_fd, waits_s=_PROBE_PASSES_S):
        os.close(lock_fd)
        raise AlreadyRunning(
            _who(directory, name), hint="stop that one, or give this one a data directory of its own: LIQ_DATA_DIR=DIR"
        )
    holding = Holding(path, lock_fd)
    holding.publish(facts)
    try:
        yield holding
    finally:
        holding.release()


def holder_of(directory: Path, name: str) -> Facts | None:
    """The facts of the living holder of `name`, or None when nobody holds it."""
    try:
        lock_fd = os.open(directory / f"{name}.lock", os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        return None if _take(lock_fd) else _facts(directory, name)
    finally:
        os.close(lock_fd)


def _private_directory(directory: Path) -> Path:
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as err:
        raise ConfigError(
            f"cannot use the data directory {directory} ({err.strerror})", hint="set LIQ_DATA_DIR"
        ) from err
    return directory


def _take(lock_fd: int, *, waits_s: tuple[float, ...] = ()) -> bool:
    for wait_s in (0.0, *waits_s):
        time.sleep(wait_s)
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        return True
    return False


def _facts(directory: Path, name: str) -> Facts:
    try:
        facts: Facts = json.loads((directory / f"{name}.json").read_text())
    except FileNotFoundError:  # held, but not published yet or just being released
        return {}
    return facts


def _who(directory: Path, name: str) -> str:
    facts = _facts(directory, name)
    since = f", since {facts['started']}" if "started" in facts else ""
    return f"already running: pid {facts.get('pid', 'unknown')} holds {directory}{since}"
