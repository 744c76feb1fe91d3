"""The pulse: what the batches of each tier showed since the last round of tuning."""

from collections import Counter
from collections.abc import Mapping
from statistics import median
from time import monotonic

from liqcli.bot.tune import Measured
from liqcli.model import Tier


class Pulse:
    """Latencies and failures by tier, emptied by each look."""

    def __init__(self) -> None:
        self._latencies_ms: dict[Tier, list[float]] = {}
        self._read: Counter[Tier] = Counter()
        self._failed: Counter[Tier] = Counter()

    def beat(self, tier: Tier, started: float, *, read: int, failed: int) -> None:
        """A batch that began at the monotonic second `started` has ended."""
        if read or failed:
            self._latencies_ms.setdefault(tier, []).append((monotonic() - started) * 1000)
            self._read[tier] += read
            self._failed[tier] += failed

    def measured(
        self, oldest_s: Mapping[Tier, float | None], budget_left: Mapping[Tier, float]
    ) -> dict[Tier, Measured]:
        """Each tier since the last look."""
        found = {tier: self._measured(tier, oldest_s.get(tier), budget_left[tier]) for tier in Tier}
        for kept in (self._latencies_ms, self._read, self._failed):
            kept.clear()
        return found

    def _measured(self, tier: Tier, oldest_s: float | None, budget_left: float) -> Measured:
        latencies, total = self._latencies_ms.get(tier), self._read[tier] + self._failed[tier]
        return Measured(
            latency_ms=median(latencies) if latencies else None,
            error_rate=self._failed[tier] / total if total else None,
            oldest_s=oldest_s,
            budget_left=budget_left,
        )
