"""What is read of a log: columns of lag lines, who printed them, and how the input was understood.

Times are integer microseconds: since 1970 UTC where the clock is `wall`, since the process began where it is
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


class Channel(StrEnum):
    """Which of artemis' two channels a line names; `CODES` orders them for the `channel` columns."""

    EVENT = "event"
    ACTION = "action"
    UNKNOWN = "unknown"


CHANNELS = (Channel.EVENT, Channel.ACTION, Channel.UNKNOWN)
"""Index = the code in the uint8 `channel` columns."""


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
    `whole_seconds` tells that no time is finer than that.
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
    whole_seconds: bool = False
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
