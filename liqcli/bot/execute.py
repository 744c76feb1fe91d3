"""Execute: try a plan by a call of the very transaction, hand it to the sender, and read what the chain made of it."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict
from time import monotonic
from typing import Any

from liqcli.aave.ray import div_ceil
from liqcli.bot.tally import Latency
from liqcli.chain.abi import quantity
from liqcli.chain.market import Market
from liqcli.chain.rpc import RpcError
from liqcli.chain.transactions import call_of, receipt_of
from liqcli.errors import LiqError, Reverted, Unreachable
from liqcli.model import WAD, Address, Exit, Liquidation, ProfitLine, Receipt
from liqcli.wallet.journal import Attempt
from liqcli.wallet.policy import Denied
from liqcli.wallet.sender import FEE_HEADROOM, Call, Sender, Settled, fee_of

_GAS_HEADROOM_PERCENT = 25
"""Interest accrues between the estimate and the block, and a last write may cost more."""
_CANCEL_ROOM = (8, 9)
"""What a price may take of the policy's cap, so that a cancellation can still offer an eighth more."""
_HEADERS_KEPT = 16
"""One block in sixty is a big one; the least gas limit of so many headers is the small blocks'."""


class Executor:
    """Sends liquidations through one sender; exists only when live. `stages` says how long each part of a send took."""

    def __init__(self, market: Market, sender: Sender) -> None:
        self.stages = {stage: Latency() for stage in ("simulate", "sign", "journal", "broadcast")}
        self._market = market
        self._sender = sender
        self._gas_limits: deque[int] = deque(maxlen=_HEADERS_KEPT)
        self._uses_big_blocks = False
        sender.measure = self._measured

    @property
    def address(self) -> Address:
        """The account that pays and is paid."""
        return self._sender.address

    async def recover(self) -> list[tuple[Liquidation, Receipt | Unreachable]]:
        """Settle what an earlier run left open, before anything new is sent; the plans with what became of them."""
        await self._learn_block_limit()
        settled = await self._sender.recover()
        return [(plan_of(end.attempt.memo), _receipt(end)) for end in settled if end.attempt.memo]

    async def send(self, plan: Liquidation, *, hindrance: Callable[[], str] = str) -> str:
        """Simulate, sign, journal and broadcast; returns the transaction hash, whose `receipt` must then be awaited.

        `hindrance` is asked just before it is signed, and names what forbids it by then, or is empty. Raises Reverted
        when the simulation refuses the plan, Denied when policy, journal or key forbid it: then nothing was signed.
        """
        self._sender.check(plan.borrower)
        to, data = call_of(plan, self._market.addresses.pool)
        started = monotonic()
        gas, base_fee, count, balance = await self._simulate(to, data)
        self._measured("simulate", started)
        most = self._sender.policy.max_fee_per_gas * _CANCEL_ROOM[0] // _CANCEL_ROOM[1]
        ready = Call(
            to=to,
            data=bytes.fromhex(data[2:]),
            gas=self._gas_limit(gas),
            max_fee_per_gas=max(base_fee, min(base_fee * FEE_HEADROOM, most)),
            subject=plan.borrower,
            native_price=_native_price(plan),
            memo=asdict(plan),
        )
        return await self._sender.send(ready, balance=balance, chain_count=count, hindrance=hindrance)

    async def receipt(self, tx_hash: str, plan: Liquidation) -> Receipt:
        """Wait until the chain has decided; Unreachable when the liquidation was cancelled or its nonce taken."""
        receipt = _receipt(await self._sender.settled(tx_hash), plan)
        if isinstance(receipt, Unreachable):
            raise receipt
        return receipt

    async def refusal(self, plan: Liquidation, block: int) -> str:
        """Why the plan's transaction failed in this block: what a call of it says there, if that still fails."""
        to, data = call_of(plan, self._market.addresses.pool)
        try:
            await self._market.rpc.call("eth_call", {"from": self.address, "to": to, "data": data}, hex(block))
        except Reverted as err:
            return f"reverted: {err.reason or 'no reason given'}"
        except LiqError as err:
            return f"reverted, and why is unknown: {err}"
        return "reverted when it was mined, and would not any more"

    async def _simulate(self, to: Address, data: str) -> tuple[int, int, int, int]:
        """Gas, base fee, our count and balance at the latest block, and the call itself tried there: one round trip."""
        call = {"from": self.address, "to": to, "data": data}
        capped = {**call, "gas": hex(self._sender.policy.max_gas)}
        answers = await self._market.rpc.batch(
            [
                ("eth_call", [capped, "latest"]),
                ("eth_estimateGas", [call, "latest"]),
                ("eth_gasPrice", []),
                ("eth_getTransactionCount", [self.address, "latest"]),
                ("eth_getBalance", [self.address, "latest"]),
                ("eth_getBlockByNumber", ["latest", False]),
            ]
        )
        for answer in answers:
            if isinstance(answer, LiqError):
                raise answer
        _, gas, price, count, balance, header = answers
        self._note_limit(header)
        return quantity(gas), quantity(price), quantity(count), quantity(balance)

    def _measured(self, stage: str, started: float) -> None:
        self.stages[stage].since(started)

    def _gas_limit(self, gas: int) -> int:
        """The estimate with room for a change, within what a block takes."""
        block = max(self._gas_limits) if self._uses_big_blocks else min(self._gas_limits)
        if gas > block:
            kind = "big" if self._uses_big_blocks else "small"
            raise Denied(
                f"gas {gas:,} over the {kind}-block limit {block:,}", reason=f"gas over the {kind}-block limit"
            )
        roomy = gas * (100 + _GAS_HEADROOM_PERCENT) // 100
        return min(roomy, block, max(gas, self._sender.policy.max_gas))

    async def _learn_block_limit(self) -> None:
        """The gas limits of the last blocks, and whether this account asked for big ones (HyperEVM)."""
        rpc = self._market.rpc
        newest = await rpc.block_number()
        for number in range(max(newest - 1, 0), newest + 1):
            self._note_limit(await rpc.call("eth_getBlockByNumber", hex(number), False))  # noqa: FBT003  the RPC's own
        try:
            self._uses_big_blocks = bool(await rpc.call("eth_usingBigBlocks", self.address))
        except RpcError:
            self._uses_big_blocks = False  # a chain that has no big blocks does not know the question

    def _note_limit(self, header: Any) -> None:
        if isinstance(header, Mapping):
            self._gas_limits.append(quantity(header.get("gasLimit")))


def loss_of(raw: Mapping[str, Any], attempt: Attempt) -> int:
    """What a mined transaction lost in base currency: 0 for one that earned."""
    if attempt.is_cancel or not attempt.memo:
        return fee_of(raw, attempt)
    try:
        return max(0, -receipt_of(raw, plan_of(attempt.memo)).profit_base)
    except Unreachable:
        return fee_of(raw, attempt)


def plan_of(memo: Mapping[str, Any]) -> Liquidation:
    """The plan as the journal keeps it."""
    lines = tuple(ProfitLine(**line) for line in memo["profit"])
    through = Exit(**memo["exit"]) if memo["exit"] else None
    return Liquidation(**{**memo, "profit": lines, "exit": through})


def _receipt(settled: Settled, plan: Liquidation | None = None) -> Receipt | Unreachable:
    attempt, raw = settled.attempt, settled.receipt
    if raw is None:
        return Unreachable(
            f"a transaction that is not ours took the nonce of {attempt.hash}", hint="one key, one program"
        )
    if attempt.is_cancel:
        return Unreachable(f"stuck and cancelled by {attempt.hash}", hint="the node did not mine it at any price")
    return receipt_of(raw, plan or plan_of(attempt.memo))


def _native_price(plan: Liquidation) -> int:
    """The base price of 1e18 wei that the plan counted its gas with; rounded up."""
    gas = plan.profit[-1].base
    return div_ceil(-gas * WAD, plan.gas_fee_wei) if plan.gas_fee_wei else 0
