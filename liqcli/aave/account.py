"""What `getUserAccountData` answers, from a position and its reserves, to the wei (GenericLogic of each release)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from liqcli.aave.ray import (
    PERCENT,
    Version,
    compounded_interest,
    div_ceil,
    linear_interest,
    percent_mul,
    percent_mul_floor,
    ray_mul,
    ray_mul_ceil,
    ray_mul_floor,
    wad_div,
)
from liqcli.model import NO_DEBT, Address


@dataclass(frozen=True, slots=True)
class Reserve:
    """One reserve: its configuration (basis points), its indexes and rates (rays) at `last_update`, its price."""

    id: int
    decimals: int
    price: int
    ltv: int
    liquidation_threshold: int
    liquidation_bonus: int
    protocol_fee: int
    emode_category: int
    liquidity_index: int
    liquidity_rate: int
    variable_borrow_index: int
    variable_borrow_rate: int
    last_update: int
    active: bool
    frozen: bool
    paused: bool
    grace_until: int

    @property
    def unit(self) -> int:
        """One whole token in the token's own decimals."""
        return int(10**self.decimals)


@dataclass(frozen=True, slots=True)
class EMode:
    """One e-mode category; `price` (0: none) only up to 3.1, bitmaps of reserve ids from 3.2, `isolated` from 3.7."""

    ltv: int
    liquidation_threshold: int
    liquidation_bonus: int
    price: int = 0
    collateral_bitmap: int = 0
    ltvzero_bitmap: int = 0
    isolated: bool = False


@dataclass(frozen=True, slots=True)
class Position:
    """One borrower: scaled balances by reserve id, the ids flagged as collateral, the e-mode category (0: none)."""

    borrower: Address
    scaled_collateral: Mapping[int, int]
    scaled_debt: Mapping[int, int]
    collateral_ids: frozenset[int]
    emode: int

    def uses(self, reserve_id: int) -> bool:
        """Whether the reserve enters this account: as a flagged collateral or as a debt."""
        return reserve_id in self.collateral_ids or bool(self.scaled_debt.get(reserve_id))


@dataclass(frozen=True, slots=True)
class AccountData:
    """The pool's answer: amounts in base currency, threshold and ltv in basis points, health factor in wads."""

    collateral_base: int
    debt_base: int
    available_borrows_base: int
    liquidation_threshold: int
    ltv: int
    health_factor: int


def account_data(
    version: Version, reserves: Mapping[int, Reserve], emodes: Mapping[int, EMode], position: Position, now: int
) -> AccountData:
    """The account at block timestamp `now`; every reserve the position uses must be among `reserves`."""
    collateral = weighted_ltv = weighted_threshold = 0
    for value, ltv, threshold in _collaterals(version, reserves, emodes, position, now):
        collateral += value
        weighted_ltv += value * ltv
        weighted_threshold += value * threshold
    debt = sum(_debts(version, reserves, emodes, position, now))
    average_ltv = weighted_ltv // collateral if collateral else 0
    average_threshold = weighted_threshold // collateral if collateral else 0
    borrowable = (percent_mul_floor if version >= (3, 5) else percent_mul)(collateral, average_ltv)
    return AccountData(
        collateral,
        debt,
        max(borrowable - debt, 0),
        average_threshold,
        average_ltv,
        _health_factor(version, collateral, average_threshold, weighted_threshold, debt),
    )


def liquidity_index_at(reserve: Reserve, now: int) -> int:
    """`getReserveNormalizedIncome`: what turns a scaled collateral into tokens."""
    if now == reserve.last_update:
        return reserve.liquidity_index
    return ray_mul(linear_interest(reserve.liquidity_rate, now - reserve.last_update), reserve.liquidity_index)


def debt_index_at(version: Version, reserve: Reserve, now: int) -> int:
    """`getReserveNormalizedVariableDebt`: what turns a scaled debt into tokens."""
    if now == reserve.last_update:
        return reserve.variable_borrow_index
    growth = compounded_interest(version, reserve.variable_borrow_rate, now - reserve.last_update)
    return ray_mul(growth, reserve.variable_borrow_index)


def collateral_balance(version: Version, reserve: Reserve, scaled: int, now: int) -> int:
    """The aToken's `balanceOf`; from 3.5 rounded against the account."""
    index = liquidity_index_at(reserve, now)
    return ray_mul_floor(scaled, index) if version >= (3, 5) else ray_mul(scaled, index)


def debt_balance(version: Version, reserve: Reserve, scaled: int, now: int) -> int:
    """The variable debt token's `balanceOf`; from 3.5 rounded against the account."""
    index = debt_index_at(version, reserve, now)
    return ray_mul_ceil(scaled, index) if version >= (3, 5) else ray_mul(scaled, index)


def debt_value(version: Version, balance: int, price: int, unit: int) -> int:
    """A debt in base currency; from 3.5 rounded up."""
    return div_ceil(balance * price, unit) if version >= (3, 5) else balance * price // unit


def in_emode(version: Version, reserve: Reserve, emodes: Mapping[int, EMode], position: Position) -> bool:
    """Whether the reserve takes the e-mode's parameters: by its own category, or from 3.2 by the category's bitmap."""
    if position.emode == 0:
        return False
    if version < (3, 2):
        return reserve.emode_category == position.emode
    return bool(emodes[position.emode].collateral_bitmap >> reserve.id & 1)


def price_of(version: Version, reserve: Reserve, emodes: Mapping[int, EMode], position: Position) -> int:
    """The price that counts for this account: up to 3.1 an e-mode may have one of its own."""
    if version < (3, 2) and in_emode(version, reserve, emodes, position):
        return emodes[position.emode].price or reserve.price
    return reserve.price


def _collaterals(
    version: Version, reserves: Mapping[int, Reserve], emodes: Mapping[int, EMode], position: Position, now: int
) -> Iterator[tuple[int, int, int]]:
    """Each collateral that counts: its value, and the ltv and the threshold that weigh it."""
    for reserve_id in position.collateral_ids:
        reserve = reserves[reserve_id]
        if reserve.liquidation_threshold == 0 and version < (3, 6):
            continue
        balance = collateral_balance(version, reserve, position.scaled_collateral.get(reserve_id, 0), now)
        category = emodes[position.emode] if in_emode(version, reserve, emodes, position) else None
        threshold = category.liquidation_threshold if category else reserve.liquidation_threshold
        value = balance * price_of(version, reserve, emodes, position) // reserve.unit
        yield value, _ltv(version, reserve, category, emodes, position), threshold


def _debts(
    version: Version, reserves: Mapping[int, Reserve], emodes: Mapping[int, EMode], position: Position, now: int
) -> Iterator[int]:
    """Each debt's value."""
    for reserve_id, scaled in position.scaled_debt.items():
        if scaled:
            reserve = reserves[reserve_id]
            price = price_of(version, reserve, emodes, position)
            yield debt_value(version, debt_balance(version, reserve, scaled, now), price, reserve.unit)


def _ltv(
    version: Version, reserve: Reserve, category: EMode | None, emodes: Mapping[int, EMode], position: Position
) -> int:
    """The ltv of a reserve inside `category`, or outside any with None."""
    if version < (3, 6):
        return category.ltv if category and reserve.ltv else reserve.ltv
    if category:
        return 0 if category.ltvzero_bitmap >> reserve.id & 1 else category.ltv
    shut_out = version >= (3, 7) and position.emode != 0 and emodes[position.emode].isolated
    return 0 if shut_out else reserve.ltv


def _health_factor(version: Version, collateral: int, threshold: int, weighted_threshold: int, debt: int) -> int:
    """Up to 3.4 the average threshold is truncated to whole basis points first."""
    if debt == 0:
        return NO_DEBT
    if version >= (3, 5):
        return wad_div(weighted_threshold, debt) // PERCENT
    return wad_div(percent_mul(collateral, threshold), debt)
