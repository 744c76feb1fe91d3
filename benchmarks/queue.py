"""The queue beside the server's own ZADD: `python -m benchmarks.queue [--quick]`.

The reference for pushing is the server's ZADD with one client at the same pipeline depth, over the same socket and in
the same run: members a second, each a command with nothing but a score, beside our borrowers a second, looked up,
ranked and stored with their facts, with as many in flight. redis-benchmark sends them where it is on the PATH, else a
stand-in that sends commands packed beforehand; both are printed. Rounds alternate and the best of each counts. The
event loop is the one that `liq run` takes: uvloop where it is installed.
"""

import argparse
import asyncio
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.figure import figure
from liqcli.cli.loop import run_loop
from liqcli.config import load_settings
from liqcli.model import WAD, Tier
from liqcli.sandbox.valkey import Valkey, start_valkey
from liqcli.store.connection import open_redis
from liqcli.store.entries import pack_address
from liqcli.store.queue import BorrowerQueue, Entry, namespace_of

ROUNDS = 5
DEPTHS = (100, 1000)
PUSHES = 2
"""Pushes under way at once, half of the depth each: we pack one while the server works on the other."""
TIERS = list(Tier)
WORKER = load_settings({})
BATCH = WORKER.tiers.critical.batch


async def main(count: int) -> bool:
    """Measure and print everything; true when every target is met."""
    entries = entries_for(count)
    with tempfile.TemporaryDirectory() as directory:
        async with serving(Path(directory) / "memory", persist=False) as server:
            results = [await _push(server, entries, depth) for depth in DEPTHS]
            results += [await _work(server, entries, 1, batch, "memory") for batch in (1, 10, 50, 200, 1000)]
            results.append(await _work(server, entries, WORKER.workers, BATCH, "memory"))
            results.append(await _memory(server, entries))
        async with serving(Path(directory) / "disk", persist=True) as server:
            results.append(await _work(server, entries, 1, BATCH, "appendfsync everysec"))
    return all(results)


def entries_for(count: int) -> list[Entry]:
    """Borrowers of all tiers, the same at every run."""
    dice = random.Random(1)
    return [
        Entry(
            f"0x{dice.getrandbits(160):040x}", dice.random(), dice.choice(TIERS), dice.randrange(WAD, 2 * WAD), "borrow"
        )
        for _ in range(count)
    ]


@asynccontextmanager
async def serving(directory: Path, *, persist: bool) -> AsyncIterator[Valkey]:
    """A server of the benchmark's own."""
    server = await start_valkey(directory, persist=persist)
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def queue_on(server: Valkey) -> AsyncIterator[BorrowerQueue]:
    """An empty queue on it."""
    redis = await open_redis(server.url, timeout_s=30.0)
    await redis.execute_command("FLUSHDB", "SYNC")
    yield BorrowerQueue(redis, namespace=namespace_of(999, "benchmark"))
    await redis.aclose()


async def _push(server: Valkey, entries: list[Entry], depth: int) -> bool:
    """Push of new borrowers, and of known ones (merging), beside ZADD at the same depth."""
    best = dict.fromkeys(("redis-benchmark", "stand-in", "variadic", "one", "push", "merge"), 0.0)
    for _ in range(ROUNDS):
        async with queue_on(server) as queue:
            best["redis-benchmark"] = max(best["redis-benchmark"], _benchmark_rate(server, len(entries), depth))
            best["stand-in"] = max(best["stand-in"], _packed_rate(server, [_zadd(entry) for entry in entries], depth))
            best["variadic"] = max(best["variadic"], await _variadic_rate(server, entries, depth))
            best["one"] = max(best["one"], await _push_rate(queue, entries, depth, pushes=1))
        async with queue_on(server) as queue:
            best["push"] = max(best["push"], await _push_rate(queue, entries, depth, pushes=PUSHES))
            best["merge"] = max(best["merge"], await _push_rate(queue, entries, depth, pushes=PUSHES))
    zadd = best["redis-benchmark"] or best["stand-in"]
    for client in ("redis-benchmark", "stand-in"):
        figure(f"zadd_{depth} by {client}", best[client], "members/s", reference=zadd)
    figure(f"zadd_variadic_redis_py_{depth}", best["variadic"], "members/s", reference=zadd)
    figure(f"push_known_{depth}", best["merge"], "borrowers/s", reference=zadd)
    figure(f"push_{depth}_in_one_call", best["one"], "borrowers/s", reference=zadd)
    return figure(f"push_{depth}", best["push"], "borrowers/s", reference=zadd, target=0.8)


async def _push_rate(queue: BorrowerQueue, entries: list[Entry], depth: int, *, pushes: int) -> float:
    size = depth // pushes
    pages = (entries[first : first + size] for first in range(0, len(entries), size))

    async def lane() -> None:
        for page in pages:
            await queue.push(page)

    started = time.perf_counter()
    await asyncio.gather(*(lane() for _ in range(pushes)))
    return len(entries) / (time.perf_counter() - started)


async def _variadic_rate(server: Valkey, entries: list[Entry], depth: int) -> float:
    redis = await open_redis(server.url, timeout_s=30.0)
    pairs = [(entry.score, pack_address(entry.borrower)) for entry in entries]
    started = time.perf_counter()
    for first in range(0, len(pairs), depth):
        batch = [arg for pair in pairs[first : first + depth] for arg in pair]
        await redis.execute_command("ZADD", "raw:variadic", *batch)
    elapsed = time.perf_counter() - started
    await redis.aclose()
    return len(pairs) / elapsed


def _benchmark_rate(server: Valkey, count: int, depth: int) -> float:
    """The server's own program; 0 where it is not installed."""
    program = shutil.which("redis-benchmark")
    if program is None:
        return 0.0
    argv = [program, "-s", str(server.socket), "-c", "1", "-P", str(depth), "-n", str(count), "--csv"]
    argv += ["-r", "100000000", "ZADD", "raw", "__rand_int__", "address:__rand_int__"]
    row = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
    return float(row.split(",")[1].strip('"'))


def _zadd(entry: Entry) -> bytes:
    score, member = b"%.6f" % entry.score, pack_address(entry.borrower)
    return b"*4\r\n$4\r\nZADD\r\n$3\r\nraw\r\n$%d\r\n%b\r\n$20\r\n%b\r\n" % (len(score), score, member)


def _packed_rate(server: Valkey, commands: list[bytes], depth: int) -> float:
    """Send `depth` commands, read `depth` replies of 4 bytes, again and again."""
    batches = [b"".join(commands[first : first + depth]) for first in range(0, len(commands), depth)]
    with socket.socket(socket.AF_UNIX) as wire:
        wire.connect(str(server.socket))
        started = time.perf_counter()
        for batch in batches:
            wire.sendall(batch)
            missing = 4 * depth
            while missing > 0:
                missing -= len(wire.recv(65536))
        return len(commands) / (time.perf_counter() - started)


async def _work(server: Valkey, entries: list[Entry], lanes: int, batch: int, where: str) -> bool:
    """Claim and done by one process, this many claims under way at once, until the queue is empty."""
    best = 0.0
    for _ in range(ROUNDS):
        async with queue_on(server) as queue:
            await queue.push(entries[: 5000 * batch])
            started = time.perf_counter()
            taken = await work_off(queue, lanes=lanes, batch=batch)
            best = max(best, taken / (time.perf_counter() - started))
    name, target = f"claim_done_{batch}" + (f"_by_{lanes}" if lanes > 1 else ""), 25_000.0 if batch >= BATCH else None
    return figure(f"{name} ({where})", best, "borrowers/s", target=target, of="value")


async def work_off(queue: BorrowerQueue, *, lanes: int = WORKER.workers, batch: int = BATCH) -> int:
    """What a worker does that has nothing to do, as many claims at once as `liq worker` has, until nothing is left."""
    return sum(await asyncio.gather(*(_lane(queue, batch) for _ in range(lanes))))


async def _lane(queue: BorrowerQueue, batch: int) -> int:
    total = 0
    while claims := await queue.claim(batch):
        total += len(await queue.done(claims))
    return total


async def _memory(server: Valkey, entries: list[Entry]) -> bool:
    redis = await open_redis(server.url, timeout_s=30.0)
    async with queue_on(server) as queue:
        before = (await redis.info("memory"))["used_memory"]
        await queue.push(entries)
        after = (await redis.info("memory"))["used_memory"]
    await redis.aclose()
    return figure("memory", (after - before) / len(entries), "bytes/borrower")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="a tenth of the borrowers")
    sys.exit(0 if run_loop(main(10_000 if arguments.parse_args().quick else 100_000)) else 1)
