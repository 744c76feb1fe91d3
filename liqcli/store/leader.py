"""Leadership: of all `liq run` on one market's Redis, one keeps the book; the others stand by.

A lease by the server's clock, kept like the ownership of a key. Its epoch rises with each new leader: what an earlier
leader still has under way is refused by `fence` as soon as there is a later one.
"""

import asyncio
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from liqcli.errors import AlreadyRunning, Unreachable
from liqcli.store.connection import Client, answering
from liqcli.store.ownership import LEASE_S, Ownership


@dataclass(frozen=True, slots=True)
class Leader:
    """Who leads; `owner` is `host:pid:start`, `ends_in_s` is negative once the lease has run out."""

    owner: str
    epoch: int
    ends_in_s: float


class LeaderLease:
    """One process's claim to lead a market; several `acquire` it, one holds it."""

    def __init__(self, redis: Client, *, namespace: str, owner: str | None = None, lease_s: float = LEASE_S) -> None:
        self.owner = owner or process_name()
        self.lease_s = lease_s
        self._redis = redis
        self._name = f"{{{namespace}:leader}}"
        self._lease = self._fresh()

    @property
    def epoch(self) -> int:
        """The number of our leadership; 0 before the first."""
        return self._lease.epoch

    @property
    def is_held(self) -> bool:
        """Whether we lead for sure: not once another took over, nor when Redis has been silent for a lease."""
        return self._lease.is_held

    async def acquire(self) -> bool:
        """Lead if nobody does; false while another holds the lease."""
        lease = self._fresh()
        try:
            await lease.take()
        except AlreadyRunning:
            return False
        self._lease = lease
        return True

    async def stand_by(self, tell: Callable[[str], None]) -> None:
        """Wait until we lead, and say whom we wait for; a silent Redis is said too and waited out."""
        told = ""
        while True:
            try:
                if await self.acquire():
                    return
                news = f"standby: {await self._who()} leads"
            except Unreachable as err:
                news = f"standby: {err}"
            if news != told:
                tell(news)
            told = news
            await asyncio.sleep(self.lease_s / 4)

    async def renew(self) -> bool:
        """Lengthen the lease; false when another leads by now."""
        try:
            await self._lease.take()
        except AlreadyRunning:
            return False
        return True

    async def keep(self, lost: Callable[[str], None]) -> None:
        """Renew until cancelled; calls `lost` once and returns when another has taken over.

        While Redis is silent it goes on trying: `is_held` turns false by itself, and true again if nobody took over.
        """
        while True:
            await asyncio.sleep(self.lease_s / 4)
            try:
                if not await self.renew():
                    lost(f"leadership went to {await self._who()}; ours was epoch {self.epoch}")
                    return
            except Unreachable:
                continue

    async def fence(self) -> None:
        """Just before a send: a whole lease is ours from now on, else AlreadyRunning or Unreachable."""
        await self._lease.take()

    async def release(self) -> None:
        """Let a standby take over at once; one that we do not hold stays as it is."""
        with suppress(Unreachable):  # then it ends by itself
            if self.is_held and await self.renew():
                await self._lease.release()

    async def leader(self) -> Leader | None:
        """Who led last, or None if nobody ever did."""
        async with answering(self._redis):
            owner, epoch, ends = await self._redis.execute_command("HMGET", self._name, "owner", "epoch", "ends")
            clock = await self._redis.execute_command("EVAL", "return redis.call('TIME')", 1, self._name)
        if owner is None:
            return None
        now_ms = int(clock[0]) * 1000 + int(clock[1]) / 1000
        return Leader(owner.decode(errors="replace"), int(epoch), (float(ends) - now_ms) / 1000)

    async def _who(self) -> str:
        leader = await self.leader()
        return "nobody" if leader is None else f"{leader.owner} (epoch {leader.epoch})"

    def _fresh(self) -> Ownership:
        return Ownership(self._redis, name=self._name, owner=self.owner, lease_s=self.lease_s)


def process_name() -> str:
    """A name that no other process has: host, process id, and when it was made."""
    return f"{socket.gethostname()}:{os.getpid()}:{time.time_ns() // 1_000_000}"
