"""The websocket beside the poll: new heads and logs the moment they come, as hints that may be missing.

What a socket tells is never the truth: it may drop, double or withhold messages, and it starts again where it likes.
The cursor reads every block with eth_getLogs all the same; a hint only says that it is worth looking now, and at whom.
A message that finds the intake full pushes the oldest out. That is counted as lag, and as recovered once the cursor has
passed its block.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic, time_ns
from types import TracebackType
from typing import Any, Self

import aiohttp

from liqcli.chain.answers import json_in
from liqcli.chain.urls import secrets_in, without_secrets
from liqcli.errors import Unreachable
from liqcli.tasks import end
from liqcli.text import shown_url

RawLog = Mapping[str, Any]

_CONNECT_S = 10.0
_HEARTBEAT_S = 10.0
_PAUSE_FIRST_S = 0.25
_PAUSE_MOST_S = 10.0
_LARGEST_MESSAGE = 4 * 2**20
_LAGS_KEPT = 1000

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Hints:
    """What came since the last look: the newest head told of, if any, and the logs that found room."""

    head: int | None
    logs: Sequence[RawLog]


@dataclass(frozen=True, slots=True)
class StreamCounts:
    """What a stream went through: messages, those pushed out, those of them read again, and its breaks."""

    received: int
    lagged: int
    recovered: int
    gaps: int
    connections: int


class Stream:
    """One endpoint's newHeads and logs subscriptions, kept up in the background; an async context manager.

    `query` filters logs as `chain.logs.log_query` has it; `capacity` is the most logs that wait to be taken; a socket
    that keeps quiet for `silent_s` about a block that the poll has seen is given up. One that fails costs time only.
    """

    def __init__(self, url: str, *, query: Mapping[str, Any], capacity: int, silent_s: float = 5.0) -> None:
        self._url = url
        self._secrets = secrets_in(url)
        self._wanted: tuple[tuple[str, list[Any]], ...] = (("newHeads", []), ("logs", [query]))
        self._logs: deque[RawLog] = deque()
        self._capacity = capacity
        self._silent_s = silent_s
        self._arrived = asyncio.Event()
        self._head: int | None = None
        self._newest = self._woken_for = -1
        self._quiet_since: float | None = None
        self._reading: asyncio.Timeout | None = None
        self._task: asyncio.Task[None] | None = None
        self._unsaid = 0
        self.lags: deque[tuple[int, int]] = deque(maxlen=_LAGS_KEPT)
        self._missed: deque[tuple[int, int]] = deque()
        self._received = self._lagged = self._recovered = self._gaps = self._connections = 0
        self.shown_url = shown_url(url)

    def __repr__(self) -> str:
        return f"Stream({self.shown_url!r})"

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._keep_up())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            await end([self._task])

    @property
    def is_connected(self) -> bool:
        """Whether both subscriptions stand."""
        return self._reading is not None

    @property
    def counts(self) -> StreamCounts:
        """What it went through so far."""
        return StreamCounts(self._received, self._lagged, self._recovered, self._gaps, self._connections)

    async def wait(self, seconds: float) -> Hints:
        """What came, as soon as a block shows itself, or after so many seconds: then it is time to poll anyway."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._arrived.wait()
        self._arrived.clear()
        self._say_lag()
        hints = Hints(self._head, list(self._logs))
        self._head = None
        self._logs.clear()
        return hints

    def polled(self, block: int) -> None:
        """Tell it that every log up to this block has been read with eth_getLogs and applied."""
        while self._missed and self._missed[0][0] <= block:
            self._recovered += self._missed.popleft()[1]
        if self._newest >= block:
            self._quiet_since = None
        elif self._quiet_since is None:
            self._quiet_since = monotonic()
        elif self._reading is not None and monotonic() - self._quiet_since > self._silent_s:
            logger.info("websocket %s said nothing of block %d: connecting again", self.shown_url, block)
            self._quiet_since = None
            self._reading.reschedule(asyncio.get_running_loop().time())

    async def _keep_up(self) -> None:
        """Connect again whenever it breaks, after a pause that grows while nothing comes of it."""
        pause_s = _PAUSE_FIRST_S
        while True:
            received = self._received
            try:
                await self._listen()
            except (aiohttp.ClientError, OSError, TimeoutError, Unreachable, ValueError) as err:
                told = without_secrets(str(err) or type(err).__name__, self._secrets)
                logger.info("websocket %s: %s; polling goes on", self.shown_url, told)
            self._reading = None
            pause_s = _PAUSE_FIRST_S if self._received > received else min(pause_s * 2, _PAUSE_MOST_S)
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311  jitter is no secret

    async def _listen(self) -> None:
        """Subscribe, then take messages until the socket ends."""
        async with aiohttp.ClientSession() as session:
            async with asyncio.timeout(_CONNECT_S):
                socket = await session.ws_connect(self._url, heartbeat=_HEARTBEAT_S, max_msg_size=_LARGEST_MESSAGE)
            async with socket:
                async with asyncio.timeout(_CONNECT_S):
                    subscriptions = await self._subscribe(socket)
                self._connections += 1
                async with asyncio.timeout(None) as self._reading:
                    while True:
                        self._take(_json(await socket.receive()), subscriptions)

    async def _subscribe(self, socket: aiohttp.ClientWebSocketResponse) -> dict[str, str]:
        """Both subscriptions by their ids; what comes before the second stands is taken like the rest."""
        subscriptions: dict[str, str] = {}
        for number, (kind, extra) in enumerate(self._wanted, start=1):
            params = [kind, *extra]
            await socket.send_json({"jsonrpc": "2.0", "id": number, "method": "eth_subscribe", "params": params})
            answer = _json(await socket.receive())
            while answer.get("id") != number:
                self._take(answer, subscriptions)
                answer = _json(await socket.receive())
            if not isinstance(answer.get("result"), str):
                raise Unreachable(f"no subscription to {kind}: {answer.get('error')}")
            subscriptions[answer["result"]] = kind
        return subscriptions

    def _take(self, message: Any, subscriptions: Mapping[str, str]) -> None:
        params = message.get("params") if isinstance(message, Mapping) else None
        if not isinstance(params, Mapping) or not isinstance(params.get("result"), Mapping):
            raise Unreachable("a message that is no notification")
        told, kind = params["result"], subscriptions.get(str(params.get("subscription")))
        self._received += 1
        if kind == "newHeads":
            self._take_head(_number(told, "number"))
        elif kind == "logs":
            self._take_log(told)

    def _take_head(self, block: int) -> None:
        if self._newest >= 0 and block != self._newest + 1:
            self._gaps += 1
            logger.info("websocket %s: block %d came after %d", self.shown_url, block, self._newest)
        self._newest = self._head = block
        self._quiet_since = None
        self._wake(block)

    def _take_log(self, log: RawLog) -> None:
        block = _number(log, "blockNumber")
        if len(self._logs) >= self._capacity:
            self._miss(_number(self._logs.popleft(), "blockNumber"))
        self._logs.append(log)
        self._wake(block)

    def _wake(self, block: int) -> None:
        """Once a block: a poll for every log of a crowded block would spin, and spend the request budget."""
        if block > self._woken_for:
            self._woken_for = block
            self._arrived.set()

    def _miss(self, block: int) -> None:
        """Count a log that was pushed out, by its block."""
        self._lagged += 1
        self._unsaid += 1
        if self._missed and self._missed[-1][0] >= block:
            last, count = self._missed.pop()
            self._missed.append((last, count + 1))
        else:
            self._missed.append((block, 1))

    def _say_lag(self) -> None:
        """The words that `liq diagnose lag` reads, once for all that was pushed out since the last look."""
        if self._unsaid:
            logger.error("error receiving event: channel lagged by %d", self._unsaid)
            self.lags.append((time_ns() // 1000, self._unsaid))
            self._unsaid = 0


def _json(message: aiohttp.WSMessage) -> Mapping[str, Any]:
    if message.type is not aiohttp.WSMsgType.TEXT:
        raise Unreachable("the socket was closed")
    answer = json_in(message.data)
    if not isinstance(answer, Mapping):
        raise Unreachable("a message that is no object")
    return answer


def _number(facts: Mapping[str, Any], name: str) -> int:
    try:
        return int(facts[name], 16)
    except (KeyError, TypeError, ValueError):
        raise Unreachable(f"a message without a {name}") from None
