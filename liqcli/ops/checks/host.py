"""The machine: Python, file descriptors, disk, the address of the page."""

import resource
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from importlib.metadata import PackageNotFoundError, version

from liqcli.forms import host_and_port
from liqcli.lock import holder_of
from liqcli.ops.checks.finding import Check, Scope, fail, ok, warn

_FEWEST_FDS = 1024
_LEAST_DISK = 2**30
_HARDLY_ANY_DISK = 64 * 2**20


async def check(scope: Scope) -> AsyncIterator[Check]:
    """Limits that a run would meet late."""
    fds, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    facts = f"python {sys.version.split()[0]} · web3 {version('web3')} · redis {version('redis')} · {_loop()}"
    shown = "unlimited" if fds == resource.RLIM_INFINITY else f"{fds:,}"
    if fds != resource.RLIM_INFINITY and fds < _FEWEST_FDS:
        yield warn("host", f"{facts} · only {shown} open files allowed", f"ulimit -n {_FEWEST_FDS}")
    else:
        yield ok("host", f"{facts} · {shown} open files allowed")
    yield _disk(scope)
    if scope.settings.http.listen is not None and holder_of(scope.settings.data_dir, "run") is None:
        yield _page(scope.settings.http.listen)


def _loop() -> str:
    """The event loop that a run would use."""
    try:
        return f"uvloop {version('uvloop')}"
    except PackageNotFoundError:
        return "no uvloop"


def _disk(scope: Scope) -> Check:
    directory = scope.settings.data_dir.absolute()
    nearest = next(path for path in (directory, *directory.parents) if path.is_dir())
    free = shutil.disk_usage(nearest).free
    told = f"{free / 2**30:,.1f} GiB free for {directory}"
    if free < _HARDLY_ANY_DISK:
        return fail("disk", told, "free some, or move it: LIQ_DATA_DIR=DIR; without a journal nothing is sent")
    return warn("disk", told, "free some, or move it: LIQ_DATA_DIR=DIR") if free < _LEAST_DISK else ok("disk", told)


def _page(address: str) -> Check:
    """Whether the page's address can still be listened on."""
    host, port = host_and_port(address)
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            return ok("page", f"{address} is free")
    except OSError as err:
        return fail("page", f"cannot listen on {address} ({err.strerror})", "http.listen, or --http HOST:PORT")
