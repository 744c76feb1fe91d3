"""What `liquidationCall` would do, to the wei and to the revert reason (LiquidationLogic of each release)."""

from collections.abc import Mapping
from dataclasses import dataclass

from liqcli.aave.account import (
    AccountData,
    EMode,
    Position,
    Reserve,
    account_data,
    collateral_balance,
    debt_balance,
    debt_value,
    in_emode,
    liquidity_index_at,
)
from liqcli.aave.ray import (
    WAD,
    Version,
    percent_div,
    percent_div_ceil,
    percent_div_floor,
    percent_mul,
    percent_mul_ceil,
    percent_mul_floor,
    ray_div_ceil,
    ray_mul_floor,
)
from liqcli.errors import Reverted

CLOSE_FACTOR_HEALTH_FACTOR = 95 * 10**16
"""At or below this health factor the whole debt may be repaid."""
FULL_CLOSE_BASE = 2000 * 10**8
"""From 3.3, a collateral or a debt worth less may be closed whole."""
DUST_BASE = 1000 * 10**8
"""From 3.3, a partial liquidation must leave at least this much on both sides."""
HALF = 5000


@dataclass(frozen=True, slots=True)
class Seizure:
    """The outcome of a liquidation in token amounts; `collateral_received` is net of the protocol's fee.

    `deficit` is what remains of this reserve's debt and is written off when no collateral is left (3.3 on).
    """

    debt_covered: int
    collateral_received: int
    protocol_fee: int
    collateral_disabled: bool
    deficit: int


@dataclass(frozen=True, slots=True)
class Stake:
    """The two sides a liquidation weighs: balances, units and prices of one collateral and one debt, and the bonus."""

    account: AccountData
    scaled_collateral: int
    liquidity_index: int
    collateral: int
    collateral_unit: int
    collateral_price: int
    debt: int
    debt_unit: int
    debt_price: int
    bonus: int
    protocol_fee: int

    def collateral_value(self, amount: int) -> int:
        """An amount of the collateral in base currency."""
        return amount * self.collateral_price // self.collateral_unit


def liquidate(
    version: Version,
    reserves: Mapping[int, Reserve],
    emodes: Mapping[int, EMode],
    position: Position,
    now: int,
    *,
    collateral_id: int,
    debt_id: int,
    debt_to_cover: int,
    liquidator_is_borrower: bool = False,
    sentinel_allows: bool = True,
) -> Seizure:
    """What a `liquidationCall` mined at timestamp `now` seizes; Reverted with the pool's reason when it refuses."""
    account = account_data(version, reserves, emodes, position, now)
    collateral, debt = reserves[collateral_id], reserves[debt_id]
    if version >= (3, 4) and liquidator_is_borrower:
        raise _refused("SelfLiquidation")
    check_reserves(version, collateral, debt, now, health_factor=account.health_factor, sentinel_allows=sentinel_allows)
    check_position(version, collateral, debt, position, health_factor=account.health_factor)
    stake = stake_of(version, collateral, debt, emodes, position, now=now, account=account)
    covered, gross = amounts(version, stake, min(debt_to_cover, max_debt_to_cover(version, stake)))
    fee = _protocol_fee(version, stake, gross)
    if version >= (3, 3) and leaves_dust(version, stake, covered, gross):
        raise _refused("MustNotLeaveDust")
    disabled, wiped_out = _aftermath(version, stake, gross - fee, fee)
    return Seizure(covered, gross - fee, fee, disabled, stake.debt - covered if wiped_out else 0)


def check_reserves(
    version: Version, collateral: Reserve, debt: Reserve, now: int, *, health_factor: int, sentinel_allows: bool
) -> None:
    """Raise Reverted when a reserve's state forbids liquidation; a frozen reserve does not."""
    if not (collateral.active and debt.active):
        raise _refused("ReserveInactive")
    if collateral.paused or debt.paused:
        raise _refused("ReservePaused")
    if version < (3, 7) and not sentinel_allows and health_factor >= CLOSE_FACTOR_HEALTH_FACTOR:
        raise _refused("PriceOracleSentinelCheckFailed")
    if version >= (3, 1) and max(collateral.grace_until, debt.grace_until) >= now:
        raise _refused("LiquidationGraceSentinelCheckFailed")


def check_position(
    version: Version, collateral: Reserve, debt: Reserve, position: Position, *, health_factor: int
) -> None:
    """Raise Reverted when the account is healthy, or the pair is not one of its collaterals and debts."""
    if health_factor >= WAD:
        raise _refused("HealthFactorNotBelowThreshold")
    has_no_threshold = version < (3, 6) and collateral.liquidation_threshold == 0
    if collateral.id not in position.collateral_ids or has_no_threshold:
        raise _refused("CollateralCannotBeLiquidated")
    if not position.scaled_debt.get(debt.id):
        raise _refused("SpecifiedCurrencyNotBorrowedByUser")


def stake_of(
    version: Version,
    collateral: Reserve,
    debt: Reserve,
    emodes: Mapping[int, EMode],
    position: Position,
    *,
    now: int,
    account: AccountData,
) -> Stake:
    """Both sides of a pair at timestamp `now`; up to 3.1 an e-mode's own price replaces the debt's in any case."""
    inside = in_emode(version, collateral, emodes, position)
    category_price = emodes[position.emode].price if version < (3, 2) and position.emode else 0
    scaled_collateral = position.scaled_collateral.get(collateral.id, 0)
    return Stake(
        account=account,
        scaled_collateral=scaled_collateral,
        liquidity_index=liquidity_index_at(collateral, now),
        collateral=collateral_balance(version, collateral, scaled_collateral, now),
        collateral_unit=collateral.unit,
        collateral_price=category_price if inside and category_price else collateral.price,
        debt=debt_balance(version, debt, position.scaled_debt.get(debt.id, 0), now),
        debt_unit=debt.unit,
        debt_price=category_price or debt.price,
        bonus=emodes[position.emode].liquidation_bonus if inside else collateral.liquidation_bonus,
        protocol_fee=collateral.protocol_fee,
    )


def max_debt_to_cover(version: Version, stake: Stake) -> int:
    """The most debt one call may repay: up to 3.2 a share of this debt, from 3.3 a share of the whole account's."""
    nearly_healthy = stake.account.health_factor > CLOSE_FACTOR_HEALTH_FACTOR
    if version < (3, 3):
        return percent_mul(stake.debt, HALF) if nearly_healthy else stake.debt
    debt_base = debt_value(version, stake.debt, stake.debt_price, stake.debt_unit)
    is_large = min(stake.collateral_value(stake.collateral), debt_base) >= FULL_CLOSE_BASE
    limit_base = percent_mul(stake.account.debt_base, HALF)
    if not (is_large and nearly_healthy and debt_base > limit_base):
        return stake.debt
    return limit_base * stake.debt_unit // stake.debt_price


def amounts(version: Version, stake: Stake, debt_to_cover: int) -> tuple[int, int]:
    """The debt really repaid and the gross collateral seized for it: less debt when the collateral runs out."""
    if stake.collateral_price == 0:
        raise _refused("Panic(0x12)")
    debt_in_base_and_units = stake.debt_price * debt_to_cover * stake.collateral_unit
    at_par = debt_in_base_and_units // (stake.collateral_price * stake.debt_unit)
    wanted = percent_mul_floor(at_par, stake.bonus) if version >= (3, 7) else percent_mul(at_par, stake.bonus)
    if wanted <= stake.collateral:
        return debt_to_cover, wanted
    worth = stake.collateral_price * stake.collateral * stake.debt_unit // (stake.debt_price * stake.collateral_unit)
    needed = percent_div_ceil(worth, stake.bonus) if version >= (3, 5) else percent_div(worth, stake.bonus)
    return needed, stake.collateral


def leaves_dust(version: Version, stake: Stake, covered: int, gross: int) -> bool:
    """Whether a liquidation that ends neither side leaves less than 1,000 USD on one of them."""
    if covered >= stake.debt or gross >= stake.collateral:
        return False
    debt_left = debt_value(version, stake.debt - covered, stake.debt_price, stake.debt_unit)
    return min(debt_left, stake.collateral_value(stake.collateral - gross)) < DUST_BASE


def _protocol_fee(version: Version, stake: Stake, gross: int) -> int:
    if stake.protocol_fee == 0:
        return 0
    if stake.bonus == 0:  # PercentageMath refuses to divide by it, without a word
        raise _refused("no reason given")
    if version >= (3, 7):
        return percent_mul_ceil(gross - percent_div_floor(gross, stake.bonus), stake.protocol_fee)
    return percent_mul(gross - percent_div(gross, stake.bonus), stake.protocol_fee)


def _aftermath(version: Version, stake: Stake, received: int, fee: int) -> tuple[bool, bool]:
    """Whether the collateral's flag is cleared, and whether the account is left without any collateral."""
    if version < (3, 7):
        gross = received + fee
        wiped_out = version >= (3, 3) and stake.collateral_value(gross) == stake.account.collateral_base
        return gross == stake.collateral, wiped_out
    scaled = ray_div_ceil(received, stake.liquidity_index) + ray_div_ceil(fee, stake.liquidity_index)
    used = min(scaled, stake.scaled_collateral)
    wiped_out = stake.collateral_value(ray_mul_floor(used, stake.liquidity_index)) == stake.account.collateral_base
    return used == stake.scaled_collateral or wiped_out, wiped_out


def _refused(reason: str) -> Reverted:
    return Reverted(f"the pool would refuse the liquidation: {reason}", reason=reason)
