"""Dispatch: planned liquidations go out side by side, each tried, signed, sent and awaited by a lane of its own."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from liqcli.bot.channel import Channel
from liqcli.bot.execute import Executor
from liqcli.bot.notes import Note, Tell
from liqcli.bot.tally import Tally
from liqcli.errors import Reverted, Unreachable
from liqcli.model import Address, Liquidation, Reading
from liqcli.store.held import HeldClaims
from liqcli.store.queue import Claim
from liqcli.wallet.policy import Denied
from liqcli.wallet.sender import WINDOW

LANES = WINDOW
"""No more are under way than the next nonces that HyperEVM takes: the ninth would be tried long before it is signed."""
_TAKEN = "held by another process"


@dataclass(frozen=True, slots=True)
class Action:
    """A liquidation to send, the reading that led to it, and when its event arrived (monotonic second).

    Its claim, if there is one, is ours until the transaction is settled; without Redis there is none.
    """

    plan: Liquidation
    reading: Reading
    arrived_at: float
    claim: Claim | None = None


class Dispatch:
    """The action channel and its lanes.

    A borrower with an action under way is `busy`; whose last one was not sent is `refused`, with the reason: what
    hinders all sending would fill log and ledger at each move of a price, so it is told and counted once a borrower.
    """

    def __init__(self, executor: Executor, held: HeldClaims, *, capacity: int, tally: Tally, tell: Tell) -> None:
        self.actions: Channel[Action] = Channel(capacity)
        self.busy: set[Address] = set()
        self.refused: dict[Address, str] = {}
        self._executor = executor
        self._held = held
        self._tally = tally
        self._tell = tell

    def plan_told(self, reading: Reading, plan: Liquidation) -> None:
        """Count and tell a plan that is to be sent."""
        self._tally.planned += 1
        self._tell(Note("plan", reading=reading, plan=plan))

    async def put(self, action: Action) -> None:
        """Queue an action, waiting while the channel is full; its plan is told, unless the last one was refused."""
        if action.plan.borrower not in self.refused:
            self.plan_told(action.reading, action.plan)
        self.busy.add(action.plan.borrower)
        await self.actions.put(action)

    async def step(self) -> None:
        """Carry the next action to its end; a lane repeats it."""
        action, _ = await self.actions.take()
        proving = asyncio.create_task(self._prove(action))
        try:
            await self._carry_out(action)
        except asyncio.CancelledError:
            if action.claim is not None:
                self._held.forget(action.claim)  # it may be signed: until the lease ends nobody else sends
            raise
        finally:
            await proving

    async def drained(self) -> None:
        """Wait until nothing is under way."""
        await self.actions.settled()

    async def _prove(self, action: Action) -> None:
        """Ask Redis beside the simulation whether the borrower is still ours; nothing waits for its answer."""
        if action.claim is not None:
            await self._held.prove(action.claim)

    async def _carry_out(self, action: Action) -> None:
        try:
            tx_hash = await self._executor.send(action.plan, hindrance=lambda: self._hindrance(action))
        except Reverted as err:
            await self._skipped(action, f"simulation reverted: {err.reason or 'no reason given'}", str(err))
        except Denied as err:
            await self._skipped(action, err.reason, str(err))
        except Unreachable as err:
            await self._failed(action, str(err))
        else:
            if self.refused.pop(action.plan.borrower, None):
                self.plan_told(action.reading, action.plan)
            self._tally.sent += 1
            self._tally.event_to_send.since(action.arrived_at)
            self._tell(Note("sent", reading=action.reading, plan=action.plan, tx_hash=tx_hash))
            await self._settle(action, tx_hash)

    def _hindrance(self, action: Action) -> str:
        return "" if action.claim is None or self._held.is_ours(action.claim) else _TAKEN

    async def _settle(self, action: Action, tx_hash: str) -> None:
        try:
            receipt = await self._executor.receipt(tx_hash, action.plan)
        except Unreachable as err:
            await self._failed(action, str(err))
            return
        self._tally.profit_base += receipt.profit_base
        self._tally.won += receipt.succeeded
        self._tally.failed += not receipt.succeeded
        kind = "won" if receipt.succeeded else "failed"
        why = "" if receipt.succeeded else await self._executor.refusal(action.plan, receipt.block)
        self._tell(Note(kind, why, reading=action.reading, plan=action.plan, tx_hash=tx_hash, receipt=receipt))
        await self._finish(action)

    async def _skipped(self, action: Action, reason: str, text: str) -> None:
        if self.refused.get(action.plan.borrower) != reason:
            self.refused[action.plan.borrower] = reason
            self._tally.skipped[reason] += 1
            self._tell(Note("skip", text, action.reading, reason=reason))
        await self._finish(action)

    async def _failed(self, action: Action, why: str) -> None:
        self._tally.failed += 1
        self._tell(Note("failed", why, action.reading, action.plan))
        await self._finish(action)

    async def _finish(self, action: Action) -> None:
        self.busy.discard(action.plan.borrower)
        if action.claim is not None:
            with suppress(Unreachable):  # the lease ends by itself
                await self._held.done(action.claim)
        await self.actions.settle(1)
