"""Open the planned positions on a deployed market, and give the liquidator what it needs."""

from collections.abc import Sequence

from liqcli.chain.rpc import Rpc
from liqcli.model import Address
from liqcli.sandbox.calls import approve, borrow, mint, set_emode, set_price, supply
from liqcli.sandbox.market import Asset, Deployment
from liqcli.sandbox.plans import YESTERDAY, Plan, debts_usd
from liqcli.sandbox.transactions import Transaction, answers, send_all

GAS_MONEY = hex(10**24)
USAGE = 0.5
"""Share of a reserve's own liquidity that the borrowers take; their collateral comes on top of it."""
LEAST_LIQUIDITY_USD = 2_000_000.0
PLENTY_USD = 1_000_000_000.0
LIQUIDATOR_USD = 50_000_000.0


async def open_positions(rpc: Rpc, market: Deployment, plans: Sequence[Plan]) -> None:
    """Supply and borrow at yesterday's prices, then let the volatile ones fall to the listed ones."""
    by_symbol = {asset.listing.symbol: asset for asset in market.assets}
    await send_all(rpc, [*_liquidity(market, plans), *_prices(market, YESTERDAY)])
    await fund(rpc, [plan.borrower for plan in plans])
    await send_all(rpc, [step for plan in plans for step in _supplies(market, by_symbol, plan)])
    await send_all(rpc, [step for plan in plans for step in _borrows(market, by_symbol, plan)])
    await send_all(rpc, _prices(market, 1.0))


async def equip_liquidator(rpc: Rpc, market: Deployment, liquidator: Address, contract: Address) -> None:
    """Plenty of every asset, and the leave of the pool and of its own contract to take it."""
    await send_all(
        rpc,
        [
            step
            for asset in market.assets
            for step in (
                mint(liquidator, asset, asset.listing.amount(LIQUIDATOR_USD)),
                approve(liquidator, asset, market.pool),
                approve(liquidator, asset, contract),
            )
        ],
    )


async def fund(rpc: Rpc, accounts: Sequence[Address]) -> None:
    """HYPE for gas."""
    await answers(rpc, [("anvil_setBalance", (account, GAS_MONEY)) for account in accounts])


def _liquidity(market: Deployment, plans: Sequence[Plan]) -> list[Transaction]:
    deployer, steps = market.deployer, []
    debts = debts_usd(plans)
    for asset in market.assets:
        supplied = max(LEAST_LIQUIDITY_USD, debts[asset.listing.symbol] / USAGE)
        steps += [
            mint(deployer, asset, asset.listing.amount(PLENTY_USD)),
            approve(deployer, asset, market.pool),
            supply(deployer, market.pool, asset, asset.listing.amount(supplied), deployer),
        ]
    return steps


def _prices(market: Deployment, factor: float) -> list[Transaction]:
    return [
        set_price(market.deployer, asset, int(asset.listing.price * factor))
        for asset in market.assets
        if asset.listing.volatility
    ]


def _supplies(market: Deployment, assets: dict[str, Asset], plan: Plan) -> list[Transaction]:
    return [
        supply(market.deployer, market.pool, assets[symbol], amount, plan.borrower)
        for symbol, amount in plan.collateral
    ]


def _borrows(market: Deployment, assets: dict[str, Asset], plan: Plan) -> list[Transaction]:
    category = [set_emode(plan.borrower, market.pool, plan.emode)] if plan.emode else []
    return category + [borrow(plan.borrower, market.pool, assets[symbol], amount) for symbol, amount in plan.debt]
