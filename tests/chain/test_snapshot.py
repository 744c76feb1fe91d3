from dataclasses import replace

import pytest

from liqcli.aave.account import account_data
from liqcli.chain.reserves import Unknown
from tests.chain.sandbox import borrowers_of, configure, crash, open_sandbox, pass_time, set_price

ON = True
WEEK = 7 * 86_400


async def assert_all_equal(world):
    """Each borrower's snapshot gives the pool's own reading at the same block; returns the snapshots."""
    market = await open_sandbox(world)
    batch = await market.readings(borrowers_of(world))
    snapshots = [await market.snapshot(borrower) for borrower in borrowers_of(world)]
    for snapshot in snapshots:
        ours = account_data(snapshot.version, snapshot.reserves, snapshot.emodes, snapshot.position, snapshot.at)
        theirs = batch.readings[snapshot.position.borrower]
        assert (snapshot.block, snapshot.at) == (theirs.block, theirs.at)
        assert (ours.collateral_base, ours.debt_base) == (theirs.collateral_base, theirs.debt_base)
        assert ours.health_factor == theirs.health_factor
    return snapshots


async def test_every_seeded_borrower_equals_the_pool(world):
    """For every borrower the mathematics equals getUserAccountData, to the wei, e-modes included."""
    snapshots = await assert_all_equal(world)
    assert any(snapshot.emodes for snapshot in snapshots)


async def test_every_borrower_equals_the_pool_after_a_week_and_a_crash(chain):
    """Interest that no transaction has written down yet, and other prices, change nothing about that."""
    await crash(chain, 17)
    await pass_time(chain, WEEK)
    assert await assert_all_equal(chain)


async def test_emode_price_source_is_followed(chain):
    """An e-mode that prices its assets by another asset's feed is snapshotted with that price."""
    source = chain.deployment.asset("UETH").token
    await configure(chain, "setEModeCategory", 1, 9000, 9300, 10200, source, "priced by UETH")
    snapshots = await assert_all_equal(chain)
    prices = {snapshot.emodes[1].price for snapshot in snapshots if snapshot.emodes}
    assert prices == {chain.deployment.asset("UETH").listing.price}


async def test_reserve_state_is_read(chain):
    """Configuration, pauses and freezes arrive in the snapshot as they were set."""
    token = chain.deployment.asset("WHYPE").token
    await configure(chain, "setReservePause", token, ON)
    await configure(chain, "setReserveFreeze", token, ON)
    market = await open_sandbox(chain)
    reserve = (await market.snapshot(borrowers_of(chain)[0])).reserves[0]
    listing = chain.deployment.asset("WHYPE").listing
    assert (reserve.paused, reserve.frozen, reserve.active) == (True, True, True)
    assert (reserve.ltv, reserve.liquidation_threshold) == (listing.ltv, listing.liquidation_threshold)
    assert (reserve.liquidation_bonus, reserve.protocol_fee) == (listing.liquidation_bonus, listing.protocol_fee)
    assert (reserve.decimals, reserve.price) == (listing.decimals, listing.price)


async def test_rules_that_are_not_the_pools_are_noticed(chain):
    """Read with other facts than the pool's, a borrower is unknown, never a wrong snapshot."""
    await pass_time(chain, WEEK)
    market = await open_sandbox(chain)
    whype, wsthype, *rest = market.reserves
    market.reserves = (replace(whype, a_token=wsthype.a_token), wsthype, *rest)
    user = next(plan.borrower for plan in chain.plans if "WHYPE" in dict(plan.collateral))
    with pytest.raises(Unknown, match="the pool says") as caught:
        await market.snapshot(user)
    assert caught.value.reason == "the pool disagrees"


async def test_function_the_version_lacks_is_noticed(world):
    """A version believed newer than the pool asks for what the pool does not have: unreachable, never zero."""
    market = await open_sandbox(world)
    market.version = (3, 1)
    with pytest.raises(Unknown, match="getLiquidationGracePeriod"):
        await market.snapshot(borrowers_of(world)[0])


async def test_new_listing_is_learned(world):
    """A position in a reserve that the opened market does not know makes it read the reserves again."""
    market = await open_sandbox(world)
    known = market.reserves
    user = next(plan.borrower for plan in world.plans if "USDC" in dict(plan.collateral))
    market.reserves = known[:3]
    snapshot = await market.snapshot(user)
    assert snapshot.position.collateral_ids
    assert market.reserves == known


async def test_missing_price_makes_its_users_unknown(chain):
    """Who uses an asset without a price is unknown; who does not is read, without that reserve."""
    await set_price(chain, "UETH", 0)
    market = await open_sandbox(chain)
    uses = {plan.borrower: "UETH" in dict(plan.collateral) | dict(plan.debt) for plan in chain.plans}
    user = next(borrower for borrower, does in uses.items() if does)
    other = next(borrower for borrower, does in uses.items() if not does)
    with pytest.raises(Unknown):
        await market.snapshot(user)
    assert 3 not in (await market.snapshot(other)).reserves


async def test_snapshot_is_one_call(world):
    """A borrower outside e-mode costs one call, one inside two: the first only learns the category."""
    market = await open_sandbox(world)
    costs = {0: 1, 1: 2}
    for plan in world.plans[:40]:
        before = market.rpc.requests
        await market.snapshot(plan.borrower)
        assert market.rpc.requests - before == costs[plan.emode]
