"""Small real HTTP servers on loopback that misbehave as nodes do."""

import asyncio
import json
from contextlib import asynccontextmanager

import aiohttp


def http(body, *, status="200 OK", headers=(), length=None):
    """A raw HTTP answer; `length` lies about the body's."""
    payload = body if isinstance(body, bytes) else body.encode()
    fields = [f"Content-Length: {len(payload) if length is None else length}", "Connection: close", *headers]
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, "", ""]).encode() + payload


def rpc(**facts):
    """A JSON-RPC answer object."""
    return {"jsonrpc": "2.0", **facts}


@asynccontextmanager
async def node(respond):
    """A server whose `respond(request)`, plain or async, gives the raw HTTP answer to a JSON request (None: never).

    Yields its URL and the list of requests it got.
    """
    requests = []
    connections = set()

    async def serve(reader, writer):
        connections.add(asyncio.current_task())
        try:
            request = await _read_request(reader)
            requests.append(request)
            answer = respond(request)
            if asyncio.iscoroutine(answer):
                answer = await answer
            if answer is None:
                await reader.read()
            else:
                writer.write(answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            connections.discard(asyncio.current_task())
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", requests
        pending = [*connections]
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


@asynccontextmanager
async def relay(upstream, refuse):
    """A real node seen through a bad gateway: `refuse(request)` gives a raw HTTP answer, or None to pass it on."""
    async with aiohttp.ClientSession() as session:

        async def respond(request):
            refusal = refuse(request)
            if refusal is not None:
                return refusal
            async with session.post(upstream, json=request) as answer:
                return http(await answer.read())

        async with node(respond) as (url, requests):
            yield url, requests


async def _read_request(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = next(int(line.split(":")[1]) for line in head.split("\r\n") if line.startswith("content-length"))
    return json.loads(await reader.readexactly(length))


def in_turn(*answers):
    """A `respond` that gives these answers one after the other, then the last for ever."""
    left = list(answers)

    def respond(request):
        answer = left.pop(0) if len(left) > 1 else left[0]
        return answer(request) if callable(answer) else answer

    return respond


def good(result):
    """A `respond` that answers every request with this result."""

    def respond(request):
        if isinstance(request, list):
            return http(json.dumps([rpc(id=item["id"], result=result) for item in request]))
        return http(json.dumps(rpc(id=request["id"], result=result)))

    return respond
