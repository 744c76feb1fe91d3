"""Dispatch: planned liquidations go out, one send at a time, and their receipts are awaited side by side."""

import asyncio
from dataclasses import dataclass

from liqcli.bot.channel import Channel
from liqcli.bot.execute import Executor
from liqcli.bot.notes import Note, Tell
from liqcli.bot.tally import Tally
from liqcli.errors import Reverted, Unreachable
from liqcli.model import Address, Liquidation, Reading
from liqcli.wallet.policy import Denied


@dataclass(frozen=True, slots=True)
class Action:
    """A liquidation to send, the reading that led to it, and when its event arrived (monotonic second)."""

    plan: Liquidation
    reading: Reading
    arrived_at: float


class Dispatch:
    """The action channel and its one sender; a borrower with an action under way is `busy`."""

    def __init__(self, executor: Executor, *, capacity: int, tally: Tally, tell: Tell) -> None:
        self.actions: Channel[Action] = Channel(capacity)
        self.busy: set[Address] = set()
        self._executor = executor
        self._tally = tally
        self._tell = tell
        self._settling: set[asyncio.Task[None]] = set()

    async def put(self, action: Action) -> None:
        """Queue an action, waiting while the channel is full."""
        self.busy.add(action.plan.borrower)
        await self.actions.put(action)

    async def step(self) -> None:
        """Send the next action; its receipt is awaited beside the next ones."""
        action, _ = await self.actions.take()
        try:
            tx_hash = await self._executor.send(action.plan)
        except Reverted as err:
            await self._skipped(action, f"simulation reverted: {err.reason or 'no reason given'}", str(err))
        except Denied as err:
            await self._skipped(action, err.reason, str(err))
        except Unreachable as err:
            await self._failed(action, str(err))
        else:
            self._tally.sent += 1
            self._tally.event_to_send.since(action.arrived_at)
            self._tell(Note("sent", reading=action.reading, plan=action.plan, tx_hash=tx_hash))
            settling = asyncio.create_task(self._settle(action, tx_hash))
            self._settling.add(settling)
            settling.add_done_callback(self._settling.discard)

    async def drained(self) -> None:
        """Wait until nothing is under way."""
        await self.actions.settled()

    async def close(self) -> None:
        """Stop waiting for receipts."""
        for settling in self._settling:
            settling.cancel()
        await asyncio.gather(*self._settling, return_exceptions=True)

    async def _settle(self, action: Action, tx_hash: str) -> None:
        try:
            receipt = await self._executor.receipt(tx_hash, action.plan)
        except Unreachable as err:
            await self._failed(action, str(err))
            return
        self._tally.profit_base += receipt.profit_base
        if receipt.succeeded:
            self._tally.won += 1
        else:
            self._tally.failed += 1
        kind = "won" if receipt.succeeded else "failed"
        self._tell(Note(kind, reading=action.reading, plan=action.plan, tx_hash=tx_hash, receipt=receipt))
        await self._finish(action)

    async def _skipped(self, action: Action, reason: str, text: str) -> None:
        self._tally.skipped[reason] += 1
        self._tell(Note("skip", text, action.reading))
        await self._finish(action)

    async def _failed(self, action: Action, why: str) -> None:
        self._tally.failed += 1
        self._tell(Note("failed", why, action.reading, action.plan))
        await self._finish(action)

    async def _finish(self, action: Action) -> None:
        self.busy.discard(action.plan.borrower)
        await self.actions.settle(1)
