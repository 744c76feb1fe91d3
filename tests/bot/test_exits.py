"""Decisions that sell what they seize: quotes, loans, margins and gas on made-up offers, in every release."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqcli.bot.decide import Skip, best_of, prospects_of
from liqcli.chain.routes import Offers, Quote, Route
from liqcli.model import BASE_UNIT, Liquidation
from tests.aave.test_worked_rows import RESERVES
from tests.bot.test_decide import ANY_PROFIT, VERSIONS, asset_of, case

CONTRACT, ROUTER = "0x" + "c0" * 20, "0x" + "40" * 20
PLENTY = 10**40
SMALL_BLOCK = 2_000_000
USD_DEBT = case((3, 0, 2), {0: 500 * 10**18}, {1: 10_400_000_000})
"""500 of an 18-decimal collateral at 35 dollars against 10,990 of a 6-decimal dollar."""


def route_of(sale, *, hops=1):
    """A V2 route of so many swaps."""
    return Route(ROUTER, ROUTER, (sale.sold, *[CONTRACT] * (hops - 1), sale.bought), ())


def fair(snapshot, sale, *, share=1.0):
    """What a sale brings at the oracle's prices, or a share of it."""
    by_asset = {asset_of(number): reserve for number, reserve in snapshot.reserves.items()}
    sold, bought = by_asset[sale.sold], by_asset[sale.bought]
    return int(sale.amount * sold.price * bought.unit // (bought.price * sold.unit) * share)


def offers_for(snapshot, price=fair, *, hops=(1,), lendable=PLENTY, **terms):
    """Offers in which every sale has one quote a route, and every asset can be lent."""
    prospects = prospects_of(snapshot, ladder=True)
    quotes = {
        sale: tuple(Quote(route_of(sale, hops=count), price(snapshot, sale)) for count in hops)
        for sale in prospects.sales
    }
    usual = {"contract": CONTRACT, "flash_loan": True, "premium_bps": 4, "margin_bps": 0, "gas_limit": SMALL_BLOCK}
    assets = dict.fromkeys(prospects.loans, lendable)
    return prospects, Offers(**{**usual, "lendable": assets, "quotes": quotes, **terms})


def decided(snapshot, price=fair, *, least=ANY_PROFIT, gas_price=0, **terms):
    """The decision under such offers."""
    prospects, offers = offers_for(snapshot, price, **terms)
    return best_of(prospects, min_profit_base=least, gas_price=gas_price, offers=offers)


@pytest.mark.parametrize("version", VERSIONS)
@given(share=st.floats(0.5, 1.2), premium_bps=st.integers(0, 100), gas_price=st.integers(0, 10**12))
def test_the_lines_add_up_to_what_the_contract_pays(version, share, premium_bps, gas_price):
    """In every release the statement's sum is the contract's profit in base currency, less gas, to the unit."""
    snapshot = case(version, {0: 500 * 10**18}, {1: 10_400_000_000})
    plan = decided(snapshot, lambda *sale: fair(*sale, share=share), premium_bps=premium_bps, gas_price=gas_price)
    assert plan.profit_base == plan.exit.value(plan.exit.profit) + plan.profit[-1].base
    assert plan.exit.profit == plan.exit.proceeds - plan.debt_to_cover - plan.exit.premium
    assert [line.what for line in plan.profit] == [
        "seized collateral", "repaid debt", "flash-loan premium", "swap", "gas",
    ]  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
def test_premium_is_rounded_as_the_release_does(version):
    """Up to 3.4 half up, from 3.5 up; and it is due on the whole loan, headroom included."""
    plan = decided(case(version, {0: 500 * 10**18}, {1: 10_400_000_000}), premium_bps=3)
    exact = plan.call_amount * 3
    assert plan.exit.premium == (-(-exact // 10_000) if version >= (3, 5) else (exact + 5_000) // 10_000)


def test_own_tokens_pay_no_premium():
    """Without a flash loan nothing is borrowed, so nothing is too much to borrow either."""
    plan = decided(USD_DEBT, flash_loan=False, lendable=0)
    assert (plan.exit.flash_loan, plan.exit.premium, plan.profit[2].base) == (False, 0, 0)


def test_what_the_pool_cannot_lend_is_not_planned():
    """Too little in the pool for every rung is a reason by name."""
    assert decided(USD_DEBT, lendable=10**6).reason == "the pool cannot lend the debt"


def test_a_pool_that_can_lend_a_part_lends_a_part():
    """Where only a part of the debt can be borrowed, a smaller rung is planned."""
    whole = decided(USD_DEBT)
    part = decided(USD_DEBT, lendable=whole.call_amount - 1)
    assert part.debt_to_cover == whole.debt_to_cover // 2


def test_one_asset_on_both_sides_needs_no_exchange():
    """Nothing is sold; but the pool must hold the loan and the seized amount at once."""
    snapshot = case((3, 0, 2), {0: 500 * 10**18}, {0: 320 * 10**18})
    plan = decided(snapshot)
    assert (plan.exit.path, plan.exit.proceeds) == ("0x", plan.expected_collateral)
    needed = plan.call_amount + plan.expected_collateral
    assert isinstance(decided(snapshot, lendable=needed), Liquidation)
    assert decided(snapshot, lendable=needed - 1).reason == "the pool cannot lend the debt"


def test_without_a_buyer_there_is_no_plan():
    """No quote for any sale is a reason by name."""
    assert decided(USD_DEBT, hops=()).reason == "no exchange buys the collateral"


def test_a_plan_that_a_small_block_cannot_take_is_not_made():
    """Gas over the block's limit is a reason by name; a shorter route that fits is taken."""
    assert decided(USD_DEBT, gas_limit=800_000).reason == "gas over the small-block limit"
    assert len(decided(USD_DEBT, hops=(1, 2), gas_limit=900_000).exit.path) == 2 + 2 * 40


def test_gas_weighs_between_routes():
    """A longer route that pays a little more wins while gas is cheap, and loses when it is dear."""

    def better_over_a_hub(snapshot, sale):
        return fair(snapshot, sale)

    prospects, offers = offers_for(USD_DEBT, better_over_a_hub, hops=(1, 2))
    richer = {
        sale: (quotes[0], replace(quotes[1], proceeds=quotes[1].proceeds + 2_000_000))
        for sale, quotes in offers.quotes.items()
    }
    offers = replace(offers, quotes=richer)
    hops = [
        (len(best_of(prospects, min_profit_base=0, gas_price=price, offers=offers).exit.path) - 2) // 40 - 1
        for price in (10**8, 10**12)
    ]
    assert hops == [2, 1]


def test_a_thin_exit_takes_less():
    """Where every dollar more sells worse, the most profitable rung is not the largest."""

    def thin(snapshot, sale):
        received = fair(snapshot, sale)
        return received * 10**10 // (10**10 + received)

    whole, thinned = decided(USD_DEBT), decided(USD_DEBT, thin)
    assert thinned.debt_to_cover < whole.debt_to_cover
    prospects, offers = offers_for(USD_DEBT, thin)
    rungs = [
        best_of(replace(prospects, choices=[choice]), min_profit_base=ANY_PROFIT, gas_price=0, offers=offers)
        for choice in prospects.choices
    ]
    assert thinned.profit_base == max(plan.profit_base for plan in rungs)
    assert len(rungs) > 2


def test_exits_of_any_thinness_are_used():
    """Of a large debt the ladder goes down to a thousand dollars: what an exit can take is worth taking."""
    large = case((3, 0, 2), {0: 50_000 * 10**18}, {1: 1_040_000_000_000})

    def thin(snapshot, sale):
        received = fair(snapshot, sale)
        return received * 20_000 * 10**6 // (20_000 * 10**6 + received)

    plan = decided(large, thin)
    assert isinstance(plan, Liquidation)
    assert 1_000 * 10**6 <= plan.debt_to_cover < 2_000 * 10**6


def test_what_the_margin_leaves_decides():
    """A larger rung that the margin eats up does not stand in the way of a smaller one."""

    def thin(snapshot, sale):
        received = fair(snapshot, sale)
        return received * 60_000 * 10**6 // (60_000 * 10**6 + received)

    earns_most, safest = (decided(USD_DEBT, thin, margin_bps=bps) for bps in (0, 300))
    left = safest.profit_base - safest.exit.value(safest.exit.proceeds) * 300 // 10_000
    assert earns_most.profit_base - earns_most.exit.value(earns_most.exit.proceeds) * 300 // 10_000 < left
    assert isinstance(decided(USD_DEBT, thin, margin_bps=300, least=left - 1), Liquidation)


def test_margin_and_minimum_are_told():
    """What is left after the margin must reach the minimum, and the skip says all three numbers."""
    plan = decided(USD_DEBT)
    reachable = plan.profit_base - 10 * BASE_UNIT
    assert isinstance(decided(USD_DEBT, least=reachable), Liquidation)
    skip = decided(USD_DEBT, least=reachable, margin_bps=100)
    assert isinstance(skip, Skip)
    assert skip.reason == "profit below min_profit"
    usd = [f"{base / BASE_UNIT:,.2f}" for base in (plan.profit_base, reachable)]
    assert skip.text.startswith(f"profit {usd[0]} less a margin of ")
    assert skip.text.endswith(f" below min_profit {usd[1]}")


def test_contract_insists_on_minimum_and_gas():
    """The least profit the contract accepts is worth the operator's minimum and the gas, rounded up."""
    plan = decided(USD_DEBT, least=5 * BASE_UNIT, gas_price=10**10)
    needed = 5 * BASE_UNIT - plan.profit[-1].base
    price, unit = RESERVES[1].price, RESERVES[1].unit
    assert (plan.exit.min_profit - 1) * price < needed * unit <= plan.exit.min_profit * price


def test_skips_of_the_pool_come_before_those_of_the_exchange():
    """A paused reserve is told as such, whatever could be sold."""
    reserves = RESERVES | {0: replace(RESERVES[0], paused=True)}
    snapshot = case((3, 0, 2), {0: 500 * 10**18}, {1: 10_400_000_000}, reserves=reserves)
    assert prospects_of(snapshot, ladder=True) == Skip("reserve paused", "reserve paused")
