"""Execute: check a plan against the latest block, sign it, send it once, and wait for what the chain says."""

import asyncio
from typing import Any

from liqcli.chain.abi import quantity
from liqcli.chain.market import Market
from liqcli.chain.transactions import call_of, receipt_of
from liqcli.errors import Unreachable
from liqcli.model import Address, Liquidation, Receipt
from liqcli.wallet.keys import Key

_GAS_HEADROOM_PERCENT = 25
"""Interest accrues between the estimate and the block, and a last write may cost more."""
_FEE_HEADROOM = 2
"""The base fee can rise by an eighth a block: twice today's lasts five blocks."""
_RECEIPT_POLL_S = 0.05
_IN_FLIGHT = 8
"""HyperEVM's mempool takes only the next eight nonces of an address."""
_RECEIPT_TIMEOUT_S = 30.0


class Executor:
    """Sends liquidations from one key with nonces of its own; exists only when live."""

    def __init__(self, market: Market, key: Key, *, receipt_timeout_s: float = _RECEIPT_TIMEOUT_S) -> None:
        self._market = market
        self._key = key
        self._receipt_timeout_s = receipt_timeout_s
        self._nonce: int | None = None
        self._in_flight = 0
        self._landed = asyncio.Condition()

    @property
    def address(self) -> Address:
        """The account that pays and is paid."""
        return self._key.address

    async def send(self, plan: Liquidation) -> str:
        """Simulate, sign and broadcast; returns the transaction hash, whose `receipt` must then be awaited.

        Waits while eight are under way. Raises Reverted when the simulation refuses the plan: then nothing was signed.
        """
        async with self._landed:
            await self._landed.wait_for(lambda: self._in_flight < _IN_FLIGHT)
            to, data = call_of(plan, self._market.addresses.pool)
            call = {"from": self.address, "to": to, "data": data}
            gas = quantity(await self._market.rpc.call("eth_estimateGas", call))
            nonce = await self._next_nonce()
            raw, tx_hash = self._key.sign(await self._transaction(call, gas=gas, nonce=nonce))
            await self._broadcast(raw)
            self._nonce = nonce + 1
            self._in_flight += 1
            return tx_hash

    async def receipt(self, tx_hash: str, plan: Liquidation) -> Receipt:
        """Wait for the receipt; Unreachable when it does not come in time."""
        try:
            async with asyncio.timeout(self._receipt_timeout_s):
                return receipt_of(await self._landing(tx_hash), plan)
        except TimeoutError:
            self._nonce = None
            message = f"no receipt for {tx_hash} within {self._receipt_timeout_s:g} s"
            raise Unreachable(message, hint="look it up in an explorer; it may still be mined") from None
        finally:
            async with self._landed:
                self._in_flight -= 1
                self._landed.notify_all()

    async def _landing(self, tx_hash: str) -> dict[str, Any]:
        while True:
            raw: dict[str, Any] | None = await self._market.rpc.call("eth_getTransactionReceipt", tx_hash)
            if raw is not None:
                return raw
            await asyncio.sleep(_RECEIPT_POLL_S)

    async def _next_nonce(self) -> int:
        """Our own count; read from the chain at first, and again after a doubt, once nothing is under way."""
        if self._nonce is not None:
            return self._nonce
        await self._landed.wait_for(lambda: self._in_flight == 0)
        return quantity(await self._market.rpc.call("eth_getTransactionCount", self.address, "latest"))

    async def _broadcast(self, raw: str) -> None:
        try:
            await self._market.rpc.call("eth_sendRawTransaction", raw)
        except Unreachable:
            self._nonce = None
            raise

    async def _transaction(self, call: dict[str, str], *, gas: int, nonce: int) -> dict[str, Any]:
        return {
            "type": 2,
            "chainId": self._market.chain_id,
            "nonce": nonce,
            "to": call["to"],
            "data": call["data"],
            "value": 0,
            "gas": gas * (100 + _GAS_HEADROOM_PERCENT) // 100,
            "maxFeePerGas": await self._market.rpc.gas_price() * _FEE_HEADROOM,
            "maxPriorityFeePerGas": 0,
        }
