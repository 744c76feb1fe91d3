"""A channel with a real capacity: when it is full the sender waits, so nothing is ever overwritten."""

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Channel(Generic[T]):
    """A bounded queue between two stages; an item may stand for many events, and they are what fills the capacity.

    An item larger than the whole capacity passes alone.
    """

    def __init__(self, capacity: int) -> None:
        self._items: deque[tuple[T, int]] = deque()
        self._held = 0
        self._unsettled = 0
        self._changed = asyncio.Condition()
        self.capacity = capacity
        self.received = 0
        self.waits = 0
        self.high_water = 0

    def __len__(self) -> int:
        return self._held

    async def put(self, item: T, *, size: int = 1) -> None:
        """Hand an item of so many events over, waiting while there is no room for them."""
        async with self._changed:
            if not self._has_room(size):
                self.waits += 1
                await self._changed.wait_for(lambda: self._has_room(size))
            self._items.append((item, size))
            self._held += size
            self._unsettled += size
            self.received += size
            self.high_water = max(self.high_water, self._held)
            self._changed.notify_all()

    async def take(self) -> tuple[T, int]:
        """The next item and how many events it stands for; waits while the channel is empty."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._items)
            item, size = self._items.popleft()
            self._held -= size
            self._changed.notify_all()
            return item, size

    async def take_all(self) -> tuple[list[T], int]:
        """Every item that waits and how many events they stand for; waits while the channel is empty."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._items)
            items, size = [item for item, _ in self._items], self._held
            self._items.clear()
            self._held = 0
            self._changed.notify_all()
            return items, size

    async def settle(self, size: int) -> None:
        """Declare so many taken events dealt with."""
        async with self._changed:
            self._unsettled -= size
            self._changed.notify_all()

    async def settled(self) -> None:
        """Wait until everything put so far has been dealt with."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._unsettled == 0)

    def _has_room(self, size: int) -> bool:
        return self._held == 0 or self._held + size <= self.capacity
