"""Who the sandbox's borrowers are: drawn from a seed alone, so that the same seed means the same people."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from liqcli.model import BASE_UNIT, Address
from liqcli.sandbox.reserves import HYPE_EMODE, LISTINGS, Listing

YESTERDAY = 1.25
"""Volatile prices while positions are opened, as a multiple of the listed ones: Aave lets nobody borrow near
liquidation, so the risky ones get there as real ones do, by a fall of the price."""
SPREAD = (
    (0.000, 0.970), (0.030, 0.998), (0.031, 1.003), (0.070, 1.050), (0.150, 1.100), (0.320, 1.250), (0.650, 2.000),
    (0.930, 5.000), (1.000, 20.00),
)  # fmt: skip
"""The health factors aimed at, as share of borrowers -> health factor; linear between the points."""
MEDIAN_DEBT_USD = 4_000.0
DEBT_SIGMA = 2.1
SMALLEST_USD, LARGEST_USD = 3.0, 4_000_000.0
SHORTS_FROM, MIXED_FROM = 1.45, 1.30
EMODE_FROM, EMODE_BELOW = 1.04, 1.30

BY_SYMBOL = {listing.symbol: listing for listing in LISTINGS}
VOLATILE = tuple(listing for listing in LISTINGS if listing.volatility)
STABLE = tuple(listing for listing in LISTINGS if not listing.volatility)


@dataclass(frozen=True, slots=True)
class Plan:
    """One borrower: what to supply and borrow, in token units by symbol, and the health factor it aims at."""

    borrower: Address
    emode: int
    collateral: tuple[tuple[str, int], ...]
    debt: tuple[tuple[str, int], ...]
    aim: float


def plan_borrowers(count: int, *, seed: int) -> list[Plan]:
    """`count` borrowers whose health factors follow SPREAD exactly in number, in a shuffled order."""
    shuffled = random.Random(f"{seed}:order")  # noqa: S311 - a scenario, not a secret
    aims = [health_factor_at((rank + 0.5) / count) for rank in range(count)]
    shuffled.shuffle(aims)
    return [plan_borrower(f"{seed}:{index}", aim) for index, aim in enumerate(aims)]


def plan_borrower(seed: str, aim: float) -> Plan:
    """One borrower of a character that can have this health factor."""
    dice = random.Random(seed)  # noqa: S311 - a scenario, not a secret
    borrower = f"0x{dice.getrandbits(160):040x}"
    usd = min(LARGEST_USD, max(SMALLEST_USD, dice.lognormvariate(math.log(MEDIAN_DEBT_USD), DEBT_SIGMA)))
    collateral, debt, emode = _character(dice, aim)
    weights = _weights(dice, len(collateral))
    threshold = sum(w * _threshold(c, emode) for w, c in zip(weights, collateral, strict=True)) / 10_000
    supplied = usd * aim / threshold
    return Plan(
        borrower,
        emode,
        tuple((c.symbol, c.amount(supplied * w)) for w, c in zip(weights, collateral, strict=True)),
        tuple((d.symbol, d.amount(usd * w)) for w, d in zip(_weights(dice, len(debt)), debt, strict=True)),
        aim,
    )


def health_factor_at(share: float) -> float:
    """The health factor that this share of the borrowers is below."""
    for (left, low), (right, high) in pairwise(SPREAD):
        if share <= right:
            return low + (high - low) * (share - left) / (right - left)
    return SPREAD[-1][1]


def debts_usd(plans: Sequence[Plan]) -> dict[str, float]:
    """What all of them together borrow, by symbol."""
    totals = dict.fromkeys(BY_SYMBOL, 0.0)
    for plan in plans:
        for symbol, amount in plan.debt:
            listing = BY_SYMBOL[symbol]
            totals[symbol] += amount * listing.price / listing.unit / BASE_UNIT
    return totals


def _character(dice: random.Random, aim: float) -> tuple[list[Listing], list[Listing], int]:
    """Collateral, debt and e-mode: risky ones are long against dollars or in e-mode, safe ones may be anything."""
    whim = dice.random()
    if EMODE_FROM <= aim < EMODE_BELOW and whim < 0.35:
        return [BY_SYMBOL["wstHYPE"]], [BY_SYMBOL["WHYPE"]], HYPE_EMODE.id
    if aim >= SHORTS_FROM and whim > 0.85:
        return dice.sample(STABLE, dice.randint(1, 2)), [dice.choice(VOLATILE)], 0
    if aim >= MIXED_FROM and whim > 0.6:
        first, *others = dice.sample(LISTINGS, 4)
        return [first, others[0]], others[1 : dice.randint(2, 3)], 0
    return dice.sample(VOLATILE, dice.choice((1, 1, 1, 2, 3))), dice.sample(STABLE, dice.choice((1, 1, 2))), 0


def _threshold(listing: Listing, emode: int) -> int:
    return HYPE_EMODE.liquidation_threshold if emode and listing.emode == emode else listing.liquidation_threshold


def _weights(dice: random.Random, count: int) -> list[float]:
    raw = [dice.uniform(0.2, 1.0) for _ in range(count)]
    return [weight / sum(raw) for weight in raw]
