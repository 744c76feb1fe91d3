"""Loss over time in buckets that widen when there are too many."""

from dataclasses import dataclass, field

import numpy as np

from liqcli.lag.clock import SECOND
from liqcli.lag.lines import NO_TIME, LagChunk

MOST_POINTS = 4_096
_MOST_BUCKETS = 65_536
_WIDTHS_S = (1, 10, 60, 600, 3_600, 21_600, 86_400, 864_000, 8_640_000, 86_400_000, 864_000_000)


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


@dataclass(slots=True)
class Buckets:
    """Lag lines and events lost per bucket of `width_s`; only buckets with lag exist."""

    width_s: int
    sums: dict[int, tuple[int, int]] = field(default_factory=dict)

    def add(self, second: int, lines: int, lost: int) -> None:
        """Add the sums of one second."""
        bucket = second // self.width_s
        before = self.sums.get(bucket, (0, 0))
        self.sums[bucket] = (before[0] + lines, before[1] + lost)
        if len(self.sums) > _MOST_BUCKETS:
            self.widen()

    def merge(self, other: "Buckets") -> None:
        """Add another part of the log."""
        while self.width_s < other.width_s:
            self.widen()
        while other.width_s < self.width_s:
            other.widen()
        for bucket, (lines, lost) in other.sums.items():
            self.add(bucket * self.width_s, lines, lost)

    def series(self) -> Series:
        """The points in time order, in buckets wide enough for MOST_POINTS."""
        narrow = Buckets(self.width_s, dict(self.sums))
        while len(narrow.sums) > MOST_POINTS:
            narrow.widen()
        scale = narrow.width_s * 1_000_000
        points = (SeriesPoint(bucket * scale, *narrow.sums[bucket]) for bucket in sorted(narrow.sums))
        return Series(narrow.width_s, tuple(points))

    def worst(self) -> SeriesPoint | None:
        """The bucket that lost most, the first of equals."""
        if not self.sums:
            return None
        bucket = max(sorted(self.sums), key=lambda key: self.sums[key][1])
        return SeriesPoint(bucket * self.width_s * 1_000_000, *self.sums[bucket])

    def widen(self) -> None:
        """Go to the next wider bucket."""
        wider = _WIDTHS_S[_WIDTHS_S.index(self.width_s) + 1]
        narrow, sums = self.width_s, self.sums
        self.width_s, self.sums = wider, {}
        for bucket, (lines, lost) in sums.items():
            self.add(bucket * narrow, lines, lost)


@dataclass(slots=True)
class SeriesTally:
    """Loss per second and per minute."""

    seconds: Buckets = field(default_factory=lambda: Buckets(1))
    minutes: Buckets = field(default_factory=lambda: Buckets(60))

    def add(self, chunk: LagChunk) -> None:
        """Take the next lines; those without a time are in no bucket."""
        at_us, lost = chunk.at_us, chunk.lost
        timed = at_us != NO_TIME
        if not timed.all():
            at_us, lost = at_us[timed], lost[timed]
        if len(at_us) == 0:
            return
        seconds = at_us // SECOND
        starts = np.concatenate(([0], np.flatnonzero(seconds[1:] != seconds[:-1]) + 1))
        sums = np.add.reduceat(lost, starts).tolist()
        rows = np.diff(starts, append=len(lost)).tolist()
        for second, lines, total in zip(seconds[starts].tolist(), rows, sums, strict=True):
            self.seconds.add(second, lines, total)
            self.minutes.add(second, lines, total)

    def merge(self, later: "SeriesTally") -> None:
        """Add another part of the log."""
        self.seconds.merge(later.seconds)
        self.minutes.merge(later.minutes)
