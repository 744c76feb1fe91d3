"""How the bot stands, told by its loop and read from other threads: a stuck loop stops telling, and that shows."""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from liqcli.errors import Unreachable
from liqcli.ops.problems import problems_of
from liqcli.ops.status import queue_facts, status_of

if TYPE_CHECKING:
    from liqcli.bot.engine import Engine

STARTING = "still starting"
BEAT_S = 1.0
TELL_S = 2.0
_BEATS_MISSED = 2


class Standing:
    """The last status told and the last beat of the loop; told facts are replaced, never changed, so no lock is needed.

    `lines_dropped` answers how many lines the terminal or the log was too slow for; `waits` is what there is to say
    before the first status.
    """

    def __init__(self, *, every_s: float = BEAT_S) -> None:
        self.every_s = every_s
        self.status: dict[str, Any] | None = None
        self.waits = STARTING
        self.lines_dropped: Callable[[], int] = int
        self._beat_at = monotonic()

    def beat(self) -> None:
        """The loop has come round."""
        self._beat_at = monotonic()

    @property
    def silent_s(self) -> float:
        """Seconds since the loop last came round."""
        return monotonic() - self._beat_at

    @property
    def is_alive(self) -> bool:
        """Whether the loop came round within its last two intervals."""
        return self.silent_s <= _BEATS_MISSED * self.every_s

    def problems(self) -> list[str]:
        """What keeps this bot from being ready; nothing when all is well."""
        stuck = [] if self.is_alive else [f"the loop is stuck: it has not come round for {self.silent_s:.1f} s"]
        if self.status is None:
            return [*stuck, self.waits]
        return [*stuck, *problems_of(self.status)]

    async def keep_beating(self, also: Callable[[], None]) -> None:
        """Beat on, and tell a supervisor with each beat."""
        while True:
            self.beat()
            also()
            await asyncio.sleep(self.every_s)

    async def keep_telling(
        self, engine: "Engine", publish: Callable[[dict[str, Any]], None], *, mode: str, network: str
    ) -> None:
        """Tell the engine's status every two seconds; a Redis that does not answer is part of it."""
        while True:
            try:
                queue = queue_facts(await engine.queue.stats())
            except Unreachable:
                queue = None
            self.status = {
                **status_of(engine, mode=mode, network=network),
                "queue": queue,
                "tasks": len(asyncio.all_tasks()),
                "lines_dropped": self.lines_dropped(),
            }
            publish(self.status)
            await asyncio.sleep(TELL_S)
