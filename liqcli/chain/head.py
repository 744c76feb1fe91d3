"""The newest block: whether what the nodes say about it is good enough to decide on.

A head that stands still, is old or goes back stops decisions: what is read there is not the state of the chain.
"""

import time
from dataclasses import dataclass
from time import monotonic


@dataclass(frozen=True, slots=True)
class HeadState:
    """The newest block ever seen, when it was mined and when it was seen; `reason` says why decisions must wait."""

    block: int
    timestamp: int
    seen_at: float
    reason: str = ""

    @property
    def is_current(self) -> bool:
        """Whether decisions may be made."""
        return not self.reason


class HeadWatch:
    """Remembers the newest head; without `max_age_s` a chain may stand still, as a local one does."""

    def __init__(self, *, max_age_s: float | None) -> None:
        self._max_age_s = max_age_s
        self._block = -1
        self._timestamp = 0
        self._seen_at = monotonic()
        self._answered = -1
        self.steps_back = 0

    def see(self, block: int, timestamp: int) -> HeadState:
        """Take a head that a node answered with, and say what to make of it."""
        if block < self._answered:
            self.steps_back += 1
        self._answered = block
        if block > self._block:
            self._block, self._timestamp, self._seen_at = block, timestamp, monotonic()
        return self.state()

    def state(self) -> HeadState:
        """As of now: a head that nobody renews grows old by itself."""
        return HeadState(self._block, self._timestamp, self._seen_at, self._why_not())

    def _why_not(self) -> str:
        if self._block < 0:
            return "no head was seen yet"
        if self._answered < self._block:
            return f"the head went back from block {self._block:,} to {self._answered:,}"
        if self._max_age_s is None:
            return ""
        still_s, age_s = monotonic() - self._seen_at, time.time() - self._timestamp
        if still_s > self._max_age_s:
            return f"no block after {self._block:,} for {still_s:.0f} s"
        if age_s > self._max_age_s:
            return f"block {self._block:,} is {age_s:.0f} s old, or this machine's clock is fast"
        return ""
