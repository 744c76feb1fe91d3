"""The report over a ledger: what was planned, sent and won, what it paid, and why the rest was left.

Each mode is summed up by itself: money of a sandbox or of a dry run is none.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from liqcli.bot.ledger import ENDED, STARTED, Decision

BUCKETS = 48
_MODES = ("live", "sandbox", "dry run")
"""The most real first."""


@dataclass(frozen=True, slots=True)
class Report:
    """Sums of one mode's decisions between two times; money in base currency, gas in wei."""

    mode: str
    since: datetime
    until: datetime
    decisions: tuple[Decision, ...]
    runs: int
    counts: Counter[str]
    skipped: Counter[str]
    expected_base: int
    profit_base: int
    gas_wei: int

    @property
    def profits(self) -> list[tuple[datetime, int]]:
        """The profit so far after each transaction that was mined."""
        total, points = 0, []
        for decision in self.decisions:
            if decision.profit_base is not None:
                total += decision.profit_base
                points.append((decision.time, total))
        return points

    def buckets(self) -> list[tuple[datetime, Counter[str]]]:
        """Decisions by kind in equal spans of time."""
        span = (self.until - self.since) / BUCKETS or timedelta(seconds=1)
        found: list[Counter[str]] = [Counter() for _ in range(BUCKETS)]
        for decision in self.decisions:
            found[min(int((decision.time - self.since) / span), BUCKETS - 1)][decision.kind] += 1
        return [(self.since + number * span, counts) for number, counts in enumerate(found)]


def reports_on(decisions: Sequence[Decision], *, since: datetime, until: datetime) -> tuple[Report, ...]:
    """A report for each mode that decided anything or ran, the most real first; an empty one where none did."""
    found = {decision.mode for decision in decisions}
    modes = [*(mode for mode in _MODES if mode in found), *sorted(found.difference(_MODES))]
    return tuple(_report_on(decisions, mode, since=since, until=until) for mode in modes or [""])


def _report_on(decisions: Sequence[Decision], mode: str, *, since: datetime, until: datetime) -> Report:
    """Expected profit is that of what was mined, to be held against what it paid."""
    decisions = [decision for decision in decisions if decision.mode == mode]
    about = tuple(decision for decision in decisions if decision.kind not in (STARTED, ENDED))
    mined = [decision for decision in about if decision.profit_base is not None]
    return Report(
        mode=mode,
        since=since,
        until=until,
        decisions=about,
        runs=sum(decision.kind == STARTED for decision in decisions),
        counts=Counter(decision.kind for decision in about),
        skipped=Counter(decision.reason or "no reason given" for decision in about if decision.kind == "skip"),
        expected_base=sum(decision.expected_base or 0 for decision in mined),
        profit_base=sum(decision.profit_base or 0 for decision in mined),
        gas_wei=sum(decision.gas_wei or 0 for decision in mined),
    )
