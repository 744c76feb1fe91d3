"""The sandbox's exchanges: the real Uniswap, pools of finite depth, and traders that keep them at the feeds."""

from itertools import islice

import pytest

from liqcli.chain.abi import GET_AMOUNTS_OUT, encode_call
from liqcli.sandbox.arbitrage import Arbitrage
from liqcli.sandbox.calls import EVERYTHING, approve, mint
from liqcli.sandbox.course import price_course
from liqcli.sandbox.exchange import POOLS
from liqcli.sandbox.scenario import Scenario
from liqcli.sandbox.transactions import Transaction, send_all
from liqcli.sandbox.world import World

SWAP = bytes.fromhex("38ed1739")


def listed(world: World) -> dict[str, int]:
    return {asset.listing.symbol: asset.listing.price for asset in world.deployment.assets}


async def proceeds(world: World, amount: int, *symbols: str) -> int:
    """What the V2 router says it would pay for so much of the first token."""
    path = [world.deployment.asset(symbol).token for symbol in symbols]
    data = encode_call(GET_AMOUNTS_OUT, amount, 64, len(path), *path)
    call = {"to": world.exchange.router_v2, "data": "0x" + data.hex()}
    return int((await world.rpc.call("eth_call", call, "latest"))[-64:], 16)


async def balance(world: World, token: str, owner: str) -> int:
    """What the token says its owner has."""
    data = "0x70a08231" + owner.removeprefix("0x").rjust(64, "0")
    return int(await world.rpc.call("eth_call", {"to": token, "data": data}, "latest"), 16)


async def test_pools_open_at_the_feeds(world: World):
    """A fresh sandbox gives the trader nothing to do."""
    arbitrage = Arbitrage(world.rpc, world.exchange, trader=world.deployment.deployer)
    assert await arbitrage.trades(listed(world)) == []


@pytest.mark.parametrize("factor", [0.8, 0.97, 1.2])
async def test_traders_bring_every_pool_back(chain: World, factor: float):
    """After a move of the volatile prices, up or down, one round of trades leaves no pool off its feed."""
    arbitrage = Arbitrage(chain.rpc, chain.exchange, trader=chain.deployment.deployer)
    prices = {
        asset.listing.symbol: int(asset.listing.price * (factor if asset.listing.volatility else 1))
        for asset in chain.deployment.assets
    }
    trades = await arbitrage.trades(prices)
    assert len(trades) == sum(
        bool(chain.deployment.asset(pool.first).listing.volatility)
        != bool(chain.deployment.asset(pool.second).listing.volatility)
        for pool in POOLS
    )
    await send_all(chain.rpc, trades)
    assert await arbitrage.trades(prices) == []


async def test_pools_follow_the_whole_play(chain: World):
    """Through a crash and its recovery the pools end each step where the feeds are."""
    play = Scenario(chain.rpc, chain.deployment, chain.plans, exchange=chain.exchange, seed=5, pause_s=0.0)
    arbitrage = Arbitrage(chain.rpc, chain.exchange, trader=chain.deployment.deployer)
    for _ in islice(price_course(5), 40):
        await play.step()
        assert await arbitrage.trades(play.prices) == []
    assert play.done["trade"] > 40
    assert play.refused["trade"] == 0


async def test_depth_is_finite(world: World):
    """A million dollars' worth sells for clearly less, a thousand for the feed's price less the fee."""
    listing = world.deployment.asset("WHYPE").listing
    for usd, least, most in ((1_000.0, 0.995, 0.998), (1_000_000.0, 0.5, 0.8)):
        received = await proceeds(world, listing.amount(usd), "WHYPE", "USDC")
        share = received / world.deployment.asset("USDC").listing.amount(usd)
        assert least < share < most


async def test_the_router_pays_what_it_quotes(chain: World):
    """A swap on V2 brings the quoted amount to the wei."""
    seller, asset, usdc = chain.facts.liquidator, chain.deployment.asset("WHYPE"), chain.deployment.asset("USDC")
    amount = asset.listing.amount(123_456.0)
    expected = await proceeds(chain, amount, "WHYPE", "USDC")
    await send_all(chain.rpc, [mint(seller, asset, amount), approve(seller, asset, chain.exchange.router_v2)])
    data = encode_call(SWAP, amount, 0, 160, seller, EVERYTHING, 2, asset.token, usdc.token)
    before = await balance(chain, usdc.token, seller)
    await send_all(chain.rpc, [Transaction(seller, chain.exchange.router_v2, data, "swap")])
    assert await balance(chain, usdc.token, seller) - before == expected


async def test_our_contract_is_the_liquidators(world: World):
    """The deployed Liquidator belongs to the account whose key the sandbox gives out, and to its pool."""
    for selector, expected in (("0x8da5cb5b", world.facts.liquidator), ("0x16f0115b", world.facts.pool)):
        answer = await world.rpc.call("eth_call", {"to": world.facts.contract, "data": selector}, "latest")
        assert f"0x{answer[-40:]}" == expected
