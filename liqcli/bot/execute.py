"""Execute: check a plan against the latest block, sign it, send it once, and wait for what the chain says."""

import asyncio
from time import monotonic
from typing import Any

from liqcli.chain.market import Market
from liqcli.chain.transactions import encode_liquidation_call, receipt_of
from liqcli.errors import Unreachable
from liqcli.model import Liquidation, Receipt
from liqcli.wallet.keys import Key

_GAS_HEADROOM_PERCENT = 25
"""Interest accrues between the estimate and the block, and a last write may cost more."""
_FEE_HEADROOM = 2
"""The base fee can rise by an eighth a block: twice today's lasts five blocks."""
_RECEIPT_POLL_S = 0.05


class Executor:
    """Sends liquidations from one key with nonces of its own; exists only when live."""

    def __init__(self, market: Market, key: Key, *, nonce: int, receipt_timeout_s: float) -> None:
        self._market = market
        self._key = key
        self._nonce = nonce
        self._receipt_timeout_s = receipt_timeout_s

    @property
    def address(self) -> str:
        """The account that pays and is paid."""
        return self._key.address

    async def send(self, plan: Liquidation) -> str:
        """Simulate, sign and broadcast; returns the transaction hash.

        Raises Reverted when the simulation refuses the plan: then nothing was signed.
        """
        call = {"from": self._key.address, "to": self._market.addresses.pool, "data": encode_liquidation_call(plan)}
        gas = int(await self._market.rpc.call("eth_estimateGas", call), 16)
        raw, tx_hash = self._key.sign(await self._transaction(call, gas))
        await self._market.rpc.call("eth_sendRawTransaction", raw)
        self._nonce += 1
        return tx_hash

    async def receipt(self, tx_hash: str, plan: Liquidation) -> Receipt:
        """Wait for the receipt; Unreachable when it does not come in time."""
        give_up_at = monotonic() + self._receipt_timeout_s
        while monotonic() < give_up_at:
            raw = await self._market.rpc.call("eth_getTransactionReceipt", tx_hash)
            if raw is not None:
                return receipt_of(raw, plan)
            await asyncio.sleep(_RECEIPT_POLL_S)
        raise Unreachable(f"no receipt for {tx_hash} within {self._receipt_timeout_s:g} s", hint="look it up later")

    async def _transaction(self, call: dict[str, str], gas: int) -> dict[str, Any]:
        gas_price = int(await self._market.rpc.call("eth_gasPrice"), 16)
        return {
            "type": 2,
            "chainId": self._market.chain_id,
            "nonce": self._nonce,
            "to": call["to"],
            "data": call["data"],
            "value": 0,
            "gas": gas * (100 + _GAS_HEADROOM_PERCENT) // 100,
            "maxFeePerGas": gas_price * _FEE_HEADROOM,
            "maxPriorityFeePerGas": 0,
        }


async def open_executor(market: Market, key: Key, *, receipt_timeout_s: float = 30.0) -> Executor:
    """An executor whose nonce starts where the chain says."""
    nonce = int(await market.rpc.call("eth_getTransactionCount", key.address, "latest"), 16)
    return Executor(market, key, nonce=nonce, receipt_timeout_s=receipt_timeout_s)
