"""kill -9 of workers that hold leases."""

import asyncio
import multiprocessing
import os
import random
from multiprocessing.process import BaseProcess

import pytest
from redis.asyncio import Redis

from liqcli.sandbox.valkey import Valkey
from liqcli.store.queue import BorrowerQueue
from tests.store import worker
from tests.store.conftest import entry

LONG = os.environ.get("LIQ_LONG") == "1"
KILLS = 1000 if LONG else 200
BORROWERS = 20_000
WORKERS = 3


@pytest.mark.timeout(600)
async def test_killed_workers_lose_nothing(valkey: Valkey, redis: Redis) -> None:
    """200 kills (1,000 with LIQ_LONG=1) while 20,000 borrowers are worked off and 10 % come again: 0 lost, 0 twice."""
    queue = BorrowerQueue(redis, namespace=worker.NAMESPACE, lease_s=worker.LEASE_S)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.store.worker"])
    await queue.push([entry(number) for number in range(BORROWERS)])
    dice = random.Random(5)
    workers = [_start(context, valkey.url) for _ in range(WORKERS)]
    for kill in range(KILLS):
        await asyncio.sleep(dice.uniform(0.005, 0.03))
        await _somebody_works(redis)
        victim = workers.pop(0)
        victim.kill()
        victim.join()
        victim.close()
        workers.append(_start(context, valkey.url))
        if kill % 10 == 0:
            await queue.push([entry(dice.randrange(BORROWERS)) for _ in range(BORROWERS * 10 // KILLS // 10)])
    await _drained(queue)
    for last in workers:
        last.kill()
        last.join()
        last.close()
    assert await redis.scard(worker.SEEN) == BORROWERS
    assert int(await redis.get(worker.DOUBLES) or 0) == 0
    assert (await queue.stats()).totals["expired"] > 0


async def _somebody_works(redis: Redis) -> None:
    """On a busy machine a new worker may need longer to its first claim than we wait before a kill."""
    for _ in range(20):
        if await redis.hlen(worker.HOLDERS):
            return
        await asyncio.sleep(0.01)


async def _drained(queue: BorrowerQueue) -> None:
    stats = await queue.stats()
    while stats.items or stats.leased:
        await asyncio.sleep(0.05)
        stats = await queue.stats()


def _start(context: multiprocessing.context.ForkServerContext, url: str) -> BaseProcess:
    process = context.Process(target=worker.main, args=(url,), daemon=True)
    process.start()
    return process
