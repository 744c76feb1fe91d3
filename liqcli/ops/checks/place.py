"""Settings, file modes and the data directory."""

import os
import stat
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from liqcli.chain.urls import secrets_in
from liqcli.config import pause_file
from liqcli.ops.checks.finding import Check, Scope, fail, ok, warn
from liqcli.wallet.keystore import described

_READABLE_BY_OTHERS = 0o077
_WRITABLE_BY_OTHERS = 0o022


async def check(scope: Scope) -> AsyncIterator[Check]:
    """Where the settings come from, and who else can read or change what they keep."""
    yield ok("config", _origins(scope), "liq config show --origin")
    problems = [*_files(scope), *_directory(scope.settings.data_dir), *_keystores(scope)]
    for problem in problems or [ok("secrets", "no file of ours is open to others")]:
        yield problem
    if pause_file(scope.settings).exists():
        yield warn("paused", "nothing is signed until the pause ends", "liq resume")


def _origins(scope: Scope) -> str:
    counts = Counter(_kind(origin) for origin in scope.origins.values() if origin != "default")
    told = [f"{count} from {kind}" for kind, count in counts.items()]
    return f"{len(scope.origins)} settings, " + (", ".join(told) if told else "all by default")


def _kind(origin: str) -> str:
    if origin.startswith("LIQ_"):
        return "the environment"
    return origin.rpartition(":")[0] or origin


def _files(scope: Scope) -> Iterator[Check]:
    rpc, redis = scope.settings.rpc, scope.settings.redis
    urls = [url for url in (rpc.url, *rpc.fallback_urls, rpc.ws_url, redis.url) if url]
    has_secrets = scope.settings.http.token is not None or any(secrets_in(url) for url in urls)
    for path in scope.files:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & _WRITABLE_BY_OTHERS:
            yield fail("secrets", f"others can change {path} (mode {mode:04o})", f"chmod 600 {path}")
        elif mode & _READABLE_BY_OTHERS and has_secrets:
            yield fail("secrets", f"others can read {path} (mode {mode:04o}), and it may hold a key or a token",
                       f"chmod 600 {path}")  # fmt: skip


def _directory(directory: Path) -> Iterator[Check]:
    """The data directory need not be there yet; then its first parent that is must be ours to write."""
    nearest = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        yield fail("data", f"cannot write to {nearest}", "set LIQ_DATA_DIR to a directory of your own")
    elif nearest == directory and nearest.stat().st_mode & _WRITABLE_BY_OTHERS:
        yield fail("data", f"others can write to the data directory {directory}", f"chmod 700 {directory}")


def _keystores(scope: Scope) -> Iterator[Check]:
    for directory in scope.key_directories:
        for path in sorted(directory.iterdir()) if directory.is_dir() else ():
            problem = "" if path.name.startswith(".") else described(path)[1]
            if problem:
                yield warn("secrets", problem, f"chmod 600 {path}" if "read" in problem else "liq keys list")
