"""The planned borrowers: the same for the same seed, and spread as a real market's are."""

from collections import Counter

import pytest

from liqcli.sandbox.plans import LARGEST_USD, SMALLEST_USD, debts_usd, health_factor_at, plan_borrowers


def test_the_same_seed_plans_the_same_borrowers():
    """Addresses, amounts and aims depend on the seed alone."""
    assert plan_borrowers(50, seed=7) == plan_borrowers(50, seed=7)


def test_another_seed_plans_other_borrowers():
    """No address is shared by two seeds."""
    first, second = ({plan.borrower for plan in plan_borrowers(50, seed=seed)} for seed in (1, 2))
    assert not first & second


@pytest.mark.parametrize("count", [60, 200, 2_000])
def test_two_to_four_per_cent_are_liquidatable(count: int):
    """The handful that the first price move leaves below 1 is there for every size of the market."""
    assert 0.02 <= sum(plan.aim < 1 for plan in plan_borrowers(count, seed=1)) / count <= 0.04


def test_most_borrowers_are_safe():
    """A few per cent are near liquidation, most of them are far from it."""
    aims = [plan.aim for plan in plan_borrowers(200, seed=1)]
    below = {ceiling: sum(aim < ceiling for aim in aims) for ceiling in (1.05, 1.1, 1.25, 2.0)}
    assert 8 <= below[1.05] < below[1.1] < below[1.25] < below[2.0] < 160


def test_sizes_reach_from_dust_to_whales():
    """Debts have a heavy tail: the largest of 2,000 is worth a thousand medians, the smallest a few dollars."""
    sizes = sorted(sum(debts_usd([plan]).values()) for plan in plan_borrowers(2_000, seed=1))
    assert SMALLEST_USD * 0.9 <= sizes[0] < 20
    assert 100 * sizes[len(sizes) // 2] < sizes[-1] <= LARGEST_USD * 1.01


def test_borrowers_differ_in_kind():
    """Several collaterals, several debts, shorts and e-mode positions all occur."""
    plans = plan_borrowers(200, seed=1)
    kinds = Counter((len(plan.collateral), len(plan.debt)) for plan in plans)
    assert len(kinds) >= 4
    assert sum(plan.emode for plan in plans) >= 8
    assert {symbol for plan in plans for symbol, _ in plan.debt} == set(debts_usd([]))


def test_the_spread_has_no_gaps():
    """The health factor aimed at rises with the share over the whole range."""
    aims = [health_factor_at(share / 1000) for share in range(1001)]
    assert aims == sorted(aims)
    assert aims[-1] == 20.0
