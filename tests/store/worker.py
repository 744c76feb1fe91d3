"""A worker that a test kills: claims, marks what it holds, finishes; runs in a process of its own."""

import asyncio
import os

from liqcli.store.connection import open_redis
from liqcli.store.queue import BorrowerQueue

NAMESPACE = "liq:999:killtest:v1"
LEASE_S = 0.4
HOLDERS, SEEN, DOUBLES = "test:holders", "test:seen", "test:doubles"


def main(url: str) -> None:
    """Work until killed."""
    asyncio.run(_work(url))


async def _work(url: str) -> None:
    redis = await open_redis(url, timeout_s=5.0)
    queue = BorrowerQueue(redis, namespace=NAMESPACE, lease_s=LEASE_S, max_tries=1000)
    while True:
        claims = await queue.claim(50)
        if not claims:
            await asyncio.sleep(0.01)
            continue
        async with redis.pipeline(transaction=False) as pipeline:
            for claim in claims:
                pipeline.hget(HOLDERS, claim.borrower)
                pipeline.hset(HOLDERS, claim.borrower, os.getpid())
            replies = await pipeline.execute()
        doubles = [holder for holder in replies[::2] if holder is not None and _is_alive(int(holder))]
        if doubles:
            await redis.incrby(DOUBLES, len(doubles))
        await asyncio.sleep(0.002)
        borrowers = [claim.borrower for claim in claims]
        await redis.sadd(SEEN, *borrowers)
        await redis.hdel(HOLDERS, *borrowers)
        await queue.done(claims)


def _is_alive(pid: int) -> bool:
    """A holder killed in mid-work is no second holder."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
