"""Tally: what a run counted, and the summary it ends with."""

from collections import Counter, deque
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from time import monotonic

from liqcli.model import Address, Pace

_LATENCIES_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Milliseconds below which half, 95 and 99 of a hundred fell; None when nothing was measured."""

    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(slots=True)
class Latency:
    """The last measured latencies of one stage, bounded."""

    _kept_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_LATENCIES_KEPT))

    def since(self, *started: float) -> None:
        """Record the time from each of these monotonic seconds until now."""
        now = monotonic()
        self._kept_ms.extend((now - began) * 1000 for began in started)

    def percentiles(self) -> Percentiles:
        """By nearest rank."""
        ordered = sorted(self._kept_ms)
        return Percentiles(*(_rank(ordered, share) for share in (0.50, 0.95, 0.99)))


@dataclass(slots=True)
class CacheUse:
    """How the shared cache answered, by the pace of the borrowers; a saved call is a borrower that was not read."""

    hits: Counter[Pace] = field(default_factory=Counter)
    misses: Counter[Pace] = field(default_factory=Counter)
    saved_calls: Counter[Pace] = field(default_factory=Counter)

    def count(self, paces: Mapping[Address, Pace], *, found: Container[Address], settled: Container[Address]) -> None:
        """The borrowers that were asked for: whose reading was there, and whom it saved from being read."""
        for borrower, pace in paces.items():
            (self.hits if borrower in found else self.misses)[pace] += 1
            self.saved_calls[pace] += borrower in settled


@dataclass(slots=True)
class Tally:
    """Counters of one run; `lost` stays 0 unless an event could neither be applied nor read again."""

    started: float = field(default_factory=monotonic)
    applied: int = 0
    coalesced: int = 0
    lost: int = 0
    planned: int = 0
    sent: int = 0
    won: int = 0
    failed: int = 0
    profit_base: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    cache: CacheUse = field(default_factory=CacheUse)
    event_to_queue: Latency = field(default_factory=Latency)
    event_to_send: Latency = field(default_factory=Latency)

    @property
    def duration_s(self) -> float:
        """Seconds since the run started."""
        return monotonic() - self.started


def _rank(ordered: list[float], share: float) -> float | None:
    return round(ordered[min(int(share * len(ordered)), len(ordered) - 1)], 3) if ordered else None
