"""A channel with a real capacity: when it is full the sender waits, so nothing is ever overwritten."""

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class Channel(Generic[T]):
    """A bounded queue between two stages that counts what passes and how often the sender had to wait."""

    def __init__(self, capacity: int) -> None:
        self._items: asyncio.Queue[T] = asyncio.Queue(maxsize=capacity)
        self.capacity = capacity
        self.received = 0
        self.taken = 0
        self.waits = 0
        self.high_water = 0

    def __len__(self) -> int:
        return self._items.qsize()

    async def put(self, item: T) -> None:
        """Hand an item over, waiting while the channel is full."""
        if self._items.full():
            self.waits += 1
        await self._items.put(item)
        self.received += 1
        self.high_water = max(self.high_water, len(self))

    async def take(self, limit: int) -> list[T]:
        """At least one item, at most `limit`; waits while the channel is empty."""
        items = [await self._items.get()]
        while len(items) < limit and not self._items.empty():
            items.append(self._items.get_nowait())
        return items

    def settle(self, count: int) -> None:
        """Declare `count` taken items dealt with."""
        self.taken += count
        for _ in range(count):
            self._items.task_done()

    async def settled(self) -> None:
        """Wait until every item put so far has been dealt with."""
        await self._items.join()
