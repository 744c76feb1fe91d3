"""The nouns of a lag diagnosis; `to_json` in lag/contract.py writes them as `liq diagnose lag --json`.

Times are integer microseconds: since 1970 UTC where `clock` is `wall`, since the process began where it is
`uptime`; `NO_TIME` stands for a line without a time. Lost counts are exact integers: the N of `channel lagged by N`.
"""

from dataclasses import dataclass
from enum import StrEnum

from liqcli.lag.lines import Channel, InputSummary, LagChunk, Receiver
from liqcli.lag.runs import Runs
from liqcli.lag.series import Series, SeriesPoint
from liqcli.lag.sizes import Distribution


class Cause(StrEnum):
    """What made a receiver lose events."""

    SPINNING_PRODUCER = "spinning_producer"
    SLOW_CONSUMER = "slow_consumer"
    BLOCKED_CONSUMER = "blocked_consumer"
    BURST = "burst"
    NEAR_CRITICAL = "near_critical"
    CHANNEL_CLOSED = "channel_closed"
    UNKNOWN = "unknown"


ENDLESS = {Cause.SPINNING_PRODUCER, Cause.SLOW_CONSUMER}
"""Causes that go on for as long as the bot runs: a bigger buffer delays their loss and prevents none of it."""


class Level(StrEnum):
    """How bad it is; `--fail-on` compares by the order given here."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Totals:
    """Events lost and lines seen per channel; `lost` counts lost deliveries, once per receiver that printed."""

    lag_lines: int
    closed_lines: int
    lost: int
    lost_by_channel: dict[Channel, int]
    lines_by_channel: dict[Channel, int]


@dataclass(frozen=True, slots=True)
class ReceiverTotal:
    """The share of one distinguishable receiver on one channel."""

    receiver: Receiver
    channel: Channel
    lines: int
    lost: int


@dataclass(frozen=True, slots=True)
class Incident:
    """Lag lines of one receiver that belong together: a head and the tail it drags.

    `head` is the first line's N, `tail` the sum of the rest. `producer_rate_hz` is the median of N / gap over
    tail lines less than 100 us after their forerunner (None where there is none); `producer_rate_low_hz` is
    tail / duration over such runs, a lower bound. `stall_s` = (head + slots of the assumed capacity) / producer
    rate: how long the receiver was away before the head. `cause` is UNKNOWN until `advise` sets it.
    """

    start_us: int | None
    end_us: int | None
    lines: int
    lost: int
    head: int
    channel: Channel
    receiver: Receiver
    producer_rate_hz: float | None = None
    producer_rate_low_hz: float | None = None
    stall_s: float | None = None
    cause: Cause = Cause.UNKNOWN

    @property
    def tail(self) -> int:
        """Events lost in the lines after the head."""
        return self.lost - self.head

    @property
    def duration_us(self) -> int | None:
        """First line to last line; None without times."""
        return None if self.start_us is None or self.end_us is None else self.end_us - self.start_us


@dataclass(frozen=True, slots=True)
class ClosedFlood:
    """`channel closed` lines of one receiver on one channel: fatal, the receiver will never hear an event again.

    `rate_hz` is lines / duration, None for a single line or without times.
    """

    start_us: int | None
    end_us: int | None
    lines: int
    channel: Channel
    receiver: Receiver
    rate_hz: float | None


@dataclass(frozen=True, slots=True)
class Spacing:
    """Quiet time from the end of one incident to the start of the next."""

    median_s: float
    p10_s: float
    mean_s: float


@dataclass(frozen=True, slots=True)
class Statistics:
    """All that is measured, nothing that is concluded; what `aggregate` returns.

    `runs` feeds `advise`; `rows` are the lag lines themselves when there are at most 65,536 (`rows_complete`), else
    the first 65,536. `incidents` are in time order, at most the 1,000 with the greatest loss of `incident_count`.
    `anatomy` has a row for each line of the incident that lost most, or, where not all lines were kept, for all of
    its lines within `anatomy_us` of each other; where that is one row, the `worst_run`: the first 2,048 lines of the
    run that lost most (in a large file read by several processes: of its part in one of them). `distribution` is
    None without lag lines.
    `pair_rate_hz` is the median of N / gap over all gaps of 1-100 us. `twin_pairs` counts isolated pairs of lines
    with N within 1 % of each other less than 2 ms apart: two receivers that report the same loss. `log_start_us`
    and `log_end_us` are the first and last time of any line in the files, None where it was not read.
    """

    inputs: InputSummary
    totals: Totals
    receivers: tuple[Receiver, ...]
    by_receiver: tuple[ReceiverTotal, ...]
    distribution: Distribution | None
    runs: Runs
    rows: LagChunk
    rows_complete: bool
    incidents: tuple[Incident, ...]
    incident_count: int
    incident_gap_us: int
    anatomy: LagChunk
    anatomy_us: int
    worst_run: LagChunk
    seconds: Series
    minutes: Series
    worst_minute: SeriesPoint | None
    start_us: int | None
    end_us: int | None
    log_start_us: int | None
    log_end_us: int | None
    between: Spacing | None
    pair_rate_hz: float | None
    twin_pairs: int
    closed: tuple[ClosedFlood, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One level, one cause, one sentence; `buffer_can_help` is None when the log does not tell."""

    level: Level
    cause: Cause
    text: str
    buffer_can_help: bool | None
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CapacityRow:
    """What one requested capacity would do; `slots` is the power of two tokio allocates for it.

    `rule` says whose answer it is (assumed now, double it, recommended, ...); `incidents_absorbed` counts all incidents
    that would have lost nothing, none of an endless cause among them; None where the log does not tell.
    `staleness_s` is the age of the oldest event in a full buffer; `memory_bytes_min` counts slots of 8-byte events.
    """

    requested: int
    slots: int
    rule: str
    seconds_to_overflow: float | None
    incidents_absorbed: int | None
    staleness_s: float | None
    memory_bytes_min: int


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The buffer that would have absorbed every incident, or None where no buffer is the answer.

    `speedup_needed` is the factor by which the handler must become faster; `derivation` shows the sum line by line.
    """

    capacity: int | None
    capacity_low: int | None
    capacity_high: int | None
    staleness_s: float | None
    speedup_needed: float | None
    confidence: str
    derivation: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing to do; a tuple of these is ordered by effect. `setting` names the liq setting for liq's own logs."""

    action: str
    because: str
    evidence: str
    confidence: str
    setting: str | None = None


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The measured arrivals replayed through another capacity or handler time."""

    capacity: int | None
    handler_ms: float | None
    lost_before: int
    lost_after: int
    lines_after: int
    staleness_s: float | None
    text: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything a report shows; `unknown` says what this log cannot tell. Incidents here carry their cause."""

    statistics: Statistics
    verdict: Verdict
    capacities: tuple[CapacityRow, ...]
    recommend: Recommendation
    unknown: tuple[str, ...]
    advice: tuple[Advice, ...]
    what_if: WhatIf | None = None
