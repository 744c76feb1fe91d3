"""Nodes that answer in time and wrongly: logs doubled, missing or out of order, heads that stand still or go back."""

import asyncio
import random
import time

import pytest

from liqcli.book.audit import audit
from liqcli.book.follow import Follower, begin_at_first_block
from liqcli.chain.head import HeadWatch
from liqcli.chain.logs import read_logs
from tests.chain.sandbox import crash
from tests.faults.bots import bot_behind, fallen, until
from tests.faults.node import bad_gateway
from tests.faults.nodes import market_behind

STEPS = 12


def lying(lie):
    """Logs as `lie(logs)` has them; everything else is true."""
    return lambda method, result: lie(result) if method == "eth_getLogs" else result


def doubled(dice):
    return lambda logs: [log for log in logs for _ in range(1 + (dice.random() < 0.3))]


def shuffled(dice):
    return lambda logs: dice.sample(logs, len(logs))


def missing(dice):
    return lambda logs: [log for log in logs if dice.random() >= 0.05]


@pytest.mark.parametrize("lie", [doubled, shuffled, missing], ids=lambda lie: lie.__name__)
async def test_lies_about_logs_do_not_change_the_book(chain, lie):
    """After a scenario read through a node that lies about logs, every account is right or said to be unknown."""
    dice = random.Random(7)
    async with bad_gateway(chain.facts.rpc_url) as gateway, market_behind(chain, gateway.url, timeout_s=5) as market:
        follower = Follower(market, await begin_at_first_block(market, 0), window_blocks=1000)
        gateway.mangle = lying(lie(dice))
        for _ in range(STEPS):
            await chain.scenario.step()
            await chain.rpc.call("evm_mine")
            await follower.catch_up((await market.head())[0])
            await follower.heal()
        gateway.mangle = None
        for _ in range(10):
            await follower.heal()
            await chain.rpc.call("evm_mine")
            await follower.catch_up((await market.head())[0])
        report = await audit(follower, list(follower.book.accounts))
    assert report.checked + len(report.unknown) > 30
    assert not report.wrong
    assert lie is missing or not report.unknown


async def test_a_cursor_never_passes_a_head_that_went_back(chain):
    """A node that has fallen behind gives a window up to its own head: the rest is not taken for empty."""
    for _ in range(6):
        await chain.rpc.call("evm_mine")
    top = await chain.rpc.block_number()
    async with bad_gateway(chain.facts.rpc_url) as gateway, market_behind(chain, gateway.url) as market:
        gateway.mangle = lambda method, result: hex(top - 4) if method == "eth_blockNumber" else result
        assert (await read_logs(market, top - 6, top)).last == top - 4
        assert (await read_logs(market, top - 1, top)).last == top - 4
        gateway.mangle = None
        assert (await read_logs(market, top - 6, top)).last == top


def older(block):
    """The newest block as a node tells it that stopped here."""

    def mangle(method, result):
        if method == "eth_getBlockByNumber" and isinstance(result, dict):
            return {**result, "number": hex(block)}
        return result

    return mangle


async def test_a_head_that_goes_back_is_left_for_another_node(chain):
    """The watch notices it, the client turns to the fallback, and the next look is current again."""
    await chain.rpc.call("evm_mine")
    top = await chain.rpc.block_number()
    async with (
        bad_gateway(chain.facts.rpc_url) as gateway,
        market_behind(chain, gateway.url, chain.facts.rpc_url) as market,
    ):
        watch = HeadWatch(max_age_s=None)
        assert watch.see(*await market.head()).is_current
        gateway.mangle = older(top - 1)
        state = watch.see(*await market.head())
        assert state.reason == f"the head went back from block {top} to {top - 1}"
        await until(lambda: market.rpc.health()[1].state == "ready")
        market.rpc.distrust(state.reason)
        assert watch.see(*await market.head()).is_current
        assert market.rpc.shown_url == chain.facts.rpc_url


async def test_a_frozen_head_stops_decisions_within_its_age_limit(chain):
    """A node that shows the same block for ever is not current any more once the limit has passed."""
    async with bad_gateway(chain.facts.rpc_url) as gateway, market_behind(chain, gateway.url) as market:
        block, _ = await market.head()
        watch, fresh = HeadWatch(max_age_s=0.4), int(time.time()) + 60
        assert watch.see(block, fresh).is_current
        gateway.mangle = older(block)
        began = time.monotonic()
        while watch.see((await market.head())[0], fresh).is_current:
            await chain.rpc.call("evm_mine")
            await asyncio.sleep(0.02)
        assert 0.4 < time.monotonic() - began < 0.8


async def test_a_bot_behind_doubled_and_shuffled_logs_misses_nobody(chain, redis):
    """A crash seen through a node that doubles and shuffles logs: each fallen one is decided on, none is lost."""
    dice, notes = random.Random(3), []
    async with (
        bad_gateway(chain.facts.rpc_url) as gateway,
        bot_behind(chain, redis, gateway.url, notes=notes) as engine,
    ):
        gateway.mangle = lying(lambda logs: shuffled(dice)(doubled(dice)(logs)))
        await crash(chain, 12)
        below = await fallen(chain)
        await until(lambda: below <= {note.reading.borrower for note in notes if note.reading})
    assert engine.tally.lost == 0
