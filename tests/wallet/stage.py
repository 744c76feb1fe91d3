"""Borrowers below one, and small liquidations of them that could each be done twice: so doubles show."""

from liqcli.model import WAD, Liquidation, ProfitLine
from liqcli.sandbox import calls
from liqcli.sandbox.transactions import send_all

NATIVE_PRICE = 35_12345678
GAS_WEI = 10**14


async def fall(world, percent=12):
    """All volatile prices fall by so many per cent."""
    assets = [asset for asset in world.deployment.assets if asset.listing.volatility]
    deployer = world.deployment.deployer
    moves = [calls.set_price(deployer, asset, asset.listing.price * (100 - percent) // 100) for asset in assets]
    await send_all(world.rpc, moves)


async def small_plans(world, market, count):
    """Plans for those deepest below one: a hundredth of the debt, so that a second liquidation would go through too."""
    batch = await market.readings([plan.borrower for plan in world.plans])
    readings = sorted(batch.readings.values(), key=lambda reading: reading.health_factor)
    below = [reading for reading in readings if reading.health_factor < WAD]
    assert len(below) >= count
    people = {plan.borrower: plan for plan in world.plans}
    return [_small(world, people[reading.borrower], reading) for reading in below[:count]]


def _small(world, person, reading):
    symbol, owed = max(person.debt, key=lambda debt: debt[1])
    collateral, _ = max(person.collateral, key=lambda held: held[1])
    debt_asset, seized = world.deployment.asset(symbol), world.deployment.asset(collateral)
    amount = max(owed // 100, 1)
    gas = -(-GAS_WEI * NATIVE_PRICE // WAD)
    return Liquidation(
        borrower=reading.borrower,
        debt_asset=debt_asset.token,
        collateral_asset=seized.token,
        debt_to_cover=amount,
        call_amount=amount,
        expected_collateral=10**12,
        gas_fee_wei=GAS_WEI,
        block=reading.block,
        health_factor=reading.health_factor,
        profit=(ProfitLine("seized collateral", 10**9), ProfitLine("repaid debt", -(10**8)), ProfitLine("gas", -gas)),
    )
