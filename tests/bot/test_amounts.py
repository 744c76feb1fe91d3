"""Amounts at the edges of the rules: around 1,000 and 2,000 dollars, at 0.95, in e-mode, with reserves in any state."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqcli.aave.account import account_data
from liqcli.aave.liquidation import DUST_BASE
from liqcli.bot.decide import Skip, best_liquidation
from liqcli.model import BASE_UNIT, WAD
from tests.aave.test_worked_rows import EMODES, RESERVES
from tests.bot.test_decide import ANY_PROFIT, VERSIONS, asset_of, case, outcome

EDGES_USD = (20.0, 999.99, 1000.0, 1000.01, 1009.99, 1010.01, 1999.99, 2000.0, 2000.01, 2999.99, 3000.01, 7000.0, 9e4)
HEALTH = (0.55, 0.9, 0.949999, 0.95, 0.950001, 0.97, 0.9999)
STEPS = 60
YES, NO = st.just(True), st.just(False)  # noqa: FBT003  values of a reserve
SLACK_BASE = DUST_BASE // 100
"""What decide leaves above the dust limit, since prices move until the block."""
STATES = st.fixed_dictionaries(
    {},
    optional={
        "paused": YES,
        "active": NO,
        "frozen": YES,
        "ltv": st.just(0),
        "liquidation_threshold": st.just(0),
        "grace_until": st.sampled_from((999, 1000, 1001)),
    },
)


@st.composite
def positions(draw):
    """A snapshot below one: sides worth edge amounts, then one side scaled to a health factor at an edge."""
    version = draw(st.sampled_from(VERSIONS))
    reserves = dict(RESERVES)
    if draw(st.booleans()):
        number = draw(st.sampled_from(sorted(reserves)))
        reserves[number] = replace(reserves[number], **draw(STATES))
    sides = [draw(st.lists(st.sampled_from(sorted(reserves)), min_size=1, max_size=3, unique=True)) for _ in range(2)]
    collateral, debt = ({number: _worth(draw, reserves[number]) for number in side} for side in sides)
    emode = draw(st.sampled_from((0, 1)))
    health = case(version, collateral, debt, emode=emode, reserves=reserves).account.health_factor
    wanted = round(draw(st.sampled_from(HEALTH)) * 10**6) * WAD // 10**6
    if draw(st.booleans()) or health == 0:
        debt = {number: scaled * health // wanted + 1 for number, scaled in debt.items()}
    else:
        collateral = {number: scaled * wanted // health for number, scaled in collateral.items()}
    return case(version, collateral, debt, emode=emode, reserves=reserves)


def _worth(draw, reserve):
    """A scaled balance of about an edge's dollars."""
    base = round(draw(st.sampled_from(EDGES_USD)) * BASE_UNIT)
    return base * reserve.unit // reserve.price + 1


def amounts_of(snapshot, debt_id):
    """From nothing to more than the debt, in small steps, and what leaves about a thousand dollars."""
    reserve, scaled = snapshot.reserves[debt_id], snapshot.position.scaled_debt[debt_id]
    most = 2 * scaled
    left = [most // 2 - usd * BASE_UNIT * reserve.unit // reserve.price for usd in (1000, 1001, 1010, 1100)]
    return {most * step // STEPS for step in range(1, STEPS + 1)} | {amount for amount in left if amount > 0}


@given(positions())
@settings(max_examples=150)
def test_nothing_the_pool_accepts_earns_more(snapshot):
    """Of all pairs and amounts none earns more than the decision, but for the margin above dust; a skip has none."""
    decision = best_liquidation(snapshot, min_profit_base=ANY_PROFIT, gas_price=0)
    found = [
        outcome(snapshot, collateral_id, debt_id, amount)
        for collateral_id in snapshot.position.collateral_ids
        for debt_id in snapshot.position.scaled_debt
        for amount in amounts_of(snapshot, debt_id)
    ]
    best = max((profit for seizure, profit in filter(None, found) if seizure.debt_covered), default=None)
    if isinstance(decision, Skip):
        assert best is None or best <= SLACK_BASE, decision.text
    elif best is not None:
        assert decision.profit_base >= min(best, 0) + max(best, 0) - SLACK_BASE


@given(positions())
@settings(max_examples=100)
def test_every_decision_is_what_the_call_does(snapshot):
    """The call's amounts are the decision's, at its own prices."""
    decision = best_liquidation(snapshot, min_profit_base=ANY_PROFIT, gas_price=0)
    if isinstance(decision, Skip):
        return
    ids = {asset_of(number): number for number in snapshot.reserves}
    seizure, profit = outcome(snapshot, ids[decision.collateral_asset], ids[decision.debt_asset], decision.call_amount)
    assert (seizure.debt_covered, seizure.collateral_received) == (
        decision.debt_to_cover,
        decision.expected_collateral,
    )
    assert profit == decision.profit_base
    assert account_data(snapshot.version, snapshot.reserves, EMODES, snapshot.position, 1000).health_factor < WAD


def test_a_collateral_without_a_bonus_does_not_stop_the_others():
    """From 3.6 a reserve that is collateral in e-modes only may be flagged outside them: nothing of it is seized."""
    collateral, debt = {0: 138_644_662_378_444_096_749, 1: 4_870_281_212}, {0: 28_470_717_055_657_640_769, 1: 2 * 10**9}
    decision = best_liquidation(case((3, 6), collateral, debt), min_profit_base=0, gas_price=0)
    assert decision.collateral_asset == asset_of(0)


@pytest.mark.parametrize("version", [(3, 6), (3, 7)])
def test_a_collateral_with_a_protocol_fee_but_no_bonus_is_left_alone(version):
    """The pool divides by the bonus to find its fee, and so refuses; the other collateral is taken."""
    reserves = RESERVES | {1: replace(RESERVES[1], protocol_fee=1000)}
    collateral, debt = {0: 138_644_662_378_444_096_749, 1: 4_870_281_212}, {0: 28_470_717_055_657_640_769, 1: 2 * 10**9}
    decision = best_liquidation(case(version, collateral, debt, reserves=reserves), min_profit_base=0, gas_price=0)
    assert decision.collateral_asset == asset_of(0)
