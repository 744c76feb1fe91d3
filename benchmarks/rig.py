"""A live bot on a sandbox whose prices and blocks the benchmark sets itself."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

from redis.asyncio import Redis, RedisCluster

from liqcli.book.follow import Follower, begin_at_first_block
from liqcli.book.mirror import Mirror
from liqcli.book.opening import catch_up
from liqcli.bot.engine import Engine
from liqcli.bot.execute import Executor, loss_of
from liqcli.bot.notes import Tell
from liqcli.chain.abi import LIQUIDATE, LIQUIDATION_CALL
from liqcli.chain.exchange import Exchange, open_exchange
from liqcli.chain.market import Market, open_market
from liqcli.chain.rpc import Rpc
from liqcli.config import ExchangeSettings, load_settings
from liqcli.model import BASE_UNIT, Liquidation
from liqcli.sandbox import calls
from liqcli.sandbox.arbitrage import Arbitrage
from liqcli.sandbox.transactions import Transaction, send_all
from liqcli.sandbox.world import World, WorldFacts
from liqcli.store.cache import HealthCache
from liqcli.store.queue import BorrowerQueue, namespace_of
from liqcli.wallet.journal import Journal
from liqcli.wallet.keys import Key
from liqcli.wallet.policy import Policy, Signer
from liqcli.wallet.sender import Sender

NAME = "benchmark"
PLENTY = 10**9
_MARKS: ContextVar[dict[str, float] | None] = ContextVar("marks", default=None)


class TimedExecutor(Executor):
    """The real executor, which notes for each plan when its send began and when each stage of it ended."""

    def __init__(self, market: Market, sender: Sender) -> None:
        super().__init__(market, sender)
        self.marks: dict[str, list[dict[str, float]]] = {}

    async def send(self, plan: Liquidation, **options: Any) -> str:
        """As ever."""
        marks = {"tried": monotonic()}
        self.marks.setdefault(plan.borrower, []).append(marks)
        _MARKS.set(marks)
        return await super().send(plan, **options)

    def _measured(self, stage: str, started: float) -> None:
        super()._measured(stage, started)
        if (marks := _MARKS.get()) is not None:
            marks[stage] = monotonic()


async def set_prices(world: World, factor: float) -> None:
    """Volatile prices at so many times the listed ones, at the feeds and, by arbitrage, on the exchanges."""
    await send_all(world.rpc, await price_steps(world, factor))


async def price_steps(world: World, factor: float) -> list[Transaction]:
    """What sets them."""
    prices = {
        asset.listing.symbol: int(asset.listing.price * (factor if asset.listing.volatility else 1.0))
        for asset in world.deployment.assets
    }
    deployer = world.deployment.deployer
    moves = [
        calls.set_price(deployer, asset, prices[asset.listing.symbol])
        for asset in world.deployment.assets
        if asset.listing.volatility
    ]
    return [*await Arbitrage(world.rpc, world.exchange, trader=deployer).trades(prices), *moves]


async def open_trading(facts: WorldFacts, rpc: Rpc) -> tuple[Market, Exchange]:
    """The market as the bot sees it, and its exchanges."""
    market = await open_market(rpc, name=NAME, provider=facts.provider, chain_id=facts.chain_id)
    settings = ExchangeSettings(
        liquidator=facts.contract,
        routers_v2=(facts.router_v2,),
        routers_v3=(facts.router_v3,),
        quoters_v3=(facts.quoter,),
    )
    exchange = await open_exchange(market, settings)
    assert exchange is not None
    return market, exchange


def executor_of(facts: WorldFacts, market: Market, directory: Path) -> TimedExecutor:
    """The sandbox's key with a policy that stops nothing here."""
    policy = Policy(
        chain_id=facts.chain_id,
        allowed=frozenset({(facts.pool, LIQUIDATION_CALL), (facts.contract, LIQUIDATE)}),
        max_gas=3_000_000,
        max_fee_per_gas=10**12,
        max_loss_base=PLENTY * BASE_UNIT,
        max_day_loss_base=PLENTY * BASE_UNIT,
        max_per_hour=PLENTY,
        pause_file=directory / "PAUSE",
    )
    signer = Signer(Key(facts.liquidator_key), policy)
    return TimedExecutor(market, Sender(market.rpc, signer, Journal(directory / "journal"), loss_of=loss_of))


async def book_of(market: Market) -> Mirror:
    """Everybody on the chain, caught up."""
    follower = Follower(market, await begin_at_first_block(market, 0), window_blocks=1000)
    await catch_up(follower, (await market.head())[0])
    return Mirror(follower)


def add_copies(mirror: Mirror, people: int) -> None:
    """Fill the book up with strangers who hold what the others hold and owe half of it."""
    dice, book = random.Random(1), mirror.book
    real = [book.position(borrower) for borrower in list(book.borrowers)]
    for number in range(people - len(real)):
        position = real[number % len(real)]
        debt = {reserve: scaled // 2 for reserve, scaled in position.scaled_debt.items()}
        stranger = f"0x{dice.getrandbits(160):040x}"
        book.put_account(replace(position, borrower=stranger, scaled_debt=debt), block=book.cursor)
    book.rollback(book.cursor)  # hands out what was put in as changed


@asynccontextmanager
async def live_bot(
    *, mirror: Mirror, exchange: Exchange, executor: Executor, redis: Redis | RedisCluster, tell: Tell, **settings: Any
) -> AsyncIterator[Engine]:
    """The whole engine, past its first pass, until the block ends; then drained."""
    market = mirror.follower.market
    await mirror.open()
    loaded, namespace = load_settings(settings), namespace_of(market.chain_id, NAME)
    async with AsyncExitStack() as stack:
        engine = Engine(
            market=market,
            mirror=mirror,
            queue=BorrowerQueue(redis, namespace=namespace),
            cache=HealthCache(redis, namespace=namespace),
            settings=loaded,
            executor=executor,
            exchange=exchange,
            tell=tell,
        )
        stop = asyncio.Event()
        running = asyncio.create_task(engine.run(stop))
        stack.push_async_callback(lambda: running)
        stack.callback(stop.set)
        while not engine.is_ready:
            if running.done():
                await running
            await asyncio.sleep(0.05)
        yield engine
