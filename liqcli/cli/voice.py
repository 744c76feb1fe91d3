"""What a run says, and to whom: lines for people or for a log, the page, the supervisor, the file beside the lock."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from liqcli.cli.notes import Printer
from liqcli.cli.render import say
from liqcli.cli.signals import DRAINING
from liqcli.cli.statusline import Screen, open_screen
from liqcli.config import Settings, notify_socket
from liqcli.tasks import end

if TYPE_CHECKING:
    from liqcli.bot.engine import Engine
    from liqcli.bot.notes import Note
    from liqcli.chain.market import Market
    from liqcli.ops.logs import LogFormat, Structured
    from liqcli.ops.standing import Standing
    from liqcli.ops.systemd import Supervisor


class Voice:
    """A run's lines, in words or structured, and what its supervisor hears."""

    def __init__(
        self, market: "Market", screen: Screen, supervisor: "Supervisor", structured: "Structured | None"
    ) -> None:
        self._market = market
        self._screen = screen
        self._supervisor = supervisor
        self._structured = structured
        self._printer = Printer(market, write=screen.put)

    def banner(self, mode: str) -> None:
        """What runs where, and whether it can send."""
        if self._structured is None:
            self._printer.banner(mode)
        else:
            self._structured.say("start", mode=mode, market=self._market.name, chain_id=self._market.chain_id)

    def note(self, note: "Note") -> None:
        """One line for what the bot says; the supervisor hears when it is ready."""
        if note.kind == "READY":
            self._supervisor.ready()
        if self._structured is None:
            self._printer.note(note)
        else:
            self._structured.note(note)

    def warn(self, text: str) -> None:
        """One line for what is wrong but does not end the run by itself."""
        from liqcli.bot.notes import Note

        self.note(Note("warn", text))

    def draining(self) -> None:
        """Said at the first signal."""
        self._supervisor.stopping()
        if self._structured is None:
            self._screen.put(DRAINING)
        else:
            self._structured.say("drain", text=DRAINING)

    def summary(self, engine: "Engine", document: dict[str, Any]) -> None:
        """The whole run, in the place of the pinned rows."""
        self._screen.unpin()
        if self._structured is None:
            self._printer.summary(engine)
        else:
            self._structured.say("end", **document)


@asynccontextmanager
async def watched(settings: Settings) -> "AsyncIterator[tuple[Standing, Supervisor]]":
    """Beat for the page and the supervisor from the first moment; both tell when the loop is stuck."""
    from liqcli.ops.standing import Standing
    from liqcli.ops.systemd import Supervisor

    standing, supervisor = Standing(), Supervisor(notify_socket())
    async with AsyncExitStack() as stack:
        if settings.http.listen is not None:
            from liqcli.ops.page import serving

            url = stack.enter_context(serving(standing, settings.http.listen, token=settings.http.secret()))
            say(f"page at {url}: /healthz /readyz /metrics /status.json")
        beating = asyncio.create_task(standing.keep_beating(supervisor.alive))
        stack.push_async_callback(_ended, beating)
        yield standing, supervisor


def open_voice(
    stack: AsyncExitStack,
    standing: "Standing",
    supervisor: "Supervisor",
    market: "Market",
    *,
    mode: str,
    form: "LogFormat",
    to_stderr: bool,
) -> Voice:
    """The lines of a run, on stderr where stdout is for a document."""
    from liqcli.ops.logs import LogFormat, Structured, log_library_warnings

    out = sys.stderr if to_stderr else sys.stdout
    pinned = form is LogFormat.CONSOLE
    screen = stack.enter_context(open_screen(standing, out, mode=mode.upper(), pinned=pinned))
    structured = None if pinned else Structured(form, screen.put)
    voice = Voice(market, screen, supervisor, structured)
    stack.callback(log_library_warnings(structured, voice.warn))
    return voice


@asynccontextmanager
async def telling(
    standing: "Standing",
    supervisor: "Supervisor",
    engine: "Engine",
    publish: Callable[[dict[str, Any]], None],
    *,
    warn: Callable[[str], None],
    mode: str,
    network: str,
) -> AsyncIterator[None]:
    """While the block lasts, others can read how the bot stands; a disk that refuses is said once until it takes it."""
    refused = False

    def tell(status: dict[str, Any]) -> None:
        nonlocal refused
        try:
            publish(status)
        except OSError as err:
            if not refused:
                warn(f"`liq status` cannot follow this run: {err.strerror}")
            refused = True
        else:
            refused = False
        problems = standing.problems()
        supervisor.status(f"{mode.upper()}: {problems[0] if problems else 'ready'}, head {status['head']['block']}")

    task = asyncio.create_task(standing.keep_telling(engine, tell, mode=mode, network=network))
    try:
        yield
    finally:
        await _ended(task)


async def _ended(task: asyncio.Task[None]) -> None:
    await end([task])
    if not task.cancelled():
        task.result()  # what it raised is raised here
