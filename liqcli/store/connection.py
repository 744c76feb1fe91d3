"""One way to Redis: every command has a deadline, nothing is retried behind our back, errors are ours."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import (
    ConnectionError as Refused,
)
from redis.exceptions import (
    TimeoutError as TimedOut,
)

from liqcli.errors import ConfigError, LiqError, SecretError, Unreachable, WrongTarget

Client: TypeAlias = Redis | RedisCluster
CONNECTIONS = 16
_HINT = "start one (apt install redis-server), give another with --redis URL, or leave --redis out for the embedded one"

# With RESP3 the greeting itself is refused, in other words than a command would be.
_PASSWORD_WORDS = ("NOAUTH", "WRONGPASS", "already authenticated", "invalid username-password")


async def open_redis(url: str, *, timeout_s: float) -> Redis:
    """Connect and check that it answers; `timeout_s` bounds each command, and none is sent twice.

    Takes redis://, rediss:// (certificate and host name verified) and unix:// URLs. Raises Unreachable when nothing
    answers, SecretError when the password is refused.
    """
    try:
        # Without a Retry of our own the client tries ten times: a 0.5 s deadline becomes 9 s.
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=timeout_s,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError as err:
        raise ConfigError(
            f"{masked(url)} is not a Redis URL: {err}", hint="redis://, rediss:// or unix:///path"
        ) from err
    client = Redis.from_pool(pool)
    try:
        async with answering(client):
            await client.time()
    except LiqError:
        await client.aclose()
        raise
    return client


@asynccontextmanager
async def answering(client: Client) -> AsyncIterator[None]:
    """Turn what Redis or the way to it complains about into a LiqError that names the server, never its password."""
    try:
        yield
    except RedisError as err:
        raise _explain(err, place_of(client)) from err


def masked(url: str) -> str:
    """The URL without user, password and query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def place_of(client: Client) -> str:
    """Where a client connects to, as a URL without password."""
    if isinstance(client, RedisCluster):
        node = client.get_default_node()
        return f"redis://{node.host}:{node.port} (cluster)"
    facts: dict[str, Any] = client.connection_pool.connection_kwargs
    if "path" in facts:
        return f"unix://{facts['path']}"
    scheme = "rediss" if "ssl" in client.connection_pool.connection_class.__name__.lower() else "redis"
    return f"{scheme}://{facts['host']}:{facts.get('port', 6379)}/{facts.get('db') or 0}"


def _explain(err: RedisError, place: str) -> LiqError:
    if isinstance(err, AuthenticationError) or any(word in str(err) for word in _PASSWORD_WORDS):
        return SecretError(f"Redis at {place} refuses the password", hint="put it in the URL: redis://:PASSWORD@host")
    if isinstance(err, BusyLoadingError):
        return Unreachable(f"Redis at {place} is still loading its data", hint="try again in a moment")
    if isinstance(err, TimedOut) or str(err).startswith("Timeout"):
        return Unreachable(f"Redis is not answering at {place} (no reply in time)", hint=_HINT)
    if isinstance(err, Refused):
        return Unreachable(f"Redis is not answering at {place} ({_cause(err)})", hint=_HINT)
    return _refusal(err, place)


def _refusal(err: RedisError, place: str) -> LiqError:
    """The server answered, and said no."""
    if isinstance(err, OutOfMemoryError) or "OOM command not allowed" in str(err):
        return Unreachable(f"Redis at {place} is out of memory and takes no writes", hint="raise its maxmemory")
    if isinstance(err, ReadOnlyError) or "READONLY" in str(err):
        return WrongTarget(f"Redis at {place} is a read-only replica", hint="give the primary with --redis URL")
    if isinstance(err, NoPermissionError) or str(err).startswith("NOPERM"):
        return WrongTarget(f"the user of {place} may not do this: {err}", hint="see `ACL SETUSER` of the server")
    if "WRONGTYPE" in str(err):
        return WrongTarget(
            f"a key of ours at {place} holds another type: {err}",
            hint="another program writes our names; it was left as it is. Use another database: redis://host/1",
        )
    if isinstance(err, ResponseError):
        return Unreachable(f"Redis at {place} refused a command: {err}")
    return Unreachable(f"Redis at {place}: {err}")


def _cause(err: Refused) -> str:
    """The operating system's words where there are some, else the client's."""
    source: BaseException | None = err
    while source is not None:
        if isinstance(source, OSError) and source.errno:
            return os.strerror(source.errno).lower()
        source = source.__cause__ or source.__context__
    return str(err).rstrip(".").lower()
