"""A crash hour, compressed, for the bot and for a naive loop: `python -m benchmarks.crash_hour [--quick]`.

5,000 real borrowers on the real contracts. An hour's fall of prices, in bursts, takes 120 blocks of one second, and
with them come 1.4 million logs, from a gateway in front of the node (quick: the first 40 blocks). Everybody who is left
for three blocks after a liquidation of them would have paid is taken by a rival. The bot and the naive loop live
through the same hour on the same chain, one after the other, each in a process of its own, with the same key, decisions
and execution. The loop polls each block, reads everybody, and goes through those below one in the order of their debt;
it never asks for logs.

Taken: of all that was liquidated at a profit or could have been, the share that was ours. Blocks: from the first block
in which the pool said below one to the block of our transaction. All of it runs on the cores of one machine.
"""

import argparse
import asyncio
import math
import multiprocessing
import random
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic
from typing import Any

from redis.asyncio import Redis, RedisCluster

from benchmarks.figure import figure
from benchmarks.noisy_node import noisy_node
from benchmarks.rig import book_of, executor_of, live_bot, open_trading, price_steps
from liqcli.bot.decide import Skip, best_liquidation, decide
from liqcli.bot.execute import Executor
from liqcli.chain.exchange import Exchange
from liqcli.chain.logs import decode_liquidation
from liqcli.chain.market import Market
from liqcli.chain.reserves import Unknown
from liqcli.chain.rpc import Rpc
from liqcli.chain.topics import LIQUIDATION_CALL
from liqcli.chain.transactions import encode_liquidation_call
from liqcli.config import load_settings
from liqcli.errors import LiqError
from liqcli.model import WAD, Address, Liquidation
from liqcli.sandbox.transactions import OFF, ON, Transaction, send_all, try_all
from liqcli.sandbox.valkey import start_valkey
from liqcli.sandbox.world import World, WorldFacts, open_world, running
from liqcli.store.connection import open_redis

LOGS, BLOCKS = 1_400_000, 120
PEOPLE = 5_000
PATIENCE = 3
BLOCK_S = 1.0
FROM, TO, FALLS = 1.06, 1.0, 0.3
IN_DANGER = 1.3
"""Whoever is above it at the start cannot fall below one: the referee does not look at them."""
SETTINGS = {
    "rpc": {"poll_interval_s": 0.1, "max_head_age_s": 1e9},
    "limits": {"max_price_age_s": 1e9},
    "tuning": {"audited_per_poll": 0},
}


@dataclass(slots=True)
class Chance:
    """Somebody below one: since which block, since which a liquidation would have paid, and who took it when."""

    fell: int
    paid_from: int | None = None
    taken: int | None = None
    is_ours: bool = False


@dataclass(slots=True)
class Hour:
    """What happened in one hour."""

    chances: list[Chance] = field(default_factory=list)
    slowest_block_s: float = 0.0

    @property
    def ours(self) -> list[Chance]:
        """What we took."""
        return [chance for chance in self.chances if chance.is_ours]

    @property
    def profitable(self) -> list[Chance]:
        """What was taken by us, or would have paid and was taken by the rival; who is left at the end is neither."""
        return [chance for chance in self.chances if chance.is_ours or chance.paid_from is not None]


async def main(*, quick: bool) -> bool:
    """Live through both hours and print everything."""
    blocks = BLOCKS // 3 if quick else BLOCKS
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        server = await start_valkey(place / "valkey", persist=True)
        try:
            async with open_world(
                place / "world", borrowers=PEOPLE, scenario=False, block_time=None, redis=False
            ) as world:
                hours = [await _hour(world, server.url, place / who.__name__, who, blocks) for who in (bot, loop)]
        finally:
            await server.stop()
    return _report(*hours, blocks=blocks)


async def _hour(
    world: World, redis_url: str, place: Path, who: Callable[..., AbstractAsyncContextManager[None]], blocks: int
) -> Hour:
    """The same hour from the same state of the chain."""
    before = await world.rpc.call("evm_snapshot")
    people = tuple(plan.borrower for plan in world.plans)
    whype = world.deployment.asset("WHYPE").token
    noise = noisy_node(world.facts.rpc_url, pool=world.facts.pool, asset=whype, people=people, logs=LOGS // BLOCKS)
    with noise as url:
        await send_all(world.rpc, await price_steps(world, FROM))
        async with Rpc(url) as gateway, _contestant(who, world.facts, url, redis_url, place, people):
            await world.rpc.call("evm_setAutomine", OFF)
            await gateway.call("bench_from", await world.rpc.block_number() + 1)
            hour = await _Course(world).run(blocks)
            await world.rpc.call("evm_setAutomine", ON)
    await world.rpc.call("evm_revert", before)
    return hour


@asynccontextmanager
async def _contestant(*args: Any) -> AsyncIterator[None]:
    """A process that is ready, until the block ends."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_compete, args=(theirs, *args), daemon=True)
    process.start()
    theirs.close()
    await asyncio.to_thread(ours.recv)
    try:
        yield
    finally:
        ours.send("stop")
        await asyncio.to_thread(process.join, 60)
        process.terminate()


def _compete(  # noqa: PLR0917  what another process is started with
    pipe: Connection,
    who: Callable[..., AbstractAsyncContextManager[None]],
    facts: WorldFacts,
    url: str,
    redis_url: str,
    place: Path,
    people: Sequence[Address],
) -> None:
    place.mkdir()

    async def compete() -> None:
        redis = await open_redis(redis_url, timeout_s=5.0)
        await redis.execute_command("FLUSHDB", "SYNC")
        async with Rpc(url) as rpc, who(facts, rpc, redis, place, people):
            pipe.send("ready")
            await asyncio.to_thread(pipe.recv)
        await redis.aclose()

    asyncio.run(compete())


class _Course:
    """Prices and blocks of the hour, the rival, and the referee."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._people: list[Address] = []
        self._open: dict[Address, Chance] = {}
        self._plans: dict[Address, Liquidation] = {}
        self._hour = Hour()

    async def run(self, blocks: int) -> Hour:
        """Block by block."""
        market, exchange = await open_trading(self._world.facts, self._world.rpc)
        batch = await market.readings([plan.borrower for plan in self._world.plans])
        readings = batch.readings.values()
        self._people = [each.borrower for each in readings if each.health_factor < IN_DANGER * WAD]
        due = monotonic()
        for factor in _fall()[:blocks]:
            due += BLOCK_S
            await asyncio.sleep(max(0.0, due - monotonic()))
            began = monotonic()
            block = await self._world.rpc.block_number()
            await try_all(self._world.rpc, [*self._rival(block), *await price_steps(self._world, factor)])
            await self._judge(market, exchange, block + 1)
            self._hour.slowest_block_s = max(self._hour.slowest_block_s, monotonic() - began)
        return self._hour

    def _rival(self, block: int) -> list[Transaction]:
        """Liquidations of those whom nobody took for so many blocks."""
        sender, pool = self._world.deployment.deployer, self._world.facts.pool
        late = [
            self._plans[borrower]
            for borrower, chance in self._open.items()
            if chance.paid_from is not None and block + 1 - chance.paid_from >= PATIENCE
        ]
        data = (bytes.fromhex(encode_liquidation_call(plan)[2:]) for plan in late)
        return [Transaction(sender, pool, each, "liquidate as the rival") for each in data]

    async def _judge(self, market: Market, exchange: Exchange, first: int) -> None:
        """Close what was taken, drop who recovered, and note who fell and whether that would pay."""
        last = await market.rpc.block_number()
        await self._close_taken(market, first, last)
        batch = await market.readings(self._people)
        below = {reading.borrower for reading in batch.readings.values() if reading.is_liquidatable}
        for borrower in self._open.keys() - below:
            self._open.pop(borrower)
        for borrower in below:
            chance = self._open.setdefault(borrower, Chance(last))
            if chance.paid_from is None:
                await self._weigh(market, exchange, borrower, chance, last)

    async def _close_taken(self, market: Market, first: int, last: int) -> None:
        query = {"fromBlock": hex(first), "toBlock": hex(last), "address": market.addresses.pool}
        for raw in await market.rpc.call("eth_getLogs", query | {"topics": [LIQUIDATION_CALL]}):
            log = decode_liquidation(raw)
            if log is None:
                continue
            chance = self._open.pop(log.borrower, None) or Chance(last)
            chance.taken = int(raw["blockNumber"], 16)
            chance.is_ours = log.liquidator != self._world.deployment.deployer
            self._hour.chances.append(chance)

    async def _weigh(self, market: Market, exchange: Exchange, borrower: Address, chance: Chance, block: int) -> None:
        try:
            snapshot = await market.snapshot(borrower)
        except Unknown:
            return
        limits = load_settings(SETTINGS).limits
        own = best_liquidation(snapshot, min_profit_base=0, gas_price=0)
        if not isinstance(await decide(snapshot, market, exchange, limits), Skip) and not isinstance(own, Skip):
            chance.paid_from = block
            self._plans[borrower] = own


@asynccontextmanager
async def bot(
    facts: WorldFacts, rpc: Rpc, redis: Redis | RedisCluster, place: Path, _: Sequence[Address]
) -> AsyncIterator[None]:
    """The whole engine."""
    market, exchange = await open_trading(facts, rpc)
    executor = executor_of(facts, market, place)
    mirror = await book_of(market)
    async with live_bot(
        mirror=mirror, exchange=exchange, executor=executor, redis=redis, tell=lambda _: None, **SETTINGS
    ) as engine:
        yield
        assert engine.tally.lost == 0


@asynccontextmanager
async def loop(
    facts: WorldFacts, rpc: Rpc, _: Redis | RedisCluster, place: Path, people: Sequence[Address]
) -> AsyncIterator[None]:
    """What one writes first."""
    market, exchange = await open_trading(facts, rpc)
    executor = executor_of(facts, market, place)
    await executor.recover()
    async with asyncio.TaskGroup() as tasks, running(_poll(market, exchange, executor, people, tasks)):
        yield


async def _poll(
    market: Market, exchange: Exchange, executor: Executor, people: Sequence[Address], tasks: asyncio.TaskGroup
) -> None:
    """Each block: read everybody, then one after another by debt; receipts are awaited beside."""
    limits, seen = load_settings(SETTINGS).limits, 0
    while True:
        newest = await market.rpc.block_number()
        if newest == seen:
            await asyncio.sleep(0.05)
            continue
        seen = newest
        batch = await market.readings(people)
        below = [reading for reading in batch.readings.values() if reading.is_liquidatable]
        for reading in sorted(below, key=lambda reading: reading.debt_base, reverse=True):
            try:
                plan = await decide(await market.snapshot(reading.borrower), market, exchange, limits)
                if isinstance(plan, Liquidation):
                    tasks.create_task(_settle(executor, await executor.send(plan), plan))
            except LiqError:
                continue


async def _settle(executor: Executor, tx_hash: str, plan: Liquidation) -> None:
    try:
        await asyncio.wait_for(executor.receipt(tx_hash, plan), 30)
    except (LiqError, TimeoutError):
        return


def _fall() -> list[float]:
    """Prices as a factor of the listed ones: flat with some noise, and falling in bursts."""
    dice = random.Random(4)
    falls = [dice.random() if dice.random() < FALLS else 0.0 for _ in range(BLOCKS)]
    path, fallen = [], 0.0
    for fall in falls:
        fallen += fall / sum(falls)
        path.append((FROM + (TO - FROM) * fallen) * (1 + dice.uniform(-0.001, 0.001)))
    return path


def _report(bot: Hour, loop: Hour, *, blocks: int) -> bool:
    results = [
        figure("crash.blocks", blocks, f"blocks of {BLOCK_S:g} s for an hour"),
        figure("crash.logs", LOGS // BLOCKS * blocks, "logs"),
        figure("crash.liquidations", sum(chance.taken is not None for chance in bot.chances), "liquidations in all"),
        figure("crash.taken", _share(bot), "of the profitable ones", reference=_share(loop)),
    ]
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        late, theirs = _late(bot, share), _late(loop, share)
        results.append(figure(f"crash.blocks_late_{name}", late, "blocks below one before ours", reference=theirs))
    results.append(figure("crash.slowest_block", max(bot.slowest_block_s, loop.slowest_block_s), "s for one block"))
    return all(results)


def _share(hour: Hour) -> float:
    return len(hour.ours) / len(hour.profitable) if hour.profitable else math.nan


def _late(hour: Hour, share: float) -> float:
    ordered = sorted(chance.taken - chance.fell for chance in hour.ours if chance.taken is not None)
    return float(ordered[min(int(share * len(ordered)), len(ordered) - 1)]) if ordered else math.nan


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="40 blocks instead of 120")
    sys.exit(0 if asyncio.run(main(quick=parser.parse_args().quick)) else 1)
