"""Many reads in one eth_call, all from one block whose number and timestamp come with the answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from liqcli.chain.abi import (
    GET_BLOCK_NUMBER,
    GET_BLOCK_TIMESTAMP,
    pack_aggregate3,
    unhex,
    unpack_aggregate3,
    words,
)
from liqcli.chain.artifacts import own_artifact
from liqcli.chain.rpc import Rpc
from liqcli.errors import Unreachable
from liqcli.model import Address

AGGREGATOR: Address = "0xca11bde05977b3631167028862be2a173976ca11"
"""Multicall3's canonical address."""

Read = tuple[Address, bytes]
"""A contract and the calldata to ask it with."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What each read returned (None: it reverted) at one block; `at` is the block's timestamp."""

    block: int
    at: int
    results: list[bytes | None]


class Aggregator:
    """`aggregate3` on a node; where the chain has no Multicall3 our own code is lent to the call."""

    def __init__(self, rpc: Rpc, *, overrides: dict[Address, dict[str, str]]) -> None:
        self._rpc = rpc
        self._overrides = overrides

    async def read(self, reads: Sequence[Read]) -> Answers:
        """All reads in one call; a read that reverts is None in its place."""
        own: list[Read] = [(AGGREGATOR, GET_BLOCK_NUMBER), (AGGREGATOR, GET_BLOCK_TIMESTAMP)]
        call = {"to": AGGREGATOR, "data": "0x" + pack_aggregate3([*own, *reads]).hex()}
        # Public HyperEVM nodes hold only the newest state and answer an older tag with it, silently.
        params: list[Any] = [call, "latest", *([self._overrides] if self._overrides else [])]
        answer = unhex(await self._rpc.call("eth_call", *params))
        number, timestamp, *results = unpack_aggregate3(answer, len(reads) + 2)
        return Answers(_word(number), _word(timestamp), results)


async def open_aggregator(rpc: Rpc) -> Aggregator:
    """The aggregator of the chain behind `rpc`."""
    if unhex(await rpc.call("eth_getCode", AGGREGATOR, "latest")):
        return Aggregator(rpc, overrides={})
    return Aggregator(rpc, overrides={AGGREGATOR: {"code": own_artifact("Aggregator").deployed_bytecode}})


def _word(result: bytes | None) -> int:
    if result is None:
        raise Unreachable("the aggregator did not say which block it read", hint="is the node's Multicall3 genuine?")
    return words(result, 1)[0]
