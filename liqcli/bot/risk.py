"""Risk: which tier a borrower is in, how urgent an event makes it, how fast it moves, how long a reading lives.

Health factors decide as integers; the score is a float because it only orders.
"""

import math
from collections.abc import Iterable

from liqcli.config import PaceSettings, TierSettings
from liqcli.model import BASE_UNIT, NO_DEBT, WAD, Address, Event, EventKind, Pace, Reading, Tier

_WEIGHT = {
    EventKind.BORROW: 8.0,
    EventKind.WITHDRAW: 6.0,
    EventKind.COLLATERAL_OFF: 6.0,
    EventKind.EMODE: 6.0,
    EventKind.TRANSFER: 6.0,
    EventKind.LIQUIDATION: 6.0,
    EventKind.PRICE: 4.0,
    EventKind.SWEEP: 2.0,
    EventKind.SUPPLY: 1.5,
    EventKind.REPAY: 1.0,
}
"""How much an event of a kind can have hurt: borrowing most, repaying least."""

_SHARPNESS = 20.0
"""How steeply closeness rises near one: a health factor of 1.05 counts about a third of 1.0."""


def tier_of(health_factor: int | None, tiers: TierSettings) -> Tier:
    """The first tier whose ceiling is above the health factor; an unknown borrower is critical until read."""
    if health_factor is None:
        return Tier.CRITICAL
    return next((tier for tier in Tier if health_factor < ceiling_wad(tier, tiers)), Tier.SAFE)


def ceiling_wad(tier: Tier, tiers: TierSettings) -> int:
    """A tier's ceiling as a wad; the last tier has none."""
    ceiling = tiers.policy(tier).ceiling
    return NO_DEBT + 1 if math.isinf(ceiling) else round(ceiling * 10**9) * WAD // 10**9


def score(kind: EventKind, reading: Reading | None) -> float:
    """Urgency of an event for a borrower, in (0, 1); lower is more urgent.

    The event's weight times closeness to liquidation times a slow growth with the debt; without a reading the
    borrower counts as at the threshold, because unknown is not healthy.
    """
    closeness = 1.0 if reading is None else _closeness(reading.health_factor)
    debt_usd = 0.0 if reading is None else reading.debt_base / BASE_UNIT
    size = 1.0 + math.log10(1.0 + debt_usd) / 8.0
    return 1.0 / (1.0 + _WEIGHT[kind] * closeness * size)


def most_telling(events: Iterable[Event]) -> dict[Address, Event]:
    """One event a borrower: of the kind that can have hurt most, the first of its kind."""
    kinds: dict[Address, Event] = {}
    for event in events:
        kept = kinds.get(event.borrower)
        if kept is None or score(event.kind, None) < score(kept.kind, None):
            kinds[event.borrower] = event
    return kinds


def _closeness(health_factor: int) -> float:
    if health_factor == NO_DEBT:
        return 0.0
    return math.exp(-_SHARPNESS * max(health_factor / WAD - 1.0, 0.0)) if health_factor < 3 * WAD else 0.0


def pace_of(earlier: Reading | None, later: Reading, paces: PaceSettings) -> Pace:
    """How fast the health factor moved between two readings; a first reading says nothing, so it counts as moderate."""
    if earlier is None or later.at <= earlier.at:
        return Pace.MODERATE
    if NO_DEBT in (earlier.health_factor, later.health_factor):
        return Pace.STABLE if earlier.health_factor == later.health_factor else Pace.RAPID
    change = abs(later.health_factor - earlier.health_factor) / max(earlier.health_factor, 1)
    per_hour = change * 3600 / (later.at - earlier.at)
    return next((pace for pace in Pace if per_hour >= paces.policy(pace).per_hour), Pace.STABLE)


def ttl_for(pace: Pace, paces: PaceSettings) -> float:
    """Seconds a reading stays fresh at this pace."""
    return paces.policy(pace).ttl_s
