"""The websocket is only a hint: it wakes the poll, counts what overruns it, and is mended when it breaks."""

import asyncio
import json
import logging
from contextlib import asynccontextmanager, suppress
from time import monotonic

import pytest
from aiohttp import web

from liqcli.book.events import Acted, decode_logs
from liqcli.chain.logs import log_query, read_logs
from liqcli.chain.stream import Stream
from liqcli.lag.formats import read_event
from liqcli.lag.message import Kind
from liqcli.sandbox import calls
from liqcli.sandbox.transactions import send_all
from tests.chain.sandbox import open_sandbox
from tests.faults.tcp import tcp_proxy

QUERY = {"address": ["0x" + "11" * 20], "topics": [["0x" + "22" * 32]]}


def websocket(url):
    """The same place over a websocket."""
    return url.replace("http://", "ws://")


@asynccontextmanager
async def serving(answer):
    """A websocket server that answers each call with what `answer(socket, call)` gives; yields its URL."""

    async def serve(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            call = json.loads(message.data)
            await socket.send_json({"jsonrpc": "2.0", "id": call["id"], **answer(socket, call)})
        return socket

    app = web.Application()
    app.router.add_get("/{path:.*}", serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"ws://127.0.0.1:{runner.addresses[0][1]}/topsecret"
    await runner.cleanup()


class Teller:
    """A node's websocket that accepts subscriptions and then says what a test tells it to say."""

    def __init__(self):
        self.sockets = []
        self.asked = []
        self.url = ""

    def accept(self, socket, call):
        """The subscription's id; once both stand, this socket is the one that tells."""
        self.asked.append(call["params"][0])
        if len(self.asked) % 2 == 0:
            self.sockets.append(socket)
        return {"result": f"0x{call['params'][0]}"}

    async def tell(self, kind, *results):
        """Notify the newest connection."""
        for result in results:
            notice = {"subscription": f"0x{kind}", "result": result}
            await self.sockets[-1].send_json({"jsonrpc": "2.0", "method": "eth_subscription", "params": notice})


@asynccontextmanager
async def told_by_test(**options):
    """A stream whose node is a Teller; both once the subscriptions stand."""
    teller = Teller()
    async with serving(teller.accept) as url, Stream(url, query=QUERY, **{"capacity": 8, **options}) as stream:
        await until(lambda: stream.is_connected and teller.sockets)
        yield teller, stream


def head(block):
    return {"number": hex(block)}


def log(block, index=0):
    return {"blockNumber": hex(block), "logIndex": hex(index), "topics": ["0x"]}


async def until(condition, timeout_s=5):
    """Wait for a fact that the background brings about."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_new_block_wakes_the_poll_with_its_logs(chain):
    """On the real node: a transaction's block and its logs are told at once, and decode to the borrower."""
    market = await open_sandbox(chain)
    whype, pool, stranger = chain.deployment.asset("WHYPE"), chain.facts.pool, "0x" + "78" * 20
    await chain.rpc.call("anvil_setBalance", stranger, hex(10**20))
    await send_all(chain.rpc, [calls.mint(stranger, whype, 10**21), calls.approve(stranger, whype, pool)])
    async with Stream(websocket(chain.facts.rpc_url), query=log_query(market), capacity=100) as stream:
        await until(lambda: stream.is_connected)
        await send_all(chain.rpc, [calls.supply(stranger, pool, whype, 10**20, stranger)])
        hints, started = [], monotonic()
        while not any(hint.logs for hint in hints) and monotonic() - started < 3:
            hints.append(await stream.wait(1.0))
    told = [entry for hint in hints for entry in hint.logs]
    block = await chain.rpc.block_number()
    read = (await read_logs(market, block, block)).logs
    events = decode_logs(told, times={block: 0})
    assert events == decode_logs(read, times={block: 0})
    assert stranger in {event.account for event in events if isinstance(event, Acted)}
    assert max(hint.head or 0 for hint in hints) == block


async def test_a_crowded_block_wakes_the_poll_once():
    """However many logs a block has, only its first message ends a wait: the poll never spins."""
    async with told_by_test(capacity=500) as (teller, stream):
        telling = asyncio.create_task(teller.tell("logs", *(log(7, index) for index in range(300))))
        waits, taken = 0, 0
        while taken < 300:
            taken += len((await stream.wait(0.2)).logs)
            waits += 1
        await telling
        await teller.tell("newHeads", head(7))
        started = monotonic()
        assert (await stream.wait(0.2)).head == 7
        assert monotonic() - started >= 0.2
    assert waits <= 5


async def test_nothing_comes_and_the_poll_goes_on():
    """Without a websocket behind the URL, waiting takes exactly as long as the poll's pace."""
    async with Stream("ws://127.0.0.1:9/", query=QUERY, capacity=10) as stream:
        started = monotonic()
        hints = await stream.wait(0.2)
        assert 0.2 <= monotonic() - started < 0.5
    assert (hints.head, list(hints.logs), stream.is_connected) == (None, [], False)


async def test_an_overrun_is_counted_said_and_recovered(caplog):
    """Logs that find the intake full push the oldest out: counted, said in the words of a lag log, and read again."""
    async with told_by_test(capacity=4) as (teller, stream):
        await teller.tell("logs", *(log(block, index) for block in range(1, 6) for index in range(2)))
        await until(lambda: stream.counts.received == 10)
        with caplog.at_level(logging.INFO):
            hints = await stream.wait(1.0)
        assert [int(entry["blockNumber"], 16) for entry in hints.logs] == [4, 4, 5, 5]
        assert (stream.counts.lagged, stream.counts.recovered) == (6, 0)
        stream.polled(2)
        assert stream.counts.recovered == 4
        stream.polled(5)
        assert stream.counts.recovered == stream.counts.lagged == 6
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    line = read_event(f"2026-11-22T16:20:00.000001Z {record.levelname} {record.name}: {record.getMessage()}")
    assert (line.finding.kind, line.finding.lost, line.finding.channel) == (Kind.LAG, 6, "event")
    assert line.receiver.target == "liqcli.chain.stream"


async def test_memory_is_bounded_by_the_capacity():
    """However much is told, no more logs wait than the capacity, and all that came is accounted for."""
    async with told_by_test() as (teller, stream):
        await teller.tell("logs", *(log(block) for block in range(2000)))
        await until(lambda: stream.counts.received == 2000)
        hints = await stream.wait(1.0)
        assert len(hints.logs) == 8
        assert stream.counts.lagged + len(hints.logs) == stream.counts.received
        assert len(stream._missed) <= 2000
        stream.polled(2000)
        assert not stream._missed


async def test_a_gap_between_heads_is_noticed():
    """A block that was not told is a gap; it is counted, and the poll reads it all the same."""
    async with told_by_test() as (teller, stream):
        await teller.tell("newHeads", head(10), head(11), head(14), head(13))
        await until(lambda: stream.counts.received == 4)
        assert stream.counts.gaps == 2


async def test_a_broken_socket_is_connected_again(chain):
    """After the network came back the subscriptions stand again within five seconds, and blocks are told."""
    async with (
        tcp_proxy(chain.facts.rpc_url) as proxy,
        Stream(websocket(proxy.url), query=QUERY, capacity=8) as stream,
    ):
        await until(lambda: stream.is_connected)
        await proxy.set("refuse")
        await until(lambda: not stream.is_connected)
        await asyncio.sleep(0.5)
        await proxy.set("")
        await until(lambda: stream.is_connected)
        await chain.rpc.call("evm_mine")
        assert (await stream.wait(3.0)).head == await chain.rpc.block_number()
    assert stream.counts.connections == 2


async def test_a_socket_that_falls_silent_is_connected_again():
    """A subscription that says nothing while the poll sees blocks is given up for a new one."""
    async with told_by_test(silent_s=0.2) as (teller, stream):
        await teller.tell("newHeads", head(10))
        await until(lambda: stream.counts.received == 1)
        for block in range(11, 40):
            stream.polled(block)
            await asyncio.sleep(0.02)
        await until(lambda: stream.counts.connections == 2)
    assert teller.asked[:4] == ["newHeads", "logs", "newHeads", "logs"]


async def test_a_socket_that_keeps_up_is_kept():
    """A poll that is a block ahead of the socket is no reason to give it up while heads keep coming."""
    async with told_by_test(silent_s=0.1) as (teller, stream):
        for block in range(10, 25):
            await teller.tell("newHeads", head(block))
            await until(lambda seen=block - 9: stream.counts.received == seen)
            stream.polled(block + 1)
            await asyncio.sleep(0.02)
        assert stream.counts.connections == 1


@pytest.mark.parametrize(
    "nonsense",
    [
        "not json",
        "[]",
        "17",
        "[" * 2000,
        '{"params":{}}',
        '{"params":{"subscription":"0xnewHeads","result":{"number":"x"}}}',
    ],
)
async def test_nonsense_breaks_the_socket_and_not_the_run(nonsense):
    """What is no notification ends this connection; another one is made and works."""
    async with told_by_test() as (teller, stream):
        await teller.sockets[-1].send_str(nonsense)
        await until(lambda: stream.counts.connections == 2 and len(teller.sockets) == 2)
        await teller.tell("newHeads", head(5))
        assert (await stream.wait(3.0)).head == 5


async def test_a_refused_subscription_is_polled_around(caplog):
    """A node without eth_subscribe is asked again at a growing pause; its words carry no secret."""
    refusal = {"error": {"code": -32601, "message": "no topsecret for you"}}
    with caplog.at_level(logging.INFO):
        async with serving(lambda *_: refusal) as url, Stream(url, query=QUERY, capacity=8) as stream:
            await until(lambda: "no subscription to newHeads" in caplog.text)
            assert not stream.is_connected
            assert "topsecret" not in f"{stream!r}"
    assert "topsecret" not in caplog.text


async def test_no_message_larger_than_the_limit_is_taken():
    """A message of five megabytes ends the connection instead of filling memory."""
    async with told_by_test() as (teller, stream):
        with suppress(ConnectionError):
            await teller.sockets[0].send_str("x" * 5_000_000)
        await until(lambda: stream.counts.connections == 2)
        assert stream.counts.received == 0
