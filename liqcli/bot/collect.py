"""Collect: follow the chain's logs and prices into the event channel; the chain is the buffer that cannot overflow.

The cursor moves only after every event of its window was applied: a full channel or a crash costs time, never events.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from time import monotonic

from liqcli.bot.channel import Channel
from liqcli.chain.logs import changes_market, decode_events, follow_windows
from liqcli.chain.market import Market
from liqcli.errors import Unreachable
from liqcli.model import Address, Event


@dataclass(frozen=True, slots=True)
class Head:
    """The newest block seen and when it was seen (local monotonic second)."""

    block: int
    timestamp: int
    seen_at: float


@dataclass(frozen=True, slots=True)
class PriceMove:
    """A bound on what prices or the market's rules did: no health factor fell below `worst_factor` of what it was."""

    block: int
    worst_factor: float
    at: float


Signal = Event | PriceMove
"""What travels in the event channel."""


class Collector:
    """Polls one endpoint for logs and prices; `next_block` is the cursor."""

    def __init__(self, market: Market, channel: Channel[Signal], *, next_block: int, window_blocks: int) -> None:
        self._market = market
        self._channel = channel
        self._window_blocks = window_blocks
        self._prices: Mapping[Address, int] = {}
        self.next_block = next_block
        self.head = Head(next_block - 1, 0, monotonic())

    async def run(self, *, every_s: float, stop: asyncio.Event, warn: Callable[[str], None]) -> None:
        """Poll until told to stop; an unreachable node is retried at the same pace and said."""
        while not stop.is_set():
            try:
                await self.poll()
            except Unreachable as err:
                warn(f"{err}; cursor stays at block {self.next_block:,}")
            await _sleep_unless(stop, every_s)

    async def note_prices(self) -> None:
        """Remember today's prices: moves are counted from here, so do it before the first reading."""
        self._prices = (await self._market.prices()).by_asset

    async def poll(self) -> None:
        """Bring the channel up to the head once: logs first, then what prices did."""
        block, timestamp = await self._market.head()
        if block > self.head.block:
            self.head = Head(block, timestamp, monotonic())
        await self._read_logs(self.head.block)
        await self._read_prices()

    async def _read_logs(self, last: int) -> None:
        windows = follow_windows(self._market, self.next_block, last, widest=self._window_blocks)
        async for window in windows:
            received_at = monotonic()
            for event in decode_events(window.logs, at=received_at):
                await self._channel.put(event)
            if changes_market(window.logs):
                await self._market.reload()
                await self._channel.put(PriceMove(window.last, 0.0, received_at))
            await self._channel.settled()
            self.next_block = window.last + 1

    async def _read_prices(self) -> None:
        prices = await self._market.prices()
        worst_factor = worst_factor_of(self._prices, prices.by_asset)
        if self._prices and worst_factor < 1.0:
            await self._channel.put(PriceMove(prices.block, worst_factor, monotonic()))
        self._prices = prices.by_asset


async def discover(
    market: Market, first: int, last: int, *, window_blocks: int
) -> AsyncIterator[tuple[int, set[Address]]]:
    """Every account that the market's logs name: window by window, with the last block of each."""
    async for window in follow_windows(market, first, last, widest=window_blocks):
        yield window.last, {event.borrower for event in decode_events(window.logs, at=monotonic())}


def worst_factor_of(before: Mapping[Address, int], after: Mapping[Address, int]) -> float:
    """The least a health factor can be of what it was: all collateral in the worst fall, all debt in the worst rise.

    An asset whose price vanished bounds nothing: the factor is 0 and everybody is read again.
    """
    ratios = [after.get(asset, 0) / price for asset, price in before.items()]
    return min(1.0, *ratios) / max(1.0, *ratios) if ratios else 1.0


async def _sleep_unless(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
