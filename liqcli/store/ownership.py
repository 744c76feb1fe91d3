"""Ownership: of all processes on one Redis, one may use a key; a lease by the server's clock, its epoch rising."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.resources import files
from time import monotonic

from liqcli.errors import AlreadyRunning, Unreachable
from liqcli.model import Address
from liqcli.store.connection import Client, answering
from liqcli.tasks import end

LEASE_S = 10.0
_BELIEVED = 0.9
"""The share of a lease after which we no longer count on it."""


class Ownership:
    """The lease on one key; `owner` is the same for processes that a file lock already keeps apart."""

    def __init__(self, redis: Client, *, name: str, owner: str, lease_s: float = LEASE_S) -> None:
        self.epoch = 0
        self._redis = redis
        self._name = name
        self._owner = owner
        self._lease_s = lease_s
        self._until = 0.0
        self._script = redis.register_script((files("liqcli.store") / "lua" / "own.lua").read_text())

    @property
    def is_held(self) -> bool:
        """Whether we own the key now; false once another took it, or Redis has not answered for a lease."""
        return monotonic() < self._until

    async def take(self) -> None:
        """Become the owner, or lengthen the lease; AlreadyRunning names the other owner."""
        asked_at = monotonic()
        async with answering(self._redis):
            epoch, owner = await self._script(
                keys=[self._name], args=[self._owner, self.epoch, round(self._lease_s * 1000)]
            )
        if not epoch:
            self._until = 0.0
            raise AlreadyRunning(
                f"another process uses this key: {owner.decode(errors='replace')}",
                hint=f"one key, one bot: stop that one; its lease ends {self._lease_s:g} s after it died",
            )
        self.epoch = int(epoch)
        self._until = asked_at + self._lease_s * _BELIEVED

    async def keep(self) -> None:
        """Lengthen the lease until cancelled, or until another owner has it."""
        while True:
            await asyncio.sleep(self._lease_s / 4)
            try:
                await self.take()
            except Unreachable:
                continue  # `is_held` turns false by itself
            except AlreadyRunning:
                return

    async def release(self) -> None:
        """Let another process have the key at once."""
        self._until = 0.0
        async with answering(self._redis):
            await self._redis.hset(self._name, "ends", "0")


@asynccontextmanager
async def owning(redis: Client, *, chain_id: int, address: Address, owner: str) -> AsyncIterator[Ownership]:
    """Own a key while the block lasts."""
    ownership = Ownership(redis, name=f"liq:{chain_id}:key:{address}:v1", owner=owner)
    await ownership.take()
    keeping = asyncio.create_task(ownership.keep())
    try:
        yield ownership
    finally:
        await end([keeping])
        if ownership.is_held:
            with suppress(Unreachable):  # the lease then ends by itself
                await ownership.release()
