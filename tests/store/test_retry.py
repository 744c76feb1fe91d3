"""Failures: back-off, dead letters, and the way out of them."""

from redis.asyncio import Redis

from liqcli.model import Tier
from liqcli.store.entries import place
from liqcli.store.queue import BorrowerQueue, State
from tests.store.conftest import NAMESPACE, address, entry, let_end


async def _fail(queue: BorrowerQueue, redis: Redis, times: int) -> None:
    for attempt in range(times):
        if attempt:
            await let_end(redis, State.LATER, address(1))
        claims = await queue.claim(1)
        assert await queue.retry(claims, f"reason {attempt}") == claims


async def test_a_failed_borrower_waits_longer_each_time(queue: BorrowerQueue, redis: Redis) -> None:
    """The pause doubles: 1, 2, 4 seconds by the server's clock; meanwhile it is not claimed."""
    await queue.push([entry(1)])
    for pause_ms in (1000, 2000, 4000):
        await queue.retry(await queue.claim(1), "read failed")
        seconds, micros = await redis.time()
        due = await redis.zscore(f"{{{NAMESPACE}:s0}}:queue", bytes.fromhex(address(1)[2:]))
        assert due is not None
        assert pause_ms - 200 < due - float(place(State.LATER)[0]) - (seconds * 1000 + micros / 1000) <= pause_ms
        assert await queue.claim(1) == []
        await let_end(redis, State.LATER, address(1))


async def test_after_max_tries_it_is_a_dead_letter(queue: BorrowerQueue, redis: Redis) -> None:
    """It keeps the reason of its last failure and is not claimed any more."""
    await queue.push([entry(1)])
    await _fail(queue, redis, 5)
    [item] = await queue.dead()
    assert (item.state, item.tries, item.failure) == (State.DEAD, 5, "reason 4")
    assert await queue.claim(1) == []
    assert (await queue.stats()).dead == 1


async def test_an_event_wakes_a_dead_letter_for_one_try(queue: BorrowerQueue, redis: Redis) -> None:
    """Failing is no reason to stop watching, nor to try for ever: one push, one try."""
    await queue.push([entry(1)])
    await _fail(queue, redis, 5)
    await queue.push([entry(1, because="price")])
    claims = await queue.claim(1)
    assert [claim.tries for claim in claims] == [5]
    await queue.retry(claims, "again")
    assert [item.failure for item in await queue.dead()] == ["again"]


async def test_an_event_during_the_last_try_is_not_buried(queue: BorrowerQueue, redis: Redis) -> None:
    """What arrives during the try that fails for good counts as arriving after it."""
    await queue.push([entry(1)])
    await _fail(queue, redis, 4)
    await let_end(redis, State.LATER, address(1))
    claims = await queue.claim(1)
    await queue.push([entry(1, because="borrow")])
    await queue.retry(claims, "last")
    assert [claim.borrower for claim in await queue.claim(1)] == [address(1)]


async def test_a_worse_tier_ends_the_back_off(queue: BorrowerQueue, redis: Redis) -> None:
    """An event of the same tier leaves the pause standing; a more urgent one does not."""
    await queue.push([entry(1, tier=Tier.SAFE)])
    await _fail(queue, redis, 1)
    await queue.push([entry(1, tier=Tier.SAFE)])
    assert await queue.claim(1) == []
    await queue.push([entry(1, tier=Tier.CRITICAL)])
    assert [claim.tries for claim in await queue.claim(1)] == [1]


async def test_success_forgets_failures(queue: BorrowerQueue, redis: Redis) -> None:
    """After done nothing is left of a borrower, and its next entry starts from zero."""
    await queue.push([entry(1)])
    await _fail(queue, redis, 2)
    await let_end(redis, State.LATER, address(1))
    await queue.done(await queue.claim(1))
    assert await queue.show(address(1)) is None
    await queue.push([entry(1)])
    [claim] = await queue.claim(1)
    assert claim.tries == 0
    item = await queue.show(address(1))
    assert item is not None
    assert item.failure is None


async def test_a_long_reason_is_cut(queue: BorrowerQueue) -> None:
    """A node's error page does not end up in Redis whole."""
    await queue.push([entry(1)])
    await queue.retry(await queue.claim(1), "x" * 10_000)
    [item] = await queue.ls(State.LATER)
    assert item.failure == "x" * 200
