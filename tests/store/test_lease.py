"""Leases: one holder at a time, ended by the server's clock, fenced by a token."""

import asyncio
import time

from redis.asyncio import Redis

from liqcli.model import Tier
from liqcli.store.queue import BorrowerQueue, State
from tests.store.conftest import NAMESPACE, address, entry, let_end


async def test_a_leased_borrower_is_not_claimed_again(queue: BorrowerQueue) -> None:
    """Two claims never give the same borrower while a lease runs."""
    await queue.push([entry(1)])
    assert len(await queue.claim(5)) == 1
    await queue.push([entry(1)])
    assert await queue.claim(5) == []


async def test_an_event_during_work_is_not_lost(queue: BorrowerQueue) -> None:
    """What arrives while a borrower is leased makes it ready again after done, with the new facts only."""
    await queue.push([entry(1, 0.1, because="borrow", health_factor=1)])
    claims = await queue.claim(1)
    await queue.push([entry(1, 0.7, Tier.SAFE, because="repay", health_factor=2)])
    await queue.push([entry(1, 0.6, Tier.SAFE, because="price")])
    await queue.done(claims)
    [again] = await queue.claim(1)
    assert (again.tier, again.score, again.health_factor, again.because) == (Tier.SAFE, 0.6, 2, "repay, price")


async def test_an_event_during_failed_work_is_not_lost(queue: BorrowerQueue, redis: Redis) -> None:
    """When the lease runs out instead, the entry keeps its own facts and gains the new ones."""
    await queue.push([entry(1, 0.5, Tier.SAFE, because="sweep")])
    await queue.claim(1)
    await queue.push([entry(1, 0.2, Tier.HIGH_RISK, because="price", health_factor=7)])
    await let_end(redis, State.LEASED, address(1))
    [again] = await queue.claim(1)
    assert (again.tier, again.health_factor, again.because, again.tries) == (Tier.HIGH_RISK, 7, "sweep, price", 1)


async def test_a_late_worker_is_refused(queue: BorrowerQueue, redis: Redis) -> None:
    """After the lease ran out and another claimed, the first token proves nothing."""
    await queue.push([entry(1)])
    late = await queue.claim(1)
    await let_end(redis, State.LEASED, address(1))
    current = await queue.claim(1)
    assert await queue.done(late) == []
    assert await queue.renew(late) == []
    assert await queue.retry(late, "too late") == []
    assert await queue.release(late) == []
    assert await queue.done(current) == current
    assert (await queue.stats()).totals["late"] == 1


async def test_done_counts_a_claim_once(queue: BorrowerQueue) -> None:
    """The same claim twice in one call, or in two, is accepted once."""
    await queue.push([entry(1)])
    [claim] = await queue.claim(1)
    assert await queue.done([claim, claim]) == [claim]
    assert await queue.done([claim]) == []


async def test_release_gives_back_without_a_mark(queue: BorrowerQueue) -> None:
    """A released borrower can be claimed at once and has no failure on record."""
    await queue.push([entry(1)])
    await queue.release(await queue.claim(1))
    [again] = await queue.claim(1)
    assert again.tries == 0


async def test_the_lease_ends_by_itself(redis: Redis) -> None:
    """A worker that vanished holds a borrower for the lease and no longer; renewing starts it anew."""
    queue = BorrowerQueue(redis, namespace=NAMESPACE, lease_s=0.3)
    await queue.push([entry(1)])
    claims = await queue.claim(1)
    await asyncio.sleep(0.2)
    assert await queue.renew(claims) == claims
    await asyncio.sleep(0.2)
    assert await queue.claim(1) == []
    await asyncio.sleep(0.15)
    assert [claim.borrower for claim in await queue.claim(1)] == [address(1)]


async def test_the_clients_clock_does_not_matter(queue: BorrowerQueue, monkeypatch: object) -> None:
    """A worker whose clock is a day ahead neither ends leases nor changes ages."""
    await queue.push([entry(1), entry(2)])
    await queue.claim(1)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 86_400)  # type: ignore[attr-defined]
    assert len(await queue.claim(5)) == 1
    assert all(item.age_s < 60 for item in await queue.peek())


async def test_many_workers_share_without_overlap(queue: BorrowerQueue) -> None:
    """Twenty tasks that claim at once get each borrower exactly once."""
    await queue.push([entry(number) for number in range(1000)])
    taken = await asyncio.gather(*(queue.claim(50) for _ in range(20)))
    borrowers = [claim.borrower for claims in taken for claim in claims]
    assert len(borrowers) == len(set(borrowers)) == 1000
