"""Idle workers: a push wakes as many as it has work for, because each that wakes asks Redis."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress

from liqcli.model import Tier
from liqcli.store.queue import Entry

_RANK = {tier: rank for rank, tier in enumerate(Tier)}


class Idle:
    """The workers of one process that found nothing to do, each with the least urgent tier that it works for."""

    def __init__(self) -> None:
        self._bells: dict[asyncio.Event, Tier] = {}

    def __len__(self) -> int:
        return len(self._bells)

    async def wait(self, tier: Tier, seconds: float) -> None:
        """Until woken, or for so long: then it is time to look for what nobody announced."""
        bell = asyncio.Event()
        self._bells[bell] = tier
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await bell.wait()
        finally:
            self._bells.pop(bell, None)

    def wake(self, entries: Sequence[Entry], batches: Mapping[Tier, int]) -> None:
        """One worker for each batch of a tier; who works for that tier comes before who could do more."""
        for tier, count in Counter(entry.tier for entry in entries).items():
            able = [bell for bell, theirs in self._bells.items() if _RANK[theirs] >= _RANK[tier]]
            able.sort(key=lambda bell: _RANK[self._bells[bell]])
            for bell in able[: -(-count // batches[tier])]:
                bell.set()
                del self._bells[bell]
