"""The sandbox's market as our own code sees it."""

from contextlib import asynccontextmanager

from liqcli.chain.abi import encode_call
from liqcli.chain.market import open_market
from liqcli.chain.rpc import Rpc
from liqcli.sandbox import calls
from liqcli.sandbox.market import aave_artifact
from liqcli.sandbox.transactions import Transaction, encode_function, send_all


async def open_sandbox(world, rpc=None):
    """The market, opened as it would be on a live chain."""
    return await open_market(rpc or world.rpc, name="sandbox", provider=world.facts.provider, chain_id=None)


@asynccontextmanager
async def sandbox_behind(world, url, **options):
    """The market, opened on the real node but from then on read through another URL."""
    async with Rpc(url, **options) as rpc:
        market = await open_sandbox(world)
        market.rpc = market._aggregator._rpc = rpc
        yield market


def borrowers_of(world):
    """Every borrower the sandbox began with."""
    return [plan.borrower for plan in world.plans]


async def set_price(world, symbol, price):
    """Move one feed."""
    deployer = world.deployment.deployer
    await send_all(world.rpc, [calls.set_price(deployer, world.deployment.asset(symbol), price)])


async def crash(world, percent):
    """All volatile assets lose so many per cent."""
    for asset in world.deployment.assets:
        if asset.listing.volatility:
            await set_price(world, asset.listing.symbol, asset.listing.price * (100 - percent) // 100)


async def configure(world, function, *args):
    """Call the PoolConfigurator as its admin."""
    data = encode_function(aave_artifact("PoolConfigurator"), function, args)
    deployment = world.deployment
    await send_all(world.rpc, [Transaction(deployment.deployer, deployment.configurator, data, function)])


async def pass_time(world, seconds):
    """Let interest accrue, and mine a block that shows it."""
    await world.rpc.call("evm_increaseTime", seconds)
    await world.rpc.call("evm_mine")


async def words_of(world, to, selector, *args):
    """One plain eth_call, without our aggregator, as a list of integers."""
    call = {"to": to, "data": "0x" + encode_call(selector, *args).hex()}
    answer = bytes.fromhex((await world.rpc.call("eth_call", call, "latest"))[2:])
    return [int.from_bytes(answer[at : at + 32]) for at in range(0, len(answer), 32)]
