"""Idle workers: whom a push wakes."""

import asyncio

from liqcli.bot.idle import Idle
from liqcli.model import Tier
from liqcli.store.queue import Entry

BATCHES = dict.fromkeys(Tier, 10)
PATIENT_S = 60.0


def entries(tier, count):
    """So many borrowers of one tier."""
    return [Entry(f"0x{number:040x}", 0.5, tier, None, "borrow") for number in range(count)]


async def with_idle(tiers, push):
    """Which of the workers of these tiers a push wakes."""
    idle, woken = Idle(), []

    async def work(number, tier):
        await idle.wait(tier, PATIENT_S)
        woken.append(number)

    workers = [asyncio.create_task(work(number, tier)) for number, tier in enumerate(tiers)]
    while len(idle) < len(tiers):
        await asyncio.sleep(0)
    idle.wake(push, BATCHES)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    assert len(idle) == 0
    return woken


async def test_one_batch_wakes_one_worker_of_its_tier():
    """Others stay asleep, whoever could do the same work too."""
    assert await with_idle([Tier.SAFE, Tier.CRITICAL, Tier.CRITICAL], entries(Tier.CRITICAL, 3)) == [1]


async def test_more_than_a_batch_wakes_more_workers():
    """Twelve of a tier are two batches; who works for less urgent tiers too helps out."""
    assert sorted(await with_idle([Tier.SAFE, Tier.HIGH_RISK, Tier.CRITICAL], entries(Tier.HIGH_RISK, 12))) == [0, 1]


async def test_nobody_is_woken_for_what_he_must_not_take():
    """A worker for critical borrowers sleeps while safe ones come."""
    assert await with_idle([Tier.CRITICAL, Tier.HIGH_RISK], entries(Tier.SAFE, 30)) == []


async def test_each_tier_of_a_push_gets_its_own_worker():
    """Work of two tiers wakes two."""
    push = [*entries(Tier.CRITICAL, 1), *entries(Tier.SAFE, 1)]
    assert sorted(await with_idle([Tier.CRITICAL, Tier.SAFE, Tier.SAFE], push)) == [0, 1]


async def test_an_idle_worker_looks_by_itself_after_a_while():
    """Leases that expire and retries that fall due are announced by nobody."""
    idle = Idle()
    async with asyncio.timeout(PATIENT_S):
        await idle.wait(Tier.SAFE, 0.01)
    assert len(idle) == 0
