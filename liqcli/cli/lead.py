"""Before a run on a shared Redis begins: become the market's leader, or stand by until the leader is gone."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from liqcli.config import Settings
from liqcli.tasks import end

if TYPE_CHECKING:
    from liqcli.store.leader import LeaderLease


@asynccontextmanager
async def leading(
    settings: Settings,
    redis_url: str,
    namespace: str,
    *,
    tell: Callable[[str], None],
    warn: Callable[[str], None],
    stop: asyncio.Event,
) -> "AsyncIterator[LeaderLease]":
    """Lead while the block lasts; entering waits for as long as another leads.

    `tell` says whom it waits for. Should another take over (we were cut off from Redis for a lease while the other was
    not), that goes the way of the run's own lines, `warn`, and `stop` is set.
    """
    from liqcli.store.connection import open_redis
    from liqcli.store.leader import LeaderLease

    redis = await open_redis(redis_url, timeout_s=settings.redis.timeout_s)
    lease = LeaderLease(redis, namespace=namespace)

    def lost(why: str) -> None:
        warn(f"{why}: ending this run")
        stop.set()

    try:
        await lease.stand_by(tell)
        keeping = asyncio.create_task(lease.keep(lost))
        try:
            yield lease
        finally:
            await end([keeping])
            await lease.release()
    finally:
        await redis.aclose()
