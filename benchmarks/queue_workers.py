"""Claim and done by several worker processes, on one server and on a cluster: `python -m benchmarks.queue_workers`.

A worker is a process with as many claims under way at once as `liq worker` has by default, 4 of 50 borrowers each. The
reference of a row is one worker on one server in the same run. Workers, server and this program share the machine's
cores: with fewer than six of them the rows with several workers say what the machine gives, not what the queue could.
"""

import argparse
import asyncio
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.figure import figure
from benchmarks.queue import entries_for, work_off
from liqcli.sandbox.cluster import start_cluster
from liqcli.sandbox.valkey import start_valkey
from liqcli.store.connection import open_redis
from liqcli.store.queue import BorrowerQueue, namespace_of

NAMESPACE = namespace_of(999, "workers")
READY_S = 3.0


async def main(count: int) -> bool:
    """Print a row for each number of workers and kind of server; true when one worker reaches its target."""
    with tempfile.TemporaryDirectory() as directory:
        server = await start_valkey(Path(directory) / "one", persist=False)
        alone = await _rates("one_node", server.url, count, reference=None)
        await server.stop()
        cluster = await start_cluster(Path(directory) / "cluster")
        await _rates("cluster", cluster.url, count, reference=alone)
        await cluster.stop()
    return alone >= 25_000


async def _rates(where: str, url: str, count: int, *, reference: float | None) -> float:
    """A row for 1, 2 and 4 workers; returns the first."""
    first = 0.0
    for workers in (1, 2, 4):
        await _fill(url, count)
        rate = await asyncio.to_thread(_worked_off, url, workers)
        first = first or rate
        facts = {"target": 25_000.0, "of": "value"} if reference is None and workers == 1 else {}
        figure(f"workers_{workers}_{where}", rate, "borrowers/s", reference=reference or first, **facts)  # type: ignore[arg-type]
    return first


async def _fill(url: str, count: int) -> None:
    redis = await open_redis(url, timeout_s=30.0)
    queue = BorrowerQueue(redis, namespace=NAMESPACE)
    await queue.clear()
    await queue.push(entries_for(count))
    await redis.aclose()


def _worked_off(url: str, workers: int) -> float:
    """All processes begin at one moment; the rate counts until the last of them found nothing more."""
    begin = time.time() + READY_S
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        rows = pool.starmap(_work, [(url, begin)] * workers)
    return sum(taken for taken, _ in rows) / (max(ended for _, ended in rows) - begin)


def _work(url: str, begin: float) -> tuple[int, float]:
    return asyncio.run(_take_all(url, begin))


async def _take_all(url: str, begin: float) -> tuple[int, float]:
    redis = await open_redis(url, timeout_s=30.0)
    queue = BorrowerQueue(redis, namespace=NAMESPACE)
    await asyncio.sleep(max(begin - time.time(), 0))
    total = await work_off(queue)
    ended = time.time()
    await redis.aclose()
    return total, ended


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="a tenth of the borrowers")
    print(f"{os.cpu_count()} cores", file=sys.stderr)
    sys.exit(0 if asyncio.run(main(10_000 if arguments.parse_args().quick else 100_000)) else 1)
