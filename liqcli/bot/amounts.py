"""Amounts: which pairs and how much of each the pool would accept now, by the rules of its version."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from liqcli.aave.account import AccountData, Reserve, debt_value
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
from liqcli.chain.snapshot import Snapshot
from liqcli.errors import Reverted
from liqcli.model import BASE_UNIT

_LEFT_BASE = DUST_BASE + DUST_BASE // 100
"""What a partial liquidation leaves: a little above the dust limit, since prices move until the block."""
_HEADROOM = 100
"""A call asks for a hundredth more than the limit it expects to meet."""
_LEAST_RUNG_BASE = 1_000 * BASE_UNIT
"""Less of a debt is not worth a rung: no exchange is so thin."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One pair and amount that the pool would accept, and what it would bring."""

    collateral: Reserve
    debt: Reserve
    call_amount: int
    seizure: Seizure

    @property
    def is_sale(self) -> bool:
        """Whether the collateral must be sold to repay the debt."""
        return self.collateral.id != self.debt.id


def choices_of(snapshot: Snapshot, account: AccountData, *, ladder: bool) -> tuple[list[Choice], list[str]]:
    """What the pool would accept, pair by pair, and its reasons against the others.

    With `ladder` also halves, quarters and so on of each amount, for exits too thin for the whole.
    """
    choices: list[Choice] = []
    refusals: list[str] = []
    for collateral, debt in _pairs(snapshot):
        try:
            choices += _of_pair(snapshot, account, collateral, debt, ladder=ladder)
        except Reverted as refusal:
            refusals.append(refusal.reason)
    return choices, refusals


def _pairs(snapshot: Snapshot) -> Iterator[tuple[Reserve, Reserve]]:
    for collateral_id in sorted(snapshot.position.collateral_ids & snapshot.position.scaled_collateral.keys()):
        for debt_id in sorted(snapshot.position.scaled_debt):
            yield snapshot.reserves[collateral_id], snapshot.reserves[debt_id]


def _of_pair(
    snapshot: Snapshot, account: AccountData, collateral: Reserve, debt: Reserve, *, ladder: bool
) -> list[Choice]:
    """The most the pool allows, then smaller ones; Reverted when it allows none."""
    version, position = snapshot.version, snapshot.position
    health_factor, allowed = account.health_factor, snapshot.sentinel_allows
    check_reserves(version, collateral, debt, snapshot.at, health_factor=health_factor, sentinel_allows=allowed)
    check_position(version, collateral, debt, position, health_factor=health_factor)
    stake = stake_of(version, collateral, debt, snapshot.emodes, position, now=snapshot.at, account=account)
    if stake.bonus == 0:  # from 3.6 a collateral of e-modes only, flagged outside them
        raise Reverted("nothing would be seized", reason="no liquidation bonus")
    most = _choice(snapshot, collateral, debt, _call_amount(version, stake))
    return [most, *_smaller(snapshot, most)] if ladder and most.is_sale else [most]


def _smaller(snapshot: Snapshot, most: Choice) -> Iterator[Choice]:
    """Its half, its quarter and so on: of the amounts between two rungs none earns much more than the better one."""
    amount = most.seizure.debt_covered // 2
    while amount * most.debt.price >= _LEAST_RUNG_BASE * most.debt.unit:
        with suppress(Reverted):  # this much would leave dust; still less may not
            yield _choice(snapshot, most.collateral, most.debt, amount)
        amount //= 2


def _choice(snapshot: Snapshot, collateral: Reserve, debt: Reserve, call_amount: int) -> Choice:
    seizure = liquidate(
        snapshot.version,
        snapshot.reserves,
        snapshot.emodes,
        snapshot.position,
        snapshot.at,
        collateral_id=collateral.id,
        debt_id=debt.id,
        debt_to_cover=call_amount,
        sentinel_allows=snapshot.sentinel_allows,
    )
    if seizure.debt_covered == 0:
        raise Reverted("nothing would be repaid", reason="InvalidAmount")
    return Choice(collateral, debt, call_amount, seizure)


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
