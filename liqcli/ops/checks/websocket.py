"""The websocket endpoint: whether it takes subscriptions, and is of the same chain."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from liqcli.chain.abi import quantity
from liqcli.chain.answers import json_in
from liqcli.chain.urls import secrets_in, without_secrets
from liqcli.errors import Unreachable
from liqcli.ops.checks.finding import Check, Scope, fail, ok, skip, warn
from liqcli.text import shown_url

_CONNECT_S = 3.0


async def check(scope: Scope) -> AsyncIterator[Check]:
    """eth_subscribe works; a bot without it polls."""
    url = scope.settings.rpc.ws_url
    if url is None or scope.is_sandbox:
        every = f"{scope.settings.rpc.poll_interval_s:g} s"
        yield skip("ws", f"none set: the head is polled every {every}", 'rpc.ws_url = "wss://..." saves waiting')
        return
    try:
        chain_id = await _subscribe(url)
    except (aiohttp.ClientError, OSError, TimeoutError, Unreachable, ValueError) as err:
        told = without_secrets(str(err) or type(err).__name__, secrets_in(url))
        yield warn("ws", f"{shown_url(url)}: {told}", "polling goes on without it; leave rpc.ws_url away")
        return
    if scope.chain_id not in (chain_id, None):
        yield fail(
            "ws", f"{shown_url(url)} is chain {chain_id}, not {scope.chain_id}", "set rpc.ws_url to the same chain"
        )
        return
    yield ok("ws", f"{shown_url(url)} takes subscriptions")


async def _subscribe(url: str) -> int:
    """The chain id of a socket that took a subscription."""
    timeout = aiohttp.ClientWSTimeout(ws_receive=_CONNECT_S, ws_close=1.0)
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_CONNECT_S)) as session,
        session.ws_connect(url, timeout=timeout) as socket,
    ):
        await _ask(socket, "eth_subscribe", ["newHeads"])
        return quantity(await _ask(socket, "eth_chainId", []))


async def _ask(socket: aiohttp.ClientWebSocketResponse, method: str, params: list[Any]) -> Any:
    await socket.send_json({"jsonrpc": "2.0", "id": method, "method": method, "params": params})
    while True:
        answer = json_in(await socket.receive_str())
        if not isinstance(answer, dict):
            raise Unreachable("an answer that is no object")
        if answer.get("id") == method:
            break
    if "result" not in answer:
        raise Unreachable(f"{method}: {answer.get('error')}")
    return answer["result"]
