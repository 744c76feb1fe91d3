"""The nouns of a lag diagnosis; `to_json` in lag/contract.py writes them as `liq diagnose lag --json`.

Times are integer microseconds: since 1970 UTC where `clock` is `wall`, since the process began where it is
`uptime`; `NO_TIME` stands for a line without a time. Lost counts are exact integers: the N of `channel lagged by N`.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Int64s: TypeAlias = NDArray[np.int64]
UInt8s: TypeAlias = NDArray[np.uint8]

NO_TIME = -(2**63)
"""The value of `at_us` in numpy columns for a line that carries no time."""

DEFAULT_CAPACITY = 512
"""What artemis asks of both its channels unless told otherwise."""


class Channel(StrEnum):
    """Which of artemis' two channels a line names; `CODES` orders them for the `channel` columns."""

    EVENT = "event"
    ACTION = "action"
    UNKNOWN = "unknown"


CHANNELS = (Channel.EVENT, Channel.ACTION, Channel.UNKNOWN)
"""Index = the code in the uint8 `channel` columns."""


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


class Clock(StrEnum):
    """What the times in a log count from."""

    WALL = "wall"
    UPTIME = "uptime"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Receiver:
    """Who printed a line, as far as the line tells: its module (`target`) and its span path with text fields.

    Two strategies without spans share one `Receiver`: the line then names the channel, never the receiver.
    """

    target: str | None
    span: str | None


@dataclass(frozen=True, slots=True)
class LagChunk:
    """Equally long columns, one row per `lagged by N` line in the order read; never holds `channel closed` lines.

    `at_us` may be NO_TIME and may step back where the log's clock does; `lost` is N, in Python integers (dtype object)
    where sums would not fit 64 bits; `channel` indexes CHANNELS;
    `receiver` indexes the reading's `receivers` (grows while reading, indices never change); `breaks` is True
    where at least one other line stands between this row and the row before it (only set for lines without a time).
    """

    at_us: Int64s
    lost: Int64s
    channel: UInt8s
    receiver: UInt8s
    breaks: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.lost)


@dataclass(frozen=True, slots=True)
class Skipped:
    """One line that speaks of lag, or could not be read at all, and why it was not counted.

    `line` is the 1-based number in `file`; `text` is at most 200 characters of it, raw: pass it through the
    terminal's `safe` before showing.
    """

    file: str
    line: int
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class InputSummary:
    """What was read and how it was understood: lag_lines + closed_lines + skipped_lines + other_lines == lines.

    `format` is full, compact, pretty, json, uptime, plain (no times) or mixed; `wrapper` is the outer layer (docker,
    docker-json, cri, journald, journald-json, syslog, kubectl) or None; `why` explains both in a sentence; `encoding`
    and `compression` name what had to be undone. `skipped` holds the first few, `skip_reasons` counts them all.
    `backward_steps` counts rows whose time lies before the row above them in the same file; `outside_lines` counts
    lag and closed lines that --since/--until left out (they are part of other_lines). `notes` are facts the reader
    of a report must know (a zone or a year was assumed, a file grew or was cut while it was read).
    """

    files: tuple[str, ...]
    format: str
    wrapper: str | None
    why: str
    ansi: bool
    lines: int
    lag_lines: int
    closed_lines: int
    skipped_lines: int
    bytes: int
    clock: Clock = Clock.NONE
    encoding: str = "utf-8"
    compression: str | None = None
    skipped: tuple[Skipped, ...] = ()
    skip_reasons: dict[str, int] = field(default_factory=dict)
    backward_steps: int = 0
    outside_lines: int = 0
    notes: tuple[str, ...] = ()

    @property
    def other_lines(self) -> int:
        """Lines that were read and are not about lag."""
        return self.lines - self.lag_lines - self.closed_lines - self.skipped_lines


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
class HistogramBin:
    """Lag lines with low <= N <= high (JSON: `from`, `to`), and the events they lost."""

    low: int
    high: int
    count: int
    lost: int


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Interpolated between neighbours; exact up to 65,536 lines, within 0.8 % beyond."""

    median: float
    p90: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Distribution:
    """Sizes of the lag lines: `per_line` each line counts once, `by_loss` each lost event counts once.

    `by_loss.median` = 1,333,363 reads: half of all lost events went in lines of that size or more. `histogram` has
    the bins 1, 2-3, 4-7, 8-15, ... from the smallest to the largest line, empty ones included.
    """

    mean: float
    maximum: int
    per_line: Percentiles
    by_loss: Percentiles
    histogram: tuple[HistogramBin, ...]


@dataclass(frozen=True, slots=True)
class Runs:
    """Columns, one row per run: lag lines of one receiver on one channel less than `fold_us` apart.

    Inside a run the receiver did nothing but print, so tail / duration is the producer's rate. Rows are ordered by
    start. `fold_us` is 100; it is doubled until the rows fit in memory, so check it before reading rates from `lost`.
    Lines without a time make runs by their place in the file: start_us and end_us are NO_TIME.
    """

    start_us: Int64s
    end_us: Int64s
    lines: Int64s
    lost: Int64s
    head: Int64s
    channel: UInt8s
    receiver: UInt8s
    fold_us: int

    def __len__(self) -> int:
        return len(self.lost)


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
class SeriesPoint:
    """Lag lines and events lost in [at_us, at_us + bucket); a bucket without lag has no point: it is a gap."""

    at_us: int
    lines: int
    lost: int


@dataclass(frozen=True, slots=True)
class Series:
    """Points in time order, at most 4,096: the bucket is the narrowest of 1, 10, 60, 600, 3,600 s ... that fits."""

    bucket_s: int
    points: tuple[SeriesPoint, ...]


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
