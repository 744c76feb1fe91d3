"""Ending tasks for certain."""

import asyncio
from collections.abc import Iterable
from typing import Any

_AGAIN_S = 1.0


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel these tasks and wait until they are over; what one raised is in its `exception()`, for who wants it.

    One cancellation is not enough: where a deadline runs out at the same moment it can get lost, and the task goes on.
    """
    all_tasks = pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_AGAIN_S)
    for task in all_tasks:
        if not task.cancelled():
            task.exception()  # asked for, so that asyncio does not report it as never seen
