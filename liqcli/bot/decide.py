"""Decide: the most profitable liquidation of one borrower by the rules of the pool's version, or why there is none."""

from collections.abc import Iterator
from dataclasses import dataclass

from liqcli.aave.account import AccountData, Reserve, account_data, debt_value
from liqcli.aave.liquidation import (
    DUST_BASE,
    Seizure,
    Stake,
    amounts,
    check_position,
    check_reserves,
    leaves_dust,
    liquidate,
    max_debt_to_cover,
    stake_of,
)
from liqcli.aave.ray import PERCENT, Version, div_ceil
from liqcli.chain.reserves import wrapped_native
from liqcli.chain.snapshot import Snapshot
from liqcli.errors import Reverted
from liqcli.model import BASE_UNIT, WAD, Liquidation, ProfitLine

LIQUIDATION_GAS = 600_000
"""What a liquidationCall without a swap takes; 364,000 was measured on 3.0.2, upgrades and rewards add to it."""

_LEFT_BASE = DUST_BASE + DUST_BASE // 100
"""What a partial liquidation leaves: a little above the dust limit, since prices move until the block."""
_HEADROOM = 100
"""A call asks for a hundredth more than the limit it expects to meet."""
_REASONS = {
    "ReserveInactive": "reserve inactive",
    "ReservePaused": "reserve paused",
    "PriceOracleSentinelCheckFailed": "price oracle sentinel",
    "LiquidationGraceSentinelCheckFailed": "grace period",
    "CollateralCannotBeLiquidated": "no liquidatable collateral",
    "MustNotLeaveDust": "would leave dust",
    "InvalidAmount": "would leave dust",
}


@dataclass(frozen=True, slots=True)
class Skip:
    """Why a borrower is left alone: `reason` to count by, `text` with the numbers in it."""

    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class _Choice:
    """One pair and amount that the pool would accept."""

    collateral: Reserve
    debt: Reserve
    call_amount: int
    seizure: Seizure


def best_liquidation(
    snapshot: Snapshot, *, min_profit_base: int, gas_price: int, gas_units: int = LIQUIDATION_GAS
) -> Liquidation | Skip:
    """The pair and amount that earn most after gas (`gas_price` in wei), if that is at least `min_profit_base`."""
    account = account_data(snapshot.version, snapshot.reserves, snapshot.emodes, snapshot.position, snapshot.at)
    if account.debt_base == 0:
        return Skip("no debt", "no debt")
    if account.health_factor >= WAD:
        return Skip("healthy", f"healthy: health factor {account.health_factor / WAD:.6f}")
    gas = _gas_line(snapshot, gas_units * gas_price)
    if gas is None:
        return Skip("gas money has no price", "the market lists no wrapped native token that has a price")
    choices, refusals = _choices(snapshot, account)
    plans = [_plan(snapshot, account, choice, gas, gas_units * gas_price) for choice in choices]
    if not plans:
        return _refused(refusals)
    best = max(plans, key=lambda plan: plan.profit_base)
    if best.profit_base < min_profit_base:
        return Skip(
            "profit below min_profit", f"profit {_usd(best.profit_base)} below min_profit {_usd(min_profit_base)}"
        )
    return best


def _choices(snapshot: Snapshot, account: AccountData) -> tuple[list[_Choice], list[str]]:
    """What the pool would accept, pair by pair, and its reasons against the others."""
    choices, refusals = [], []
    for collateral, debt in _pairs(snapshot):
        try:
            choices.append(_choice(snapshot, account, collateral, debt))
        except Reverted as refusal:
            refusals.append(refusal.reason)
    return choices, refusals


def _pairs(snapshot: Snapshot) -> Iterator[tuple[Reserve, Reserve]]:
    for collateral_id in sorted(snapshot.position.collateral_ids & snapshot.position.scaled_collateral.keys()):
        for debt_id in sorted(snapshot.position.scaled_debt):
            yield snapshot.reserves[collateral_id], snapshot.reserves[debt_id]


def _choice(snapshot: Snapshot, account: AccountData, collateral: Reserve, debt: Reserve) -> _Choice:
    version, position = snapshot.version, snapshot.position
    health_factor, allowed = account.health_factor, snapshot.sentinel_allows
    check_reserves(version, collateral, debt, snapshot.at, health_factor=health_factor, sentinel_allows=allowed)
    check_position(version, collateral, debt, position, health_factor=health_factor)
    stake = stake_of(version, collateral, debt, snapshot.emodes, position, now=snapshot.at, account=account)
    call_amount = _call_amount(version, stake)
    seizure = liquidate(
        version,
        snapshot.reserves,
        snapshot.emodes,
        position,
        snapshot.at,
        collateral_id=collateral.id,
        debt_id=debt.id,
        debt_to_cover=call_amount,
        sentinel_allows=allowed,
    )
    if seizure.debt_covered == 0:
        raise Reverted("nothing would be repaid", reason="InvalidAmount")
    return _Choice(collateral, debt, call_amount, seizure)


def _call_amount(version: Version, stake: Stake) -> int:
    """All the pool allows, or from 3.3, where that would leave dust, as much as leaves enough on both sides."""
    covered, gross = amounts(version, stake, max_debt_to_cover(version, stake))
    if version >= (3, 3) and leaves_dust(version, stake, covered, gross):
        return _largest_partial(version, stake, covered)
    return covered + div_ceil(covered, _HEADROOM)


def _largest_partial(version: Version, stake: Stake, most: int) -> int:
    debt_base = debt_value(version, stake.debt, stake.debt_price, stake.debt_unit) - _LEFT_BASE
    collateral_base = (stake.collateral_value(stake.collateral) - _LEFT_BASE) * PERCENT // stake.bonus
    return max(min(most, min(debt_base, collateral_base) * stake.debt_unit // stake.debt_price), 0)


def _plan(snapshot: Snapshot, account: AccountData, choice: _Choice, gas: ProfitLine, gas_fee_wei: int) -> Liquidation:
    received = choice.seizure.collateral_received * choice.collateral.price // choice.collateral.unit
    repaid = div_ceil(choice.seizure.debt_covered * choice.debt.price, choice.debt.unit)
    return Liquidation(
        borrower=snapshot.position.borrower,
        debt_asset=snapshot.tokens[choice.debt.id].asset,
        collateral_asset=snapshot.tokens[choice.collateral.id].asset,
        debt_to_cover=choice.seizure.debt_covered,
        call_amount=choice.call_amount,
        expected_collateral=choice.seizure.collateral_received,
        gas_fee_wei=gas_fee_wei,
        block=snapshot.block,
        health_factor=account.health_factor,
        profit=(ProfitLine("seized collateral", received), ProfitLine("repaid debt", -repaid), gas),
    )


def _gas_line(snapshot: Snapshot, fee_wei: int) -> ProfitLine | None:
    if fee_wei == 0:
        return ProfitLine("gas", 0)
    native = wrapped_native(snapshot.tokens.values())
    reserve = snapshot.reserves.get(native.id) if native else None
    return ProfitLine("gas", -div_ceil(fee_wei * reserve.price, reserve.unit)) if reserve else None


def _refused(refusals: list[str]) -> Skip:
    """The pool's reasons, or that nothing is left to seize."""
    if not refusals:
        return Skip("no collateral", "nothing is left to seize")
    reasons = sorted({_REASONS.get(reason, reason) for reason in refusals})
    return Skip(reasons[0], ", ".join(reasons))


def _usd(base: int) -> str:
    return f"{base / BASE_UNIT:,.2f}"
