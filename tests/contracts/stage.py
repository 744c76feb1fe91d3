"""Borrowers below one, plans through the real Liquidator, and their execution in the block they were made for."""

from collections import Counter
from dataclasses import replace

from liqcli.bot.decide import best_of, prospects_of
from liqcli.chain.abi import BALANCE_OF
from liqcli.chain.exchange import open_exchange
from liqcli.chain.transactions import call_of
from liqcli.config import ExchangeSettings
from liqcli.model import Liquidation
from liqcli.sandbox import calls
from liqcli.sandbox.arbitrage import Arbitrage
from liqcli.sandbox.borrowers import fund
from liqcli.sandbox.transactions import Transaction, send_all, try_all
from tests.chain.sandbox import borrowers_of, open_sandbox, words_of

ALLOWANCE = bytes.fromhex("dd62ed3e")
EVERYTHING_BORROWER = "0x" + "e5" * 20
SUPPLIED_USD = 20_000
BORROWED_USD = {"USDC": 45_000, "USDT0": 25_000, "WHYPE": 2_500, "wstHYPE": 2_500, "UBTC": 2_500, "UETH": 2_500}
ANY_PROFIT = -(10**30)
GAS_PRICE = 10**8


def settings_of(world, **changes):
    """The sandbox's exchange as an operator would write it down."""
    facts = world.facts
    settings = ExchangeSettings(
        liquidator=facts.contract,
        routers_v2=(facts.router_v2,),
        routers_v3=(facts.router_v3,),
        quoters_v3=(facts.quoter,),
    )
    return settings.model_copy(update=changes)


async def open_everything(world, **changes):
    """The market and its exchange."""
    market = await open_sandbox(world)
    return market, await open_exchange(market, settings_of(world, **changes))


async def borrow_of_all(world):
    """One borrower with every asset as collateral and as debt."""
    supplied = {asset.listing.symbol: SUPPLIED_USD for asset in world.deployment.assets}
    await take_up(world, EVERYTHING_BORROWER, supplied, BORROWED_USD)
    return EVERYTHING_BORROWER


async def take_up(world, who, supplied_usd, borrowed_usd):
    """Open a position of so many dollars by symbol."""
    deployment = world.deployment
    await fund(world.rpc, [who])
    steps = []
    for symbol, usd in supplied_usd.items():
        asset = deployment.asset(symbol)
        steps.append(calls.supply(deployment.deployer, deployment.pool, asset, asset.listing.amount(usd), who))
    for symbol, usd in borrowed_usd.items():
        asset = deployment.asset(symbol)
        steps.append(calls.borrow(who, deployment.pool, asset, asset.listing.amount(usd)))
    # One sender's keep their order, but the borrower's may come before the deployer's.
    for step in steps:
        await send_all(world.rpc, [step])


async def fall(world, percent, *, depeg=0):
    """The volatile assets lose so many per cent, at the feeds and on the exchanges; staked HYPE `depeg` more."""
    prices = {
        asset.listing.symbol: asset.listing.price * (100 - percent * bool(asset.listing.volatility)) // 100
        for asset in world.deployment.assets
    }
    prices["wstHYPE"] = prices["wstHYPE"] * (100 - depeg) // 100
    deployer = world.deployment.deployer
    await send_all(
        world.rpc, [calls.set_price(deployer, asset, prices[asset.listing.symbol]) for asset in world.deployment.assets]
    )
    await send_all(world.rpc, await Arbitrage(world.rpc, world.exchange, trader=deployer).trades(prices))


async def below_one(world, market, *others):
    """Every borrower that can be liquidated."""
    batch = await market.readings([*borrowers_of(world), *others])
    return [reading.borrower for reading in batch.readings.values() if reading.is_liquidatable]


async def plans_of(market, exchange, borrower):
    """A plan for each pair and amount that the pool accepts, exact in the block of the timestamp that comes with it."""
    snapshot = await market.snapshot(borrower)
    at = snapshot.at + 3
    prospects = prospects_of(replace(snapshot, at=at), ladder=True)
    offers = await exchange.offers(prospects.sales, prospects.loans)
    terms = {"min_profit_base": ANY_PROFIT, "gas_price": GAS_PRICE, "offers": offers}
    found = [best_of(replace(prospects, choices=[choice]), **terms) for choice in prospects.choices]
    return [plan for plan in found if isinstance(plan, Liquidation)], at


async def best_plan(market, exchange, borrower, **terms):
    """The one plan that `decide` would choose, and its block's timestamp."""
    snapshot = await market.snapshot(borrower)
    at = snapshot.at + 3
    prospects = prospects_of(replace(snapshot, at=at), ladder=True)
    offers = await exchange.offers(prospects.sales, prospects.loans)
    terms = {"min_profit_base": 0, "gas_price": GAS_PRICE, **terms}
    return best_of(prospects, offers=offers, **terms), at


async def execute(world, plan, at, *, sender=None):
    """Mine the plan's call in a block of that timestamp; returns the outcome and the raw receipt."""
    to, data = call_of(plan, world.facts.pool)
    await world.rpc.call("evm_setNextBlockTimestamp", at)
    call = Transaction(sender or world.facts.liquidator, to, bytes.fromhex(data[2:]), "liquidate")
    (outcome,) = await try_all(world.rpc, [call])
    return outcome, await world.rpc.call("eth_getTransactionReceipt", outcome.hash)


async def balance(world, asset, who):
    """A token balance."""
    return (await words_of(world, asset, BALANCE_OF, who))[0]


async def left_in(world, contract):
    """What a contract holds, and what others may take from it, by token; zeros left out."""
    found = Counter()
    spenders = (world.facts.pool, world.facts.router_v2, world.facts.router_v3)
    for asset in world.deployment.assets:
        found[f"held {asset.listing.symbol}"] = await balance(world, asset.token, contract)
        for spender in spenders:
            found[f"allowed {asset.listing.symbol}"] += (
                await words_of(world, asset.token, ALLOWANCE, contract, spender)
            )[0]
    return +found
