"""One timestamp's prices, indexes and rules, by which positions are valued: exactly, or as weights for the columns."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from liqcli.aave.account import (
    AccountData,
    EMode,
    Position,
    Reserve,
    account_data,
    debt_index_at,
    in_emode,
    liquidity_index_at,
    price_of,
)
from liqcli.aave.ray import PERCENT, RAY, Version
from liqcli.book.kernels import Floats, Table
from liqcli.model import WAD

CONFIRM_BELOW = 1.001
"""Float health factors below this are confirmed with exact integers before anything is decided."""
_COARSE = 2000
"""Where thresholds are lower than this, truncating their average to whole basis points weighs too much for floats."""


class Kind(NamedTuple):
    """What entries can differ in: the reserve, the side, and the e-mode of whoever holds it."""

    reserve_id: int
    emode: int
    is_debt: bool


@dataclass(frozen=True, slots=True)
class Moment:
    """What holds for every position at timestamp `now`, to which the reserves' indexes are accrued.

    A reserve without a usable price is missing from `reserves`, or has the price 0.
    """

    version: Version
    reserves: Mapping[int, Reserve]
    emodes: Mapping[int, EMode]
    now: int


def moment_at(version: Version, reserves: Mapping[int, Reserve], emodes: Mapping[int, EMode], now: int) -> Moment:
    """The moment, with interest accrued once for all positions."""
    return Moment(
        version, {number: _accrued(version, reserve, now) for number, reserve in reserves.items()}, emodes, now
    )


def repriced(moment: Moment, prices: Mapping[int, int]) -> Moment:
    """The same moment with other prices of some reserves; an e-mode's own price (up to 3.1) stays."""
    changed = {number: replace(moment.reserves[number], price=price) for number, price in prices.items()}
    return replace(moment, reserves={**moment.reserves, **changed})


def account_at(moment: Moment, position: Position) -> AccountData:
    """The pool's answer about one position, to the wei."""
    return account_data(moment.version, moment.reserves, moment.emodes, position, moment.now)


def liquidatable(moment: Moment, positions: Iterable[Position]) -> Iterator[tuple[Position, AccountData]]:
    """Those of the positions whose exact health factor is below one; who cannot be valued is not among them."""
    for position in positions:
        if can_value(moment, position) and (account := account_at(moment, position)).health_factor < WAD:
            yield position, account


def can_value(moment: Moment, position: Position) -> bool:
    """Whether every price and rule this position needs is known."""
    used = {*position.collateral_ids, *position.scaled_debt}
    prices = (moment.reserves[number].price if number in moment.reserves else 0 for number in used)
    return all(prices) and (position.emode == 0 or position.emode in moment.emodes)


def weights_of(moment: Moment, kind: Kind | None) -> tuple[float, float, float]:
    """Collateral, collateral by its threshold, and debt of one scaled unit; nan where nobody knows the price.

    No kind weighs nothing.
    """
    if kind is None:
        return 0.0, 0.0, 0.0
    reserve = moment.reserves.get(kind.reserve_id)
    if reserve is None or reserve.price == 0 or (kind.emode and kind.emode not in moment.emodes):
        return np.nan, np.nan, np.nan
    holder = Position("", {}, {}, frozenset(), kind.emode)
    price = price_of(moment.version, reserve, moment.emodes, holder)
    if kind.is_debt:
        return 0.0, 0.0, price * reserve.variable_borrow_index * PERCENT / (RAY * reserve.unit)
    if reserve.liquidation_threshold == 0 and moment.version < (3, 6):
        return 0.0, 0.0, 0.0
    inside = in_emode(moment.version, reserve, moment.emodes, holder)
    threshold = moment.emodes[kind.emode].liquidation_threshold if inside else reserve.liquidation_threshold
    weight = price * reserve.liquidity_index / (RAY * reserve.unit)
    return weight, weight * threshold, 0.0


def table_of(moment: Moment, weights: Floats, *, entries: int) -> Table:
    """The table of these weights, one row a kind, for borrowers of at most so many entries."""
    collateral, threshold, debt = np.ascontiguousarray(weights.T)
    truncates = moment.version < (3, 5)
    if truncates and np.any(threshold < _COARSE * collateral):
        threshold, truncates = threshold - collateral, False
    return Table(collateral, threshold, debt, truncates, entries * (_coarsest_unit(moment) + 2) * PERCENT)


def _accrued(version: Version, reserve: Reserve, now: int) -> Reserve:
    return replace(
        reserve,
        liquidity_index=liquidity_index_at(reserve, now),
        variable_borrow_index=debt_index_at(version, reserve, now),
        last_update=now,
    )


def _coarsest_unit(moment: Moment) -> float:
    """The most that one indivisible unit of a token is worth, in base currency."""
    return max((reserve.price / reserve.unit for reserve in moment.reserves.values()), default=0.0)
