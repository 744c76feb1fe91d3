"""Claims kept alive while a transaction is under way, and fenced just before it is sent."""

import asyncio
from time import monotonic

from redis.asyncio import Redis

from liqcli.store.held import HeldClaims
from liqcli.store.queue import BorrowerQueue, State
from tests.store.conftest import NAMESPACE, address, entry, let_end

LEASE_S = 0.15


async def test_kept_claims_outlive_their_lease(redis: Redis) -> None:
    """Nobody else gets the borrower while its holder renews; after done it is gone."""
    queue = BorrowerQueue(redis, namespace=NAMESPACE, lease_s=LEASE_S)
    await queue.push([entry(1)])
    held = HeldClaims(queue, lease_s=LEASE_S)
    held.add(*await queue.claim(1))
    keeping = asyncio.create_task(held.keep())
    for _ in range(6):
        await asyncio.sleep(LEASE_S / 2)
        assert await queue.claim(1) == []
    keeping.cancel()
    [claim] = held._until
    await held.done(claim)
    assert len(held) == 0
    assert (await queue.stats()).leased == 0


async def test_the_fence_refuses_what_somebody_else_holds(queue: BorrowerQueue, redis: Redis) -> None:
    """A worker whose lease ran out unnoticed sends nothing, however its own clock goes."""
    await queue.push([entry(1)])
    held = HeldClaims(queue, lease_s=30.0)
    [late] = await queue.claim(1)
    held.add(late)
    assert await held.fence(late)
    await let_end(redis, State.LEASED, address(1))
    [current] = await queue.claim(1)
    assert not await held.fence(late)
    assert late not in held
    assert await queue.done([current]) == [current]


async def test_our_own_clock_says_when_a_lease_is_surely_ours(queue: BorrowerQueue) -> None:
    """Nine tenths of the lease from before it was claimed; renewing counts anew, letting go ends it."""
    await queue.push([entry(1)])
    held = HeldClaims(queue, lease_s=30.0)
    [claim] = await queue.claim(1)
    held.add(claim, since=monotonic() - 26.0)
    assert held.is_ours(claim)
    held.add(claim, since=monotonic() - 27.5)
    assert not held.is_ours(claim)
    await held.prove(claim)
    assert held.is_ours(claim)
    held.forget(claim)
    await held.prove(claim)
    assert not held.is_ours(claim)


async def test_release_gives_everything_back(queue: BorrowerQueue) -> None:
    """A worker that ends leaves its borrowers ready, with no failure on record."""
    await queue.push([entry(number) for number in range(5)])
    held = HeldClaims(queue, lease_s=30.0)
    held.add(*await queue.claim(5))
    await held.release_all()
    assert [claim.tries for claim in await queue.claim(5)] == [0] * 5
