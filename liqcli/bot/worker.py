"""The worker: takes from the queue that a run on another machine fills, reads, decides and sends with a key of its own.

It keeps no book. A claim is held from the moment it is taken until the receipt is there, so of all runs and workers one
at a time deals with a borrower; and it is proved once more just before each send.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

from liqcli.bot.alarm import Alarm
from liqcli.bot.decide import Skip, decide
from liqcli.bot.evaluate import Evaluation, evaluate, recall
from liqcli.bot.execute import Executor
from liqcli.bot.notes import Note, Tell
from liqcli.bot.tally import Tally
from liqcli.bot.watchlist import Watchlist
from liqcli.chain.exchange import Exchange
from liqcli.chain.market import Market
from liqcli.chain.reserves import Unknown
from liqcli.config import Settings
from liqcli.errors import Reverted, Unreachable
from liqcli.model import Address, EventKind, Liquidation, Reading, Receipt
from liqcli.store.cache import HealthCache
from liqcli.store.held import HeldClaims
from liqcli.store.queue import BorrowerQueue, Claim
from liqcli.tasks import end
from liqcli.wallet.policy import Denied

_IDLE_S = 0.25
_BACK_OFF_S = 1.0
_DRAIN_S = 30.0


class Worker:
    """One process's share of the work; without an executor it is a dry run."""

    def __init__(
        self,
        *,
        market: Market,
        queue: BorrowerQueue,
        cache: HealthCache,
        settings: Settings,
        executor: Executor | None,
        exchange: Exchange | None,
        tell: Tell,
    ) -> None:
        self.tally = Tally()
        self.claimed = 0
        self.fenced = 0
        self.market = market
        self.cache = cache
        self._queue = queue
        self._settings = settings
        self._executor = executor
        self._exchange = exchange
        self._tell = tell
        self._held = HeldClaims(queue, lease_s=settings.queue.lease_s)
        self._watchlist = Watchlist()
        self._sending = asyncio.Lock()
        self._settling: set[asyncio.Task[None]] = set()
        self._told: dict[Address, str] = {}
        self._refused: set[Address] = set()
        self._alarm = Alarm(tell)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop; what is under way is finished, what is held is given back."""
        if self._executor is not None:
            await self._recover(self._executor)
        self._tell(Note("READY", "claiming from the queue"))
        keeping = [asyncio.create_task(work) for work in self._kept()]
        try:
            async with asyncio.TaskGroup() as tasks:
                working = [tasks.create_task(self._work(stop)) for _ in range(self._settings.workers)]
                await stop.wait()
                await self._drain(working)
        finally:
            await end(keeping)

    def _kept(self) -> list[Coroutine[Any, Any, None]]:
        """What goes on beside the work: claims stay ours, and new pools are found."""
        if self._exchange is None:
            return [self._held.keep()]
        every_s = self._settings.maintenance_interval_s
        return [self._held.keep(), self._exchange.keep(every_s, warn=self._alarm.warn)]

    async def _recover(self, executor: Executor) -> None:
        for plan, outcome in await executor.recover():
            receipt, why = (outcome, outcome.tx_hash) if isinstance(outcome, Receipt) else (None, str(outcome))
            self._tell(Note("recovered", why, plan=plan, receipt=receipt))

    async def _work(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                claims = await self._claim()
                if claims:
                    await self._deal_with(claims)
                    continue
                pause_s = _IDLE_S
            except Unreachable as err:
                self._alarm.warn(str(err))
                pause_s = _BACK_OFF_S
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await stop.wait()

    async def _claim(self) -> list[Claim]:
        try:
            claims = await self._queue.claim(self._settings.tiers.critical.batch)
        except Unreachable:
            self._alarm.redis_failed()
            raise
        self._alarm.redis_answered()
        return claims

    async def _deal_with(self, claims: Sequence[Claim]) -> None:
        """Read all at once; the healthy are finished, the unknown tried again, the others dealt with one by one."""
        self.claimed += len(claims)
        self._held.add(*claims)
        undone = {claim.borrower: claim for claim in claims}
        try:
            evaluation = await self._read(claims)
            below = {reading.borrower for reading in evaluation.liquidatable}
            await self._held.retry(*_taken(undone, evaluation.failed), reason="read failed")
            healthy = undone.keys() - below
            self._forget(healthy)
            await self._held.done(*_taken(undone, healthy))
            for reading in evaluation.liquidatable:
                await self._consider(undone[reading.borrower], reading)
                del undone[reading.borrower]
        finally:
            left = [claim for claim in undone.values() if claim in self._held]
            if left:  # node or Redis are to blame: no failure of these borrowers
                with suppress(Unreachable):  # the leases end by themselves
                    await self._held.release(*left)

    async def _read(self, claims: Sequence[Claim]) -> Evaluation:
        """Events always, sweeps only where the shared cache has nothing fresh."""
        swept = [claim.borrower for claim in claims if claim.because == EventKind.SWEEP]
        fresh = await recall(
            swept, watchlist=self._watchlist, cache=self.cache, settings=self._settings, use=self.tally.cache
        )
        wanted = [claim.borrower for claim in claims if claim.borrower not in fresh]
        return await evaluate(
            wanted, market=self.market, watchlist=self._watchlist, cache=self.cache, settings=self._settings
        )

    async def _consider(self, claim: Claim, reading: Reading) -> None:
        arrived = monotonic()
        try:
            snapshot = await self.market.snapshot(reading.borrower)
            decision = await decide(snapshot, self.market, self._exchange, self._settings.limits)
        except Unknown as err:
            await self._skip(claim, reading, err.reason, str(err))
            return
        if isinstance(decision, Skip):
            await self._skip(claim, reading, decision.reason, decision.text)
        elif self._executor is None:
            self._say_once(reading, "planned", Note("dry run", reading=reading, plan=decision))
            await self._held.done(claim)
        else:
            if reading.borrower not in self._refused:  # what hinders sending is told once, not at each look
                self._plan_told(reading, decision)
            await self._send(self._executor, claim, reading, decision, arrived)

    def _plan_told(self, reading: Reading, plan: Liquidation) -> None:
        self.tally.planned += 1
        self._tell(Note("plan", reading=reading, plan=plan))

    async def _send(
        self, executor: Executor, claim: Claim, reading: Reading, plan: Liquidation, arrived: float
    ) -> None:
        """One send at a time, and only while the borrower is ours; its receipt is awaited beside the next ones."""
        async with self._sending:
            if not await self._held.fence(claim):
                self.fenced += 1
                self._tell(Note("fenced", "somebody else has this borrower by now: nothing was sent", reading))
                return
            try:
                tx_hash = await executor.send(plan)
            except Reverted as err:
                await self._refuse(claim, reading, f"simulation reverted: {err.reason or 'no reason given'}", str(err))
                return
            except Denied as err:
                await self._refuse(claim, reading, err.reason, str(err))
                return
            except Unreachable as err:
                await self._failed(claim, reading, plan, str(err))
                return
            except asyncio.CancelledError:
                self._held.forget(claim)  # it may have been signed: until the lease ends nobody else sends
                raise
        if reading.borrower in self._refused:
            self._refused.remove(reading.borrower)
            self._plan_told(reading, plan)
        self._told.pop(reading.borrower, None)
        self.tally.sent += 1
        self.tally.event_to_send.since(arrived)
        self._tell(Note("sent", reading=reading, plan=plan, tx_hash=tx_hash))
        settling = asyncio.create_task(self._settle(executor, claim, reading, plan, tx_hash))
        self._settling.add(settling)
        settling.add_done_callback(self._settling.discard)

    async def _settle(
        self, executor: Executor, claim: Claim, reading: Reading, plan: Liquidation, tx_hash: str
    ) -> None:
        try:
            receipt = await executor.receipt(tx_hash, plan)
        except Unreachable as err:
            await self._failed(claim, reading, plan, str(err))
            return
        except asyncio.CancelledError:
            self._held.forget(claim)  # until the lease ends nobody else sends for this borrower
            raise
        self.tally.profit_base += receipt.profit_base
        kind = "won" if receipt.succeeded else "failed"
        self.tally.won += receipt.succeeded
        self.tally.failed += not receipt.succeeded
        why = "" if receipt.succeeded else await executor.refusal(plan, receipt.block)
        self._tell(Note(kind, why, reading=reading, plan=plan, tx_hash=tx_hash, receipt=receipt))
        with suppress(Unreachable):  # the lease ends by itself
            await self._held.done(claim)

    async def _failed(self, claim: Claim, reading: Reading, plan: Liquidation, why: str) -> None:
        self.tally.failed += 1
        self._tell(Note("failed", why, reading, plan))
        with suppress(Unreachable):
            await self._held.retry(claim, reason=why)

    async def _refuse(self, claim: Claim, reading: Reading, reason: str, text: str) -> None:
        self._refused.add(reading.borrower)
        await self._skip(claim, reading, reason, text)

    async def _skip(self, claim: Claim, reading: Reading, reason: str, text: str) -> None:
        if self._say_once(reading, reason, Note("skip", text, reading, reason=reason)):
            self.tally.skipped[reason] += 1
        await self._held.done(claim)

    def _say_once(self, reading: Reading, what: str, note: Note) -> bool:
        """A borrower comes again at every sweep: only what is new about it is said."""
        is_new = self._told.get(reading.borrower) != what
        if is_new:
            self._told[reading.borrower] = what
            self._tell(note)
        return is_new

    def _forget(self, healthy: Iterable[Address]) -> None:
        """Who falls again is news."""
        for borrower in healthy:
            self._told.pop(borrower, None)
            self._refused.discard(borrower)

    async def _drain(self, working: Sequence[asyncio.Task[None]]) -> None:
        """Finish what is under way; what takes too long is left to the journal and to the ends of the leases."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_S):
                await asyncio.wait(working)
                if self._settling:
                    await asyncio.wait(self._settling)
        await end([*working, *self._settling])
        with suppress(Unreachable):
            await self._held.release_all()


def _taken(claims: dict[Address, Claim], borrowers: Iterable[Address]) -> list[Claim]:
    """The claims of these borrowers, taken out."""
    return [claims.pop(borrower) for borrower in list(borrowers)]
