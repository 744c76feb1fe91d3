"""One way to Redis: every command has a deadline, nothing is retried behind our back, errors are ours."""

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
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
from liqcli.store.direct import DirectPool, DirectRedis
from liqcli.store.sending import CANCELLABLE
from liqcli.text import shown_url

Client: TypeAlias = Redis | RedisCluster
_Opened = TypeVar("_Opened", Redis, RedisCluster)
CONNECTIONS = 16
CLUSTER_CONNECTIONS = 64
"""A node; the cluster client refuses the next one instead of waiting."""
_HINT = "start one (apt install redis-server), give another with --redis URL, or leave --redis out for the embedded one"
_CLUSTER_HINT = "see `CLUSTER NODES` of a node that is up"

# With RESP3 the greeting itself is refused, in other words than a command would be.
_PASSWORD_WORDS = ("NOAUTH", "WRONGPASS", "already authenticated", "invalid username-password")


async def open_redis(url: str, *, timeout_s: float) -> Client:
    """Connect and check that it answers; `timeout_s` bounds each command, and none is sent twice.

    Takes redis://, rediss:// (certificate and host name verified) and unix:// URLs. A node of a cluster opens the whole
    cluster; several, as in redis://a:7000,b:7000, may be named so that one of them may be away. Raises Unreachable when
    nothing answers, SecretError when the password is refused.
    """
    if "," in urlsplit(url).netloc:
        return await _answered(_cluster(url, timeout_s=timeout_s))
    client = _single(url, timeout_s=timeout_s)
    await _answered(client)
    async with answering(client):
        mode = await client.info("cluster")
    if not mode.get("cluster_enabled"):
        return client
    await client.aclose()
    return await _answered(_cluster(url, timeout_s=timeout_s))


@asynccontextmanager
async def answering(client: Client) -> AsyncIterator[None]:
    """Turn what Redis or the way to it complains about into a LiqError that names the server, never its password."""
    try:
        yield
    except RedisClusterException as err:  # not among the RedisErrors: no node that could answer
        raise Unreachable(f"Redis is not answering at {place_of(client)} ({err})", hint=_CLUSTER_HINT) from err
    except RedisError as err:
        raise _explain(err, place_of(client)) from err
    except RuntimeError as err:  # uvloop's word for a socket that was closed since the last command
        if "handler is closed" not in str(err):
            raise
        raise Unreachable(f"Redis is not answering at {place_of(client)} (connection closed)", hint=_HINT) from err


def place_of(client: Client) -> str:
    """Where a client connects to, as a URL without password."""
    if isinstance(client, RedisCluster):
        nodes = sorted(node.name for node in client.nodes_manager.startup_nodes.values())
        return f"redis://{','.join(nodes)} (cluster)"
    facts: dict[str, Any] = client.connection_pool.connection_kwargs
    if "path" in facts:
        return f"unix://{facts['path']}"
    scheme = "rediss" if issubclass(client.connection_pool.connection_class, SSLConnection) else "redis"
    return f"{scheme}://{facts['host']}:{facts.get('port', 6379)}/{facts.get('db') or 0}"


def _single(url: str, *, timeout_s: float) -> Redis:
    try:
        # Without a Retry of our own the client tries ten times: a 0.5 s deadline becomes 9 s.
        pool = DirectPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=timeout_s,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
        )
        pool.connection_class(**pool.connection_kwargs)  # its arguments are looked at here, before anything is sent
    except (ValueError, TypeError) as err:
        raise _no_url(url, err) from err
    pool.connection_class = CANCELLABLE[pool.connection_class]
    return DirectRedis.from_pool(pool)


class _Cluster(RedisCluster):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        named = self.nodes_manager.startup_nodes.values()
        made = CANCELLABLE[self.connection_kwargs["connection_class"]]
        self.connection_kwargs["connection_class"] = made  # of the nodes it finds
        for node in named:
            node.connection_class = made

    async def aclose(self) -> None:
        # After a node failed the client counts as not yet initialized, and would leave its connections open.
        self._initialize = False
        await super().aclose()


def _cluster(url: str, *, timeout_s: float) -> RedisCluster:
    parts = urlsplit(url)
    login, at, hosts = parts.netloc.rpartition("@")
    try:
        first, *others = [
            _connection_of(parts._replace(netloc=f"{login}{at}{host}").geturl()) for host in hosts.split(",")
        ]
    except ValueError as err:
        raise _no_url(url, err) from err
    return _Cluster(
        startup_nodes=[ClusterNode(node["host"], node.get("port", 6379)) for node in (first, *others)],
        username=first.get("username"),
        password=first.get("password"),
        ssl=first.get("connection_class") is SSLConnection,
        max_connections=CLUSTER_CONNECTIONS,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        require_full_coverage=False,
    )


def _connection_of(url: str) -> dict[str, Any]:
    return {"host": "localhost", **parse_url(url)}


async def _answered(client: _Opened) -> _Opened:
    try:
        async with answering(client):
            await client.time()
    except LiqError:
        await client.aclose()
        raise
    return client


def _no_url(url: str, err: Exception) -> ConfigError:
    """What is wrong with its query; of anything else the client's words may hold a part of the password."""
    told = str(err)
    unknown = re.search(r"unexpected keyword argument ('\w+')", told)
    why = f": {told}" if "in connection URL" in told else f": no {unknown[1]} is known" if unknown else ""
    return ConfigError(
        f"{shown_url(url)} is not a Redis URL{why}", hint="redis://host:6379/0, rediss:// or unix:///path"
    )


def _explain(err: RedisError, place: str) -> LiqError:
    if isinstance(err, AuthenticationError) or any(word in str(err) for word in _PASSWORD_WORDS):
        return SecretError(f"Redis at {place} refuses the password", hint="put it in the URL: redis://:PASSWORD@host")
    if "DB index is out of range" in str(err):
        return WrongTarget(
            f"{place} has no such database: {err}",
            hint="a server has the databases 0 to 15 unless it was set up with more (`databases` of its configuration)",
        )
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
        return Unreachable(f"Redis at {place} is a read-only replica", hint="give the primary with --redis URL")
    if isinstance(err, NoPermissionError) or str(err).startswith("NOPERM"):
        return WrongTarget(f"the user of {place} may not do this: {err}", hint="see `ACL SETUSER` of the server")
    if "WRONGTYPE" in str(err):
        return Unreachable(  # it may be gone at the next try
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
