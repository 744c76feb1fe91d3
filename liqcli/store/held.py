"""Claims whose work may outlast a lease: kept alive together, and proved once more before anything is sent."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from liqcli.errors import Unreachable
from liqcli.store.queue import BorrowerQueue, Claim


class HeldClaims:
    """The claims one process works on; while a claim is here nobody else gets its borrower."""

    def __init__(self, queue: BorrowerQueue, *, lease_s: float) -> None:
        self._queue = queue
        self._renew_every_s = lease_s / 3
        self._held: set[Claim] = set()

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, claim: Claim) -> bool:
        return claim in self._held

    def add(self, *claims: Claim) -> None:
        """Keep these alive from now on."""
        self._held.update(claims)

    async def keep(self) -> None:
        """Renew until cancelled; those that went to somebody else are dropped. A silent Redis is waited out."""
        while True:
            await asyncio.sleep(self._renew_every_s)
            try:
                await self._renew(*self._held)
            except Unreachable:
                continue

    async def fence(self, claim: Claim) -> bool:
        """Just before a send: whether a whole lease is ours from now on; if not, somebody else has the borrower."""
        await self._renew(claim)
        return claim in self._held

    async def done(self, *claims: Claim) -> None:
        """Finish these; those lost meanwhile are left to their new holder."""
        with self._letting_go(claims):
            await self._queue.done(claims)

    async def retry(self, *claims: Claim, reason: str) -> None:
        """Put these back after a failure."""
        with self._letting_go(claims):
            await self._queue.retry(claims, reason)

    async def release(self, *claims: Claim) -> None:
        """Give these, or everything, back untouched, as when the process ends."""
        given = claims or tuple(self._held)
        with self._letting_go(given):
            await self._queue.release(given)

    @contextmanager
    def _letting_go(self, claims: Sequence[Claim]) -> Iterator[None]:
        """Not kept any longer, also when Redis does not answer: then the leases end by themselves."""
        try:
            yield
        finally:
            self._held.difference_update(claims)

    async def _renew(self, *claims: Claim) -> None:
        ours = await self._queue.renew(claims)
        self._held.difference_update(set(claims) - set(ours))
