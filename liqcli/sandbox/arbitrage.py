"""Traders that keep the sandbox's pools at the feeds' prices, as arbitrage does on live exchanges."""

import math
from collections.abc import Sequence

from liqcli.chain.abi import (
    GET_PAIR,
    GET_POOL_OF_FEE,
    address_of,
    encode_call,
    pack_aggregate3,
    unhex,
    unpack_aggregate3,
    words,
)
from liqcli.chain.aggregate import AGGREGATOR
from liqcli.chain.rpc import Rpc
from liqcli.errors import Unreachable
from liqcli.model import Address
from liqcli.sandbox.calls import EVERYTHING
from liqcli.sandbox.exchange import Q96, Exchange, TradedPair, sqrt_price
from liqcli.sandbox.transactions import Transaction

GET_RESERVES = bytes.fromhex("0902f1ac")
SLOT0 = bytes.fromhex("3850c7bd")
SWAP_V2 = bytes.fromhex("38ed1739")
SWAP_V3 = bytes.fromhex("414bf389")
SLACK = 0.0005
"""A trader waits until a pool is off by its fee and this much."""
MORE_THAN_ENOUGH = 2**127
"""The amount a V3 swap may take; its price limit ends it."""


class Arbitrage:
    """The exchanges' pools and the trader's account."""

    def __init__(self, rpc: Rpc, exchange: Exchange, *, trader: Address) -> None:
        self._rpc = rpc
        self._exchange = exchange
        self._trader = trader
        self._pools: list[Address] = []

    async def trades(self, prices: dict[str, int]) -> list[Transaction]:
        """The swaps that bring every pool that is off its price back to it."""
        pools = self._pools or await self._find_pools()
        pairs = self._exchange.pairs
        states = await self._read(
            [
                (pool, GET_RESERVES if pair.listing.version == 2 else SLOT0)
                for pool, pair in zip(pools, pairs, strict=True)
            ]
        )
        found = (self._trade(pair, words(state, 2), prices) for pair, state in zip(pairs, states, strict=True))
        return [trade for trade in found if trade is not None]

    async def _find_pools(self) -> list[Address]:
        reads = [
            (self._exchange.factory_v2, encode_call(GET_PAIR, pair.token0.token, pair.token1.token))
            if pair.listing.version == 2
            else (
                self._exchange.factory_v3,
                encode_call(GET_POOL_OF_FEE, pair.token0.token, pair.token1.token, pair.listing.fee),
            )
            for pair in self._exchange.pairs
        ]
        self._pools = [address_of(words(answer, 1)[0]) for answer in await self._read(reads)]
        return self._pools

    async def _read(self, reads: Sequence[tuple[Address, bytes]]) -> list[bytes]:
        call = {"to": AGGREGATOR, "data": "0x" + pack_aggregate3(reads).hex()}
        results = unpack_aggregate3(unhex(await self._rpc.call("eth_call", call, "latest")), len(reads))
        answers = [result for result in results if result is not None]
        if len(answers) < len(results):
            raise Unreachable("a read of the sandbox's exchange failed")
        return answers

    def _trade(self, pair: TradedPair, state: Sequence[int], prices: dict[str, int]) -> Transaction | None:
        target = sqrt_price(pair, prices)
        is_v2 = pair.listing.version == 2
        current = math.isqrt((state[1] << 192) // state[0]) if is_v2 else state[0]
        if abs((target / current) ** 2 - 1) < pair.listing.fee / 10**6 + SLACK:
            return None
        return self._trade_v2(pair, state, target) if is_v2 else self._trade_v3(pair, current, target)

    def _trade_v2(self, pair: TradedPair, reserves: Sequence[int], target: int) -> Transaction:
        """What must come in for the reserves' ratio to be the target's; the fee takes its share of it."""
        root = math.isqrt(reserves[0] * reserves[1])
        wanted0, wanted1 = root * Q96 // target, root * target // Q96
        buys1 = wanted0 > reserves[0]
        sold, bought = (pair.token0, pair.token1) if buys1 else (pair.token1, pair.token0)
        missing = wanted0 - reserves[0] if buys1 else wanted1 - reserves[1]
        amount = missing * 1000 // 997
        path = 2, sold.token, bought.token
        data = encode_call(SWAP_V2, amount, 0, 5 * 32, self._trader, EVERYTHING, *path)
        return Transaction(self._trader, self._exchange.router_v2, data, _what(pair))

    def _trade_v3(self, pair: TradedPair, current: int, target: int) -> Transaction:
        sold, bought = (pair.token0, pair.token1) if target < current else (pair.token1, pair.token0)
        limits = self._trader, EVERYTHING, MORE_THAN_ENOUGH, 0, target
        data = encode_call(SWAP_V3, sold.token, bought.token, pair.listing.fee, *limits)
        return Transaction(self._trader, self._exchange.router_v3, data, _what(pair))


def _what(pair: TradedPair) -> str:
    return f"trade {pair.listing.first} for {pair.listing.second} on Uniswap V{pair.listing.version}"
