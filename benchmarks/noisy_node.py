"""A node in a crash: what it answers is the real node's, but for logs, to which thousands a block are added.

The added ones are `Supply` events of people whom the book knows. They move no balance, so the book stays exact; each
has to be received, decoded and weighed like any other.
"""

import json
import multiprocessing
import random
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import accumulate
from multiprocessing.connection import Connection
from typing import Any

from aiohttp import ClientSession, web

from liqcli.chain.topics import SUPPLY
from liqcli.model import Address

FIRST_INDEX = 100_000
"""Above every log index of a real block here."""
_PATTERNS = 8
_KEPT_BLOCKS = 16


@contextmanager
def noisy_node(upstream: str, *, pool: Address, asset: Address, people: Sequence[Address], logs: int) -> Iterator[str]:
    """The URL of a node with so many logs more a block than `upstream` has, from the block of `bench_from` on."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    options = {"pool": pool, "asset": asset, "people": tuple(people), "logs": logs}
    process = context.Process(target=_serve, args=(theirs, upstream, options), daemon=True)
    process.start()
    theirs.close()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()
        process.join()


class _Noise:
    """The added logs as text, a block at a time; the same few patterns of people come again."""

    def __init__(self, *, pool: Address, asset: Address, people: Sequence[Address], logs: int) -> None:
        dice, self.logs = random.Random(3), logs
        weights = list(accumulate((number + 1) ** -0.9 for number in range(len(people))))
        heads = {who: _head(pool, asset, who) for who in people}
        self._patterns = [
            [heads[who] for who in dice.choices(people, cum_weights=weights, k=logs)] for _ in range(_PATTERNS)
        ]
        self.of_block = lru_cache(_KEPT_BLOCKS)(self._of_block)

    def _of_block(self, number: int, block_hash: str, timestamp: str) -> str:
        tail = f'"blockHash":"{block_hash}","blockNumber":"{number:#x}","blockTimestamp":"{timestamp}",'
        pattern = self._patterns[number % _PATTERNS]
        return ",".join(
            f'{head}{tail}"transactionHash":"0x{number * self.logs + nth:064x}","logIndex":"{FIRST_INDEX + nth:#x}"}}'
            for nth, head in enumerate(pattern)
        )


class _Gateway:
    """Passes requests on, and adds the noise to what tells of supplies."""

    def __init__(self, upstream: str, noise: _Noise) -> None:
        self._upstream = upstream
        self._noise = noise
        self._first: int | None = None

    async def opened(self, _: web.Application) -> AsyncIterator[None]:
        """One session for the life of the server."""
        async with ClientSession(headers={"content-type": "application/json"}) as self._session:
            yield

    async def answer(self, request: web.Request) -> web.Response:
        """One request, or a batch."""
        body = await request.read()
        if b"bench_from" in body:
            asked = json.loads(body)
            self._first = asked["params"][0]
            return web.json_response({"jsonrpc": "2.0", "id": asked["id"], "result": True})
        if self._first is None or SUPPLY.encode() not in body:
            return web.Response(body=await self._forward(body), content_type="application/json")
        asked, answers = json.loads(body), json.loads(await self._forward(body))
        if isinstance(asked, list):
            text = f"[{','.join([await self._told(*pair) for pair in zip(asked, answers, strict=True)])}]"
        else:
            text = await self._told(asked, answers)
        return web.Response(text=text, content_type="application/json")

    async def _told(self, asked: Mapping[str, Any], answer: Mapping[str, Any]) -> str:
        if asked["method"] != "eth_getLogs" or "result" not in answer or self._first is None:
            return json.dumps(answer)
        first, last = (int(asked["params"][0][name], 16) for name in ("fromBlock", "toBlock"))
        head = int(await self._asked("eth_blockNumber"), 16)
        parts = [json.dumps(answer["result"])[1:-1]]
        for number in range(max(first, self._first), min(last, head) + 1):
            block = await self._asked("eth_getBlockByNumber", hex(number), False)  # noqa: FBT003  the RPC's own
            parts.append(self._noise.of_block(number, block["hash"], block["timestamp"]))
        return f'{{"jsonrpc":"2.0","id":{json.dumps(answer["id"])},"result":[{",".join(filter(None, parts))}]}}'

    async def _asked(self, method: str, *params: Any) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        return json.loads(await self._forward(body))["result"]

    async def _forward(self, body: bytes) -> bytes:
        async with self._session.post(self._upstream, data=body) as answer:
            return await answer.read()


def _head(pool: Address, asset: Address, who: Address) -> str:
    """A log up to what depends on its block."""
    topics = (SUPPLY, _word(asset), _word(who), "0x" + "0" * 64)
    quoted = '","'.join(topics)
    data = _word(who) + f"{10**6:064x}"
    return f'{{"address":"{pool}","topics":["{quoted}"],"data":"{data}","transactionIndex":"0x0","removed":false,'


def _word(address: Address) -> str:
    return "0x" + "0" * 24 + address[2:]


def _serve(pipe: Connection, upstream: str, options: dict[str, Any]) -> None:
    """Answer until the parent ends this process."""
    gateway = _Gateway(upstream, _Noise(**options))
    app = web.Application(client_max_size=2**26)
    app.cleanup_ctx.append(gateway.opened)
    app.router.add_post("/", gateway.answer)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        pipe.send(listening.getsockname()[1])
        web.run_app(app, sock=listening, print=None, access_log=None)
