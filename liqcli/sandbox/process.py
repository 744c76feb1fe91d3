"""Children that cannot outlive us: start, wait until ready, stop."""

import asyncio
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from liqcli.errors import Unreachable

POLL_S = 0.01
PR_SET_PDEATHSIG = 1
# Resolved before any fork: between fork and exec nothing may be imported or looked up.
# macOS has no prctl: there a child outlives a parent that was killed with -9.
_PRCTL = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True)
class Child:
    """A program we started; it runs in a session of its own, so Ctrl-C in the terminal reaches only us."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        """The process id."""
        return self.popen.pid

    @property
    def is_alive(self) -> bool:
        """Whether it still runs; reaps it when it does not."""
        return self.popen.poll() is None

    async def wait_ready(self, probe: Callable[[], Awaitable[bool]], deadline_s: float) -> None:
        """Return once `probe` answers true; raises Unreachable when the child ends first or the deadline passes."""
        deadline = time.monotonic() + deadline_s
        while not await _answers(probe):
            if not self.is_alive:
                raise Unreachable(
                    f"{self.name} ended with code {self.popen.returncode}: {self._last_line()}", hint=self._hint()
                )
            if time.monotonic() > deadline:
                raise Unreachable(f"{self.name} was not ready within {deadline_s:g} s", hint=self._hint())
            await asyncio.sleep(POLL_S)

    async def stop(self, grace_s: float = 5.0) -> None:
        """Ask it to end, and kill its whole session when it has not within `grace_s` seconds."""
        if self.is_alive:
            self.popen.terminate()
        with suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(self.popen.wait, grace_s)
        self.kill()

    def kill(self) -> None:
        """End it now, with everything it started."""
        if self.is_alive:
            os.killpg(self.pid, signal.SIGKILL)
        self.popen.wait()

    def _last_line(self) -> str:
        lines = self.log.read_text(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it printed nothing")

    def _hint(self) -> str:
        return f"its output is in {self.log}"


def spawn(
    argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None, pass_fds: Sequence[int] = ()
) -> Child:
    """Start a program that is killed when the calling thread's process dies, even by kill -9 (Linux).

    Call it from the main thread: Linux sends the signal when the thread that forked ends.
    """
    with log.open("wb") as output:
        popen = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            pass_fds=pass_fds,
            start_new_session=True,
            # The hook only makes system calls prepared beforehand, so threads cannot trip it.
            preexec_fn=_die_with(os.getpid()) if _PRCTL else None,  # noqa: PLW1509
        )
    return Child(Path(argv[0]).name, popen, log)


def free_port() -> int:
    """A loopback TCP port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _die_with(parent: int) -> Callable[[], None]:
    def arm() -> None:
        assert _PRCTL is not None
        _PRCTL(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the call above, so no signal will come
            os._exit(1)

    return arm


async def _answers(probe: Callable[[], Awaitable[bool]]) -> bool:
    try:
        return await probe()
    except (OSError, Unreachable):
        return False
