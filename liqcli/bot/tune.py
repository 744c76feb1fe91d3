"""Tune: batch, workers and interval of each tier follow what was measured, within bounds and with hysteresis.

A setting moves one step when two rounds in a row ask for the same direction, and not at all inside the calm band.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from liqcli.config import TierPolicy, TierSettings, TuningSettings
from liqcli.model import Tier

_STEP = 1.5
"""Half as much more or a third less: too small to swing, large enough to arrive in a few rounds."""
_CALM = 4
"""Between a limit and a quarter of it nothing moves."""
_CHANGES_KEPT = 100


@dataclass(frozen=True, slots=True)
class Pacing:
    """How a tier is scanned at the moment."""

    interval_s: float
    batch: int
    workers: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What a tier showed since the last round; None where nothing happened.

    `latency_ms` is the median of a batch read, `error_rate` the share of borrowers not read, `oldest_s` the age of the
    oldest waiting entry, `budget_left` the share of the request budget that is unspent (1 without a budget).
    """

    latency_ms: float | None
    error_rate: float | None
    oldest_s: float | None
    budget_left: float


@dataclass(frozen=True, slots=True)
class Change:
    """One setting of one tier that was moved, and why."""

    tier: Tier
    setting: str
    before: float
    after: float
    reason: str

    def __str__(self) -> str:
        return f"{self.tier.value} {self.setting} {self.before:g} > {self.after:g}: {self.reason}"


class Tuner:
    """The pacing of every tier, and how it came to be; frozen at the operator's settings when tuning is off."""

    def __init__(self, tiers: TierSettings, tuning: TuningSettings) -> None:
        self._tiers = tiers
        self._tuning = tuning
        self._wished: set[tuple[Tier, str, bool]] = set()
        self.changes: deque[Change] = deque(maxlen=_CHANGES_KEPT)
        self.pacing = {tier: _pacing_of(tiers.policy(tier)) for tier in Tier}

    def tune(self, measured: Mapping[Tier, Measured]) -> list[Change]:
        """One round: move what two rounds in a row asked for; returns the moves."""
        if not self._tuning.enabled:
            return []
        wishes = [wish for tier, facts in measured.items() for wish in self._wishes(tier, facts)]
        asked = {(wish.tier, wish.setting, wish.after > wish.before) for wish in wishes}
        made = [wish for wish in wishes if (wish.tier, wish.setting, wish.after > wish.before) in self._wished]
        self._wished = asked
        for change in made:
            self.pacing[change.tier] = _moved(self.pacing[change.tier], change)
        self.changes.extend(made)
        return made

    def _wishes(self, tier: Tier, measured: Measured) -> Iterator[Change]:
        pacing, policy = self.pacing[tier], self._tiers.policy(tier)
        for setting, wants_more, reason in _directions(pacing, policy, measured, self._tuning):
            before = getattr(pacing, setting)
            after = _bounded(setting, before * _STEP if wants_more else before / _STEP, policy, self._tuning)
            if after != before and (after > before) == wants_more:
                yield Change(tier, setting, before, after, reason)


def _directions(
    pacing: Pacing, policy: TierPolicy, measured: Measured, tuning: TuningSettings
) -> Iterator[tuple[str, bool, str]]:
    """Errors and slowness shrink batches, waiting adds workers, a spent budget stretches intervals; calm undoes it."""
    latency_ms, error_rate, oldest_s = measured.latency_ms, measured.error_rate, measured.oldest_s
    waits = oldest_s is not None and oldest_s > pacing.interval_s
    if error_rate is not None and error_rate > tuning.error_rate_high:
        yield "batch", False, f"{error_rate:.0%} of the reads failed"
    elif latency_ms is not None and latency_ms > tuning.latency_high_ms:
        yield "batch", False, f"a batch takes {latency_ms:.0f} ms"
    elif (
        latency_ms is not None
        and latency_ms < tuning.latency_high_ms / _CALM
        and (waits or pacing.batch < policy.batch)
    ):
        yield "batch", True, f"a batch takes only {latency_ms:.0f} ms"
    if waits:
        yield "workers", True, f"the oldest entry has waited {oldest_s:.0f} s"
    elif oldest_s is None or oldest_s < pacing.interval_s / _CALM:
        yield "workers", False, "nothing waits long"
    if measured.budget_left < tuning.budget_low:
        yield "interval_s", True, f"{measured.budget_left:.0%} of the request budget is left"
    elif measured.budget_left > min(tuning.budget_low * _CALM, 1.0):
        yield "interval_s", False, f"{measured.budget_left:.0%} of the request budget is left"


def _pacing_of(policy: TierPolicy) -> Pacing:
    return Pacing(policy.interval_s, policy.batch, policy.workers)


def _moved(pacing: Pacing, change: Change) -> Pacing:
    if change.setting == "interval_s":
        return replace(pacing, interval_s=change.after)
    if change.setting == "batch":
        return replace(pacing, batch=int(change.after))
    return replace(pacing, workers=int(change.after))


def _bounded(setting: str, wanted: float, policy: TierPolicy, tuning: TuningSettings) -> float:
    """Intervals and workers never fall below the operator's own; everything stays within a factor of it."""
    configured: float = getattr(policy, setting)
    least = configured / tuning.stretch if setting == "batch" else configured
    bounded = min(max(wanted, least), configured * tuning.stretch)
    return round(bounded, 3) if setting == "interval_s" else max(round(bounded), 1)
