"""The age of prices: what feeds say of themselves, and that old ones are not acted upon."""

from liqcli.bot.decide import Skip, decide
from liqcli.config import LimitSettings
from liqcli.sandbox.market import aave_artifact
from liqcli.sandbox.transactions import Transaction, encode_function, send_all
from tests.chain.sandbox import open_sandbox, pass_time, set_price
from tests.contracts.stage import below_one, fall, open_everything

DAY_S = 86_400


async def set_source(world, asset, source):
    """Point the oracle at another feed, as its admin may."""
    deployment = world.deployment
    data = encode_function(aave_artifact("AaveOracle"), "setAssetSources", ([asset.token], [source]))
    await send_all(world.rpc, [Transaction(deployment.deployer, deployment.oracle, data, "set source")])


async def block_time(world):
    """The newest block's timestamp."""
    return (await (await open_sandbox(world)).head())[1]


async def test_feeds_tell_when_they_were_set(chain):
    """Each price's time is its feed's own."""
    market = await open_sandbox(chain)
    await pass_time(chain, 1000)
    await set_price(chain, "WHYPE", 33 * 10**8)
    now = await block_time(chain)
    assets = [asset.token for asset in chain.deployment.assets]
    found = await market.feeds.updated_at(assets)
    assert found.keys() == set(assets)
    whype, others = chain.deployment.asset("WHYPE").token, set(assets) - {chain.deployment.asset("WHYPE").token}
    assert found[whype] == now
    assert all(found[asset] <= now - 1000 for asset in others)


async def test_another_source_is_noticed(chain):
    """When the oracle's admin changes a source, the new one is asked from then on."""
    market = await open_sandbox(chain)
    whype, ueth = chain.deployment.asset("WHYPE"), chain.deployment.asset("UETH")
    before = await market.feeds.updated_at([whype.token])
    await pass_time(chain, 500)
    await set_price(chain, "UETH", ueth.listing.price)
    await set_source(chain, whype, ueth.feed)
    assert (await market.feeds.updated_at([whype.token]))[whype.token] >= before[whype.token] + 500


async def test_a_source_that_does_not_say_is_absent(chain):
    """A source without rounds has no age; it is neither fresh nor stale."""
    market = await open_sandbox(chain)
    whype = chain.deployment.asset("WHYPE")
    await set_source(chain, whype, chain.deployment.oracle)
    assert await market.feeds.updated_at([whype.token]) == {}


async def test_known_sources_cost_one_call(chain):
    """After the first look one call answers."""
    market = await open_sandbox(chain)
    assets = [asset.token for asset in chain.deployment.assets]
    await market.feeds.updated_at(assets)
    before = chain.rpc.requests
    await market.feeds.updated_at(assets)
    assert chain.rpc.requests == before + 1


async def test_old_prices_are_not_acted_upon(chain):
    """A day and a bit after the last update a liquidatable borrower is skipped for its stale price."""
    await fall(chain, 20)
    market, exchange = await open_everything(chain)
    borrower = (await below_one(chain, market))[0]
    limits = LimitSettings(min_profit_usd=0.0)
    assert not isinstance(await decide(await market.snapshot(borrower), market, exchange, limits), Skip)
    await pass_time(chain, DAY_S + 7200)
    for route in (exchange, None):
        skip = await decide(await market.snapshot(borrower), market, route, limits)
        assert skip.reason == "stale price"
        assert "was last priced 26." in skip.text
