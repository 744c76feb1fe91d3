"""A real node seen through a bad gateway that reads JSON-RPC: chosen methods fail, or their answers are changed."""

import asyncio
import json
from contextlib import asynccontextmanager

import aiohttp

from tests.chain.servers import http, node, rpc

HTML = "<html><body>Bad Gateway</body></html>"


class BadGateway:
    """Passes requests on to the real node; `fault` names what happens to requests that contain one of `methods`.

    `mangle(method, result)` changes results; `chain_id` is what it says when asked which chain it follows.
    """

    def __init__(self, upstream, session):
        self.upstream = upstream
        self.fault = ""
        self.methods = None
        self.mangle = None
        self.chain_id = None
        self.asked = []
        self.mined = []
        self.delay_s = 0.15
        self.under_way = 0
        self._session = session
        self.url = ""

    def set(self, fault, *methods):
        """Begin a fault for these methods (for all, when none is named), or end it with an empty name."""
        self.fault, self.methods = fault, methods or None

    async def respond(self, request):
        """The raw HTTP answer."""
        calls = request if isinstance(request, list) else [request]
        names = [call["method"] for call in calls]
        self.asked += names
        if self.fault and (self.methods is None or set(names) & set(self.methods)):
            return await FAULTS[self.fault](self, request)
        return await self.forward(request)

    async def forward(self, request):
        """The real node's answer, changed where a test asked for it."""
        self.under_way += 1
        try:
            async with self._session.post(self.upstream, json=request) as answer:
                content = json.loads(await answer.read())
        finally:
            self.under_way -= 1
        pairs = zip(request, content, strict=True) if isinstance(request, list) else [(request, content)]
        for call, item in pairs:
            if call["method"] == "eth_chainId" and self.chain_id is not None:
                item["result"] = hex(self.chain_id)
            elif self.mangle is not None and "result" in item:
                item["result"] = self.mangle(call["method"], item["result"])
        return http(json.dumps(content))


async def _slow(gateway, request):
    await asyncio.sleep(gateway.delay_s)
    return await gateway.forward(request)


async def _silent(gateway, request):
    """The node does what it was asked, and its answer is lost."""
    await gateway.forward(request)


async def _cut(gateway, request):
    whole = await gateway.forward(request)
    return whole[: -len(whole) // 4]


async def _limited(_, request):
    error = {"code": -32005, "message": "rate limit exceeded"}
    calls = request if isinstance(request, list) else [request]
    answers = [rpc(id=call["id"], error=error) for call in calls]
    return http(json.dumps(answers if isinstance(request, list) else answers[0]))


async def _too_many(*_):
    return http("slow down", status="429 Too Many Requests", headers=["Retry-After: 1"])


async def _html(*_):
    return http(HTML, status="502 Bad Gateway")


async def _closed(*_):
    return b""


async def _blackhole(*_):
    return None


FAULTS = {
    "blackhole": _blackhole,
    "slow": _slow,
    "answer lost": _silent,
    "429": _too_many,
    "502": _html,
    "cut": _cut,
    "closed": _closed,
    "-32005": _limited,
}


@asynccontextmanager
async def bad_gateway(upstream):
    """A gateway in front of the node at `upstream`; a healthy one until told otherwise."""
    async with aiohttp.ClientSession() as session:
        gateway = BadGateway(upstream, session)
        async with node(gateway.respond) as (gateway.url, _):
            yield gateway
