"""Redis: what it is, whether it forgets, whose clock it has, and whether somebody else writes there."""

import asyncio
from collections.abc import AsyncIterator
from subprocess import PIPE

from liqcli.lock import holder_of
from liqcli.ops.checks.finding import Check, Scope, fail, ok, skip, warn
from liqcli.sandbox.valkey import find_valkey
from liqcli.store.connection import Client, open_redis
from liqcli.store.leader import LeaderLease
from liqcli.store.queue import BorrowerQueue, namespace_of
from liqcli.store.survey import Server, survey
from liqcli.text import safe

_TIMEOUT_S = 2.0
_SLOW_MS = 20.0
_SKEW_S = 2.0
_NO_EVICTION = "noeviction"


async def check(scope: Scope) -> AsyncIterator[Check]:
    """The server that the bot would use."""
    if scope.redis_url is None:
        yield await _embedded()
        return
    redis = await open_redis(scope.redis_url, timeout_s=min(_TIMEOUT_S, scope.settings.redis.timeout_s))
    try:
        async for found in _server(scope, redis):
            yield found
    finally:
        await redis.aclose()


async def _embedded() -> Check:
    """The server we bring along starts on this machine."""
    asked = await asyncio.create_subprocess_exec(str(find_valkey()), "--version", stdout=PIPE, stderr=PIPE)
    answer, complaint = await asked.communicate()
    if asked.returncode != 0:
        return fail(
            "redis", f"the embedded Valkey does not start: {safe(complaint.decode(errors='replace'))}", "--redis URL"
        )
    version = answer.decode(errors="replace").partition("v=")[2].split(" ")[0]
    return ok("redis", f"embedded Valkey {safe(version, limit=20)}, append-only, in the data directory")


async def _server(scope: Scope, redis: Client) -> AsyncIterator[Check]:
    namespace = namespace_of(scope.chain_id or 0, scope.market)
    server = await survey(redis, namespace=namespace)
    told = f"{server.product} {server.version} · {server.latency_ms:.1f} ms"
    if server.latency_ms > _SLOW_MS:
        yield warn("redis", told, "run it closer: every claim is a round trip")
    else:
        yield ok("redis", told)
    yield _eviction(server)
    yield _persistence(server, is_sandbox=scope.is_sandbox)
    yield _clock(server)
    yield await _writers(scope, redis, server, namespace)


def _eviction(server: Server) -> Check:
    if server.policy == _NO_EVICTION:
        return ok("redis memory", _NO_EVICTION)
    told = f"maxmemory-policy {safe(server.policy, limit=30)}: the queue can be evicted"
    fix = "CONFIG SET maxmemory-policy noeviction"
    return (
        fail("redis memory", told, fix)
        if server.maxmemory
        else warn("redis memory", f"{told} once maxmemory is set", fix)
    )


def _persistence(server: Server, *, is_sandbox: bool) -> Check:
    if server.keeps_log:
        return ok("redis disk", "append-only file")
    if is_sandbox:
        return skip("redis disk", "nothing is kept: the sandbox's queue ends with it")
    fix = "CONFIG SET appendonly yes"
    if server.keeps_snapshots:
        return warn(
            "redis disk", "snapshots only: a crash loses the queue's last minutes; the chain restores them", fix
        )
    return warn("redis disk", "nothing is kept: a crash loses the queue; the chain restores it", fix)


def _clock(server: Server) -> Check:
    told = f"{server.skew_s:+.3f} s to this machine"
    if abs(server.skew_s) > _SKEW_S:
        return warn("redis clock", told, "leases count by Redis's clock; timedatectl set-ntp true on both")
    return ok("redis clock", told)


async def _writers(scope: Scope, redis: Client, server: Server, namespace: str) -> Check:
    """Another bot's lease, another program's keys."""
    other = "another database keeps them apart: redis://host:6379/1"
    if server.strangers:
        return fail(
            "redis writers", f"{', '.join(server.strangers)} is not ours: another program writes our names", other
        )
    stats = await BorrowerQueue(redis, namespace=namespace).stats()
    if thrown := stats.totals.get("foreign", 0):
        return warn("redis writers", f"{thrown:,} members that were no borrowers were thrown out", other)
    leader = await LeaderLease(redis, namespace=namespace).leader()
    running = holder_of(scope.settings.data_dir, "run") or {}
    own, queued = str(running.get("pid")), f"{stats.items:,} borrowers queued"
    if leader is None or leader.ends_in_s <= 0:
        if running.get("redis_url") == scope.redis_url:  # one that a bot started for itself needs no lease
            return ok("redis writers", f"the bot of pid {own} has it to itself; {queued}")
        return ok("redis writers", f"no bot leads this market here; {queued}")
    if own in leader.owner.split(":"):
        return ok("redis writers", f"the bot of pid {own} leads; {queued}")
    return warn(
        "redis writers", f"{safe(leader.owner, limit=80)} leads this market", "a second bot here would stand by"
    )
