"""What a scan costs beside one eth_call per borrower: `python -m benchmarks.scan [--quick]`.

Both read the same accounts on the same node in the same run; rounds alternate and the best of each counts.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from benchmarks.figure import figure
from liqcli.chain.abi import GET_USER_ACCOUNT_DATA, encode_call
from liqcli.chain.market import Market, open_market
from liqcli.chain.rpc import Rpc
from liqcli.model import Address
from liqcli.sandbox.world import World, open_world

ROUNDS = 5


async def main(*, quick: bool) -> bool:
    """Measure and print everything; true when every target is met."""
    results = []
    for borrowers in (200,) if quick else (200, 2000):
        with tempfile.TemporaryDirectory() as directory:
            async with open_world(Path(directory), borrowers=borrowers, scenario=False, redis=False) as world:
                results += await _compare(world, [plan.borrower for plan in world.plans])
    return all(results)


async def _compare(world: World, borrowers: Sequence[Address]) -> list[bool]:
    count = len(borrowers)
    async with Rpc(world.facts.rpc_url) as batched, Rpc(world.facts.rpc_url) as single:
        market = await open_market(batched, name="benchmark", provider=world.facts.provider, chain_id=None)
        before = batched.requests
        scan_s = await _best(lambda: _scan(market, borrowers))
        scan_requests = (batched.requests - before) / ROUNDS
        single_s = await _best(lambda: _one_by_one(single, world.facts.pool, borrowers))
    return [
        figure(
            f"scan of {count}: ms per borrower",
            scan_s / count * 1000,
            "ms",
            reference=single_s / count * 1000,
            at_most=0.5,
        ),
        figure(f"scan of {count}: RPC requests", scan_requests, "requests", reference=float(count), at_most=0.05),
    ]


async def _best(work: Callable[[], Awaitable[None]]) -> float:
    taken = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        await work()
        taken.append(time.perf_counter() - started)
    return min(taken)


async def _scan(market: Market, borrowers: Sequence[Address]) -> None:
    batch = await market.readings(borrowers)
    if len(batch.readings) != len(borrowers):
        raise SystemExit(f"{len(batch.failed)} borrowers could not be read")


async def _one_by_one(rpc: Rpc, pool: Address, borrowers: Sequence[Address]) -> None:
    for borrower in borrowers:
        data = "0x" + encode_call(GET_USER_ACCOUNT_DATA, borrower).hex()
        await rpc.call("eth_call", {"to": pool, "data": data}, "latest")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    sys.exit(0 if asyncio.run(main(quick=parser.parse_args().quick)) else 1)
