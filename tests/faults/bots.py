"""The whole bot, whose only way to the chain leads through the endpoints a test gives it."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from tempfile import TemporaryDirectory

from liqcli.book.follow import Follower, begin_at_first_block
from liqcli.book.mirror import Mirror
from liqcli.bot.engine import Engine
from liqcli.chain.endpoints import Endpoint
from liqcli.chain.logs import log_query
from liqcli.chain.market import open_market
from liqcli.chain.rpc import Rpc
from liqcli.chain.stream import Stream
from liqcli.config import load_settings
from liqcli.model import WAD
from liqcli.store.cache import HealthCache
from liqcli.store.queue import BorrowerQueue
from tests.wallet.wallets import executor_on

NAMESPACE = "liq:999:fault-test:v1"
SETTINGS = {"tiers": {"critical": {"interval_s": 0.3}}, "workers": 2}


@asynccontextmanager
async def bot_behind(world, redis, *urls, live=False, notes=None, timeout_s=0.6, ws_url=None, poll_s=0.05):
    """An engine that is ready, run until the block ends, then drained; with a websocket it looks when that says so.

    What it said is added to a TimeoutError: otherwise nobody knows what it was doing instead.
    """
    said = [] if notes is None else notes
    with TemporaryDirectory() as directory:
        async with AsyncExitStack() as stack:
            rpc = await stack.enter_async_context(Rpc([Endpoint(url) for url in urls], timeout_s=timeout_s))
            market = await open_market(rpc, name="fault-test", provider=world.facts.provider, chain_id=999)
            follower = Follower(market, await begin_at_first_block(market, 0), window_blocks=1000)
            mirror = Mirror(follower)
            await mirror.open()
            stream = ws_url and Stream(ws_url, query=log_query(market), capacity=4096)
            engine = Engine(
                market=market,
                mirror=mirror,
                queue=BorrowerQueue(redis, namespace=NAMESPACE),
                cache=HealthCache(redis, namespace=NAMESPACE),
                settings=load_settings({**SETTINGS, "rpc": {"poll_interval_s": poll_s}}),
                stream=await stack.enter_async_context(stream) if stream else None,
                executor=executor_on(market, world, directory) if live else None,
                tell=said.append,
            )
            stop = asyncio.Event()
            running = asyncio.create_task(engine.run(stop))
            try:
                await until(lambda: engine.is_ready or running.done())
                yield engine
            except TimeoutError as err:
                err.add_note("\n".join([f"{note.kind}: {note.text}" for note in said] + [str(rpc.health())]))
                raise
            finally:
                stop.set()
                await running


async def until(condition, timeout_s=10.0):
    """Wait for a fact that the bot brings about."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)


async def fallen(world):
    """Who is below one by the pool's own word, asked of the real node."""
    below = set()
    for plan in world.plans:
        data = "0xbf92857c" + plan.borrower[2:].rjust(64, "0")
        answer = await world.rpc.call("eth_call", {"to": world.facts.pool, "data": data}, "latest")
        if int(answer[2 + 5 * 64 :], 16) < WAD:
            below.add(plan.borrower)
    return below
