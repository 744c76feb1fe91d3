"""What the cache of readings saves over an hour of the sandbox: `python -m benchmarks.cache [--quick]`.

The hour is recorded first: real transactions on real contracts, one step of the scenario for each 30 seconds, and after
each step everybody's exact account data, who acted (from the logs) and how far prices moved. Then it is played twice
through the rules the bot has (tiers, intervals, paces, lives): once reading at every sweep, once only where no reading
is fresh. Events and price moves are read at once in both. A fall below one is detected when it is read.
"""

import argparse
import asyncio
import math
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.figure import figure
from liqcli.book.events import (
    Acted,
    BalanceTransfer,
    BookEvent,
    CollateralSwitched,
    EModeEntered,
    Liquidated,
    decode_logs,
)
from liqcli.bot.risk import pace_of, tier_of, ttl_for
from liqcli.chain.logs import read_logs
from liqcli.chain.market import Market, open_market
from liqcli.config import Settings, load_settings
from liqcli.model import NO_DEBT, WAD, Address, Reading, Tier
from liqcli.sandbox.world import World, open_world

STEP_S = 30
TICK_S = 5
"""The shortest interval a tier has."""


@dataclass(frozen=True, slots=True)
class Step:
    """The market after one step: who acted, the worst price factor, and everybody's reading at its time."""

    acted: frozenset[Address]
    worst_factor: float
    readings: Mapping[Address, Reading]


@dataclass(frozen=True, slots=True)
class Played:
    """What one way of reading cost, and when it saw each fall: borrower and second."""

    reads: int
    swept: int
    requests: int
    seen: Mapping[tuple[Address, int], int]


async def main(steps: int) -> bool:
    """Record, play twice and print; true when the cache saves reads and detects no fall later."""
    settings = load_settings({})
    with tempfile.TemporaryDirectory() as directory:
        async with open_world(Path(directory), scenario=False, block_time=None, redis=False) as world:
            market = await open_market(world.rpc, name="cache", provider=world.facts.provider, chain_id=None)
            recorded = [await _recorded(world, market, number) for number in range(steps)]
    without, with_cache = (_play(recorded, settings, cached=cached) for cached in (False, True))
    borrower_hours = len(recorded[0].readings) * steps * STEP_S / 3600
    late = sum(with_cache.seen.get(fall, math.inf) > at for fall, at in without.seen.items())
    results = [
        figure("falls_below_one", len(without.seen), "falls"),
        figure("falls_seen_later_with_cache", late, "falls", at_most=0, of="value"),
        *(
            figure(
                f"{name}_per_borrower_hour",
                getattr(with_cache, what) / borrower_hours,
                unit,
                reference=getattr(without, what) / borrower_hours,
                at_most=limit,
            )
            for name, what, unit, limit in (
                ("sweep_reads", "swept", "account reads", 0.9),
                ("all_reads", "reads", "account reads", None),
                ("rpc_calls", "requests", "requests", None),
            )
        ),
    ]
    return all(results)


async def _recorded(world: World, market: Market, number: int) -> Step:
    before, prices = (await market.head())[0], dict(world.scenario.prices)
    await world.scenario.step()
    after = (await market.head())[0]
    window = await read_logs(market, before + 1, after)
    batch = await market.readings(world.scenario.people)
    at = number * STEP_S
    factors = [price / prices[symbol] for symbol, price in world.scenario.prices.items()]
    return Step(
        acted=frozenset(account for event in decode_logs(window.logs) for account in _accounts_in(event)),
        worst_factor=min(factors) / max(*factors, 1.0),
        readings={borrower: replace(reading, at=at) for borrower, reading in batch.readings.items()},
    )


def _accounts_in(event: BookEvent) -> tuple[Address, ...]:
    """Whose position it changed."""
    if isinstance(event, BalanceTransfer):
        return event.sender, event.recipient
    return (event.account,) if isinstance(event, Acted | Liquidated | CollateralSwitched | EModeEntered) else ()


def _play(steps: list[Step], settings: Settings, *, cached: bool) -> Played:
    """Second by tick: events and moves are read at once, sweeps when due and, with the cache, when nothing is fresh."""
    known: dict[Address, Reading] = {}
    fresh_until: dict[Address, float] = {}
    drift, drift_at = 1.0, dict[Address, float]()
    reads = swept_reads = requests = 0
    seen: dict[tuple[Address, int], int] = {}
    falls = _falls(steps)
    for now in range(0, len(steps) * STEP_S, TICK_S):
        step, urgent = steps[now // STEP_S], set[Address]()
        if now % STEP_S == 0:
            drift *= step.worst_factor
            worst = {borrower: drift / since for borrower, since in drift_at.items()}
            urgent = _urgent(step, known, worst, settings)
        swept = {borrower for borrower in step.readings if _is_due(known.get(borrower), now, settings)} - urgent
        stale = {borrower for borrower in swept if not cached or fresh_until.get(borrower, -1.0) <= now}
        wanted = urgent | stale
        swept_reads += len(stale)
        reads += len(wanted)
        requests += _requests(wanted, known, settings)
        for borrower in wanted & step.readings.keys():
            reading = replace(step.readings[borrower], at=now)
            life_s = ttl_for(pace_of(known.get(borrower), reading, settings.paces), settings.paces)
            if reading.is_liquidatable:
                life_s = min(life_s, settings.tiers.critical.interval_s)
                seen.setdefault((borrower, falls[borrower, now // STEP_S]), now)
            known[borrower], fresh_until[borrower], drift_at[borrower] = reading, now + life_s, drift
    return Played(reads, swept_reads, requests, seen)


def _falls(steps: list[Step]) -> dict[tuple[Address, int], int]:
    """For each borrower below one at a step, the step at which this fall began."""
    began: dict[tuple[Address, int], int] = {}
    for number, step in enumerate(steps):
        for borrower, reading in step.readings.items():
            if reading.is_liquidatable:
                began[borrower, number] = began.get((borrower, number - 1), number)
    return began


def _urgent(
    step: Step, known: Mapping[Address, Reading], worst: Mapping[Address, float], settings: Settings
) -> set[Address]:
    """Who acted, who is new, and whom the price moves since the last reading may have brought near one."""
    near = settings.event_threshold * WAD
    moved = known.items() if step.worst_factor < 1 else ()
    exposed = {borrower for borrower, reading in moved if reading.health_factor * worst[borrower] < near}
    return (set(step.acted) | exposed | (step.readings.keys() - known.keys())) & step.readings.keys()


def _is_due(reading: Reading | None, now: int, settings: Settings) -> bool:
    """Whether the sweep of the borrower's tier falls on this tick; who has no debt is swept by nobody."""
    if reading is None:
        return True
    if reading.health_factor == NO_DEBT:
        return False
    return now % settings.tiers.policy(tier_of(reading.health_factor, settings.tiers)).interval_s == 0


def _requests(wanted: Iterable[Address], known: Mapping[Address, Reading], settings: Settings) -> int:
    """One aggregate3 call for each batch of a tier."""
    counts = dict.fromkeys(Tier, 0)
    for borrower in wanted:
        reading = known.get(borrower)
        counts[tier_of(None if reading is None else reading.health_factor, settings.tiers)] += 1
    return sum(math.ceil(count / settings.tiers.policy(tier).batch) for tier, count in counts.items())


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="a quarter of an hour")
    sys.exit(0 if asyncio.run(main(30 if arguments.parse_args().quick else 120)) else 1)
