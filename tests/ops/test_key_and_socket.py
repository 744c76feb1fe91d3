"""What the doctor says of a key's account and of a websocket, asked of nodes that answer as HyperEVM's do."""

import json
from contextlib import asynccontextmanager

import pytest
from aiohttp import WSMsgType, web

from liqcli.config import load_settings
from liqcli.ops.checks import wallet, websocket
from liqcli.ops.checks.finding import Scope
from tests.chain.servers import http, node, rpc

SIGNER = "0x" + "34" * 20
CANARY = "CANARY0123456789"


@pytest.fixture
def scope_of(tmp_path, monkeypatch):
    """A scope with a key, behind the URLs given."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def make(url="http://127.0.0.1:1", ws_url=None):
        settings = load_settings({"data_dir": tmp_path / "data", "rpc": {"url": url, "ws_url": ws_url}})
        return Scope(
            settings=settings,
            origins={},
            files=(),
            key_directories=(),
            rpc_urls=(url,),
            market="hyperlend",
            provider=None,
            chain_id=999,
            exchange=settings.exchange,
            signer=SIGNER,
        )

    return make


@asynccontextmanager
async def account(**facts):
    """A node that knows one account: balance, nonces, and the flag for big blocks."""

    def respond(request):
        method, params = request["method"], request["params"]
        if method == "eth_getTransactionCount":
            return http(json.dumps(rpc(id=request["id"], result=hex(facts[params[1]]))))
        if method not in facts:
            return http(json.dumps(rpc(id=request["id"], error={"code": -32601, "message": "no such method"})))
        return http(json.dumps(rpc(id=request["id"], result=facts[method])))

    sound = {"eth_getBalance": hex(10**18), "eth_gasPrice": hex(10**8), "latest": 7, "pending": 7}
    facts = {**sound, **facts}
    async with node(respond) as (url, _):
        yield url


@pytest.mark.parametrize(
    ("facts", "name", "status", "told"),
    [
        ({}, "wallet", "ok", "liquidations"),
        ({"eth_getBalance": hex(10**17)}, "wallet", "warn", "policy.max_gas_price_gwei"),
        ({"eth_getBalance": hex(10**13)}, "wallet", "fail", "too little for one liquidation"),
        ({"pending": 9}, "nonce", "warn", "2 more wait"),
        ({"pending": 15}, "nonce", "fail", "8 transactions wait"),
        ({"eth_usingBigBlocks": True}, "big blocks", "fail", "one a minute"),
        ({"eth_usingBigBlocks": False}, "big blocks", "ok", "small blocks"),
        ({}, "big blocks", "skip", "does not say"),
    ],
)
async def test_the_account_is_fit_to_send(scope_of, facts, name, status, told):
    """Gas money, waiting nonces, and the kind of block the key goes to."""
    async with account(**facts) as url:
        checks = {check.name: check async for check in wallet.check(scope_of(url))}
    assert checks[name].status == status
    assert told in checks[name].what


@asynccontextmanager
async def socket(answer):
    """A real websocket server; `answer(request)` is what it says to each."""

    async def serve(request):
        channel = web.WebSocketResponse()
        await channel.prepare(request)
        async for message in channel:
            if message.type is WSMsgType.TEXT:
                await channel.send_str(json.dumps({"jsonrpc": "2.0", "method": "eth_subscription", "params": {}}))
                await channel.send_str(answer(json.loads(message.data)))
        return channel

    app = web.Application()
    app.router.add_get("/{path:.*}", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"ws://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/v2/{CANARY}"
    await runner.cleanup()


def answering(chain_id="0x3e7", **refusal):
    """Subscriptions are taken, unless refused, on this chain."""

    def answer(request):
        result = chain_id if request["method"] == "eth_chainId" else "0x1"
        return json.dumps(rpc(id=request["id"], **(refusal or {"result": result})))

    return answer


@pytest.mark.parametrize(
    ("answer", "status", "told"),
    [
        (answering(), "ok", "takes subscriptions"),
        (answering("0x3e6"), "fail", "is chain 998, not 999"),
        (answering(error={"code": -32601, "message": f"not found {CANARY}"}), "warn", "eth_subscribe"),
        (lambda _: "5", "warn", "no object"),
        (lambda _: "<html>", "warn", "ws://127.0.0.1"),
    ],
)
async def test_a_websocket_is_tried(scope_of, answer, status, told):
    """It takes a subscription on our chain; whatever else it says is told without the URL's key."""
    async with socket(answer) as url:
        (check,) = [check async for check in websocket.check(scope_of(ws_url=url))]
    assert (check.status, told in check.what) == (status, True), check.what
    assert CANARY not in check.what + check.fix


async def test_nobody_at_the_websocket_is_a_warning(scope_of):
    """The bot polls without it."""
    (check,) = [check async for check in websocket.check(scope_of(ws_url="ws://127.0.0.1:1/"))]
    assert check.status == "warn"
