"""Tasks end for certain."""

import asyncio

from liqcli.tasks import end


async def deaf(times):
    """Work that loses so many cancellations."""
    for _ in range(times):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue
    await asyncio.Event().wait()


async def test_a_lost_cancellation_is_repeated():
    """A task that swallows a cancellation is cancelled again, and `end` returns once it is over."""
    tasks = [asyncio.create_task(deaf(times)) for times in (0, 1, 2)]
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        await end(tasks)
    assert all(task.cancelled() for task in tasks)


async def test_what_a_task_raised_stays_with_it():
    """A task that failed on its own neither stops the others from ending nor raises here."""

    async def fail():
        raise ValueError("its own")

    failed, waiting = asyncio.create_task(fail()), asyncio.create_task(asyncio.Event().wait())
    await asyncio.sleep(0)
    await end([failed, waiting])
    assert str(failed.exception()) == "its own"
    assert waiting.cancelled()


async def test_nothing_to_end_is_fine():
    """Without tasks there is nothing to wait for."""
    assert await asyncio.wait_for(end([]), 5) is None
