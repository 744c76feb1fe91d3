"""The engine: one path in for events, one path out for liquidations, joined by the queue.

logs, prices, sweeps > event channel > watchlist and queue > claim > evaluate > decide > action channel > execute
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any, TypeGuard

from liqcli.bot.channel import Channel
from liqcli.bot.collect import Collector, PriceMove, Signal, discover
from liqcli.bot.decide import Skip, best_liquidation
from liqcli.bot.evaluate import Evaluation, evaluate, recall
from liqcli.bot.execute import Executor
from liqcli.bot.risk import score, tier_of
from liqcli.bot.tally import Tally
from liqcli.bot.watchlist import Watchlist
from liqcli.chain.market import Market
from liqcli.chain.reserves import Unknown
from liqcli.config import Settings
from liqcli.errors import Reverted, Unreachable
from liqcli.model import Address, Event, EventKind, Liquidation, Reading, Receipt, Tier
from liqcli.store.cache import HealthCache
from liqcli.store.queue import BorrowerQueue, Claim, Entry
from liqcli.wallet.policy import Denied

_IDLE_S = 0.25
"""How long an idle worker waits before it looks for expired leases and due retries."""
_BACK_OFF_S = 1.0
_DRAIN_S = 10.0
_WARN_EVERY_S = 10.0
_ROUTED_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth a line: `kind` names it, the rest are its facts."""

    kind: str
    text: str = ""
    reading: Reading | None = None
    plan: Liquidation | None = None
    tx_hash: str = ""
    receipt: Receipt | None = None


@dataclass(frozen=True, slots=True)
class _Action:
    plan: Liquidation
    reading: Reading
    arrived_at: float


class Engine:
    """A running bot over one market; without an executor it is a dry run."""

    def __init__(
        self,
        *,
        market: Market,
        queue: BorrowerQueue,
        cache: HealthCache,
        settings: Settings,
        executor: Executor | None,
        tell: Callable[[Note], None],
    ) -> None:
        self.market = market
        self.queue = queue
        self.cache = cache
        self.settings = settings
        self.executor = executor
        self.watchlist = Watchlist()
        self.tally = Tally()
        self.events: Channel[Signal] = Channel(settings.event_buffer_size)
        self.actions: Channel[_Action] = Channel(settings.action_buffer_size)
        self.is_ready = False
        self._tell = tell
        self._work = asyncio.Event()
        self._arrived: dict[Address, float] = {}
        self._acting: set[Address] = set()
        self._told: dict[Address, str] = {}
        self._settling: set[asyncio.Task[None]] = set()
        self._draining = False
        self._warned_at = -_WARN_EVERY_S

    async def run(self, stop: asyncio.Event, *, first_block: int) -> None:
        """Discover, read everyone once, then follow the chain until told to stop, and drain."""
        if self.executor is not None:
            await self._recover(self.executor)
        next_block = await self._discover(first_block)
        collector = Collector(
            self.market, self.events, next_block=next_block, window_blocks=self.settings.rpc.log_window_blocks
        )
        await collector.note_prices()
        await self._first_pass()
        self.is_ready = True
        self._tell(Note("READY", f"first pass complete, {len(self.watchlist):,} borrowers; now event-driven"))
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            stages = [tasks.create_task(stage) for stage in self._stages(collector, stop)]
            workers = [tasks.create_task(self._worker()) for _ in range(self.settings.workers)]
            await stop.wait()
            await self._drain(workers)
            for task in (*stages, *workers, *self._settling):
                task.cancel()

    def by_tier(self) -> Counter[Tier]:
        """How many borrowers each tier holds now; the unknown count as critical."""
        return Counter(self._tier(borrower) for borrower in self.watchlist)

    def closest(self) -> Reading | None:
        """The healthy borrower nearest to liquidation."""
        healthy = (reading for reading in self.watchlist.readings() if not reading.is_liquidatable)
        return min(healthy, key=lambda reading: reading.health_factor, default=None)

    def _stages(self, collector: Collector, stop: asyncio.Event) -> list[Coroutine[Any, Any, None]]:
        acting = [] if self.executor is None else [self._repeat(partial(self._act, self.executor))]
        return [
            collector.run(every_s=self.settings.rpc.poll_interval_s, stop=stop, warn=self._warn),
            self._repeat(self._route),
            *(self._sweep(tier, stop) for tier in Tier),
            *acting,
        ]

    async def _recover(self, executor: Executor) -> None:
        """What an earlier run left under way is settled before anything new is planned."""
        for plan, end in await executor.recover():
            receipt, why = (end, end.tx_hash) if isinstance(end, Receipt) else (None, str(end))
            self._tell(Note("recovered", why, plan=plan, receipt=receipt))

    async def _discover(self, first_block: int) -> int:
        """Watch everyone who appears in the market's logs; returns the block after the last one read."""
        last, _ = await self.market.head()
        self._tell(Note("start", f"discovering borrowers in blocks {first_block:,} to {last:,}"))
        next_block, widest = first_block, self.settings.rpc.log_window_blocks
        async for window_last, borrowers in discover(self.market, first_block, last, window_blocks=widest):
            self.watchlist.watch(borrowers)
            next_block = window_last + 1
        return next_block

    async def _first_pass(self) -> None:
        batch = self.settings.tiers.safe.batch
        known = list(self.watchlist)
        for start in range(0, len(known), batch):
            evaluation = await self._evaluate(known[start : start + batch])
            for reading in evaluation.liquidatable:
                self._arrived.setdefault(reading.borrower, monotonic())
            await self._push([self._entry(EventKind.SWEEP, reading.borrower) for reading in evaluation.liquidatable])

    async def _route(self) -> None:
        """Take signals from the channel into the queue; they are settled once Redis has them."""
        signals = await self.events.take(_ROUTED_AT_ONCE)
        entries = [entry for signal in signals for entry in self._entries(signal)]
        await self._push(entries)
        await self.cache.drop_many({signal.borrower for signal in signals if _is_news(signal)})
        for signal in signals:
            self.tally.event_to_queue.since(signal.at)
        self.tally.applied += len(signals)
        self.events.settle(len(signals))

    def _entries(self, signal: Signal) -> list[Entry]:
        if isinstance(signal, PriceMove):
            self.watchlist.prices_moved(signal.worst_factor)
            exposed = self.watchlist.exposed(self.settings.event_threshold)
            return [self._arriving(EventKind.PRICE, borrower, signal.at) for borrower in exposed]
        return [self._arriving(signal.kind, signal.borrower, signal.at)]

    def _arriving(self, kind: EventKind, borrower: Address, at: float) -> Entry:
        self._arrived.setdefault(borrower, at)
        return self._entry(kind, borrower)

    def _entry(self, kind: EventKind, borrower: Address) -> Entry:
        reading = self.watchlist.reading(borrower)
        health_factor = None if reading is None else reading.health_factor
        return Entry(borrower, score(kind, reading), self._tier(borrower), health_factor, kind.value)

    async def _push(self, entries: Sequence[Entry]) -> None:
        """Push until Redis has taken them: the channel fills meanwhile, and the chain waits."""
        merged = {}
        for entry in sorted(entries, key=lambda entry: entry.score, reverse=True):
            merged[entry.borrower] = entry
        while merged:
            try:
                added = await self.queue.push(list(merged.values()))
            except Unreachable as err:
                await self._back_off(err)
                continue
            self.tally.coalesced += len(entries) - added
            self._work.set()
            return

    async def _sweep(self, tier: Tier, stop: asyncio.Event) -> None:
        """Make an event of each due borrower of a tier at the tier's pace."""
        while not stop.is_set():
            await asyncio.sleep(self.settings.tiers.policy(tier).interval_s)
            block, now = 0, monotonic()
            for borrower in self.watchlist.due(now):
                if self._tier(borrower) is tier:
                    await self.events.put(Event(EventKind.SWEEP, borrower, block, -1, now))

    async def _worker(self) -> None:
        """Work until the bot drains; a batch under way is finished, so that no lease is left behind."""
        while not self._draining:
            await self._attempt(self._work_once)

    async def _work_once(self) -> None:
        """Claim the most urgent borrowers, read them, plan for those below one, and give the claims back."""
        claims = await self.queue.claim(self.settings.tiers.critical.batch)
        if not claims:
            await self._wait_for_work()
            return
        arrived = {claim.borrower: self._arrived.pop(claim.borrower, monotonic()) for claim in claims}
        evaluation = await self._evaluate(await self._stale(claims))
        for reading in evaluation.liquidatable:
            await self._consider(reading, arrived[reading.borrower])
        await self.queue.done([claim for claim in claims if claim.borrower not in evaluation.failed])
        await self.queue.retry([claim for claim in claims if claim.borrower in evaluation.failed], "read failed")

    async def _wait_for_work(self) -> None:
        self._work.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(_IDLE_S):
                await self._work.wait()

    async def _stale(self, claims: Sequence[Claim]) -> list[Address]:
        """Whom to read: events always, sweeps only where the shared cache has nothing fresh."""
        swept = [claim.borrower for claim in claims if claim.because == EventKind.SWEEP]
        fresh = await recall(swept, watchlist=self.watchlist, cache=self.cache, settings=self.settings)
        return [claim.borrower for claim in claims if claim.borrower not in fresh]

    async def _evaluate(self, borrowers: Sequence[Address]) -> Evaluation:
        evaluation = await evaluate(
            borrowers, market=self.market, watchlist=self.watchlist, cache=self.cache, settings=self.settings
        )
        for reading in evaluation.readings:
            if not reading.is_liquidatable:
                self._told.pop(reading.borrower, None)
        return evaluation

    async def _consider(self, reading: Reading, arrived_at: float) -> None:
        """Plan a liquidation, or count why not; a borrower with one under way is left alone."""
        if reading.borrower in self._acting:
            return
        try:
            snapshot = await self.market.snapshot(reading.borrower)
        except Unknown as err:
            self._skip(reading, err.reason, str(err))
            return
        gas_price = await self.market.rpc.gas_price()
        decision = best_liquidation(snapshot, min_profit_base=self.settings.limits.min_profit_base, gas_price=gas_price)
        if isinstance(decision, Skip):
            self._skip(reading, decision.reason, decision.text)
            return
        if self._told.get(reading.borrower) != "planned":
            self.tally.planned += 1
            self._tell(Note("plan" if self.executor else "dry run", reading=reading, plan=decision))
        self._told[reading.borrower] = "planned"
        if self.executor is not None:
            self._acting.add(reading.borrower)
            await self.actions.put(_Action(decision, reading, arrived_at))

    async def _act(self, executor: Executor) -> None:
        """Send one liquidation; its receipt is awaited beside the next ones."""
        (action,) = await self.actions.take(1)
        try:
            tx_hash = await executor.send(action.plan)
        except Reverted as err:
            self._skip(action.reading, f"simulation reverted: {err.reason or 'no reason given'}", str(err))
            self._finish(action)
        except Denied as err:
            self._skip(action.reading, err.reason, str(err))
            self._finish(action)
        except Unreachable as err:
            self._failed(action, str(err))
        else:
            self.tally.sent += 1
            self.tally.event_to_send.since(action.arrived_at)
            self._tell(Note("sent", reading=action.reading, plan=action.plan, tx_hash=tx_hash))
            settling = self._tasks.create_task(self._settle(executor, action, tx_hash))
            self._settling.add(settling)
            settling.add_done_callback(self._settling.discard)

    async def _settle(self, executor: Executor, action: _Action, tx_hash: str) -> None:
        try:
            receipt = await executor.receipt(tx_hash, action.plan)
        except Unreachable as err:
            self._failed(action, str(err))
            return
        self.tally.profit_base += receipt.profit_base
        if receipt.succeeded:
            self.tally.won += 1
        else:
            self.tally.failed += 1
        kind = "won" if receipt.succeeded else "failed"
        self._tell(Note(kind, reading=action.reading, plan=action.plan, tx_hash=tx_hash, receipt=receipt))
        self._finish(action)

    def _failed(self, action: _Action, why: str) -> None:
        self.tally.failed += 1
        self._tell(Note("failed", why, action.reading, action.plan))
        self._finish(action)

    def _finish(self, action: _Action) -> None:
        self._acting.discard(action.plan.borrower)
        self.actions.settle(1)

    def _skip(self, reading: Reading, reason: str, text: str) -> None:
        if self._told.get(reading.borrower) != reason:
            self.tally.skipped[reason] += 1
            self._tell(Note("skip", text, reading))
        self._told[reading.borrower] = reason

    async def _repeat(self, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            await self._attempt(step)

    async def _attempt(self, step: Callable[[], Awaitable[None]]) -> None:
        """One step; what cannot be reached is said, and the next attempt comes a little later."""
        try:
            await step()
        except Unreachable as err:
            await self._back_off(err)

    async def _back_off(self, err: Unreachable) -> None:
        self._warn(str(err))
        await asyncio.sleep(_BACK_OFF_S)

    async def _drain(self, workers: Sequence[asyncio.Task[None]]) -> None:
        """Apply what was received and finish what was planned; the rest stays in Redis and on the chain."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_S):
                await self.events.settled()
                self._draining = True
                await asyncio.wait(workers)
                await self.actions.settled()
        if self._acting:
            self._warn(f"{len(self._acting)} liquidations were still under way; look their hashes up")

    def _tier(self, borrower: Address) -> Tier:
        reading = self.watchlist.reading(borrower)
        return tier_of(None if reading is None else reading.health_factor, self.settings.tiers)

    def _warn(self, text: str) -> None:
        """Say it, but not every second while a fault lasts."""
        if monotonic() - self._warned_at >= _WARN_EVERY_S:
            self._warned_at = monotonic()
            self._tell(Note("warn", text))


def _is_news(signal: Signal) -> TypeGuard[Event]:
    """Whether the chain changed this borrower, so that no cached reading holds any more."""
    return isinstance(signal, Event) and signal.kind is not EventKind.SWEEP
