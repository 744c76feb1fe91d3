"""The operator's hand: promote, requeue, purge, pause, export, load."""

from redis.asyncio import Redis

from liqcli.model import Tier
from liqcli.store.queue import BorrowerQueue, State
from tests.store.conftest import NAMESPACE, address, entry


async def test_promote_puts_in_front(queue: BorrowerQueue) -> None:
    """A promoted borrower is claimed before every other; an unknown or leased one cannot be."""
    await queue.push([entry(1, -500.0), entry(2, 500.0, Tier.SAFE)])
    assert await queue.promote(address(2))
    assert not await queue.promote(address(3))
    assert [claim.borrower for claim in await queue.claim(1)] == [address(2)]
    assert not await queue.promote(address(2))


async def test_requeue_forgives(redis: Redis) -> None:
    """A dead letter becomes ready with no failures on record."""
    queue = BorrowerQueue(redis, namespace=NAMESPACE, max_tries=1)
    await queue.push([entry(1)])
    await queue.retry(await queue.claim(1), "no")
    assert await queue.requeue(address(1))
    assert not await queue.requeue(address(1))
    assert [claim.tries for claim in await queue.claim(1)] == [0]


async def test_purge_drops_one_tier_and_nothing_leased(redis: Redis) -> None:
    """Only what nobody holds goes, wherever it waits."""
    queue = BorrowerQueue(redis, namespace=NAMESPACE, max_tries=1)
    await queue.push([entry(number, tier=Tier.SAFE) for number in range(3)])
    held, failed, _ = await queue.claim(3)
    await queue.retry([failed], "no")
    await queue.push([entry(number, tier=Tier.SAFE) for number in range(10, 1210)])
    await queue.push([entry(number, tier=Tier.LOW_RISK) for number in range(2000, 2600)])
    assert await queue.purge(Tier.SAFE) == 1201
    assert await queue.show(held.borrower) is not None
    stats = await queue.stats()
    assert (stats.items, stats.leased, stats.dead) == (600, 2, 0)
    assert await queue.purge() == 600


async def test_pause_holds_claims_back_and_takes_pushes(queue: BorrowerQueue) -> None:
    """While paused nothing is claimed; resumed, everything is there."""
    await queue.pause()
    await queue.push([entry(1)])
    assert await queue.claim(1) == []
    assert await queue.is_paused()
    assert (await queue.stats()).paused
    await queue.resume()
    assert not await queue.is_paused()
    assert len(await queue.claim(1)) == 1


async def test_export_and_load_move_a_queue(redis: Redis) -> None:
    """Everything, dead letters with their reasons too, arrives; leases become ready; nothing is overwritten."""
    source = BorrowerQueue(redis, namespace=NAMESPACE, max_tries=1)
    await source.push([entry(number, number / 1000, Tier.SAFE, health_factor=number) for number in range(1500)])
    held, failed = await source.claim(2)
    await source.retry([failed], "broken")
    target = BorrowerQueue(redis, namespace="liq:1:other:v1", shards=2)
    exported = [item async for item in source.export()]
    assert len(exported) == 1500
    assert await target.load(exported) == 1500
    assert await target.load(exported) == 0
    assert [(item.borrower, item.failure) for item in await target.dead()] == [(failed.borrower, "broken")]
    moved = await target.show(held.borrower)
    assert moved is not None
    assert (moved.state, moved.score, moved.health_factor) == (State.READY, held.score, held.health_factor)


async def test_clear_leaves_nothing(queue: BorrowerQueue, redis: Redis) -> None:
    """After clear not one key is left."""
    await queue.push([entry(1), entry(2)])
    await queue.retry(await queue.claim(1), "no")
    await queue.clear()
    assert await redis.dbsize() == 0


async def test_ls_pages(queue: BorrowerQueue) -> None:
    """Pages follow each other without overlap."""
    await queue.push([entry(number, number / 100) for number in range(30)])
    first = await queue.ls(State.READY, count=20)
    second = await queue.ls(State.READY, first=20, count=20)
    assert [item.borrower for item in first + second] == [address(number) for number in range(30)]
