"""Sender: each call ends in exactly one mined transaction, whatever the node, the network or a crash does to it.

A transaction is signed, put into the journal, and only then broadcast. From there on only the chain decides: answers to
a broadcast are hints. An open nonce is watched; its bytes are sent again, then replaced at a price an eighth higher
until the policy's cap, then cancelled by an empty self-transfer. A transaction of somebody else on our nonce stops
sending. After a start, what the journal holds open is settled before anything new is signed.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

from liqcli.aave.ray import div_ceil
from liqcli.chain.abi import quantity
from liqcli.chain.rpc import Rpc
from liqcli.errors import LiqError, Unreachable
from liqcli.model import WAD, Address
from liqcli.text import safe
from liqcli.wallet.journal import Attempt, Journal, Outcome
from liqcli.wallet.policy import CANCEL_GAS, Denied, Signer, Transaction

WINDOW = 8
"""HyperEVM's mempool takes only the next eight nonces of an address."""
FEE_HEADROOM = 2
"""The base fee can rise by an eighth a block: twice today's lasts five blocks."""
_HARMLESS = ("already known", "already imported", "nonce too low", "underpriced")
"""What nodes say when they know this transaction, or a twin of it: the watch finds out which was mined."""
_GWEI = 10**9
_RAISE = (9, 8)
"""Nodes take a replacement that offers at least a tenth more; this is the usual eighth."""


@dataclass(frozen=True, slots=True)
class Call:
    """What to send. `subject` is never under way twice; `memo` comes back with the outcome, also after a crash."""

    to: Address | None
    data: bytes
    gas: int
    max_fee_per_gas: int
    subject: str
    native_price: int
    memo: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pace:
    """How patient the watch is, in seconds: resends of the same bytes come before replacements, then cancellations."""

    poll_first_s: float = 0.05
    poll_most_s: float = 1.0
    resend_s: float = 5.0
    resends: int = 2
    replacements: int = 6
    foreign_after: int = 4


@dataclass(frozen=True, slots=True)
class Settled:
    """The end of a nonce: the attempt that was mined with its raw receipt, or neither when a foreign one took it."""

    outcome: Outcome
    attempt: Attempt
    receipt: Mapping[str, Any] | None


@dataclass(slots=True)
class _Watch:
    """What is remembered of an open nonce beside the journal."""

    sent_at: float
    steps: int = 0
    missing: int = 0


def fee_of(receipt: Mapping[str, Any], attempt: Attempt) -> int:
    """What a mined transaction cost, in base currency: the loss where nothing is known of a gain."""
    wei = quantity(receipt.get("gasUsed")) * quantity(receipt.get("effectiveGasPrice"))
    return div_ceil(wei * attempt.native_price, WAD)


class Sender:
    """One key's way to the chain. `loss_of` weighs a mined attempt for the daily limit, `tell` says what is loud.

    `hindrance` names why nothing may be signed now (a lost ownership), or is empty; `epoch` marks what is signed;
    `measure` hears of each stage of a send and the monotonic second it began.
    """

    def __init__(
        self,
        rpc: Rpc,
        signer: Signer,
        journal: Journal,
        *,
        loss_of: Callable[[Mapping[str, Any], Attempt], int] = fee_of,
        tell: Callable[[str], None] = lambda _: None,
        hindrance: Callable[[], str] = str,
        epoch: Callable[[], int] = int,
        pace: Pace | None = None,
    ) -> None:
        self.address = signer.address
        self.policy = signer.policy
        self.measure: Callable[[str, float], None] = lambda _stage, _started: None
        self._rpc = rpc
        self._signer = signer
        self._journal = journal
        self._loss_of = loss_of
        self._tell = tell
        self._hindrance = hindrance
        self._epoch = epoch
        self._pace = pace or Pace()
        self._next: int | None = None
        self._stopped = ""
        self._signing = asyncio.Lock()
        self._watching = asyncio.Lock()
        self._watches: dict[int, _Watch] = {}
        self._receipts: dict[str, Mapping[str, Any]] = {}
        self._poll_s = self._pace.poll_first_s
        self._is_blind = False

    async def recover(self) -> list[Settled]:
        """Settle what an earlier run left open: the same bytes go out again until the chain has decided."""
        left = {nonce: attempts[-1].hash for nonce, attempts in self._journal.open.items()}
        if left:
            self._tell(f"{len(left)} transactions were under way when liq ended: their bytes go out again")
        for nonce in left:
            self._watches[nonce] = _Watch(sent_at=-self._pace.resend_s)
        settled = [await self.settled(tx_hash) for tx_hash in left.values()]
        await self._adopt_count()
        return settled

    def check(self, subject: str) -> None:
        """Raise Denied for what hinders any sending now, or this subject's."""
        if reason := self._stopped or self._hindrance():
            raise Denied(f"sending has stopped: {reason}", reason=reason)
        self.policy.check_not_paused()
        if any(attempts[0].subject == subject for attempts in self._journal.open.values()):
            raise Denied(f"one for {subject} is under way", reason="under way")

    async def send(
        self, call: Call, *, balance: int, chain_count: int | None = None, hindrance: Callable[[], str] = str
    ) -> str:
        """Sign, journal and broadcast; returns the hash, whose `settled` must then be awaited.

        `balance` in wei and `chain_count` are what the caller has just read of the address, the count if it has;
        `hindrance`, asked last, names what forbids this call by then, or is empty. Waits while eight are under way.
        Raises Denied when the policy, the journal or the state of the key forbids it: then nothing was sent.
        """
        async with self._signing:
            self.check(call.subject)
            self._require_gas_money(call, balance)
            nonce = await self._take_nonce(chain_count)
            if reason := hindrance():
                raise Denied(f"not sent: {reason}", reason=reason)
            transaction = Transaction(self.policy.chain_id, nonce, call.to, call.data, call.gas, call.max_fee_per_gas)
            attempt = self._sign(transaction, call.subject, call.memo, call.native_price, is_cancel=False)
            self._next = nonce + 1
        self._watches[nonce] = _Watch(sent_at=monotonic())
        self._poll_s = self._pace.poll_first_s
        started = monotonic()
        await self._broadcast([attempt])
        self.measure("broadcast", started)
        return attempt.hash

    def _require_gas_money(self, call: Call, balance: int) -> None:
        """What no node takes must not be signed: it would hold up its nonce."""
        needed = call.gas * call.max_fee_per_gas
        if balance < needed:
            raise Denied(
                f"{self.address} has {balance / WAD:g} for gas, it may take {needed / WAD:g}",
                reason="too little gas money",
                hint=f"send gas money to {self.address}",
            )

    async def settled(self, tx_hash: str) -> Settled:
        """Wait until the chain has decided about the nonce of this transaction; whoever waits drives the watch."""
        while (outcome := self._journal.outcome_of(tx_hash)) is None:
            async with self._watching:
                if self._journal.outcome_of(tx_hash) is None:
                    await self._watch()
        attempts = self._journal.attempts_of(tx_hash)
        mined = next((attempt for attempt in attempts if attempt.hash == outcome.hash), attempts[0])
        return Settled(outcome, mined, self._receipts.pop(mined.hash, None))

    def _sign(
        self, transaction: Transaction, subject: str, memo: Mapping[str, Any], native_price: int, *, is_cancel: bool
    ) -> Attempt:
        """Sign within the policy, and put it into the journal: only then may it be broadcast."""
        now, started = time.time(), monotonic()
        spent = self._journal.spent(now, beside=transaction.nonce)
        raw, tx_hash = self._signer.sign(transaction, native_price=native_price, spent=spent)
        self.measure("sign", started)
        attempt = Attempt(
            transaction, raw, tx_hash, subject, memo, native_price, is_cancel=is_cancel, epoch=self._epoch(), at=now
        )
        started = monotonic()
        self._journal.append(attempt)
        self.measure("journal", started)
        return attempt

    async def _take_nonce(self, chain_count: int | None) -> int:
        """Our own count; a chain that is further along knows a transaction that is not ours."""
        if self._next is None:
            await self.recover()
        assert self._next is not None
        if chain_count is not None and chain_count > self._next:
            raise self._stop(f"a transaction that is not ours took nonce {self._next}")
        while self._next - min(self._journal.open, default=self._next) >= WINDOW:
            async with self._watching:
                await self._watch()
        self.check("")
        return self._next

    async def _adopt_count(self) -> None:
        count = await self._count()
        known = self._journal.next_nonce
        if 0 < known < count:
            self._tell(
                f"{count - known} transactions of {self.address} are not in the journal: somebody else sent them while"
                " liq was away, or its last lines are lost"
            )
        self._next = max(count, known)

    async def _count(self) -> int:
        return quantity(await self._rpc.call("eth_getTransactionCount", self.address, "latest"))

    async def _broadcast(self, attempts: Sequence[Attempt]) -> None:
        """Hand the bytes to the node. What it answers is a hint: an answer may be lost, or speak of a twin."""
        for attempt in attempts:
            try:
                await self._rpc.call("eth_sendRawTransaction", attempt.raw)
            except LiqError as err:
                if not any(word in str(err).lower() for word in _HARMLESS):
                    self._tell(f"the node did not take {attempt.hash}, it will be asked again: {err}")

    async def _watch(self) -> None:
        """One look at all open nonces: learn what was mined, and mend what is stuck."""
        await asyncio.sleep(self._poll_s)
        self._poll_s = min(self._poll_s * 2, self._pace.poll_most_s)
        try:
            count, receipts = await self._look()
            for nonce, attempts in self._journal.open.items():
                await self._tend(nonce, attempts, count, receipts)
            self._is_blind = False
        except Unreachable as err:
            if not self._is_blind:
                self._tell(f"cannot see what became of {len(self._journal.open)} transactions, looking on: {err}")
            self._is_blind = True

    async def _look(self) -> tuple[int, dict[str, Mapping[str, Any]]]:
        """The chain's count of our transactions, and the receipts of open attempts that have one."""
        hashes = [attempt.hash for attempts in self._journal.open.values() for attempt in attempts]
        asked: list[tuple[str, list[Any]]] = [("eth_getTransactionReceipt", [tx_hash]) for tx_hash in hashes]
        # The count comes first: what it counts has its receipt by the time the later ones are read.
        count, *found = await self._rpc.batch([("eth_getTransactionCount", [self.address, "latest"]), *asked])
        receipts: dict[str, Mapping[str, Any]] = {}
        for tx_hash, raw in zip(hashes, found, strict=True):
            if raw is None:
                continue
            if not isinstance(raw, Mapping) or str(raw.get("transactionHash")).lower() != tx_hash:
                raise Unreachable(f"no receipt of {tx_hash} but: {safe(str(raw), limit=200)}")
            receipts[tx_hash] = raw
        return quantity(count), receipts

    async def _tend(
        self, nonce: int, attempts: Sequence[Attempt], count: int, receipts: Mapping[str, Mapping[str, Any]]
    ) -> None:
        watch = self._watches.setdefault(nonce, _Watch(sent_at=monotonic()))
        mined = next((attempt for attempt in attempts if attempt.hash in receipts), None)
        if mined is not None:
            self._learn(mined, receipts[mined.hash])
        elif count > nonce:
            watch.missing += 1
            if watch.missing >= self._pace.foreign_after:
                self._learn_foreign(nonce)
        elif monotonic() - watch.sent_at >= self._pace.resend_s and not self._is_paused():
            watch.sent_at = monotonic()
            await self._mend(attempts, count, watch)

    def _learn(self, mined: Attempt, receipt: Mapping[str, Any]) -> None:
        nonce, succeeded = mined.transaction.nonce, quantity(receipt.get("status")) == 1
        if mined.is_cancel:
            self._tell(f"CANCELLED: nonce {nonce} ({mined.subject}) was freed by a self-transfer")
        self._receipts[mined.hash] = receipt
        block, loss = quantity(receipt.get("blockNumber")), self._loss_of(receipt, mined)
        self._close(Outcome(nonce, mined.hash, block, succeeded=succeeded, loss_base=loss, at=time.time()))

    def _learn_foreign(self, nonce: int) -> None:
        self._stop(f"a transaction that is not ours took nonce {nonce}")
        self._close(Outcome(nonce, None, 0, succeeded=False, loss_base=0, at=time.time()))

    def _close(self, outcome: Outcome) -> None:
        """Record an outcome; without a disk it is only remembered, and a restart learns it from the chain again."""
        self._watches.pop(outcome.nonce, None)
        try:
            self._journal.append(outcome)
        except Denied as err:
            self._tell(str(err))
            self._journal.remember(outcome)

    def _stop(self, reason: str) -> Denied:
        """No more signing in this run."""
        self._stopped = reason
        self._tell(f"SENDING STOPPED: {reason}. Is {self.address} used by another program?")
        return Denied(f"sending has stopped: {reason}", reason=reason)

    async def _mend(self, attempts: Sequence[Attempt], count: int, watch: _Watch) -> None:
        """Send the bytes again; where this is the nonce the chain waits for, in time replace, then cancel."""
        last = attempts[-1]
        if last.transaction.nonce > count:
            await self._broadcast([*self._journal.landed_from(count), last])
            return
        watch.steps += 1
        if watch.steps > self._pace.resends:
            last = await self._replacement(last, is_cancel=watch.steps > self._pace.resends + self._pace.replacements)
        await self._broadcast([last])

    async def _replacement(self, last: Attempt, *, is_cancel: bool) -> Attempt:
        """The same call at a higher price, else a cancellation, else what there is: each is told."""
        dearer = div_ceil(last.transaction.max_fee_per_gas * _RAISE[0], _RAISE[1])
        price = max(dearer, await self._rpc.gas_price() * FEE_HEADROOM)
        if not is_cancel and not last.is_cancel:
            try:
                return self._replace(replace(last.transaction, max_fee_per_gas=price), last, is_cancel=False)
            except Denied as err:
                self._tell(f"no replacement: {err}")
        cancel = replace(last.transaction, to=self.address, data=b"", gas=CANCEL_GAS, max_fee_per_gas=dearer)
        try:
            return self._replace(cancel, last, is_cancel=True)
        except Denied as err:
            self._tell(f"STUCK: nonce {last.transaction.nonce} ({last.subject}) cannot be cancelled: {err}")
            return last

    def _replace(self, transaction: Transaction, last: Attempt, *, is_cancel: bool) -> Attempt:
        if reason := self._hindrance():
            raise Denied(f"sending has stopped: {reason}", reason=reason)
        attempt = self._sign(transaction, last.subject, last.memo, last.native_price, is_cancel=is_cancel)
        what = "CANCELLING" if is_cancel else "replacing"
        price = transaction.max_fee_per_gas / _GWEI
        self._tell(f"{what} nonce {transaction.nonce} ({last.subject}), stuck: {attempt.hash} at {price:g} gwei")
        return attempt

    def _is_paused(self) -> bool:
        return self.policy.pause_file.exists()
