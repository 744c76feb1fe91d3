"""The page: /healthz, /readyz, /metrics and /status.json, in a thread of its own, so that a stuck loop shows."""

import asyncio
import hmac
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from liqcli.errors import ConfigError
from liqcli.forms import host_and_port
from liqcli.ops.metrics import exposition, registry_of
from liqcli.ops.standing import Standing

_STARTED_S = 5.0
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


@contextmanager
def serving(standing: Standing, address: str, *, token: str | None) -> Iterator[str]:
    """Serve while the block lasts and yield the URL; ConfigError when the address cannot be used, or needs a token."""
    host, port = host_and_port(address)
    if not is_loopback(host) and not token:
        raise ConfigError(
            f"{address} can be reached from other machines, and no token protects it",
            hint="listen on 127.0.0.1, or set http.token_file",
        )
    bound: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = Future()
    serve = _serve(_application(standing, token), host, port, bound)
    thread = threading.Thread(target=asyncio.run, args=(serve,), name="page", daemon=True)
    thread.start()
    try:
        loop, stop, bound_port = bound.result(_STARTED_S)
    except OSError as err:
        raise ConfigError(
            f"cannot listen on {address} ({err.strerror})", hint="is another bot there? --http HOST:PORT"
        ) from err
    try:
        yield f"http://{f'[{host}]' if ':' in host else host}:{bound_port}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(_STARTED_S)


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect; a name other than localhost is taken for reachable."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _names_loopback(host: str) -> bool:
    """Whether a request asks for this machine as itself; what is no host at all does not."""
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False


async def _serve(
    application: web.Application,
    host: str,
    port: int,
    bound: "Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]]",
) -> None:
    stop = asyncio.Event()
    runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as err:
        bound.set_exception(err)
    else:
        bound.set_result((asyncio.get_running_loop(), stop, runner.addresses[0][1]))
        await stop.wait()
    finally:
        await runner.cleanup()


def _application(standing: Standing, token: str | None) -> web.Application:
    registry = registry_of(standing)

    async def healthz(_: web.Request) -> web.Response:
        return _verdict([] if standing.is_alive else standing.problems())

    async def readyz(_: web.Request) -> web.Response:
        return _verdict(standing.problems())

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=exposition(registry), headers={**_HEADERS, "Content-Type": CONTENT_TYPE_LATEST})

    async def status(_: web.Request) -> web.Response:
        facts = {"heartbeat_age_s": round(standing.silent_s, 3), "problems": standing.problems()}
        return _json({"schema_version": 1, **(standing.status or {}), **facts}, 200)

    application = web.Application(middlewares=[_guard(token)], client_max_size=1024)
    application.add_routes(
        [
            web.get("/healthz", healthz),
            web.get("/readyz", readyz),
            web.get("/metrics", metrics),
            web.get("/status.json", status),
        ]
    )
    return application


def _guard(token: str | None) -> Any:
    """With a token, whoever knows it; without, whoever asks this machine by a loopback name (no DNS rebinding)."""

    @web.middleware
    async def guarded(request: web.Request, handler: Any) -> web.StreamResponse:
        if token is not None:
            given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
            if not hmac.compare_digest(given, f"Bearer {token}".encode()):
                raise web.HTTPUnauthorized(headers={**_HEADERS, "WWW-Authenticate": "Bearer"})
        elif not _names_loopback(request.host):
            raise web.HTTPForbidden(headers=_HEADERS, text="ask for it as 127.0.0.1 or localhost\n")
        response: web.StreamResponse = await handler(request)
        return response

    return guarded


def _verdict(problems: list[str]) -> web.Response:
    return _json({"ok": not problems, "problems": problems}, 503 if problems else 200)


def _json(document: dict[str, Any], status: int) -> web.Response:
    return web.json_response(document, status=status, headers=_HEADERS)
