"""The mirror: whom the columns vouch for, and by which prices."""

from liqcli.book.follow import Follower, begin_at_first_block
from liqcli.book.mirror import Mirror, Prices
from liqcli.model import WAD
from liqcli.sandbox import calls
from liqcli.sandbox.transactions import send_all
from tests.chain.sandbox import open_sandbox


async def opened(world):
    """A mirror of the whole market at the head."""
    market = await open_sandbox(world)
    follower = Follower(market, await begin_at_first_block(market, 0), window_blocks=1000)
    await follower.catch_up((await market.head())[0])
    mirror = Mirror(follower)
    await mirror.open()
    return mirror


async def test_nobody_is_vouched_for_by_prices_that_have_moved(chain):
    """Whoever a crash brings below one is not above it by the columns when the new prices are told."""
    mirror = await opened(chain)
    assets = [asset for asset in chain.deployment.assets if asset.listing.volatility]
    deployer = chain.deployment.deployer
    await send_all(chain.rpc, [calls.set_price(deployer, asset, asset.listing.price // 2) for asset in assets])
    looks = mirror.look(audited=0)
    assert isinstance(await anext(looks), Prices)
    fallen = [borrower for borrower in mirror.candidates() if mirror.reading(borrower).health_factor < WAD]
    await looks.aclose()
    assert fallen
    assert not mirror.surely_above(fallen, 1.0)


async def test_whom_a_page_moves_is_valued_with_it(chain):
    """After a page of logs the columns hold everybody's exact health factor but for the room that floats need."""
    mirror = await opened(chain)
    await chain.scenario.step()
    async for _ in mirror.look(audited=0):
        pass
    for borrower in mirror.between(0.0, 100.0):
        exact = mirror.reading(borrower).health_factor / WAD
        assert exact * (1 - 1e-3) < mirror.columns.health_of(borrower) <= exact * (1 + 1e-9)
