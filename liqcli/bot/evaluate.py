"""Evaluate: read claimed borrowers in batches; what could not be read is unknown, never healthy."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic, time

from liqcli.bot.risk import pace_of, tier_of, ttl_for
from liqcli.bot.tally import CacheUse
from liqcli.bot.watchlist import Watchlist
from liqcli.chain.market import Market
from liqcli.config import Settings
from liqcli.errors import Unreachable
from liqcli.model import NO_DEBT, Address, Pace, Reading, Tier
from liqcli.store.cache import HealthCache


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a batch of reads showed: fresh readings, and the borrowers that stay unknown."""

    readings: tuple[Reading, ...]
    failed: frozenset[Address]

    @property
    def liquidatable(self) -> list[Reading]:
        """Those below one, largest debt first."""
        below = [reading for reading in self.readings if reading.is_liquidatable]
        return sorted(below, key=lambda reading: reading.debt_base, reverse=True)


async def evaluate(
    borrowers: Sequence[Address],
    *,
    market: Market,
    watchlist: Watchlist,
    cache: HealthCache,
    settings: Settings,
    least_block: int = 0,
) -> Evaluation:
    """Read these borrowers at one block and tell the watchlist and the cache.

    What a node tells of a block before `least_block` is no reading: it lags behind what is known already.
    """
    batch = await market.readings(borrowers)
    readings = tuple(reading for reading in batch.readings.values() if reading.block >= least_block)
    failed = frozenset(borrowers) - {reading.borrower for reading in readings}
    fresh = []
    for reading in readings:
        pace = _pace(watchlist, reading, settings)
        ttl_s = _ttl_s(pace, reading, settings)
        fresh.append((reading, ttl_s))
        _tell(watchlist, reading, ttl_s, pace)
    for borrower in failed:
        watchlist.fail(borrower)
    with suppress(Unreachable):  # a cache that does not answer costs reads, nothing else
        await cache.put_many([(reading, ttl_s) for reading, ttl_s in fresh if reading.health_factor != NO_DEBT])
    return Evaluation(readings, failed)


async def recall(
    borrowers: Sequence[Address], *, watchlist: Watchlist, cache: HealthCache, settings: Settings, use: CacheUse
) -> set[Address]:
    """Take still fresh readings from the shared cache into the watchlist; returns whose were fresh and healthy.

    One below 1 is never settled from the cache: whoever is to act on it reads it again.
    """
    found = await cache.get_many(borrowers)
    settled = {borrower for borrower, reading in found.items() if not reading.is_liquidatable}
    use.count({borrower: watchlist.pace(borrower) for borrower in borrowers}, found=found.keys(), settled=settled)
    for reading in found.values():
        age_s, pace = max(time() - reading.at, 0.0), _pace(watchlist, reading, settings)
        _tell(watchlist, reading, _ttl_s(pace, reading, settings) - age_s, pace)
    return settled


def _tell(watchlist: Watchlist, reading: Reading, ttl_s: float, pace: Pace) -> None:
    if reading.health_factor == NO_DEBT:
        watchlist.forget(reading.borrower)
    else:
        watchlist.record(reading, due_at=monotonic() + ttl_s, pace=pace)


def _pace(watchlist: Watchlist, reading: Reading, settings: Settings) -> Pace:
    """Against what was read before; a reading that is not newer tells nothing new."""
    earlier = watchlist.reading(reading.borrower)
    if earlier is not None and reading.at <= earlier.at:
        return watchlist.pace(reading.borrower)
    return pace_of(earlier, reading, settings.paces)


def _ttl_s(pace: Pace, reading: Reading, settings: Settings) -> float:
    """By the pace, but a critical borrower is never taken from the cache past its tier's interval."""
    ttl_s = ttl_for(pace, settings.paces)
    if tier_of(reading.health_factor, settings.tiers) is Tier.CRITICAL:
        return min(ttl_s, settings.tiers.critical.interval_s)
    return ttl_s
