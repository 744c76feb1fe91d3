"""Providers that double, shuffle, drop or withhold logs: the book stays right, or says that it does not know."""

import random

import pytest

from liqcli.book.audit import Rota, audit, compare
from liqcli.book.follow import Follower, begin_at_first_block, begin_at_head
from liqcli.book.positions import Unknown
from liqcli.book.reads import read_truth
from tests.book.faults import MangledRpc, doubled, dropped, gapped, lost, shuffled
from tests.chain.sandbox import open_sandbox, pass_time

STEPS = 25
AUDITED_EACH_STEP = 12


async def polled(follower, rota):
    """One look of the bot: logs, then prices and an audit of a few, those first whom the logs named."""
    block, _ = await follower.market.head()
    async for step in follower.follow(block):
        rota.changed(step.outcome.changes.accounts)
    truth = await read_truth(follower.market, rota.next(follower.book, AUDITED_EACH_STEP))
    await follower.catch_up(truth.block)
    compare(follower.book, truth)


async def count_known(follower):
    """How many accounts the book gives exactly, and how many of these are wrong."""
    book = follower.book
    truth = await read_truth(follower.market, list(book.accounts))
    known = wrong = 0
    for account, data in truth.accounts.items():
        try:
            ours = book.exact(account, truth.at)
        except Unknown:
            continue
        known += 1
        wrong += ours != data
    return known, wrong


async def lived_through(world, mangle, *, from_first_block):
    """A scenario watched through a bad provider; (looks at accounts that were known, wrong ones among them)."""
    market = await open_sandbox(world)
    begin = begin_at_first_block(market, 0) if from_first_block else begin_at_head(market)
    follower = Follower(market, await begin, window_blocks=1000)
    follower.book.watch(world.scenario.people)
    await follower.heal()
    market.rpc = MangledRpc(world.rpc, mangle)
    rota, known, wrong = Rota(), 0, 0
    for _ in range(STEPS):
        await world.scenario.step()
        await pass_time(world, 600)
        await polled(follower, rota)
        step_known, step_wrong = await count_known(follower)
        known, wrong = known + step_known, wrong + step_wrong
        await follower.heal()
    return follower, known, wrong


@pytest.mark.parametrize("fault", [doubled, shuffled])
@pytest.mark.parametrize("from_first_block", [True, False])
async def test_harmless_faults_change_nothing(chain, fault, from_first_block):
    """Doubled logs and logs out of order lead to the same book: nobody is wrong, nobody stays unknown."""
    follower, _, wrong = await lived_through(chain, fault(random.Random(7)), from_first_block=from_first_block)
    assert wrong == 0
    assert follower.book.gaps == 0
    assert follower.book.drift == 0
    report = await audit(follower, list(follower.book.accounts))
    assert (report.mismatches, report.unknown) == ((), {})


@pytest.mark.parametrize("fault", [dropped, lost, gapped])
@pytest.mark.parametrize("from_first_block", [True, False])
async def test_missing_logs_end_in_the_truth_or_in_unknown(chain, fault, from_first_block):
    """A provider that leaves logs out is noticed; an audit leaves nobody wrong, and reading again makes all exact."""
    follower, known, wrong = await lived_through(chain, fault(random.Random(7)), from_first_block=from_first_block)
    assert follower.book.gaps > 0
    assert wrong <= known // 100
    follower.market.rpc = chain.rpc
    everyone = list(follower.book.accounts)
    await audit(follower, everyone)
    assert (await count_known(follower))[1] == 0
    for _ in range(4):
        await follower.heal()
        await audit(follower, everyone)
    report = await audit(follower, everyone)
    assert (report.checked, report.mismatches, report.unknown) == (len(everyone), (), {})


async def test_a_log_left_out_once_comes_home(chain):
    """A log missing from one answer is found by the next page's overlap and put in its place."""
    market = await open_sandbox(chain)
    follower = Follower(market, await begin_at_first_block(market, 0), window_blocks=1000)
    await follower.catch_up((await market.head())[0])
    await chain.scenario.step()
    market.rpc = MangledRpc(chain.rpc, lambda logs: logs[:-1])
    await follower.catch_up((await market.head())[0])
    market.rpc = chain.rpc
    await pass_time(chain, 60)
    late = [step.outcome.late async for step in follower.follow((await market.head())[0])]
    assert sum(late) == 1
    report = await audit(follower, list(follower.book.accounts))
    assert (report.mismatches, report.unknown) == ((), {})
