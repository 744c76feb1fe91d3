"""The whole bot while its node fails: nothing is decided on what is unknown, and nobody is lost."""

import asyncio

import pytest

from tests.chain.sandbox import crash
from tests.faults.bots import bot_behind, fallen, until
from tests.faults.node import bad_gateway
from tests.faults.tcp import tcp_proxy

RECOVERY_S = 5.0


def decisions(notes):
    """What the bot said of somebody it would liquidate, or would not."""
    return [note for note in notes if note.kind in {"plan", "dry run", "skip"}]


def decided(notes):
    """Whom the bot planned to liquidate, or said why not."""
    return {note.reading.borrower for note in decisions(notes)}


@pytest.mark.parametrize("fault", ["blackhole", "429", "502", "cut", "closed", "-32005"])
async def test_a_crash_during_an_outage_is_decided_after_it(chain, redis, fault):
    """Prices fall while the node fails: no decision meanwhile; five seconds after it healed each fallen one has one."""
    notes = []
    async with (
        bad_gateway(chain.facts.rpc_url) as gateway,
        bot_behind(chain, redis, gateway.url, notes=notes) as engine,
    ):
        already = await fallen(chain)
        await until(lambda: already <= decided(notes))
        gateway.set(fault)
        await until(lambda: gateway.under_way == 0)
        await asyncio.sleep(0.5)  # what was answered before the fault may still be thought about
        before = len(notes)
        await crash(chain, 12)
        below = await fallen(chain)
        await asyncio.sleep(1.0)
        assert decisions(notes[before:]) == []
        gateway.set("")
        await until(lambda: below <= decided(notes), RECOVERY_S)
    assert len(below) >= 3
    assert engine.tally.lost == 0


async def test_a_crash_that_only_the_fallback_sees_is_liquidated(chain, redis):
    """The first endpoint goes away before a crash: the fallen are won through the second one."""
    async with (
        tcp_proxy(chain.facts.rpc_url) as proxy,
        bot_behind(chain, redis, proxy.url, chain.facts.rpc_url, live=True, timeout_s=5.0) as engine,
    ):
        await proxy.set("refuse")
        await crash(chain, 12)
        await until(lambda: engine.tally.won >= 3, 15)
    assert (engine.tally.failed, engine.tally.lost) == (0, 0)
    assert [health.state for health in engine.market.rpc.health()] == ["benched", "ready"]


async def test_a_websocket_saves_waiting_for_the_poll(chain, redis):
    """With a poll every ten seconds, a crash is decided on within three because the socket tells of its blocks."""
    notes = []
    ws_url = chain.facts.rpc_url.replace("http://", "ws://")
    async with bot_behind(
        chain, redis, chain.facts.rpc_url, notes=notes, timeout_s=5.0, ws_url=ws_url, poll_s=10
    ) as engine:
        await until(lambda: engine.stream.is_connected)
        await crash(chain, 12)
        await until(lambda: len(decided(notes)) >= 3, 3)
        assert len(decided(notes)) >= 3


async def test_a_websocket_that_dies_leaves_the_poll(chain, redis):
    """When the socket goes away in the middle the bot still decides at the pace of its poll."""
    notes = []
    async with (
        tcp_proxy(chain.facts.rpc_url) as proxy,
        bot_behind(
            chain,
            redis,
            chain.facts.rpc_url,
            notes=notes,
            timeout_s=5.0,
            ws_url=proxy.url.replace("http://", "ws://"),
            poll_s=0.5,
        ) as engine,
    ):
        await until(lambda: engine.stream.is_connected)
        await proxy.set("blackhole")
        await crash(chain, 12)
        below = await fallen(chain)
        await until(lambda: below <= decided(notes), RECOVERY_S)
    assert engine.tally.lost == 0
