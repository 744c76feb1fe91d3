"""Before and after a change: did it lose less, and is the difference more than chance?

Lines of one incident depend on each other, so incidents are what is drawn again in the bootstrap; each draw also
draws how many incidents there were, because a quiet hour may be luck.
"""

from dataclasses import asdict, dataclass
from enum import StrEnum

import numpy as np

from liqcli.lag.contract import Document
from liqcli.lag.glyphs import count, percent, short_count, span
from liqcli.lag.model import Diagnosis, Statistics
from liqcli.lag.report import Line, Role, table_lines, wrapped
from liqcli.lag.tables import Table, cause_name

DRAWS = 2_000
SEED = 2_025
HOUR_US = 3_600_000_000
SHORTEST_US = 60_000_000
"""A shorter log says nothing about an hour."""


class Outcome(StrEnum):
    """What a comparison comes to."""

    IMPROVED = "improved"
    NO_EVIDENCE = "no evidence"
    WORSE = "worse"


@dataclass(frozen=True)
class Side:
    """One log, per hour of log so that unequal lengths compare; None where the log covers less than a minute."""

    hours: float | None
    lost: int
    incidents: int
    largest: int
    p99: float
    lost_per_hour: float | None
    incidents_per_hour: float | None
    level: str
    cause: str


@dataclass(frozen=True)
class Comparison:
    """`change_low` and `change_high` bound the change of events lost an hour with 95 % confidence."""

    before: Side
    after: Side
    outcome: Outcome
    change_low: float | None
    change_high: float | None
    text: str


def compare(before: Diagnosis, after: Diagnosis) -> Comparison:
    """What changed from one log to the other."""
    sides = _side(before), _side(after)
    low, high = _interval(before.statistics, after.statistics, sides)
    outcome = _outcome(low, high)
    return Comparison(*sides, outcome, low, high, _sentence(*sides, outcome))


def comparison_json(comparison: Comparison) -> Document:
    """The document of `--compare --json`."""
    return {
        "before": asdict(comparison.before),
        "after": asdict(comparison.after),
        "outcome": comparison.outcome.value.replace(" ", "_"),
        "change_per_hour": {"low": comparison.change_low, "high": comparison.change_high},
        "text": comparison.text,
    }


def comparison_table(comparison: Comparison) -> Table:
    """Before beside after."""
    before, after = comparison.before, comparison.after
    rows = (
        ("length of log", _hours(before.hours), _hours(after.hours)),
        ("events lost", count(before.lost), count(after.lost)),
        ("lost per hour", _number(before.lost_per_hour), _number(after.lost_per_hour)),
        ("incidents", count(before.incidents), count(after.incidents)),
        ("incidents per hour", _number(before.incidents_per_hour), _number(after.incidents_per_hour)),
        ("largest lag", count(before.largest), count(after.largest)),
        ("p99 of a lag", short_count(before.p99), short_count(after.p99)),
        ("verdict", f"{before.level}, {before.cause}", f"{after.level}, {after.cause}"),
    )
    return Table("Before and after", ("", "before", "after"), rows)


def render_comparison(comparison: Comparison, *, width: int = 100) -> list[Line]:
    """The comparison as terminal text, its outcome first."""
    return [
        *wrapped(f"{comparison.outcome.value.upper()}  {comparison.text}", width, role=Role.VERDICT),
        Line(""),
        *table_lines(comparison_table(comparison), width),
    ]


def _side(diagnosis: Diagnosis) -> Side:
    statistics = diagnosis.statistics
    hours, sizes = _length_hours(statistics), statistics.distribution
    return Side(
        hours=hours,
        lost=statistics.totals.lost,
        incidents=statistics.incident_count,
        largest=sizes.maximum if sizes else 0,
        p99=sizes.per_line.p99 if sizes else 0.0,
        lost_per_hour=statistics.totals.lost / hours if hours else None,
        incidents_per_hour=statistics.incident_count / hours if hours else None,
        level=diagnosis.verdict.level.value,
        cause=cause_name(diagnosis.verdict.cause),
    )


def _length_hours(statistics: Statistics) -> float | None:
    first = statistics.start_us if statistics.log_start_us is None else statistics.log_start_us
    last = statistics.end_us if statistics.log_end_us is None else statistics.log_end_us
    return None if first is None or last is None or last - first < SHORTEST_US else (last - first) / HOUR_US


def _interval(before: Statistics, after: Statistics, sides: tuple[Side, Side]) -> tuple[float | None, float | None]:
    old, new = sides
    if old.hours is None or new.hours is None:
        return None, None
    random = np.random.default_rng(SEED)
    change = _draw(random, after) / new.hours - _draw(random, before) / old.hours
    low, high = np.percentile(change, (2.5, 97.5))
    return float(low), float(high)


def _draw(random: np.random.Generator, statistics: Statistics) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    losses = np.array([incident.lost for incident in statistics.incidents], dtype=np.float64)
    if not len(losses):
        return np.zeros(DRAWS)
    times = random.poisson(1.0, (DRAWS, len(losses)))
    return np.asarray(times @ losses, dtype=np.float64)


def _outcome(low: float | None, high: float | None) -> Outcome:
    if low is None or high is None or low <= 0 <= high:
        return Outcome.NO_EVIDENCE
    return Outcome.IMPROVED if high < 0 else Outcome.WORSE


def _sentence(before: Side, after: Side, outcome: Outcome) -> str:
    if before.lost_per_hour is None or after.lost_per_hour is None:
        return "One of the logs covers less than a minute, so only totals can be set side by side."
    if before.lost_per_hour == 0:
        return (
            "Nothing was lost before."
            if after.lost == 0
            else f"{_number(after.lost_per_hour)} events lost an hour now."
        )
    left = percent(after.lost_per_hour, before.lost_per_hour)
    chance = "" if outcome is not Outcome.NO_EVIDENCE else ", which may be chance: too few incidents or too much spread"
    return f"{left} of the former loss an hour is left{chance}."


def _hours(hours: float | None) -> str:
    return "-" if hours is None else span(hours * 3_600)


def _number(value: float | None) -> str:
    return "-" if value is None else short_count(value)
