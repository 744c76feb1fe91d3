"""What one unit of each kind of entry weighs at a moment: the bridge from exact integers to columns of floats."""

from typing import NamedTuple

import numpy as np

from liqcli.aave.account import Position, Reserve, in_emode, price_of
from liqcli.aave.ray import PERCENT, RAY
from liqcli.book.kernels import Floats, Table
from liqcli.book.moment import Moment

CONFIRM_BELOW = 1.001
"""Float health factors below this are confirmed with exact integers before anything is decided."""
_COARSE = 2000
"""Where thresholds are lower than this, truncating their average to whole basis points weighs too much for floats."""


class Kind(NamedTuple):
    """What entries can differ in: the reserve, the side, and the e-mode of whoever holds it."""

    reserve_id: int
    emode: int
    is_debt: bool


def weights_of(moment: Moment, kind: Kind | None) -> tuple[float, float, float]:
    """Collateral, collateral by its threshold, and debt of one scaled unit; nan where nobody knows the price.

    No kind weighs nothing.
    """
    if kind is None:
        return 0.0, 0.0, 0.0
    reserve = moment.reserves.get(kind.reserve_id)
    if reserve is None or reserve.price == 0 or (kind.emode and kind.emode not in moment.emodes):
        return np.nan, np.nan, np.nan
    price, threshold = _rules(moment, reserve, kind.emode)
    if kind.is_debt:
        return 0.0, 0.0, price * reserve.variable_borrow_index * PERCENT / (RAY * reserve.unit)
    if reserve.liquidation_threshold == 0 and moment.version < (3, 6):
        return 0.0, 0.0, 0.0
    weight = price * reserve.liquidity_index / (RAY * reserve.unit)
    return weight, weight * threshold, 0.0


def _rules(moment: Moment, reserve: Reserve, emode: int) -> tuple[int, int]:
    """The price and the threshold that count for whoever is in this e-mode."""
    if emode == 0:
        return reserve.price, reserve.liquidation_threshold
    holder = Position("", {}, {}, frozenset(), emode)
    inside = in_emode(moment.version, reserve, moment.emodes, holder)
    threshold = moment.emodes[emode].liquidation_threshold if inside else reserve.liquidation_threshold
    return price_of(moment.version, reserve, moment.emodes, holder), threshold


def table_of(moment: Moment, weights: Floats, *, entries: int) -> Table:
    """The table of these weights, one row a kind, for borrowers of at most so many entries."""
    collateral, threshold, debt = np.ascontiguousarray(weights.T)
    truncates = moment.version < (3, 5)
    if truncates and np.any(threshold < _COARSE * collateral):
        threshold, truncates = threshold - collateral, False
    return Table(collateral, threshold, debt, truncates, entries * (_coarsest_unit(moment) + 2) * PERCENT)


def _coarsest_unit(moment: Moment) -> float:
    """The most that one indivisible unit of a token is worth, in base currency."""
    return max((reserve.price / reserve.unit for reserve in moment.reserves.values()), default=0.0)
