"""What a Redis server says of itself, as far as the queue depends on it."""

import time
from dataclasses import dataclass
from typing import Any

from redis.asyncio.cluster import RedisCluster
from redis.exceptions import NoPermissionError

from liqcli.store.connection import Client, answering
from liqcli.store.shard import clock_beside, milliseconds

_PINGS = 5
_OUR_TYPES = {"{%s:s0}:queue": b"zset", "{%s:leader}": b"hash"}


@dataclass(frozen=True, slots=True)
class Server:
    """Facts of one server; `skew_s` is its clock minus ours, `strangers` are names of ours that hold another type."""

    product: str
    version: str
    policy: str
    maxmemory: int
    keeps_log: bool
    keeps_snapshots: bool
    latency_ms: float
    skew_s: float
    strangers: tuple[str, ...]


async def survey(redis: Client, *, namespace: str) -> Server:
    """Ask it; of a cluster, the node that holds the market's first shard answers for all. Changes nothing."""
    async with answering(redis):
        facts = await _info(redis)
        latency_ms, skew_s = await _clock(redis, namespace)
        strangers = [name for name in await _types(redis, namespace) if name]
        snapshots = await _snapshots(redis, facts)
    is_valkey = "valkey_version" in facts
    return Server(
        product="Valkey" if is_valkey else "Redis",
        version=str(facts["valkey_version" if is_valkey else "redis_version"]),
        policy=str(facts.get("maxmemory_policy", "unknown")),
        maxmemory=int(facts.get("maxmemory", 0)),
        keeps_log=bool(facts.get("aof_enabled")),
        keeps_snapshots=snapshots,
        latency_ms=latency_ms,
        skew_s=skew_s,
        strangers=tuple(strangers),
    )


async def _info(redis: Client) -> dict[str, Any]:
    if isinstance(redis, RedisCluster):
        found: dict[str, Any] = await redis.info(target_nodes=redis.get_default_node())
        return found
    return dict(await redis.info())


async def _clock(redis: Client, namespace: str) -> tuple[float, float]:
    """The quickest of a few round trips in milliseconds, and the server's clock minus ours as that one showed it."""
    best = (float("inf"), 0.0)
    for _ in range(_PINGS):
        before = time.time()
        clock = await redis.execute_command(*clock_beside(redis, f"{{{namespace}:s0}}:clock"))
        after = time.time()
        best = min(best, ((after - before) * 1000, milliseconds(clock) / 1000 - (before + after) / 2))
    return best


async def _types(redis: Client, namespace: str) -> list[str]:
    names = {name % namespace: kind for name, kind in _OUR_TYPES.items()}
    found = {name: await redis.type(name) for name in names}
    return [name for name, kind in found.items() if kind not in (b"none", names[name])]


async def _snapshots(redis: Client, facts: dict[str, Any]) -> bool:
    """Whether it ever saves by itself; who may not read the configuration is judged by the last snapshot."""
    if isinstance(redis, RedisCluster):
        return False
    try:
        return any((await redis.config_get("save")).values())
    except NoPermissionError:
        return bool(facts.get("rdb_saves"))
