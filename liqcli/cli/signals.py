"""What SIGINT and SIGTERM ask of a run, from the first moment of its process to the last."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any

from liqcli.cli.exit_codes import INTERRUPTED
from liqcli.cli.render import say

GRACE_S = 1.0
"""What is still not done so long after the second signal is left behind: children die with their parent."""
DRAINING = "draining: finishing what is under way; once more stops now"
_SHOW_CURSOR = "\x1b[?25h"


@dataclass(frozen=True, slots=True)
class _Work:
    """What is under way: drained where it `can_drain`, else cancelled at the first signal."""

    task: asyncio.Task[None]
    can_drain: Callable[[], bool]
    draining: Callable[[], None]


class Stopping:
    """The signals one run was sent, and what each is answered with.

    While it is loaded the first ends the process; while it starts the first undoes the start; while it works the first
    drains and the second stops now. A third always ends the process.
    """

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.received: list[signal.Signals] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._start: asyncio.Task[Any] | None = None
        self._work: _Work | None = None

    @property
    def code(self) -> int:
        """The exit code that the first signal calls for."""
        return INTERRUPTED if self.received and self.received[0] is signal.SIGINT else 0

    async def run(self, main: Callable[[AsyncExitStack], Awaitable[int]]) -> int:
        """The exit code of `main`, which gets a stack for what it opens; a signal while it still starts undoes that."""
        self._loop, self._start = asyncio.get_running_loop(), asyncio.current_task()
        try:
            async with AsyncExitStack() as stack:
                return await main(stack)
        except asyncio.CancelledError:
            if not self.received:
                raise
            say("stopped before it was ready: nothing was sent")
            return self.code

    async def work(
        self, work: Coroutine[Any, Any, None], *, draining: Callable[[], None], can_drain: Callable[[], bool]
    ) -> None:
        """Work until it is done, drained or cancelled by a signal; what one task raised alone is raised as itself."""
        self._work = _Work(asyncio.create_task(work), can_drain, draining)
        try:
            with suppress(asyncio.CancelledError):
                await self._work.task
        except ExceptionGroup as group:
            raise group.exceptions[0] from group

    def on_signal(self, number: int, _: FrameType | None) -> None:
        """Answer one signal, in the main thread and wherever it is."""
        self.received.append(signal.Signals(number))
        if self._loop is None:
            raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(0)
        if len(self.received) == 1:
            self._tell(self._first)
        elif len(self.received) == 2:
            timer = threading.Timer(GRACE_S, _leave)
            timer.daemon = True
            timer.start()
            self._tell(self._second)
        else:
            _leave()

    def _tell(self, answer: Callable[[], None]) -> None:
        assert self._loop is not None
        with suppress(RuntimeError):  # the loop is closed: the process is ending anyway
            self._loop.call_soon_threadsafe(answer)

    def _first(self) -> None:
        self.asked.set()
        if self._work is None:
            if self._start is not None:
                self._start.cancel()
        elif self._work.can_drain():
            self._work.draining()
        else:
            self._work.task.cancel()

    def _second(self) -> None:
        if self._work is not None:
            self._work.task.cancel()


def answer_signals() -> Stopping:
    """Answer SIGINT and SIGTERM from now to the end of the process: it must not die half-way through its own end."""
    stopping = Stopping()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stopping.on_signal)
    return stopping


def _leave() -> None:
    """End the process now, with a cursor to go on with; nothing else is written, a full pipe would hold it."""
    if sys.stdout is not None and sys.stdout.isatty():
        with suppress(OSError):
            os.write(sys.stdout.fileno(), _SHOW_CURSOR.encode())
    os._exit(INTERRUPTED)
