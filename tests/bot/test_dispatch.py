"""Planned liquidations on their way out: side by side, each borrower in one hand until the transaction is settled."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from liqcli.bot.dispatch import LANES, Action, Dispatch
from liqcli.bot.execute import Executor
from liqcli.bot.tally import Tally
from liqcli.chain.market import open_market
from liqcli.model import Reading, Tier
from liqcli.sandbox.borrowers import equip_liquidator, fund
from liqcli.sandbox.transactions import OFF, ON
from liqcli.sandbox.world import running
from liqcli.store.held import HeldClaims
from liqcli.store.queue import BorrowerQueue, Entry, State
from liqcli.wallet.keys import Key
from liqcli.wallet.sender import Pace
from tests.bot.test_engine import NAMESPACE, bot, crash, until
from tests.bot.test_worker import working
from tests.store.conftest import let_end
from tests.wallet.faults import FaultyRpc
from tests.wallet.stage import fall, small_plans
from tests.wallet.wallets import sender_on

PATIENT = Pace(poll_first_s=0.01, poll_most_s=0.1, resend_s=60.0)
LEASE_S = 0.6
OTHER_KEY = Key("0x" + "77" * 32)


class CountingRpc(FaultyRpc):
    """The real client, which also counts the simulations that were asked for."""

    simulations = 0

    async def batch(self, calls):
        self.simulations += sum(method == "eth_estimateGas" for method, _ in calls)
        return await super().batch(calls)


@asynccontextmanager
async def mined_by_hand(world):
    """Blocks come from `evm_mine` only; nothing is left in the mempool."""
    await world.rpc.call("evm_setAutomine", OFF)
    try:
        yield
    finally:
        await world.rpc.call("anvil_dropAllTransactions")
        await world.rpc.call("evm_setAutomine", ON)


@asynccontextmanager
async def dispatching(world, redis, directory, *, lease_s=30.0, tell=lambda _: None):
    """A dispatch whose lanes run, its claims' keeper, the queue, and plans that go through."""
    await fall(world, 20)
    queue = BorrowerQueue(redis, namespace=NAMESPACE, lease_s=lease_s)
    held = HeldClaims(queue, lease_s=lease_s)
    async with CountingRpc(world.facts.rpc_url) as rpc:
        market = await open_market(rpc, name="dispatch", provider=world.facts.provider, chain_id=999)
        executor = Executor(market, sender_on(rpc, world, directory, pace=PATIENT))
        await executor.recover()
        dispatch = Dispatch(executor, held, capacity=64, tally=Tally(), tell=tell)
        plans = await small_plans(world, market, 10)

        async def lane():
            while True:
                await dispatch.step()

        async with asyncio.TaskGroup() as tasks:
            work = [tasks.create_task(lane()) for _ in range(LANES)]
            work.append(tasks.create_task(held.keep()))
            yield dispatch, queue, held, plans, rpc
            for task in work:
                task.cancel()


def action_for(plan, claim=None):
    """What the engine hands over."""
    reading = Reading(plan.borrower, 0, 0, plan.health_factor, plan.block, 0)
    return Action(plan, reading, arrived_at=0.0, claim=claim)


async def claimed(queue, held, plan):
    """The claim on a plan's borrower, held."""
    await queue.push([Entry(plan.borrower, 0.5, Tier.CRITICAL, None, "price")])
    [claim] = await queue.claim(1)
    held.add(claim)
    return claim


async def test_eight_go_out_side_by_side_and_the_ninth_is_not_tried_yet(chain, redis, tmp_path):
    """While no block comes, eight are simulated and sent at once; the others are tried when there is room for them."""
    async with mined_by_hand(chain), dispatching(chain, redis, tmp_path) as (dispatch, _, _, plans, rpc):
        for plan in plans:
            await dispatch.put(action_for(plan))
        await until(lambda: len(rpc.sent) == LANES)
        assert rpc.simulations == LANES
        while dispatch.busy:
            await chain.rpc.call("evm_mine")
            await asyncio.sleep(0.02)
        assert len(set(rpc.sent)) == len(plans)
        assert dispatch._tally.won == len(plans)


async def test_a_send_that_is_cut_off_keeps_its_lease(chain, redis, tmp_path):
    """It may have been signed: until the lease ends nobody else sends for the borrower."""
    async with dispatching(chain, redis, tmp_path) as (dispatch, queue, held, plans, _):
        sending = asyncio.Event()

        async def hangs(_, **__):
            sending.set()
            await asyncio.sleep(3600)

        dispatch._executor.send = hangs
        await dispatch.put(action_for(plans[0], await claimed(queue, held, plans[0])))
        await sending.wait()
    await held.release_all()
    assert (await queue.show(plans[0].borrower)).state is State.LEASED


async def test_a_borrower_is_held_until_its_transaction_is_settled(chain, redis, tmp_path):
    """The claim outlives its lease while the transaction waits for a block, and is finished with the receipt."""
    async with (
        mined_by_hand(chain),
        dispatching(chain, redis, tmp_path, lease_s=LEASE_S) as (dispatch, queue, held, plans, rpc),
    ):
        await dispatch.put(action_for(plans[0], await claimed(queue, held, plans[0])))
        await until(lambda: len(rpc.sent) == 1)
        await asyncio.sleep(2 * LEASE_S)
        assert (await queue.show(plans[0].borrower)).state is State.LEASED
        assert await queue.claim(1) == []
        while dispatch.busy:
            await chain.rpc.call("evm_mine")
            await asyncio.sleep(0.02)
        await dispatch.drained()
        assert await queue.show(plans[0].borrower) is None
        assert len(held) == 0


async def test_a_borrower_somebody_else_has_is_never_signed_for(chain, redis, tmp_path):
    """A claim that went to another process while the plan waited: no signature, and the other's claim stays."""
    async with dispatching(chain, redis, tmp_path) as (dispatch, queue, held, plans, rpc):
        claim = await claimed(queue, held, plans[0])
        await let_end(redis, State.LEASED, claim.borrower, namespace=NAMESPACE)
        [theirs] = await queue.claim(1)
        await held.prove(claim)
        await dispatch.put(action_for(plans[0], claim))
        await dispatch.drained()
        assert rpc.sent == []
        assert dispatch._tally.skipped == {"held by another process": 1}
        assert await queue.done([theirs]) == [theirs]
    assert (tmp_path / "journal").stat().st_size == 0


async def test_what_hinders_sending_is_told_once_a_borrower(chain, redis, tmp_path):
    """While it is paused each look plans anew, and neither log nor ledger grows; then plan and send are told."""
    notes = []
    async with dispatching(chain, redis, tmp_path, tell=notes.append) as (dispatch, *_, plans, _):
        pause = tmp_path / "PAUSE"
        pause.touch()
        for _ in range(3):
            for plan in plans[:2]:
                await dispatch.put(action_for(plan))
            await dispatch.drained()
        assert sorted(note.kind for note in notes) == ["plan", "plan", "skip", "skip"]
        assert (dispatch._tally.planned, dispatch._tally.skipped) == (2, {"paused": 2})
        pause.unlink()
        await dispatch.put(action_for(plans[0]))
        await dispatch.drained()
    assert [note.kind for note in notes[4:]] == ["plan", "sent", "won"]
    assert (dispatch._tally.planned, dispatch._tally.sent) == (3, 1)


async def test_a_failed_transaction_says_why(chain, redis, tmp_path):
    """Prices recover between the simulation and the block: the note has the pool's reason, asked at that block."""
    notes = []
    async with (
        mined_by_hand(chain),
        dispatching(chain, redis, tmp_path, tell=notes.append) as (dispatch, *_, plans, rpc),
    ):
        await dispatch.put(action_for(plans[0]))
        await until(lambda: len(notes) == 2)
        await chain.rpc.call("anvil_dropAllTransactions")
        await fall(chain, -50)
        await chain.rpc.call("eth_sendRawTransaction", rpc.sent[0])
        while dispatch.busy:
            await chain.rpc.call("evm_mine")
            await asyncio.sleep(0.02)
    assert [note.kind for note in notes] == ["plan", "sent", "failed"]
    assert notes[-1].text == "reverted: HealthFactorNotBelowThreshold"


def spans_of(process):
    """When a process had a transaction under way, by borrower: from signature to outcome, as its journal says."""
    journal = process.executor._sender._journal if hasattr(process, "executor") else process._executor._sender._journal
    spans = []
    for attempt in journal.landed_from(0):
        first = journal.attempts_of(attempt.hash)[0]
        spans.append((attempt.subject, first.at, journal.outcome_of(attempt.hash).at))
    return spans


@pytest.mark.timeout(120)
async def test_a_run_and_a_worker_never_send_for_one_borrower_at_the_same_time(chain, redis):
    """Two keys, one Redis, blocks two seconds apart and leases shorter than that: spans of a borrower never overlap."""
    await fund(chain.rpc, [OTHER_KEY.address])
    await equip_liquidator(chain.rpc, chain.deployment, OTHER_KEY.address, chain.facts.contract)
    settings = {"queue": {"lease_s": LEASE_S}, "tiers": {"critical": {"interval_s": 0.2, "batch": 1}}, "pace": PATIENT}
    narrow = {**settings, "action_buffer_size": 1}  # the run alone would take all who fall
    async with (
        mined_by_hand(chain),
        running(mined_each(chain, 2.0)),
        bot(chain, redis, live=True, **narrow) as engine,
        working(
            chain, redis, live=True, notes=[], namespace=NAMESPACE, key=OTHER_KEY, workers=12, **settings
        ) as worker,
        running(pushed_all_the_time(chain, redis)),
    ):
        for percent in range(24, 44, 4):
            if percent > 24 and engine.tally.won and worker.tally.won:
                break
            before = engine.tally.won + worker.tally.won
            await crash(chain, percent)
            await until(lambda least=before: all_settled(engine, worker) > least, 60)
    ours, theirs = spans_of(engine), spans_of(worker)
    assert ours
    assert theirs, (worker.tally, worker.claimed)
    for borrower, began, ended in ours:
        assert not [span for span in theirs if span[0] == borrower and span[1] < ended and began < span[2]]


def all_settled(*processes):
    """How many were won in all, none while one is under way."""
    sent, won, failed = (sum(getattr(each.tally, what) for each in processes) for what in ("sent", "won", "failed"))
    return won if sent == won + failed else 0


async def pushed_all_the_time(world, redis):
    """Everybody again and again: whoever is in nobody's hands is taken at once."""
    queue = BorrowerQueue(redis, namespace=NAMESPACE)
    while True:
        await queue.push([Entry(plan.borrower, 0.5, Tier.CRITICAL, None, "price") for plan in world.plans])
        await asyncio.sleep(0.05)


async def mined_each(world, seconds):
    """A block every so often."""
    while True:
        await asyncio.sleep(seconds)
        await world.rpc.call("evm_mine")
