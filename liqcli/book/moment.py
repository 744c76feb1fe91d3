"""One timestamp's prices, indexes and rules, by which any position is valued exactly."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from liqcli.aave.account import (
    AccountData,
    EMode,
    Position,
    Reserve,
    account_data,
    debt_index_at,
    liquidity_index_at,
)
from liqcli.aave.ray import Version
from liqcli.model import WAD


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


def _accrued(version: Version, reserve: Reserve, now: int) -> Reserve:
    return replace(
        reserve,
        liquidity_index=liquidity_index_at(reserve, now),
        variable_borrow_index=debt_index_at(version, reserve, now),
        last_update=now,
    )
