"""What is claimed first."""

import math

import pytest
from redis.asyncio import Redis

from liqcli.errors import InputError
from liqcli.model import Tier
from liqcli.store.queue import STARVING_S, BorrowerQueue
from tests.store.conftest import NAMESPACE, address, entry


async def _age(redis: Redis, number: int, seconds: float, tier: Tier, score: float) -> None:
    """Make an entry as old as if it had been pushed that long ago."""
    queue = BorrowerQueue(redis, namespace=NAMESPACE)
    await queue.push([entry(number, score, tier)])
    [item] = [item async for item in queue.export() if item.borrower == address(number)]
    await queue.clear()
    moved = type(item)(**{name: getattr(item, name) for name in item.__slots__} | {"age_s": seconds})
    await queue.load([moved])


async def test_lower_scores_come_first(queue: BorrowerQueue) -> None:
    """Inside a tier the lowest score is claimed first."""
    await queue.push([entry(1, 0.9), entry(2, 0.1), entry(3, 0.5)])
    claims = await queue.claim(3)
    assert [claim.borrower for claim in claims] == [address(2), address(3), address(1)]


@pytest.mark.parametrize("score", [-1e300, 1e300, math.inf, -math.inf, 0.0])
async def test_no_score_leaves_its_tier(queue: BorrowerQueue, score: float) -> None:
    """A critical borrower is claimed before all others, whatever the scores are."""
    await queue.push([entry(number, -score, tier) for number, tier in enumerate(Tier)])
    await queue.push([entry(100 + number, score, tier) for number, tier in enumerate(Tier)])
    tiers = [claim.tier for claim in await queue.claim(10)]
    assert tiers == sorted(tiers, key=list(Tier).index)


async def test_a_score_that_is_no_number_is_refused(queue: BorrowerQueue) -> None:
    """NaN would have no place in the order."""
    with pytest.raises(InputError, match="not a number"):
        await queue.push([entry(1, math.nan)])


async def test_an_old_entry_overtakes_a_more_urgent_new_one(queue: BorrowerQueue, redis: Redis) -> None:
    """One unit of score weighs as much as a minute of waiting."""
    await _age(redis, 1, 70, Tier.CRITICAL, 1.0)
    await queue.push([entry(2, 0.0)])
    assert [claim.borrower for claim in await queue.claim(1)] == [address(1)]


async def test_a_young_entry_does_not_overtake(queue: BorrowerQueue, redis: Redis) -> None:
    """Less than a minute of waiting is worth less than one unit of score."""
    await _age(redis, 1, 50, Tier.CRITICAL, 1.0)
    await queue.push([entry(2, 0.0)])
    assert [claim.borrower for claim in await queue.claim(1)] == [address(2)]


async def test_no_tier_starves(queue: BorrowerQueue, redis: Redis) -> None:
    """One place in eight goes to a lower tier's entry that has waited too long."""
    await _age(redis, 1, STARVING_S + 5, Tier.SAFE, 0.0)
    await queue.push([entry(number) for number in range(2, 40)])
    claims = await queue.claim(8)
    assert [claim.borrower for claim in claims if claim.tier is Tier.SAFE] == [address(1)]
    assert len(claims) == 8


async def test_no_tier_starves_when_claimed_one_by_one(queue: BorrowerQueue, redis: Redis) -> None:
    """The share holds for claims of one, too."""
    await _age(redis, 1, STARVING_S + 5, Tier.LOW_RISK, 0.0)
    await queue.push([entry(number) for number in range(2, 40)])
    claims = [(await queue.claim(1))[0] for _ in range(8)]
    assert [claim.tier for claim in claims].count(Tier.LOW_RISK) == 1


async def test_peek_takes_nothing_out(queue: BorrowerQueue) -> None:
    """Looking changes neither depth nor order, and shows what is leased."""
    await queue.push([entry(1, 0.1, health_factor=2**256 - 1), entry(2, 0.2), entry(3, 0.3)])
    await queue.claim(1)
    items = await queue.peek(2)
    assert [(item.borrower, item.leased) for item in items] == [(address(1), True), (address(2), False)]
    assert items[0].health_factor == 2**256 - 1
    assert items[0].score == 0.1
    assert (await queue.stats()).items == 2


async def test_more_than_unpack_can_take(queue: BorrowerQueue) -> None:
    """A claim of 12,000 in one call gives 12,000, each once, and done finishes them all."""
    await queue.push([entry(number) for number in range(12_000)])
    claims = await queue.claim(12_000)
    assert len({claim.borrower for claim in claims}) == 12_000
    assert len(await queue.done(claims)) == 12_000
    assert await queue.claim(1) == []


async def test_critical_first_from_every_shard(redis: Redis) -> None:
    """With several shards no lower tier is claimed while any shard has a critical one, and nothing is lost."""
    queue = BorrowerQueue(redis, namespace=NAMESPACE, shards=4)
    await queue.push([entry(number, tier=Tier.SAFE) for number in range(100)])
    await queue.push([entry(number) for number in range(100, 140)])
    first = await queue.claim(32)
    assert [claim.tier for claim in first].count(Tier.CRITICAL) >= 28
    rest = await queue.claim(200)
    assert len(await queue.done(first + rest)) == 140
    assert (await queue.stats()).items == 0


@pytest.mark.parametrize("shards", [1, 4])
@pytest.mark.parametrize("at_most", list(Tier))
async def test_a_bound_claim_takes_no_lower_tier(redis: Redis, at_most: Tier, shards: int) -> None:
    """A worker of one tier claims all of that tier and the more urgent ones, and nothing else."""
    queue = BorrowerQueue(redis, namespace=NAMESPACE, shards=shards)
    tiers = list(Tier)
    await queue.push([entry(number, tier=tiers[number % 5]) for number in range(100)])
    claims = await queue.claim(200, at_most=at_most)
    allowed = tiers[: tiers.index(at_most) + 1]
    assert {claim.tier for claim in claims} == set(allowed)
    assert len(claims) == 20 * len(allowed)


async def test_a_starving_tier_outside_the_bound_stays(queue: BorrowerQueue, redis: Redis) -> None:
    """However long a safe borrower has waited, a worker bound to critical ones never gets it."""
    await _age(redis, 1, STARVING_S * 10, Tier.SAFE, 0.0)
    await queue.push([entry(number) for number in range(2, 40)])
    claims = [claim for _ in range(10) for claim in await queue.claim(8, at_most=Tier.CRITICAL)]
    assert {claim.tier for claim in claims} == {Tier.CRITICAL}
    assert len(claims) == 38


async def test_a_starving_tier_inside_the_bound_jumps_in(queue: BorrowerQueue, redis: Redis) -> None:
    """The share of one in eight holds inside a bound, too."""
    await _age(redis, 1, STARVING_S + 5, Tier.HIGH_RISK, 0.0)
    await queue.push([entry(number) for number in range(2, 40)])
    claims = await queue.claim(8, at_most=Tier.HIGH_RISK)
    assert [claim.borrower for claim in claims if claim.tier is Tier.HIGH_RISK] == [address(1)]
