"""The whole bot on the real contracts and the real Redis-compatible server."""

import asyncio
from contextlib import asynccontextmanager
from tempfile import TemporaryDirectory

import pytest
import stamina

from liqcli.book.checkpoint import load_checkpoint
from liqcli.book.follow import Follower, begin_at_first_block
from liqcli.book.mirror import Mirror
from liqcli.book.opening import catch_up
from liqcli.bot.engine import Engine
from liqcli.chain.exchange import open_exchange
from liqcli.chain.market import open_market
from liqcli.chain.rpc import Rpc
from liqcli.config import load_settings
from liqcli.errors import Reverted, Unreachable
from liqcli.model import WAD, EventKind, Reading, Tier
from liqcli.sandbox import calls
from liqcli.sandbox.build import Build
from liqcli.sandbox.exchange import PoolListing, TradedPair, _fill_v2
from liqcli.sandbox.transactions import send_all
from liqcli.sandbox.valkey import start_valkey
from liqcli.store.cache import HealthCache
from liqcli.store.connection import open_redis
from liqcli.store.queue import BorrowerQueue, Entry
from tests.contracts.stage import settings_of
from tests.wallet.wallets import FAST as FAST_SENDER
from tests.wallet.wallets import executor_on

NAMESPACE = "liq:999:engine-test:v1"
FAST = {
    "rpc": {"poll_interval_s": 0.02, "max_head_age_s": 1e9},
    "tiers": {"critical": {"interval_s": 0.2}},
    "workers": 2,
}


class RecordingRpc(Rpc):
    """The real client, which also keeps the names of the methods it sent."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.methods: list[str] = []

    async def call(self, method, *params):
        self.methods.append(method)
        return await super().call(method, *params)

    async def batch(self, calls):
        self.methods += [method for method, _ in calls]
        return await super().batch(calls)


@asynccontextmanager
async def bot(world, redis, *, live, notes=None, pace=FAST_SENDER, exchange=None, checkpoint=None, **settings):
    """An engine over the sandbox's market, running until the block ends, then drained."""
    with TemporaryDirectory() as directory:
        async with RecordingRpc(world.facts.rpc_url) as rpc:
            market = await open_market(rpc, name="engine-test", provider=world.facts.provider, chain_id=999)
            follower = Follower(market, await begin_at_first_block(market, 0), window_blocks=1000)
            await catch_up(follower, (await market.head())[0])
            mirror = Mirror(follower)
            await mirror.open()
            loaded = load_settings({**FAST, **settings})
            engine = Engine(
                market=market,
                mirror=mirror,
                queue=BorrowerQueue(redis, namespace=NAMESPACE, lease_s=loaded.queue.lease_s),
                cache=HealthCache(redis, namespace=NAMESPACE),
                settings=loaded,
                executor=executor_on(market, world, directory, pace=pace) if live else None,
                exchange=exchange and await open_exchange(market, exchange),
                checkpoint=checkpoint,
                tell=(lambda _: None) if notes is None else notes.append,
            )
            stop = asyncio.Event()
            running = asyncio.create_task(engine.run(stop))
            try:
                await until(lambda: engine.is_ready or running.done())
                yield engine
            finally:
                stop.set()
                await running


async def until(condition, timeout_s=10.0):
    """Wait for a fact that the bot brings about."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)


@stamina.retry(on=Reverted, attempts=5, wait_initial=0.01)
async def account_health(world, borrower):
    """The pool's own word, by a plain eth_call.

    While a block is being mined, anvil runs a call with the old block's time on the new block's state: it then panics.
    """
    data = "0xbf92857c" + borrower[2:].rjust(64, "0")
    answer = await world.rpc.call("eth_call", {"to": world.facts.pool, "data": data}, "latest")
    return int(answer[2 + 5 * 64 :], 16)


async def liquidatable(world):
    """Who is below one by the pool's own word."""
    plans = [plan.borrower for plan in world.plans]
    return {borrower for borrower in plans if await account_health(world, borrower) < WAD}


async def crash(world, percent):
    """All volatile assets lose so many per cent at once."""
    assets = [asset for asset in world.deployment.assets if asset.listing.volatility]
    moves = [
        calls.set_price(world.deployment.deployer, asset, asset.listing.price * (100 - percent) // 100)
        for asset in assets
    ]
    await send_all(world.rpc, moves)


async def test_whoever_falls_below_one_in_a_crash_is_liquidated(chain, redis):
    """After prices fall, real liquidationCalls bring everybody back above one but those left alone for a reason."""
    notes = []
    async with bot(chain, redis, live=True, notes=notes) as engine:
        await crash(chain, 12)
        async with asyncio.timeout(60):
            while await liquidatable(chain) - {note.reading.borrower for note in notes if note.kind == "skip"}:
                await asyncio.sleep(0.1)
    won = [note for note in notes if note.kind == "won"]
    assert len({note.plan.borrower for note in won}) >= 3
    assert engine.tally.profit_base == sum(note.receipt.profit_base for note in won) > 0
    assert (engine.tally.failed, engine.tally.lost) == (0, 0)


async def test_a_receipt_pays_what_the_plan_expected(chain, redis):
    """With no price moving in between, the collateral received and the debt covered are the plan's to a millionth."""
    notes = []
    async with bot(chain, redis, live=True, notes=notes) as engine:
        await until(lambda: engine.tally.won >= 1)
    for note in (note for note in notes if note.kind == "won"):
        assert note.receipt.collateral_received == pytest.approx(note.plan.expected_collateral, rel=1e-6)
        assert note.receipt.debt_covered == pytest.approx(note.plan.debt_to_cover, rel=1e-6)


async def test_a_dry_run_plans_and_sends_nothing(chain, redis):
    """In dry run there is no executor, and not one eth_send* leaves."""
    async with bot(chain, redis, live=False) as engine:
        await crash(chain, 12)
        await until(lambda: engine.tally.planned >= 3)
        assert engine.executor is None
        methods = set(engine.market.rpc.methods)
    assert not {method for method in methods if method.startswith("eth_send")}
    assert engine.tally.sent == 0


async def test_a_new_borrower_is_watched_from_its_own_events(chain, redis):
    """Somebody who borrows after the start is read because of the Borrow log."""
    stranger = "0x" + "77" * 20
    usdc, whype = chain.deployment.asset("USDC"), chain.deployment.asset("WHYPE")
    await chain.rpc.call("anvil_setBalance", stranger, hex(10**20))
    async with bot(chain, redis, live=False) as engine:
        assert stranger not in engine.mirror.book
        pool = chain.facts.pool
        await send_all(chain.rpc, [calls.mint(stranger, whype, 10**21), calls.approve(stranger, whype, pool)])
        await send_all(chain.rpc, [calls.supply(stranger, pool, whype, 10**21, stranger)])
        await send_all(chain.rpc, [calls.borrow(stranger, pool, usdc, 10**9)])
        await until(lambda: (seen := engine.reading(stranger)) is not None and seen.debt_base > 0)
        assert engine.reading(stranger).health_factor == await account_health(chain, stranger)


async def test_no_borrower_is_lost_behind_tiny_buffers(chain, redis):
    """With channels of one slot the bot is slower, and applies every event all the same."""
    async with bot(chain, redis, live=True, event_buffer_size=1, action_buffer_size=1, workers=1) as engine:
        await crash(chain, 12)
        fallen = await liquidatable(chain)
        await until(lambda: engine.tally.won + engine.tally.skipped.total() >= len(fallen), 30)
    assert engine.events.capacity == 1
    assert engine.events.received == engine.tally.applied
    assert engine.tally.lost == 0


async def test_everybody_with_debt_is_in_exactly_one_tier(chain, redis):
    """The first pass reads all borrowers, and each tier holds those its ceiling says."""
    async with bot(chain, redis, live=False) as engine:
        tiers = engine.by_tier()
        below = await liquidatable(chain)
        assert tiers.total() == len(engine.mirror) > 50
        assert tiers[Tier.CRITICAL] == len(below)


async def test_a_queue_that_was_left_behind_is_worked_off(chain, redis):
    """Entries that an earlier process left in Redis are claimed by the next one."""
    queue = BorrowerQueue(redis, namespace=NAMESPACE)
    borrower = chain.plans[0].borrower
    await queue.push([Entry(borrower, 0.5, Tier.SAFE, None, EventKind.SWEEP.value)])
    async with bot(chain, redis, live=False), asyncio.timeout(5):
        while await queue.show(borrower) is not None:
            await asyncio.sleep(0.02)
    assert (await queue.stats()).totals["done"] >= 1


async def test_no_lease_is_left_after_a_drain(chain, redis):
    """A bot that was told to stop gives every claim back."""
    async with bot(chain, redis, live=True) as engine:
        await crash(chain, 10)
        await until(lambda: engine.tally.planned >= 1)
    stats = await BorrowerQueue(redis, namespace=NAMESPACE).stats()
    assert stats.leased == 0


async def test_a_dead_node_at_the_start_is_unreachable(world):
    """A bot that cannot read the market does not say READY."""
    async with Rpc("http://127.0.0.1:9", timeout_s=1.0) as rpc:
        with pytest.raises(Unreachable):
            await open_market(rpc, name="x", provider=world.facts.provider, chain_id=999)


async def test_without_prices_everybody_is_unknown_not_healthy(chain, redis):
    """When the oracle refuses every price, borrowers turn unknown and stay in the critical tier."""
    async with bot(chain, redis, live=False) as engine:
        borrowers = list(engine.mirror.book.borrowers)
        await chain.rpc.call("anvil_setCode", chain.deployment.oracle, "0x60006000fd")
        await chain.rpc.call("evm_mine")
        await until(lambda: all(engine.reading(borrower) is None for borrower in borrowers), 20)
        assert engine.by_tier()[Tier.CRITICAL] == len(engine.mirror) > 50
        assert engine.tally.planned <= len(borrowers)


async def test_the_book_vouches_for_the_healthy(chain, redis):
    """An event of a borrower far from liquidation costs no read on the chain; the book already knows it exactly."""
    async with bot(chain, redis, live=False) as engine:
        safe = next(borrower for borrower in engine.mirror.between(2.0, 1e9))
        usdc = chain.deployment.asset("USDC")
        await send_all(chain.rpc, [calls.mint(safe, usdc, 10**9), calls.approve(safe, usdc, chain.facts.pool)])
        received = engine.events.received
        await send_all(chain.rpc, [calls.supply(safe, chain.facts.pool, usdc, 10**9, safe)])
        await until(lambda: engine.tally.applied > received)
        assert engine.reading(safe).health_factor == await account_health(chain, safe)
        assert engine.watchlist.reading(safe) is None


async def test_the_bot_goes_on_from_the_book_while_redis_is_gone(chain, tmp_path):
    """With the server killed mid-run, whoever falls is liquidated all the same, and the run says what is wrong."""
    server = await start_valkey(tmp_path / "own", persist=False)
    client = await open_redis(server.url, timeout_s=0.5)
    notes = []
    async with bot(chain, client, live=True, notes=notes) as engine:
        await until(lambda: engine.tally.won >= 1)
        await server.stop()
        await engine.dispatch.drained()
        won = engine.tally.won
        await crash(chain, 12)
        fallen = await liquidatable(chain)
        await until(lambda: engine.tally.won > won, 20)
        assert fallen
    await client.aclose()
    assert any(note.kind == "warn" and "Redis" in note.text for note in notes)
    assert engine.tally.lost == 0


async def test_a_pool_that_opens_during_a_run_is_used(chain, redis):
    """At the next maintenance the exchange has the new way; a router that does not answer then changes nothing."""
    sold, bought = chain.deployment.asset("UBTC"), chain.deployment.asset("UETH")
    options = {"maintenance_interval_s": 0.1, "exchange": settings_of(chain)}
    async with bot(chain, redis, live=False, **options) as engine:
        before = engine.exchange.routes(sold.token, bought.token)
        await open_pool(chain, sold, bought)
        straight = (sold.token, bought.token)
        await until(lambda: straight in {route.tokens for route in engine.exchange.routes(*straight)})
        assert straight not in {route.tokens for route in before}
        known = engine.exchange.routes(*straight)
        await chain.rpc.call("anvil_setCode", chain.facts.router_v2, "0x60006000fd")
        await asyncio.sleep(0.5)
        assert engine.exchange.routes(*straight) == known


async def open_pool(world, first, second):
    """A V2 pool of a million dollars a side."""
    build = Build(world.deployment.deployer, 0)
    _fill_v2(build, world.exchange.router_v2, TradedPair(PoolListing(2, "", "", 0, 1e6), first, second))
    await send_all(world.rpc, build.transactions)


async def test_whoever_owes_nothing_any_more_is_forgotten(chain, redis):
    """Maintenance drops what is kept of them, and nothing that is kept of those who owe."""
    nobody = "0x" + "ab" * 20
    async with bot(chain, redis, live=False, maintenance_interval_s=0.05) as engine:
        owing = next(iter(engine.mirror.book.borrowers))
        for borrower in (nobody, owing):
            engine.watchlist.record(Reading(borrower, 10**10, 10**9, 2 * WAD, 10**9, 0), due_at=1e12)
        await until(lambda: engine.watchlist.reading(nobody) is None)
        assert engine.watchlist.reading(owing) is not None


async def test_a_book_that_cannot_be_saved_is_said_and_the_run_goes_on(chain, redis, tmp_path):
    """Where the disk refuses, the operator hears of it, and the bot follows the chain as before."""
    (tmp_path / "file").touch()
    notes, checkpoint = [], tmp_path / "file" / "a.book"
    async with bot(chain, redis, live=False, notes=notes, checkpoint=checkpoint, maintenance_interval_s=0.05) as engine:
        await until(lambda: any(f"could not be saved to {checkpoint}" in note.text for note in notes))
        await chain.rpc.call("evm_mine")
        newest = await chain.rpc.block_number()
        await until(lambda: engine.mirror.book.cursor >= newest)


async def test_maintenance_saves_the_book(chain, redis, tmp_path):
    """A run's book is on disk while it goes on, and once more at its end."""
    path = tmp_path / "a.book"
    async with bot(chain, redis, live=False, checkpoint=path, maintenance_interval_s=0.05) as engine:
        await until(path.exists)
        identity = engine.mirror.book.identity
        assert len(load_checkpoint(path, identity)) == len(engine.mirror.book)
        await chain.rpc.call("evm_mine")
        newest = await chain.rpc.block_number()
        await until(lambda: engine.mirror.book.cursor >= newest)
    assert load_checkpoint(path, identity).cursor >= newest
    assert [file.name for file in tmp_path.iterdir()] == ["a.book"]
