"""The scenario plays real transactions of every kind, and its prices crash and come back."""

from itertools import islice

import pytest

from liqcli.errors import Reverted
from liqcli.sandbox.acts import KINDS, read_holdings
from liqcli.sandbox.calls import borrow, set_price, supply
from liqcli.sandbox.course import CRASH_EVERY_S, FALL_S, FIRST_CRASH_S, RECOVERY_S, price_course
from liqcli.sandbox.reserves import LISTINGS
from liqcli.sandbox.scenario import Scenario
from liqcli.sandbox.transactions import send_all, try_all
from liqcli.sandbox.world import World

STEPS = 80


async def test_every_kind_of_act_succeeds_at_least_once(chain: World):
    """In a minute and a half of the play borrowers do all they can, arrive and leave, and prices move."""
    play = Scenario(chain.rpc, chain.deployment, chain.plans, exchange=chain.exchange, seed=3, pause_s=0.0)
    for _ in range(STEPS):
        await play.step()
    assert set(play.done) == {*KINDS, "price", "newcomer", "departure", "trade"}
    assert sum(play.refused.values()) < sum(play.done.values())


async def test_a_newcomer_owes_what_it_planned(chain: World):
    """Whoever arrives during the play opens a real position and joins the cast."""
    play = Scenario(chain.rpc, chain.deployment, chain.plans, exchange=chain.exchange, seed=3, pause_s=0.0)
    while not play.done["newcomer"]:
        await play.step()
    (newcomer,) = set(play.people) - {plan.borrower for plan in chain.plans}
    (holdings,) = await read_holdings(chain.rpc, chain.deployment, [newcomer])
    assert holdings.owed


async def test_whoever_leaves_owes_and_holds_nothing(chain: World):
    """A departure closes every debt and withdraws everything; the person is of the cast no more."""
    play = Scenario(chain.rpc, chain.deployment, chain.plans, exchange=chain.exchange, seed=3, pause_s=0.0)
    while not play.done["departure"]:
        await play.step()
    left = {plan.borrower for plan in chain.plans} - set(play.people)
    assert len(left) == 1 + play.refused["departure"]
    holdings = await read_holdings(chain.rpc, chain.deployment, sorted(left))
    assert sum(not held.owed and not held.supplied for held in holdings) == 1


async def test_the_feeds_follow_the_course(chain: World):
    """After a step each feed holds the price that the scenario says it has."""
    play = Scenario(chain.rpc, chain.deployment, chain.plans, exchange=chain.exchange, seed=5, pause_s=0.0)
    for _ in range(FIRST_CRASH_S + 4):
        await play.step()
    for asset in chain.deployment.assets:
        answer = await chain.rpc.call("eth_call", {"to": asset.feed, "data": "0x50d25bcd"}, "latest")
        assert int(answer, 16) == play.prices[asset.listing.symbol], asset.listing.symbol


def test_the_same_seed_gives_the_same_course():
    """Prices depend on the seed alone."""
    assert list(islice(price_course(9), 400)) == list(islice(price_course(9), 400))


@pytest.mark.parametrize("seed", range(1, 6))
def test_the_first_minute_holds_a_crash_and_a_recovery(seed: int):
    """Every volatile asset falls by 12 to 22 per cent within the first half minute, then wins some of it back."""
    minute = list(islice(price_course(seed), 60))
    bottom = FIRST_CRASH_S + FALL_S
    for listing in LISTINGS:
        start, low, end = (minute[at][listing.symbol] for at in (FIRST_CRASH_S - 1, bottom - 1, 59))
        fall = 1 - low / start
        if listing.volatility:
            assert 0.11 < fall < 0.25, listing.symbol
            assert low * 1.02 < end < start, listing.symbol
        else:
            assert abs(fall) < 0.002, listing.symbol


def test_crashes_come_again_and_prices_stay_sane():
    """Over three hours no price drifts away, and crashes return every few minutes."""
    hours = [prices["WHYPE"] for prices in islice(price_course(1), 10_800)]
    assert min(hours) / LISTINGS[0].price > 0.5
    assert max(hours) / LISTINGS[0].price < 1.5
    falls = sum(1 for at in range(FALL_S, len(hours)) if hours[at] < hours[at - FALL_S] * 0.88 < hours[at - 1])
    assert falls >= len(hours) // (CRASH_EVERY_S[1] + FALL_S + RECOVERY_S) // 2


async def test_staked_hype_falls_below_hype_at_the_bottom():
    """In a crash the e-mode pair parts by a few per cent, which liquidates what e-mode let be borrowed."""
    course = list(islice(price_course(1), 60))
    ratio = [prices["wstHYPE"] / prices["WHYPE"] for prices in course]
    assert min(ratio) < 0.97 * ratio[0]
    assert ratio[-1] > 0.99 * ratio[0]


async def test_a_refused_transaction_is_an_outcome(chain: World):
    """`try_all` reports a revert with Aave's reason and goes on with the next transaction."""
    usdc, pool = chain.deployment.asset("USDC"), chain.facts.pool
    too_much, fine = 10**30, 10**6
    transactions = [
        borrow(chain.facts.liquidator, pool, usdc, too_much),
        supply(chain.facts.liquidator, pool, usdc, fine, chain.facts.liquidator),
    ]
    refused, done = await try_all(chain.rpc, transactions)
    assert not refused.succeeded
    assert refused.why
    assert done.succeeded


async def test_a_refused_step_of_the_set_up_is_an_error(chain: World):
    """`send_all` raises for the first transaction that reverts and names what it was to do."""
    usdc = chain.deployment.asset("USDC")
    with pytest.raises(Reverted, match="could not borrow USDC"):
        await send_all(chain.rpc, [borrow(chain.facts.liquidator, chain.facts.pool, usdc, 10**30)])


async def test_one_senders_transactions_keep_their_order(chain: World):
    """Of 250 prices sent by one account in one go, in chunks, the last one stands."""
    asset = chain.deployment.assets[0]
    await send_all(chain.rpc, [set_price(chain.deployment.deployer, asset, 10**8 + at) for at in range(250)])
    answer = await chain.rpc.call("eth_call", {"to": asset.feed, "data": "0x50d25bcd"}, "latest")
    assert int(answer, 16) == 10**8 + 249
