from dataclasses import replace

import pytest

from liqcli.aave.account import Position, account_data, collateral_balance, debt_balance, debt_index_at
from liqcli.aave.liquidation import liquidate
from liqcli.aave.ray import compounded_interest, linear_interest
from liqcli.errors import Reverted
from tests.aave.test_worked_rows import EMODES, EVERYTHING, RESERVES
from tests.aave.vectors import BORROWER

FIVE_PERCENT = 5 * 10**25
INDEX = 11 * 10**26
SCALED = 1234567890123456789
HOUR, YEAR = 3600, 31_536_000
OLD, NEW = (3, 3), (3, 4)


@pytest.mark.parametrize(
    ("version", "seconds", "expected"),
    [
        (OLD, YEAR, 1051265681539063650421944000),
        (NEW, YEAR, 1051270833333333333333333333),
        (OLD, HOUR, 1000005707778841852838170176),
        (NEW, HOUR, 1000005707778846385321333984),
        (OLD, 0, 10**27),
        (NEW, 0, 10**27),
    ],
)
def test_compounded_interest_is_the_contracts(version, seconds, expected):
    """The growth of a debt is the compiled library's, whose formula changed with 3.4."""
    assert compounded_interest(version, FIVE_PERCENT, seconds) == expected


@pytest.mark.parametrize("version", [(3, 0, 2), OLD])
@pytest.mark.parametrize("seconds", [1, 2])
def test_first_seconds_have_no_third_power(version, seconds):
    """Up to 3.3 the third term needs a third second: it is zero before, not negative."""
    rate = 10**27
    assert compounded_interest(version, rate, seconds) >= 10**27 + rate * seconds // YEAR


def test_linear_interest_is_the_contracts():
    """The growth of a supply is the compiled library's, in every release."""
    assert linear_interest(FIVE_PERCENT, HOUR) == 1000005707762557077625570776


def reserve_at(seconds):
    """A reserve last updated so long before second 10**9, its rates at five per cent."""
    rates = {"liquidity_rate": FIVE_PERCENT, "variable_borrow_rate": FIVE_PERCENT}
    indexes = {"liquidity_index": INDEX, "variable_borrow_index": INDEX}
    return replace(RESERVES[0], last_update=10**9 - seconds, **rates, **indexes)


@pytest.mark.parametrize(
    ("version", "index", "debt", "collateral"),
    [
        ((3, 3), 1100006278556726038121987194, 1358032430440332753, 1358032430418217627),
        ((3, 4), 1100006278556731023853467382, 1358032430440338908, 1358032430418217627),
        ((3, 5), 1100006278556731023853467382, 1358032430440338909, 1358032430418217626),
    ],
)
def test_balances_accrue_as_in_the_contracts(version, index, debt, collateral):
    """An hour after the last update index, debt and collateral are the contracts', rounding included."""
    reserve = reserve_at(HOUR)
    assert debt_index_at(version, reserve, 10**9) == index
    assert debt_balance(version, reserve, SCALED, 10**9) == debt
    assert collateral_balance(version, reserve, SCALED, 10**9) == collateral


@pytest.mark.parametrize(
    ("version", "expected"),
    [((3, 4), 1111000000001428571), ((3, 5), 1111000000001111000), ((3, 7), 1111000000001111000)],
)
def test_average_threshold_is_truncated_up_to_3_4(version, expected):
    """Collateral of 1000000000001 at 77.77 % against 700000000000 gives the two health factors of the contracts."""
    plain = {"price": 1, "liquidity_index": 10**27, "variable_borrow_index": 10**27, "emode_category": 0}
    unit = replace(RESERVES[1], decimals=0, liquidation_threshold=7777, ltv=7000, **plain)
    position = Position(BORROWER, {1: 1_000_000_000_001}, {1: 700_000_000_000}, frozenset({1}), 0)
    assert account_data(version, {1: unit}, EMODES, position, 1).health_factor == expected


def refusal(version, reserves, *, debt=11_000_000_000, **options):
    """Why the liquidation of an unhealthy position is refused; None when it is not."""
    position = Position(BORROWER, {0: 500 * 10**18}, {1: debt}, frozenset({0}), 0)
    pair = {"collateral_id": 0, "debt_id": 1, "debt_to_cover": EVERYTHING}
    try:
        liquidate(version, reserves, EMODES, position, 1000, **pair, **options)
    except Reverted as error:
        return error.reason
    return None


def with_state(number, **state):
    """The reserves, one of them in another state."""
    return RESERVES | {number: replace(RESERVES[number], **state)}


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize(
    ("version", "state", "reason"),
    [
        ((3, 0, 2), {"active": False, "paused": True}, "ReserveInactive"),
        ((3, 7), {"paused": True, "grace_until": 2000}, "ReservePaused"),
        ((3, 0, 2), {"grace_until": 2000}, None),
        ((3, 1), {"grace_until": 1000}, "LiquidationGraceSentinelCheckFailed"),
        ((3, 1), {"grace_until": 999}, None),
        ((3, 7), {"grace_until": 2000}, "LiquidationGraceSentinelCheckFailed"),
        ((3, 3), {"frozen": True}, None),
    ],
)
def test_reserve_state_refuses_in_the_contracts_order(number, version, state, reason):
    """Either reserve inactive, paused or in its grace period refuses, in that order; a frozen one does not."""
    assert refusal(version, with_state(number, **state)) == reason


@pytest.mark.parametrize("version", [(3, 0, 2), (3, 6), (3, 7)])
def test_sentinel_does_not_protect_the_deeply_unhealthy(version):
    """Below 0.95 the sentinel is not asked."""
    assert refusal(version, RESERVES, sentinel_allows=False) is None


@pytest.mark.parametrize(
    ("version", "reason"),
    [((3, 0, 2), "PriceOracleSentinelCheckFailed"), ((3, 6), "PriceOracleSentinelCheckFailed"), ((3, 7), None)],
)
def test_sentinel_protects_the_nearly_healthy_up_to_3_6(version, reason):
    """At 0.97 a closed sentinel refuses; 3.7 has none."""
    assert refusal(version, RESERVES, debt=10_400_000_000, sentinel_allows=False) == reason


@pytest.mark.parametrize(("version", "reason"), [((3, 3), None), ((3, 4), "SelfLiquidation")])
def test_self_liquidation_is_forbidden_from_3_4(version, reason):
    """A borrower may liquidate itself only up to 3.3."""
    assert refusal(version, RESERVES, liquidator_is_borrower=True) == reason


@pytest.mark.parametrize("version", [(3, 0, 2), (3, 7)])
def test_pair_must_be_the_positions(version):
    """A collateral that is not flagged, and a debt that is not owed, are refused by name."""
    position = Position(BORROWER, {0: 500 * 10**18, 3: 10}, {1: 11_000_000_000}, frozenset({0}), 0)
    for pair, reason in (
        ({"collateral_id": 3, "debt_id": 1}, "CollateralCannotBeLiquidated"),
        ({"collateral_id": 0, "debt_id": 2}, "SpecifiedCurrencyNotBorrowedByUser"),
    ):
        with pytest.raises(Reverted) as caught:
            liquidate(version, RESERVES, EMODES, position, 1000, debt_to_cover=1, **pair)
        assert caught.value.reason == reason
