"""Collect: move the mirror along the chain, and put what happened to whom into the event channel.

The chain is the buffer that cannot overflow: while the channel is full nothing is read, and the blocks wait.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from time import monotonic

from liqcli.book.mirror import Mirror, Prices, Turn
from liqcli.bot.channel import Channel
from liqcli.chain.head import HeadWatch
from liqcli.chain.rpc import Rpc
from liqcli.chain.stream import Stream
from liqcli.errors import Unreachable
from liqcli.model import Address, Event, EventKind

_LET_THROUGH_S = 0.05

Arrivals = tuple[Event, ...]
"""Events that came together; what travels in the event channel."""


class Collector:
    """Polls one market; the book's cursor is its cursor. A websocket, where there is one, says when to look."""

    def __init__(
        self,
        rpc: Rpc,
        mirror: Mirror,
        channel: Channel[Arrivals],
        *,
        audited: int,
        watch: HeadWatch,
        stream: Stream | None,
    ) -> None:
        self._rpc = rpc
        self._mirror = mirror
        self._channel = channel
        self._audited = audited
        self._watch = watch
        self._stream = stream

    async def run(self, *, every_s: float, stop: asyncio.Event, warn: Callable[[str], None]) -> None:
        """Poll until told to stop; an unreachable node is asked again at the same pace, and that is said."""
        while not stop.is_set():
            try:
                await self.poll(warn)
            except Unreachable as err:
                warn(f"{err}; the book stays at block {self._mirror.book.cursor:,}")
            await self._rest(stop, every_s)

    async def poll(self, warn: Callable[[str], None]) -> None:
        """One look at prices and logs, and one at whoever is unknown."""
        async for step in self._mirror.look(self._audited):
            if isinstance(step, Turn):
                await self._hand_over(events_of(step, monotonic()))
                await self._let_through()
            elif isinstance(step, Prices):
                await self._take_prices(step)
            elif step.wrong:
                warn(f"the book differed from the chain for {len(step.wrong)} borrowers; they are read again")
        await self._mirror.heal()
        if self._stream is not None:
            self._stream.polled(self._mirror.book.cursor)

    async def _take_prices(self, prices: Prices) -> None:
        head = self._watch.see(prices.block, prices.at)
        if not head.is_current:
            self._rpc.distrust(head.reason)
        if prices.moved:
            await self._hand_over(_alike(EventKind.PRICE, self._mirror.candidates(), prices.block))

    async def _let_through(self) -> None:
        """Until the events are in the queue, or a little while: the next page of a storm would hold them up."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LET_THROUGH_S):
                await self._channel.settled()

    async def _rest(self, stop: asyncio.Event, seconds: float) -> None:
        """Until something comes by the websocket, or for so long, or until told to stop."""
        if self._stream is not None:
            await self._stream.wait(seconds)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await stop.wait()

    async def _hand_over(self, events: Arrivals) -> None:
        """Give events to the channel, no more at once than fit into it."""
        for start in range(0, len(events), self._channel.capacity):
            part = events[start : start + self._channel.capacity]
            await self._channel.put(part, size=len(part))


def events_of(turn: Turn, at: float) -> Arrivals:
    """What a page of logs did to whom; a balance that moved without the pool's own word was transferred."""
    acted = [Event(deed.kind, deed.account, deed.block, deed.log_index, at) for deed in turn.acted]
    named = {event.borrower for event in acted}
    moved = (Event(EventKind.TRANSFER, account, turn.block, -1, at) for account in turn.changed - named)
    return (*acted, *moved)


def _alike(kind: EventKind, borrowers: Iterable[Address], block: int) -> Arrivals:
    at = monotonic()
    return tuple(Event(kind, borrower, block, -1, at) for borrower in borrowers)
