"""Claims whose work may outlast a lease: kept alive together, and proved once more before anything is sent."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from time import monotonic

from liqcli.errors import Unreachable
from liqcli.store.queue import BorrowerQueue, Claim

_BELIEVED = 0.9
"""The share of a lease for which we count on it without asking Redis again."""


class HeldClaims:
    """The claims one process works on; while a claim is here nobody else gets its borrower."""

    def __init__(self, queue: BorrowerQueue, *, lease_s: float) -> None:
        self._queue = queue
        self._renew_every_s = lease_s / 3
        self._believed_s = lease_s * _BELIEVED
        self._until: dict[Claim, float] = {}

    def __len__(self) -> int:
        return len(self._until)

    def __contains__(self, claim: Claim) -> bool:
        return claim in self._until

    def add(self, *claims: Claim, since: float | None = None) -> None:
        """Keep these alive from now on; `since` is the monotonic second before they were claimed, else now."""
        until = (monotonic() if since is None else since) + self._believed_s
        self._until.update(dict.fromkeys(claims, until))

    async def keep(self) -> None:
        """Renew until cancelled; those that went to somebody else are dropped. A silent Redis is waited out."""
        while True:
            await asyncio.sleep(self._renew_every_s)
            await self.prove(*self._until)

    async def prove(self, *claims: Claim) -> None:
        """Renew these if Redis answers; those that went to somebody else are dropped."""
        with suppress(Unreachable):
            await self._renew(*claims)

    def is_ours(self, claim: Claim) -> bool:
        """Whether a lease is surely ours by our own clock and all that Redis has said so far; asks nothing."""
        return monotonic() < self._until.get(claim, 0.0)

    async def fence(self, claim: Claim) -> bool:
        """Just before a send: whether a whole lease is ours from now on; if not, somebody else has the borrower."""
        await self._renew(claim)
        return claim in self._until

    def forget(self, claim: Claim) -> None:
        """Let a lease run out by itself: until then nobody else gets the borrower."""
        self._until.pop(claim, None)

    async def done(self, *claims: Claim) -> None:
        """Finish these; those lost meanwhile are left to their new holder."""
        with self._letting_go(claims):
            await self._queue.done(claims)

    async def retry(self, *claims: Claim, reason: str) -> None:
        """Put these back after a failure."""
        with self._letting_go(claims):
            await self._queue.retry(claims, reason)

    async def release(self, *claims: Claim) -> None:
        """Give these back untouched."""
        with self._letting_go(claims):
            await self._queue.release(claims)

    async def release_all(self) -> None:
        """Give everything back untouched, as when the process ends."""
        await self.release(*self._until)

    @contextmanager
    def _letting_go(self, claims: Sequence[Claim]) -> Iterator[None]:
        """Not kept any longer, also when Redis does not answer: then the leases end by themselves."""
        try:
            yield
        finally:
            for claim in claims:
                self.forget(claim)

    async def _renew(self, *claims: Claim) -> None:
        asked_at = monotonic()
        ours = set(await self._queue.renew(claims))
        for claim in claims:
            if claim not in ours:
                self.forget(claim)
            elif claim in self._until:  # not let go while Redis was asked
                self._until[claim] = asked_at + self._believed_s
