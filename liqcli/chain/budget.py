"""The request budget of one endpoint: never more than so many in any minute, and the urgent never wait for the rest.

A tier may only spend what is left above its reserve, so what safe borrowers use up is never what critical ones need.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic_ns

from liqcli.model import Tier

_MINUTE_NS = 60 * 10**9
_TOKEN = _MINUTE_NS
"""A token in the bucket's units: with it a refill of n tokens a minute is exactly n units a nanosecond."""
_BURST_SHARE = 5
"""The bucket holds a fifth of a minute's requests; the refill is the rest, so that both together keep the limit."""
_RANKS = {tier: rank for rank, tier in enumerate(Tier)}

_spender: ContextVar[Tier] = ContextVar("spender", default=Tier.CRITICAL)


@contextmanager
def spending_as(tier: Tier) -> Iterator[None]:
    """Requests made inside are paid from this tier's share; outside of it they count as critical."""
    token = _spender.set(tier)
    try:
        yield
    finally:
        _spender.reset(token)


class Bucket:
    """Tokens that refill steadily, in integers; `now_ns` never runs backwards.

    In any 60 seconds at most `per_minute` tokens leave it: at least ten.
    """

    def __init__(self, per_minute: int, *, now_ns: int) -> None:
        self.capacity = per_minute // _BURST_SHARE
        self._refill = per_minute - self.capacity
        self._level = self.capacity * _TOKEN
        self._counted_at = now_ns

    def reserve(self, tier: Tier) -> int:
        """Tokens that this tier must leave for more urgent ones."""
        return self.capacity * _RANKS[tier] // len(Tier)

    def take(self, tokens: int, tier: Tier, *, now_ns: int) -> int:
        """Take them and return 0, or take nothing and return the nanoseconds after which to ask again."""
        self._refill_until(now_ns)
        missing = (self.reserve(tier) + tokens) * _TOKEN - self._level
        if missing > 0:
            return -(-missing // self._refill)
        self._level -= tokens * _TOKEN
        return 0

    def left(self, tier: Tier, *, now_ns: int) -> float:
        """The share of what this tier may spend that is unspent."""
        self._refill_until(now_ns)
        reserve = self.reserve(tier)
        return max(self._level / _TOKEN - reserve, 0.0) / (self.capacity - reserve)

    def _refill_until(self, now_ns: int) -> None:
        gained = (now_ns - self._counted_at) * self._refill
        self._level = min(self._level + gained, self.capacity * _TOKEN)
        self._counted_at = now_ns


class Budget:
    """A bucket that callers wait at, each tier in its own line; without a limit nobody waits."""

    def __init__(self, requests_per_minute: int | None) -> None:
        self._bucket = None if requests_per_minute is None else Bucket(requests_per_minute, now_ns=monotonic_ns())
        self._lines = {tier: asyncio.Lock() for tier in Tier}

    @property
    def most_at_once(self) -> int | None:
        """How many requests the present spender can pay for together; None without a limit."""
        return None if self._bucket is None else self._bucket.capacity - self._bucket.reserve(_spender.get())

    def left(self, tier: Tier) -> float:
        """The share of what this tier may spend that is unspent; 1 without a limit."""
        return 1.0 if self._bucket is None else self._bucket.left(tier, now_ns=monotonic_ns())

    async def spend(self, requests: int) -> None:
        """Wait until the present spender can pay for so many requests, and pay."""
        if self._bucket is None:
            return
        tier = _spender.get()
        async with self._lines[tier]:
            while True:
                wait_ns = self._bucket.take(requests, tier, now_ns=monotonic_ns())
                if wait_ns == 0:
                    return
                await asyncio.sleep(wait_ns / 10**9)
