"""Lag lines counted in one pass and constant memory."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from liqcli.lag.chunks import Batch, join_chunks, slice_chunk, widened, with_receivers
from liqcli.lag.lines import CHANNELS, NO_TIME, Int64s, LagChunk
from liqcli.lag.runs import FOLD_US, MOST_RATE_HZ, RunBuilder
from liqcli.lag.series import SeriesTally
from liqcli.lag.sizes import SizeTally

MOST_ROWS = 65_536
WORTHWHILE = 16_384
"""Lines counted at a time."""
RATE_SCALE = 1_000.0
"""Pair rates are tallied per second / 1,000, so that slow ones keep their precision."""


@dataclass(slots=True)
class Flood:
    """`channel closed` lines of one receiver on one channel."""

    start: int = NO_TIME
    end: int = NO_TIME
    lines: int = 0

    def add(self, at_us: Int64s, lines: int) -> None:
        """Count lines; `at_us` are some of their times, the first and the last among them."""
        timed = at_us[at_us != NO_TIME]
        self.lines += lines
        if len(timed):
            first, last = int(timed.min()), int(timed.max())
            self.start = first if self.start == NO_TIME else min(self.start, first)
            self.end = max(self.end, last)


@dataclass(slots=True)
class Tally:
    """The running statistics of a reading; `add` takes batches in the order of time."""

    lost: int = 0
    by_receiver: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    sizes: SizeTally = field(default_factory=SizeTally)
    rates: SizeTally = field(default_factory=SizeTally)
    runs: RunBuilder = field(default_factory=RunBuilder)
    series: SeriesTally = field(default_factory=SeriesTally)
    closed: dict[tuple[int, int], Flood] = field(default_factory=dict)
    start: int = NO_TIME
    end: int = NO_TIME
    last_us: dict[int, int] = field(default_factory=dict)
    waiting: list[LagChunk] = field(default_factory=list)
    waiting_rows: int = 0
    kept: list[LagChunk] = field(default_factory=list)
    kept_rows: int = 0
    lines: int = 0

    def add(self, batch: Batch) -> None:
        """Take the next batch; small ones wait until they are worth the trouble."""
        if len(batch.lag):
            self.waiting.append(batch.lag)
            self.waiting_rows += len(batch.lag)
        if self.waiting_rows >= WORTHWHILE:
            self.flush()
        if len(batch.closed):
            self._add_closed(batch.closed)

    def flush(self) -> None:
        """Count the lines that are waiting."""
        if self.waiting:
            self._add_lag(join_chunks(self.waiting) if len(self.waiting) > 1 else self.waiting[0])
            self.waiting, self.waiting_rows = [], 0

    def merge(self, later: "Tally", receivers: Int64s) -> None:
        """Add the tally of the part of the log that follows; `receivers` maps its codes to ours."""
        self.flush()
        later.flush()
        self.lost += later.lost
        self.lines += later.lines
        for (receiver, channel), (lines, lost) in later.by_receiver.items():
            self._put((int(receivers[receiver]), channel), lines, lost)
        for (receiver, channel), flood in later.closed.items():
            ours = self.closed.setdefault((int(receivers[receiver]), channel), Flood())
            ours.add(np.array([flood.start, flood.end]), flood.lines)
        self.sizes.merge(later.sizes)
        self.rates.merge(later.rates)
        self.runs.merge(later.runs, receivers)
        self.series.merge(later.series)
        self._span(np.array([later.start, later.end]))
        for chunk in later.kept:
            self._keep(with_receivers(chunk, receivers[chunk.receiver].astype(np.uint8)))

    def rows(self) -> LagChunk:
        """The first lag lines themselves."""
        return join_chunks(self.kept)

    def _add_lag(self, chunk: LagChunk) -> None:
        chunk = widened(chunk)
        self.lines += len(chunk)
        for key, mine in by_key(chunk):
            lost = int(mine.lost.sum())
            self.lost += lost
            self._put(divmod(key, len(CHANNELS)), len(mine), lost)
            rates = self._rates(key, mine)
            if len(rates):
                self.rates.add((rates / RATE_SCALE + 1).astype(np.int64))
            self.runs.add(key, mine)
        self.sizes.add(chunk.lost)
        self.series.add(chunk)
        self._span(chunk.at_us)
        self._keep(chunk)

    def _rates(self, key: int, chunk: LagChunk) -> NDArray[np.float64]:
        """The pair rates of one receiver, its last line of the time before included."""
        before = np.array([self.last_us.get(key, NO_TIME)])
        self.last_us[key] = int(chunk.at_us[-1])
        return pair_rates(np.concatenate([before, chunk.at_us]), np.concatenate([[0], chunk.lost]))

    def _add_closed(self, chunk: LagChunk) -> None:
        self._span(chunk.at_us)
        for key, mine in by_key(chunk):
            self.closed.setdefault(divmod(key, len(CHANNELS)), Flood()).add(mine.at_us, len(mine))

    def _put(self, key: tuple[int, int], lines: int, lost: int) -> None:
        before = self.by_receiver.get(key, (0, 0))
        self.by_receiver[key] = (before[0] + lines, before[1] + lost)

    def _span(self, at_us: Int64s) -> None:
        first, last = int(at_us.min()), int(at_us.max())
        if first == NO_TIME and last != NO_TIME:
            first = int(at_us[at_us != NO_TIME].min())
        if last != NO_TIME:
            self.start = first if self.start == NO_TIME else min(self.start, first)
            self.end = max(self.end, last)

    def _keep(self, chunk: LagChunk) -> None:
        if (room := MOST_ROWS - self.kept_rows) > 0:
            part = slice_chunk(chunk, slice(0, room))
            self.kept.append(part)
            self.kept_rows += len(part)


def pair_rates(at_us: Int64s, lost: Int64s) -> NDArray[np.float64]:
    """N / gap in events a second for every line that follows one of its receiver within 1 to 99 us."""
    gap = np.diff(at_us)
    near = np.flatnonzero((gap > 0) & (gap < FOLD_US))
    rates: NDArray[np.float64] = lost[near + 1].astype(np.float64) / gap[near] * 1e6
    return rates[rates < MOST_RATE_HZ]


def keys_of(chunk: LagChunk) -> Int64s:
    """One number per receiver and channel."""
    return chunk.receiver.astype(np.int64) * len(CHANNELS) + chunk.channel


def by_key(chunk: LagChunk) -> Iterator[tuple[int, LagChunk]]:
    """The rows of each receiver and channel; mostly there is one."""
    if (chunk.receiver == chunk.receiver[0]).all() and (chunk.channel == chunk.channel[0]).all():
        yield int(chunk.receiver[0]) * len(CHANNELS) + int(chunk.channel[0]), chunk
        return
    keys = keys_of(chunk)
    for key in np.unique(keys).tolist():
        yield key, slice_chunk(chunk, keys == key)
