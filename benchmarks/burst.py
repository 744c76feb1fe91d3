"""A burst through the whole engine: `python -m benchmarks.burst [--quick]`.

1.4 million logs over 50,000 borrowers, 500 of them near liquidation, wait at a node all at once; the engine reads them,
keeps its book exact and puts whoever is near into the queue on a real server. Then the same burst through the channel
that such bots commonly have, of 512 slots where the newest event overwrites the oldest.

Nothing is lost when every event that the node gave reached the router, and the book's balances are the generator's.
Latency counts from the moment the node began to answer with the log to the moment the server has the borrower in the
queue. Memory is the process's resident set, its greatest during the burst less that before. The event loop is the one
that `liq run` takes: uvloop where it is installed.
"""

import argparse
import asyncio
import gc
import os
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from redis.asyncio import Redis, RedisCluster

from benchmarks.burst_node import ACT_LOGS, ADDRESSES, BLOCK_ACTS, VERSION, Scene, burst_node, digest
from benchmarks.figure import figure
from liqcli.book.follow import Follower
from liqcli.book.mirror import Mirror
from liqcli.book.positions import Book, Identity
from liqcli.bot.channel import Channel
from liqcli.bot.collect import Arrivals
from liqcli.bot.engine import Engine
from liqcli.bot.notes import Note
from liqcli.chain.aggregate import Aggregator
from liqcli.chain.market import Market
from liqcli.chain.rpc import Rpc
from liqcli.cli.loop import run_loop
from liqcli.config import load_settings
from liqcli.model import Address
from liqcli.sandbox.valkey import start_valkey
from liqcli.store.cache import HealthCache
from liqcli.store.connection import open_redis
from liqcli.store.queue import BorrowerQueue, namespace_of

CHAIN, NAME = 999, "burst"
SETTINGS = {"rpc": {"poll_interval_s": 0.02, "max_head_age_s": 1e9}, "tuning": {"audited_per_poll": 0}}
"""The node has no contracts to audit a book against; everything else is as every run has it."""
SLOTS = 512
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
MIB = 2**20


class Watched(Channel[Arrivals]):
    """The engine's own channel, which notes when events of critical borrowers were dealt with."""

    def __init__(self, capacity: int, critical: frozenset[Address], acts: int) -> None:
        super().__init__(capacity)
        self._critical = critical
        self._taken: deque[Arrivals] = deque()
        self._seen = bytearray(acts)
        self.dealt: list[tuple[int, float]] = []

    @property
    def acts(self) -> int:
        """How many of the burst's acts have been dealt with; pages near the head overlap, so some come twice."""
        return self._seen.count(1)

    async def take_all(self) -> tuple[list[Arrivals], int]:
        """What waits, remembered until it is settled."""
        waiting, size = await super().take_all()
        self._taken.append(tuple(chain.from_iterable(waiting)))
        return waiting, size

    async def settle(self, size: int) -> None:
        """Note the block and the time of each critical event, which is in the queue now."""
        now, events = time.monotonic(), self._taken.popleft()
        logged = [event for event in events if event.log_index >= 0]
        for event in logged:
            self._seen[(event.block - 1) * BLOCK_ACTS + event.log_index // ACT_LOGS] = 1
        self.dealt += [(event.block, now) for event in logged if event.borrower in self._critical]
        await super().settle(size)


class DropOldest(Watched):
    """A broadcast channel's rule: one event a slot, taken one by one, and what is not taken in time is overwritten."""

    async def take_all(self) -> tuple[list[Arrivals], int]:
        """The next event alone."""
        event, size = await self.take()
        self._taken.append(event)
        return [event], size

    async def put(self, item: Arrivals, *, size: int = 1) -> None:
        """Never waits; the oldest events make room."""
        async with self._changed:
            for event in item:
                if len(self._items) == self.capacity:
                    self._items.popleft()
                    self._unsettled -= 1
                self._items.append(((event,), 1))
            self._held = len(self._items)
            self._unsettled += size
            self.received += size
            self._changed.notify_all()


@dataclass(frozen=True, slots=True)
class Outcome:
    """One burst through one channel; `memory` is in bytes, latencies in seconds, sorted."""

    seconds: float
    cpu: float
    acts: int
    received: int
    memory: int
    latencies: list[float]
    unknown: int
    is_exact: bool


async def main(logs: int) -> bool:
    """Measure and print everything; true when every target is met."""
    scene = Scene()
    with burst_node(logs) as (url, blocks), tempfile.TemporaryDirectory() as directory:
        server = await start_valkey(Path(directory) / "valkey", persist=True)
        try:
            redis = await open_redis(server.url, timeout_s=5.0)
            ours = await _burst(scene, url, redis, blocks, Watched)
            theirs = await _burst(scene, url, redis, blocks, DropOldest)
            await redis.aclose()
        finally:
            await server.stop()
    return _report(ours, theirs, logs=logs, acts=blocks * BLOCK_ACTS)


def _report(ours: Outcome, theirs: Outcome, *, logs: int, acts: int) -> bool:
    dropped = acts - theirs.acts
    return all(
        [
            figure("burst.lost", acts - ours.acts, "events", reference=dropped, at_most=0.0, of="value"),
            figure("burst.lost_by_512_slots", dropped, "events", reference=float(acts)),
            figure("burst.book_is_exact", float(ours.is_exact), "1: every balance is", target=1.0, of="value"),
            figure("burst.unknown", ours.unknown, "accounts", at_most=0.0, of="value"),
            figure("burst.drained", ours.seconds, "s", at_most=10.0 if logs > 10**6 else None, of="value"),
            figure("burst.rate", logs / ours.seconds, "logs/s"),
            figure("burst.cpu", ours.cpu, "s cpu", reference=ours.seconds),
            figure("burst.critical_p50", _rank(ours, 0.50) * 1e3, "ms from the node to the queue"),
            figure("burst.critical_p99", _rank(ours, 0.99) * 1e3, "ms", at_most=50.0, of="value"),
            figure("burst.critical_events", len(ours.latencies), "events"),
            figure("burst.memory", ours.memory / MIB, "MiB", at_most=64.0, of="value"),
        ]
    )


async def _burst(scene: Scene, url: str, redis: Redis | RedisCluster, blocks: int, channel: type[Watched]) -> Outcome:
    """Everybody's position first, then the burst, until the last of its events is dealt with."""
    async with Rpc(url) as rpc, _engine(scene, rpc, redis, channel, blocks) as (engine, events):
        gc.collect()
        before, peak, cpu, began = _resident(), 0, time.process_time(), time.monotonic()
        await rpc.call("bench_release", blocks)
        while engine.mirror.book.cursor < blocks:
            await asyncio.sleep(0.05)
            peak = max(peak, _resident())
        await events.settled()
        seconds, cpu = time.monotonic() - began, time.process_time() - cpu
        facts = await rpc.call("bench_facts")
        return Outcome(
            seconds,
            cpu,
            events.acts,
            events.received,
            max(peak, _resident()) - before,
            _latencies(events.dealt, facts["given"]),
            len(engine.mirror.book.unknown),
            digest(_balances(engine.mirror.book)) == facts["digest"],
        )


@asynccontextmanager
async def _engine(
    scene: Scene, rpc: Rpc, redis: Redis | RedisCluster, channel: type[Watched], blocks: int
) -> AsyncIterator[tuple[Engine, Watched]]:
    """A dry run over the node's market, past its first pass, on an empty server."""
    await redis.execute_command("FLUSHDB", "SYNC")
    await rpc.call("bench_release", 0)
    mirror = Mirror(_follower(scene, rpc))
    await mirror.open()
    ready = asyncio.Event()

    def tell(note: Note) -> None:
        if note.kind == "READY":
            ready.set()
        elif note.kind == "warn":
            print(note.text, file=sys.stderr)

    settings, namespace = load_settings(SETTINGS), namespace_of(CHAIN, NAME)
    engine = Engine(
        market=mirror.follower.market,
        mirror=mirror,
        queue=BorrowerQueue(redis, namespace=namespace),
        cache=HealthCache(redis, namespace=namespace),
        settings=settings,
        executor=None,
        tell=tell,
    )
    capacity = SLOTS if channel is DropOldest else settings.event_buffer_size
    engine.events = events = channel(capacity, scene.critical, blocks * BLOCK_ACTS)
    stop = asyncio.Event()
    running = asyncio.create_task(engine.run(stop))
    await ready.wait()
    try:
        yield engine, events
    finally:
        stop.set()
        await running


def _follower(scene: Scene, rpc: Rpc) -> Follower:
    market = Market(
        rpc,
        Aggregator(rpc, overrides={}),
        name=NAME,
        chain_id=CHAIN,
        addresses=ADDRESSES,
        version=VERSION,
        reserves=scene.reserves,
    )
    book = Book(Identity(CHAIN, NAME, ADDRESSES.pool), scene.reserves, VERSION, cursor=0, complete=False)
    book.put_market(scene.market_state(), {}, block=0)
    for position in scene.positions():
        book.put_account(position, block=0)
    book.rollback(0)  # hands out what was put in as changed, so that the burst does not begin with it
    return Follower(market, book, window_blocks=load_settings(SETTINGS).rpc.log_window_blocks)


def _latencies(dealt: list[tuple[int, float]], given: list[tuple[int, int, float]]) -> list[float]:
    """From the node's first answer with a block to when each of its events was dealt with."""
    first_given: dict[int, float] = {}
    for first, last, at in given:
        for block in range(first, last + 1):
            first_given.setdefault(block, at)
    return sorted(now - first_given[block] for block, now in dealt)


def _balances(book: Book) -> dict[tuple[Address, int, bool], int]:
    return {
        (address, number, is_debt): scaled
        for address, account in book.ledger.accounts.items()
        for is_debt, side in ((False, account.collateral), (True, account.debt))
        for number, scaled in side.items()
    }


def _rank(outcome: Outcome, share: float) -> float:
    return outcome.latencies[min(int(share * len(outcome.latencies)), len(outcome.latencies) - 1)]


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100,000 logs instead of 1.4 million")
    sys.exit(0 if run_loop(main(100_000 if parser.parse_args().quick else 1_400_000)) else 1)
