"""The course of the prices: a walk that always comes back, and crashes that come again and again."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from liqcli.sandbox.reserves import LISTINGS, Listing

FIRST_CRASH_S = 15
CRASH_EVERY_S = (150, 300)
FALL_S, RECOVERY_S = 12, 30
DEPTH = (0.16, 0.20)
"""How far WHYPE falls; the others by their volatility."""
RECOVERED = 0.6
"""Share of the fall that the recovery wins back at once; the rest fades with the walk's pull home."""
DEPEG = 0.04
"""How far staked HYPE falls below HYPE at the bottom of a crash."""
STEP, PULL_HOME, STABLE_STEP = 0.0012, 0.01, 0.0001


@dataclass(frozen=True, slots=True)
class Crash:
    """A fall to `depth` and a partial recovery, from second `start` on."""

    start: int
    depth: float

    @property
    def is_over_at(self) -> int:
        """The second in which the recovery is complete."""
        return self.start + FALL_S + RECOVERY_S

    def progress(self, second: int) -> float:
        """How much of the fall is in the price: 0 before, 1 at the bottom."""
        since = second - self.start
        if since <= 0:
            return 0.0
        if since <= FALL_S:
            return since / FALL_S
        return 1.0 - RECOVERED * min(1.0, (since - FALL_S) / RECOVERY_S)


def price_course(seed: int) -> Iterator[dict[str, int]]:
    """Every asset's price in base currency, second after second, for ever."""
    dice = random.Random(f"{seed}:prices")  # noqa: S311 - a scenario, not a secret
    walks = dict.fromkeys((listing.symbol for listing in LISTINGS), 0.0)
    crash, mood, second = Crash(FIRST_CRASH_S, dice.uniform(*DEPTH)), 0.0, 0
    while True:
        second += 1
        mood += dice.gauss(0.0, STEP) - PULL_HOME * mood
        for listing in LISTINGS:
            walks[listing.symbol] += dice.gauss(0.0, STABLE_STEP) - PULL_HOME * walks[listing.symbol]
        if second > crash.is_over_at:
            mood += math.log1p(-crash.depth * crash.progress(second))
            crash = Crash(second + dice.randint(*CRASH_EVERY_S), dice.uniform(*DEPTH))
        fall = crash.depth * crash.progress(second)
        depeg = DEPEG * max(0.0, (crash.progress(second) - 1.0 + RECOVERED) / RECOVERED)
        yield {listing.symbol: _price(listing, mood, walks[listing.symbol], fall, depeg) for listing in LISTINGS}


def _price(listing: Listing, mood: float, walk: float, fall: float, depeg: float) -> int:
    factor = math.exp(listing.volatility * mood + walk) * (1.0 - fall * listing.volatility)
    return int(listing.price * factor * (1.0 - depeg if listing.symbol == "wstHYPE" else 1.0))
