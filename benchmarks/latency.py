"""From an event to signed bytes: `python -m benchmarks.latency [--quick]`.

The whole live bot on the loopback node with the real contracts, Redis and an exact book of 25,000 borrowers. 2,000 of
them have real positions; the others are copies of these with half the debt, in the book only: each price moves them as
well, none ever falls, and without sweeps nobody looks for them on the chain. Prices fall in small steps, so that a few
borrowers at a time come below one; each step waits until the one before is dealt with, and whoever is below one at the
start is no part of the figures. An event is the look that brought the new prices; what follows it is the whole path to
the bytes: book, queue, claim, read, snapshot, quotes, decision, simulation, policy, signature.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from redis.asyncio import Redis, RedisCluster

from benchmarks.figure import figure
from benchmarks.rig import TimedExecutor, add_copies, book_of, executor_of, live_bot, open_trading, set_prices
from liqcli.bot.dispatch import Action
from liqcli.bot.engine import Engine
from liqcli.chain.rpc import Rpc
from liqcli.model import Tier
from liqcli.sandbox.valkey import start_valkey
from liqcli.sandbox.world import World, open_world
from liqcli.store.connection import open_redis

PEOPLE, DEPLOYED = 25_000, 2_000
START, STEP = 1.06, 0.998
SETTINGS = {
    "rpc": {"poll_interval_s": 0.02, "max_head_age_s": 1e9},
    "limits": {"max_price_age_s": 1e9},
    "tuning": {"audited_per_poll": 0},
    "tiers": {tier.value: {"interval_s": 1e6} for tier in Tier},
}
"""The copies have nothing on the chain that an audit or a sweep could read; blocks come when prices move only."""
STAGES = ("planned", "tried", "simulate", "sign", "journal", "broadcast")
NAMES = {
    "planned": "event to plan (book, queue, claim, read, quotes, decision)",
    "tried": "waiting for a lane",
    "simulate": "simulation",
    "sign": "nonce, policy, signature",
    "journal": "journal with fsync",
    "broadcast": "broadcast answered",
}


async def main(*, quick: bool) -> bool:
    """Measure and print everything."""
    deployed, wanted = (300, 20) if quick else (DEPLOYED, 200)
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        server = await start_valkey(place / "valkey", persist=True)
        try:
            async with (
                open_world(place / "world", borrowers=deployed, scenario=False, block_time=None, redis=False) as world,
                Rpc(world.facts.rpc_url) as rpc,
            ):
                redis = await open_redis(server.url, timeout_s=5.0)
                await set_prices(world, START)
                found = await _measure(world, rpc, redis, place, wanted=wanted)
                await redis.aclose()
        finally:
            await server.stop()
    return _report(found)


async def _measure(
    world: World, rpc: Rpc, redis: Redis | RedisCluster, place: Path, *, wanted: int
) -> list[dict[str, float]]:
    market, exchange = await open_trading(world.facts, rpc)
    mirror = await book_of(market)
    add_copies(mirror, PEOPLE)
    executor = executor_of(world.facts, market, place)
    planned: list[tuple[Action, float]] = []
    async with live_bot(
        mirror=mirror, exchange=exchange, executor=executor, redis=redis, tell=lambda _: None, **SETTINGS
    ) as engine:
        assert engine.dispatch is not None
        put = engine.dispatch.put

        async def noted(action: Action) -> None:
            planned.append((action, monotonic()))
            await put(action)

        engine.dispatch.put = noted  # type: ignore[method-assign]  # the benchmark's ear
        await _dealt_with(engine, world)
        executor.marks.clear()
        planned.clear()
        factor = START
        while sum(map(len, executor.marks.values())) < wanted:
            factor *= STEP
            await set_prices(world, factor)
            await _dealt_with(engine, world)
    return _spans(planned, executor)


async def _dealt_with(engine: Engine, world: World) -> None:
    """Until the bot has seen the newest block and nothing is under way or queued."""
    newest = await world.rpc.block_number()
    while engine.mirror.book.cursor < newest:  # noqa: ASYNC110  the bot is not to know that it is watched
        await asyncio.sleep(0.01)
    quiet = 0
    while quiet < 10:
        assert engine.dispatch is not None
        await asyncio.sleep(0.02)
        stats = await engine.queue.stats()
        is_quiet = not engine.dispatch.busy and stats.items == stats.leased == 0
        quiet = quiet + 1 if is_quiet else 0


def _spans(planned: Sequence[tuple[Action, float]], executor: TimedExecutor) -> list[dict[str, float]]:
    """Milliseconds of each stage of each transaction that was signed, and of the whole to the signature."""
    found = []
    marks = {borrower: iter(sends) for borrower, sends in executor.marks.items()}
    for action, at in planned:
        ends = {"planned": at, **next(marks[action.plan.borrower], {})}
        if "broadcast" not in ends:
            continue  # what the simulation refused was never signed
        starts = [action.arrived_at, *(ends[stage] for stage in STAGES)]
        spans = {stage: (ends[stage] - start) * 1e3 for stage, start in zip(STAGES, starts, strict=False)}
        found.append(spans | {"signed": (ends["sign"] - action.arrived_at) * 1e3})
    return found


def _report(found: Sequence[dict[str, float]]) -> bool:
    signed = sorted(each["signed"] for each in found)
    results = [
        figure("latency.transactions", len(found), "signed"),
        figure("latency.event_to_signed_p50", _rank(signed, 0.5), "ms from an event to signed bytes"),
        figure("latency.event_to_signed_p99", _rank(signed, 0.99), "ms"),
    ]
    for stage in STAGES:
        spans = sorted(each[stage] for each in found)
        results.append(figure(f"latency.{stage}_p50", _rank(spans, 0.5), f"ms {NAMES[stage]}"))
        results.append(figure(f"latency.{stage}_p99", _rank(spans, 0.99), "ms"))
    return all(results)


def _rank(ordered: Sequence[float], share: float) -> float:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="300 real positions and 20 transactions")
    sys.exit(0 if asyncio.run(main(quick=parser.parse_args().quick)) else 1)
