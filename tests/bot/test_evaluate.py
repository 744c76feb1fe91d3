"""Evaluate: what the shared cache spares the chain, counted by how fast borrowers move."""

from time import time

from liqcli.bot.evaluate import recall
from liqcli.bot.tally import CacheUse
from liqcli.bot.watchlist import Watchlist
from liqcli.config import load_settings
from liqcli.model import WAD, Pace, Reading
from liqcli.store.cache import HealthCache

CALM, WILD, BELOW, NEW = ("0x" + f"{number:040x}" for number in range(1, 5))


def reading(borrower, *, health_factor=2 * WAD):
    """Of this moment."""
    return Reading(borrower, 10, 5, health_factor, 7, int(time()))


async def test_the_caches_use_is_counted_by_pace(redis):
    """A hit, a miss and a saved call each count for the pace at which the borrower moved when it was last read."""
    watchlist, use = Watchlist(), CacheUse()
    watchlist.record(reading(CALM), due_at=0.0, pace=Pace.STABLE)
    watchlist.record(reading(WILD), due_at=0.0, pace=Pace.RAPID)
    cache = HealthCache(redis, namespace="liq:999:evaluate-test:v1")
    await cache.put_many([(reading(CALM), 30.0), (reading(BELOW, health_factor=WAD - 1), 30.0)])
    settled = await recall(
        [CALM, WILD, BELOW, NEW], watchlist=watchlist, cache=cache, settings=load_settings({}), use=use
    )
    assert settled == {CALM}
    assert use.hits == {Pace.STABLE: 1, Pace.MODERATE: 1}
    assert use.misses == {Pace.RAPID: 1, Pace.MODERATE: 1}
    assert use.saved_calls.total() == use.saved_calls[Pace.STABLE] == 1, "who is below one is read again"


async def test_a_reading_that_is_not_newer_leaves_the_pace_as_it_was(redis):
    """Taken from the cache once more, a calm borrower stays calm."""
    watchlist, known = Watchlist(), reading(CALM)
    watchlist.record(known, due_at=0.0, pace=Pace.STABLE)
    cache = HealthCache(redis, namespace="liq:999:evaluate-test:v1")
    await cache.put_many([(known, 30.0)])
    await recall([CALM], watchlist=watchlist, cache=cache, settings=load_settings({}), use=CacheUse())
    assert watchlist.pace(CALM) is Pace.STABLE
