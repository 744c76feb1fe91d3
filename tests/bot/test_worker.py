"""The worker without a book: from a filled queue to mined liquidations, one holder at a time."""

import asyncio
from contextlib import asynccontextmanager, suppress
from tempfile import TemporaryDirectory

from liqcli.bot.worker import Worker
from liqcli.chain.market import open_market
from liqcli.config import load_settings
from liqcli.errors import Unreachable
from liqcli.model import Tier
from liqcli.store.cache import HealthCache
from liqcli.store.queue import BorrowerQueue, Entry, State
from tests.bot.test_engine import RecordingRpc, account_health, crash, liquidatable, until
from tests.store.conftest import let_end
from tests.wallet.wallets import FAST as FAST_SENDER
from tests.wallet.wallets import executor_on

NAMESPACE = "liq:999:worker-test:v1"


@asynccontextmanager
async def working(world, redis, *, live, notes, namespace=NAMESPACE, key=None, pace=FAST_SENDER, **settings):
    """A worker on the sandbox's market until the block ends, then drained."""
    with TemporaryDirectory() as directory:
        async with RecordingRpc(world.facts.rpc_url) as rpc:
            market = await open_market(rpc, name="worker-test", provider=world.facts.provider, chain_id=999)
            loaded = load_settings({"workers": 2, **settings})
            worker = Worker(
                market=market,
                queue=BorrowerQueue(redis, namespace=namespace, lease_s=loaded.queue.lease_s),
                cache=HealthCache(redis, namespace=namespace),
                settings=loaded,
                executor=executor_on(market, world, directory, key=key, pace=pace) if live else None,
                exchange=None,
                tell=notes.append,
            )
            stop = asyncio.Event()
            running = asyncio.create_task(worker.run(stop))
            try:
                yield worker
            finally:
                stop.set()
                await running


async def push_all(world, redis):
    """What a run would have queued."""
    queue = BorrowerQueue(redis, namespace=NAMESPACE)
    await queue.push([Entry(plan.borrower, 0.5, Tier.CRITICAL, None, "price") for plan in world.plans])
    return queue


def about_borrowers(notes):
    """What was told, of whom, and why."""
    return [(note.kind, note.reason, note.reading.borrower) for note in notes if note.reading is not None]


async def is_empty(queue):
    """Whether nothing is ready, waiting or held."""
    stats = await queue.stats()
    return stats.items + stats.leased == 0


async def drained(queue, timeout_s=30):
    """Wait until the queue is empty."""
    async with asyncio.timeout(timeout_s):
        while not await is_empty(queue):
            await asyncio.sleep(0.05)


async def test_a_worker_liquidates_what_a_run_queued(chain, redis):
    """After a crash it reads, decides and sends by itself; claims are finished only with the receipt."""
    notes = []
    await crash(chain, 12)
    fallen = await liquidatable(chain)
    queue = await push_all(chain, redis)
    async with working(chain, redis, live=True, notes=notes) as worker:
        await drained(queue)
    assert worker.claimed == len(chain.plans)
    assert worker.tally.won >= 1
    assert worker.tally.won + worker.tally.skipped.total() == len(fallen)
    for note in notes:
        if note.kind == "won":
            assert await account_health(chain, note.plan.borrower) > note.reading.health_factor


async def test_two_workers_never_share_a_borrower(chain, redis):
    """Each borrower is claimed once, by one of the two."""
    first, second = [], []
    queue = await push_all(chain, redis)
    async with (
        working(chain, redis, live=False, notes=first) as one,
        working(chain, redis, live=False, notes=second) as other,
    ):
        await drained(queue)
    assert one.claimed + other.claimed == len(chain.plans)
    planned = [[note.reading.borrower for note in notes if note.kind == "dry run"] for notes in (first, second)]
    assert not set(planned[0]) & set(planned[1])


async def test_a_worker_that_lost_its_lease_sends_nothing(chain, redis):
    """Between its plan and its send another took the borrower over: the fence holds the transaction back."""
    notes = []
    await crash(chain, 12)
    await liquidatable(chain)
    async with working(chain, redis, live=True, notes=notes) as worker:
        rest = worker.market.snapshot
        thief = BorrowerQueue(redis, namespace=NAMESPACE)

        async def robbed(borrower):
            snapshot = await rest(borrower)
            await let_end(redis, State.LEASED, borrower, namespace=NAMESPACE)
            await thief.claim(50)
            return snapshot

        worker.market.snapshot = robbed
        await push_all(chain, redis)
        await until(lambda: worker.fenced + worker.tally.skipped.total() >= 3, 30)
        methods = list(worker.market.rpc.methods)
    assert worker.fenced >= 1
    assert worker.tally.sent == 0
    assert "eth_sendRawTransaction" not in methods


async def test_what_hinders_sending_is_told_once_a_borrower(chain, redis):
    """While it is paused each look plans anew, and the log does not grow; then plan and send are told."""
    notes = []
    await crash(chain, 12)
    await liquidatable(chain)
    async with working(chain, redis, live=True, notes=notes) as worker:
        pause = worker._executor._sender.policy.pause_file
        pause.touch()
        for _ in range(3):
            await drained(await push_all(chain, redis))
        plans = [note.reading.borrower for note in notes if note.kind == "plan"]
        paused = [note.reading.borrower for note in notes if note.reason == "paused"]
        assert len(plans) == len(set(plans)) == worker.tally.planned >= 1
        assert sorted(paused) == sorted(plans)
        pause.unlink()
        await drained(await push_all(chain, redis))
    assert worker.tally.won >= 1
    sent = [number for number, note in enumerate(notes) if note.kind == "sent"]
    told = [(notes[number - 1].kind, notes[number - 1].reading, notes[number].reading) for number in sent]
    assert all(kind == "plan" and planned is carried_out for kind, planned, carried_out in told)


async def test_a_borrower_who_recovers_and_falls_again_is_news(chain, redis):
    """Who was told of before recovering is told of again: plan and what hinders it."""
    notes, before = [], await chain.rpc.call("evm_snapshot")
    await crash(chain, 12)
    first = await liquidatable(chain)
    async with working(chain, redis, live=True, notes=notes) as worker:
        worker._executor._sender.policy.pause_file.touch()
        await drained(await push_all(chain, redis))
        told = about_borrowers(notes)
        await chain.rpc.call("evm_revert", before)
        still_below = await liquidatable(chain)
        await drained(await push_all(chain, redis))
        assert about_borrowers(notes) == told
        await crash(chain, 12)
        assert set(await liquidatable(chain)) == set(first)
        await drained(await push_all(chain, redis))
    again = [line for line in told if line[2] not in still_below]
    assert len(again) >= 2
    assert sorted(about_borrowers(notes)) == sorted(told + again)


async def test_no_send_that_hangs_holds_up_the_end(chain, redis, monkeypatch):
    """After the time for draining it is cut off, also where one cancellation is lost; its lease stays, others end."""
    monkeypatch.setattr("liqcli.bot.worker._DRAIN_S", 0.2)
    await crash(chain, 12)
    assert len(await liquidatable(chain)) >= 2
    queue, sending = await push_all(chain, redis), asyncio.Event()

    async def hangs(_):
        sending.set()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)
        await asyncio.sleep(3600)

    async with asyncio.timeout(30), working(chain, redis, live=True, notes=[]) as worker:
        worker._executor.send = hangs
        await sending.wait()
    assert (await queue.stats()).leased == 1


async def test_a_node_that_does_not_answer_kills_no_borrower(chain, redis):
    """Claims go back untouched while the RPC is away, and are worked off when it is back."""
    notes = []
    queue = await push_all(chain, redis)
    async with working(chain, redis, live=False, notes=notes) as worker:
        readings, down = worker.market.readings, [True]

        async def unreachable(borrowers):
            if down[0]:
                raise Unreachable("the node is away")
            return await readings(borrowers)

        worker.market.readings = unreachable
        await until(lambda: any(note.kind == "warn" for note in notes))
        assert all(item.tries == 0 for item in await queue.peek(100))
        down[0] = False
        await drained(queue)
    assert (await queue.stats()).dead == 0


async def test_a_worker_that_ends_gives_everything_back(chain, redis):
    """After the drain nothing is leased."""
    queue = await push_all(chain, redis)
    async with working(chain, redis, live=False, notes=[]):
        await asyncio.sleep(0.05)
    assert (await queue.stats()).leased == 0
