"""The engine: one path in for events, one path out for liquidations, joined by the queue.

chain > mirror > event channel > queue > claim > evaluate > decide > dispatch
"""

import asyncio
import gc
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from time import monotonic
from typing import Any

from liqcli.book.checkpoint import save_in_turns
from liqcli.book.mirror import Mirror
from liqcli.bot.alarm import Alarm
from liqcli.bot.backlog import Backlog
from liqcli.bot.channel import Channel
from liqcli.bot.collect import Arrivals, Collector
from liqcli.bot.decide import Skip, decide
from liqcli.bot.dispatch import LANES, Action, Dispatch
from liqcli.bot.evaluate import Evaluation, evaluate, recall
from liqcli.bot.execute import Executor
from liqcli.bot.idle import Idle
from liqcli.bot.notes import Note, Tell
from liqcli.bot.pulse import Pulse
from liqcli.bot.risk import most_telling, score, tier_of
from liqcli.bot.tally import Tally
from liqcli.bot.tune import Tuner
from liqcli.bot.watchlist import Watchlist
from liqcli.chain.budget import spending_as
from liqcli.chain.exchange import Exchange
from liqcli.chain.head import HeadWatch
from liqcli.chain.market import Market
from liqcli.chain.reserves import Unknown
from liqcli.chain.stream import Stream
from liqcli.config import Settings
from liqcli.errors import Unreachable
from liqcli.model import WAD, Address, Event, EventKind, Reading, Receipt, Tier
from liqcli.store.cache import HealthCache
from liqcli.store.held import HeldClaims
from liqcli.store.queue import BorrowerQueue, Claim, Entry
from liqcli.tasks import end

_IDLE_S = 0.25
"""How long an idle worker waits before it looks for expired leases and due retries."""
_BACK_OFF_S = 1.0
_DRAIN_S = 10.0


@dataclass(frozen=True, slots=True)
class _Work:
    """What a worker took: borrowers with why, from the queue as claims, or from the backlog as entries.

    The claim of a borrower who is planned for leaves with the action.
    """

    because: dict[Address, str]
    claims: dict[Address, Claim] = field(default_factory=dict)
    entries: Sequence[Entry] = ()


class Engine:
    """A running bot over one market; without an executor it is a dry run, without an exchange it uses its own funds."""

    def __init__(
        self,
        *,
        market: Market,
        mirror: Mirror,
        queue: BorrowerQueue,
        cache: HealthCache,
        settings: Settings,
        executor: Executor | None,
        exchange: Exchange | None = None,
        tell: Tell,
        checkpoint: Path | None = None,
        stream: Stream | None = None,
    ) -> None:
        self.market = market
        self.mirror = mirror
        self.queue = queue
        self.cache = cache
        self.settings = settings
        self.executor = executor
        self.exchange = exchange
        self.watchlist = Watchlist()
        self.backlog = Backlog()
        self.tally = Tally()
        self.tuner = Tuner(settings.tiers, settings.tuning)
        self.pulse = Pulse()
        self.events: Channel[Arrivals] = Channel(settings.event_buffer_size)
        self.dispatch: Dispatch | None = None
        self._held = HeldClaims(queue, lease_s=settings.queue.lease_s)
        self.is_ready = False
        self._tell = tell
        self._checkpoint = checkpoint
        self.stream = stream
        self.watch = HeadWatch(max_age_s=settings.max_head_age_s)
        self._idle = Idle()
        self._arrived: dict[Address, float] = {}
        self._told: dict[Address, str] = {}
        self._is_cut_off = False
        self._draining = False
        self._alarm = Alarm(tell)
        self._threshold = round(settings.event_threshold * 10**9) * WAD // 10**9

    async def run(self, stop: asyncio.Event) -> None:
        """Look at everyone once, then follow the chain until told to stop, and drain."""
        if self.executor is not None:
            await self._recover(self.executor)
            self.dispatch = Dispatch(
                self.executor,
                self._held,
                capacity=self.settings.action_buffer_size,
                tally=self.tally,
                tell=self._tell,
            )
        collector = Collector(
            self.market.rpc,
            self.mirror,
            self.events,
            audited=self.settings.tuning.audited_per_poll,
            watch=self.watch,
            stream=self.stream,
        )
        async with asyncio.TaskGroup() as tasks:
            router = tasks.create_task(self._repeat(self._route))
            await self._first_pass(collector)
            stages = [router, *(tasks.create_task(stage) for stage in self._stages(collector, stop))]
            workers = [tasks.create_task(self._worker(tier, place)) for tier in Tier for place in self._places(tier)]
            await stop.wait()
            await self._drain(workers)
            await end((*stages, *workers))
        with suppress(Unreachable):  # then the leases end by themselves
            await self._held.release_all()
        await self._save()

    @property
    def backlogged(self) -> int:
        """How many borrowers wait in this process because Redis did not take them."""
        return len(self.backlog) if self._is_cut_off else 0

    def by_tier(self) -> Counter[Tier]:
        """How many borrowers each tier holds now; the unknown count as critical."""
        self.mirror.revalue()
        counts = Counter({tier: len(self._members(tier)) for tier in Tier})
        counts[Tier.CRITICAL] += len(self.mirror.book.unknown)
        return counts

    def reading(self, borrower: Address) -> Reading | None:
        """The book's exact answer; None where the book does not know, or the chain's last answer failed."""
        return None if borrower in self.watchlist.failed else self.mirror.reading(borrower)

    def closest(self) -> Reading | None:
        """The healthy borrower nearest to liquidation."""
        near = (self.mirror.reading(borrower) for borrower in self.mirror.closest())
        return next((reading for reading in near if reading and not reading.is_liquidatable), None)

    def _stages(self, collector: Collector, stop: asyncio.Event) -> list[Coroutine[Any, Any, None]]:
        return [
            collector.run(every_s=self.settings.rpc.poll_interval_s, stop=stop, warn=self._alarm.warn),
            *(self._sweep(tier, stop) for tier in Tier),
            self._maintain(),
            self._retune(),
            self._held.keep(),
            *(
                [self.exchange.keep(self.settings.maintenance_interval_s, warn=self._alarm.warn)]
                if self.exchange
                else []
            ),
            *([self._repeat(self.dispatch.step) for _ in range(LANES)] if self.dispatch else []),
        ]

    def _places(self, tier: Tier) -> range:
        return range(round(self.settings.tiers.policy(tier).workers * self.settings.tuning.stretch))

    async def _recover(self, executor: Executor) -> None:
        """What an earlier run left under way is settled before anything new is planned."""
        for plan, outcome in await executor.recover():
            receipt, why = (outcome, outcome.tx_hash) if isinstance(outcome, Receipt) else (None, str(outcome))
            self._tell(Note("recovered", why, plan=plan, receipt=receipt))

    async def _first_pass(self, collector: Collector) -> None:
        """Everybody valued exactly at one block; who may be below one goes first."""
        warming = asyncio.create_task(asyncio.to_thread(self.mirror.follower.warm))
        await collector.poll(self._alarm.warn)
        await warming
        self.mirror.revalue()
        gc.freeze()  # the book stays: walking it again and again would cost a burst a tenth of its time
        at = monotonic()
        await self._push([self._entry(EventKind.SWEEP, borrower, at) for borrower in self.mirror.candidates()])
        self.is_ready = True
        self._tell(Note("READY", f"first pass complete, {len(self.mirror):,} borrowers; now event-driven"))

    async def _route(self) -> None:
        """Take what is in the channel: who is near or unknown goes to the queue, the book vouches for the others."""
        waiting, size = await self.events.take_all()
        events = tuple(chain.from_iterable(waiting))
        kinds = most_telling(events)
        vouched = self.mirror.surely_above(list(kinds), self.settings.event_threshold) - self.watchlist.failed
        entries = [
            self._entry(event.kind, borrower, event.at)
            for borrower, event in kinds.items()
            if event.kind is EventKind.SWEEP or (borrower not in vouched and self._is_near(borrower))
        ]
        self._tell_liquidated(events)
        await asyncio.gather(self._push(entries), self._forget_cached(events))
        self.tally.event_to_queue.since(*(event.at for event in kinds.values()))
        self.tally.applied += size
        self.tally.coalesced += size - len(kinds)
        await self.events.settle(size)

    def _tell_liquidated(self, events: Arrivals) -> None:
        """Who was liquidated, with what was known of them, for the audit of those we missed."""
        for event in events:
            if event.kind is EventKind.LIQUIDATION:
                known = self.watchlist.reading(event.borrower)
                self._tell(Note("liquidated", self._told.get(event.borrower, ""), known))

    def _is_near(self, borrower: Address) -> bool:
        """Whether a borrower has to be looked at on the chain; who is unknown has to."""
        reading = self.reading(borrower)
        return reading is None or reading.health_factor < self._threshold

    def _entry(self, kind: EventKind, borrower: Address, at: float) -> Entry:
        self._arrived.setdefault(borrower, at)
        reading = self.reading(borrower)
        health_factor = None if reading is None else reading.health_factor
        tier = tier_of(health_factor, self.settings.tiers)
        return Entry(borrower, score(kind, reading), tier, health_factor, kind.value)

    async def _push(self, entries: Sequence[Entry]) -> None:
        """Into Redis, with what waited here; while Redis does not answer, all of it waits here for the workers."""
        self.backlog.push(entries)
        waiting = self.backlog.waiting()
        if waiting:
            try:
                added = await self.queue.push(waiting)
            except Unreachable as err:
                self._is_cut_off = True
                self._alarm.redis_failed()
                self._alarm.warn(f"{err}; {len(self.backlog):,} borrowers wait in this process")
            else:
                self._is_cut_off = False
                self._alarm.redis_answered()
                self.backlog.drop(waiting)
                self.tally.coalesced += len(waiting) - added
            self._idle.wake(waiting, {tier: pacing.batch for tier, pacing in self.tuner.pacing.items()})

    async def _forget_cached(self, events: Arrivals) -> None:
        changed = {event.borrower for event in events if event.kind not in (EventKind.SWEEP, EventKind.PRICE)}
        if changed:
            with suppress(Unreachable):  # a cache that does not answer serves nothing old either
                await self.cache.drop_many(changed)

    async def _sweep(self, tier: Tier, stop: asyncio.Event) -> None:
        """Make an event of each due borrower of a tier at the tier's pace."""
        while not stop.is_set():
            await asyncio.sleep(self.tuner.pacing[tier].interval_s)
            self.mirror.revalue()
            members = self._members(tier)
            if tier is Tier.CRITICAL:
                members += [*self.mirror.book.unknown, *self.watchlist.failed]
            now = monotonic()
            for borrower in self.watchlist.due(members, now):
                await self.events.put((Event(EventKind.SWEEP, borrower, self.mirror.book.cursor, -1, now),))

    def _members(self, tier: Tier) -> list[Address]:
        return self.mirror.between(*self.settings.tiers.bounds(tier))

    async def _worker(self, tier: Tier, place: int) -> None:
        """Work for a tier and those above it until the bot drains; a batch under way is finished first."""
        while not self._draining:
            if place < self.tuner.pacing[tier].workers:
                await self._attempt(lambda: self._work_once(tier))
            else:
                await asyncio.sleep(_BACK_OFF_S)

    async def _work_once(self, tier: Tier) -> None:
        """Take the most urgent borrowers, read them, plan for those below one, and give the claims back."""
        work = await self._take_work(self.tuner.pacing[tier].batch, tier)
        if not work.because:
            await self._idle.wait(tier, _IDLE_S)
            return
        arrived = {borrower: self._arrived.pop(borrower, monotonic()) for borrower in work.because}
        try:
            evaluation = await self._read(work, tier)
            for first in range(0, len(evaluation.liquidatable), LANES):
                await self._consider_all(evaluation.liquidatable[first : first + LANES], arrived, work)
        except Unreachable:
            await self._give_back(work, arrived)
            raise
        failed = [claim for borrower, claim in work.claims.items() if borrower in evaluation.failed]
        await self._held.done(*(claim for claim in work.claims.values() if claim not in failed))
        await self._held.retry(*failed, reason="read failed")

    async def _read(self, work: _Work, tier: Tier) -> Evaluation:
        """Read whom the cache does not know fresh, paid from the tier's share of the request budget."""
        started = monotonic()
        with spending_as(tier):
            evaluation = await self._evaluate(await self._stale(work.because))
        self.pulse.beat(tier, started, read=len(evaluation.readings), failed=len(evaluation.failed))
        return evaluation

    async def _give_back(self, work: _Work, arrived: dict[Address, float]) -> None:
        """An outage is not the borrowers' fault: they are ready again at once, and no try is counted."""
        self._arrived = {**arrived, **self._arrived}
        self.backlog.push(work.entries)
        with suppress(Unreachable):  # then the leases run out by themselves
            await self._held.release(*work.claims.values())

    async def _take_work(self, count: int, tier: Tier) -> _Work:
        """From the queue; while Redis does not answer, from what waits in this process."""
        asked_at = monotonic()
        try:
            claims = await self.queue.claim(count, at_most=tier)
        except Unreachable as err:
            self._alarm.redis_failed()
            entries = self.backlog.take(count, at_most=tier)
            if not entries:
                raise
            self._alarm.warn(f"{err}; going on without it")
            return _Work({entry.borrower: entry.because for entry in entries}, entries=entries)
        self._alarm.redis_answered()
        self._held.add(*claims, since=asked_at)
        because = {claim.borrower: claim.because for claim in claims}
        return _Work(because, claims={claim.borrower: claim for claim in claims})

    async def _stale(self, because: dict[Address, str]) -> list[Address]:
        """Whom to read: events always, sweeps only where the shared cache has nothing fresh."""
        swept = [borrower for borrower, reason in because.items() if reason == EventKind.SWEEP]
        try:
            fresh = await recall(
                swept, watchlist=self.watchlist, cache=self.cache, settings=self.settings, use=self.tally.cache
            )
        except Unreachable:
            fresh = set()
        return [borrower for borrower in because if borrower not in fresh]

    async def _evaluate(self, borrowers: Sequence[Address]) -> Evaluation:
        evaluation = await evaluate(
            borrowers,
            market=self.market,
            watchlist=self.watchlist,
            cache=self.cache,
            settings=self.settings,
            least_block=self.watch.state().block,
        )
        for reading in evaluation.readings:
            if not reading.is_liquidatable:
                self._forget(reading.borrower)
        return evaluation

    async def _consider_all(self, readings: Sequence[Reading], arrived: Mapping[Address, float], work: _Work) -> None:
        """Plan side by side for as many as can be sent side by side; raises the first error after all have ended."""
        considered = (self._consider(reading, arrived[reading.borrower], work) for reading in readings)
        for outcome in await asyncio.gather(*considered, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def _consider(self, reading: Reading, arrived_at: float, work: _Work) -> None:
        """Plan a liquidation, or count why not; a borrower with one under way is left alone."""
        if self.dispatch is not None and reading.borrower in self.dispatch.busy:
            return
        if not (head := self.watch.state()).is_current:
            self._skip(reading, "stale head", head.reason)
            return
        try:
            snapshot = await self.market.snapshot(reading.borrower)
        except Unknown as err:
            self._skip(reading, err.reason, str(err))
            return
        decision = await decide(snapshot, self.market, self.exchange, self.settings.limits)
        if isinstance(decision, Skip):
            self._skip(reading, decision.reason, decision.text)
            return
        if self.dispatch is not None:
            claim = work.claims.pop(reading.borrower, None)
            await self.dispatch.put(Action(decision, reading, arrived_at, claim))
        elif self._told.get(reading.borrower) != "planned":
            self.tally.planned += 1
            self._tell(Note("dry run", reading=reading, plan=decision))
        self._told[reading.borrower] = "planned"

    async def _maintain(self) -> None:
        """Now and then the book goes to disk, so that a restart begins where this run was; who left is forgotten."""
        while True:
            await asyncio.sleep(self.settings.maintenance_interval_s)
            self._evict()
            await self._save()

    def _evict(self) -> None:
        """Nothing is kept of those who owe nothing any more."""
        owing = set(self.mirror.book.borrowers)
        self.watchlist.keep(owing)
        for borrower in self._told.keys() - owing:
            self._forget(borrower)
        for borrower in self._arrived.keys() - owing:
            del self._arrived[borrower]

    def _forget(self, borrower: Address) -> None:
        self._told.pop(borrower, None)
        if self.dispatch is not None:
            self.dispatch.refused.pop(borrower, None)

    async def _save(self) -> None:
        if self._checkpoint is None:
            return
        try:
            await save_in_turns(self.mirror.book, self._checkpoint)
        except OSError as err:  # a full disk is no reason to stop: the old one is good, only longer to catch up from
            self._tell(Note("warn", f"the book could not be saved to {self._checkpoint}: {err.strerror}"))

    async def _retune(self) -> None:
        """Every round the pacing follows what the tiers showed, and every change is said with its reason."""
        while True:
            await asyncio.sleep(self.settings.tuning.every_s)
            await self._attempt(self._tune_once)

    async def _tune_once(self) -> None:
        stats = await self.queue.stats()
        oldest_s = {tier: depth.oldest_s for tier, depth in stats.by_tier.items()}
        budget_left = {tier: self.market.rpc.budget_left(tier) for tier in Tier}
        for change in self.tuner.tune(self.pulse.measured(oldest_s, budget_left)):
            self._tell(Note("tune", str(change)))

    def _skip(self, reading: Reading, reason: str, text: str) -> None:
        if self._told.get(reading.borrower) != reason:
            self.tally.skipped[reason] += 1
            self._tell(Note("skip", text, reading, reason=reason))
        self._told[reading.borrower] = reason

    async def _repeat(self, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            await self._attempt(step)

    async def _attempt(self, step: Callable[[], Awaitable[None]]) -> None:
        """One step; what cannot be reached is said, and the next attempt comes a little later."""
        try:
            await step()
        except Unreachable as err:
            self._alarm.warn(str(err))
            await asyncio.sleep(_BACK_OFF_S)

    async def _drain(self, workers: Sequence[asyncio.Task[None]]) -> None:
        """Apply what was received and finish what was planned; the rest stays in Redis and on the chain."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_S):
                await self.events.settled()
                self._draining = True
                await asyncio.wait(workers)
                if self.dispatch is not None:
                    await self.dispatch.drained()
        if self.dispatch is not None and self.dispatch.busy:
            self._alarm.warn(
                f"{len(self.dispatch.busy)} liquidations were not settled; what was signed is in the journal"
            )
