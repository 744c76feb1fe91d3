"""Lag lines folded into runs: a receiver that does nothing but print is one row, however many lines it prints."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from liqcli.lag.chunks import EXACT_BELOW, counts_of
from liqcli.lag.lines import CHANNELS, NO_TIME, Int64s, LagChunk, UInt8s

FOLD_US = 100
"""Lines closer than this leave no time to handle an event: printing one takes 2 to 50 us."""
MOST_RUNS = 100_000
TAIL_MOST = 1_000
"""Without times a larger N begins a new run: no producer sends more while one line is printed."""
MOST_RATE_HZ = 1e9
"""No producer sends a billion events a second: such a pair of lines comes from two receivers."""
TWIN_LEAST = 32
"""Two receivers that lost fewer than this look alike by chance."""
ANATOMY = 2_048

_START, _END, _LINES, _LOST, _HEAD, _KEY, _TIMED = range(7)
_UNTIMED = 1 << 16


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


@dataclass(slots=True)
class _Open:
    """The last run of one receiver: it may go on in the next chunk."""

    row: list[int]
    at_us: Int64s
    lost: Int64s


@dataclass(slots=True)
class RunBuilder:
    """Folds chunks as they come; holds at most `MOST_RUNS` rows, widening the fold when there are more.

    `worst_at_us` and `worst_lost` are the first lines of the run that lost most; `twins` counts runs whose first two
    lines name nearly the same N.
    """

    fold_us: int = FOLD_US
    twins: int = 0
    worst: int = 0
    worst_at_us: Int64s = field(default_factory=lambda: np.empty(0, np.int64))
    worst_lost: Int64s = field(default_factory=lambda: np.empty(0, np.int64))
    _tables: list[Int64s] = field(default_factory=list)
    _rows: int = 0
    _open: dict[int, _Open] = field(default_factory=dict)

    def add(self, key: int, chunk: LagChunk) -> None:
        """Take the next lines of one receiver and channel."""
        timed = chunk.at_us != NO_TIME
        if timed.all():
            self._add(key, chunk.at_us, chunk.lost, chunk.breaks)
            return
        if timed.any():
            self._add(key, chunk.at_us[timed], chunk.lost[timed], chunk.breaks[timed])
        self._add(key + _UNTIMED, chunk.at_us[~timed], chunk.lost[~timed], chunk.breaks[~timed])

    def merge(self, later: "RunBuilder", receivers: Int64s) -> None:
        """Append the runs of the part that follows; `receivers` maps its codes to ours."""
        self.close()
        later.close()
        table = later.table().copy()
        key = table[_KEY].astype(np.int64)
        receiver, rest = np.divmod(key % _UNTIMED, len(CHANNELS))
        untimed = key // _UNTIMED * _UNTIMED
        table[_KEY] = receivers[receiver] * len(CHANNELS) + rest + untimed
        self.fold_us = max(self.fold_us, later.fold_us)
        self._append(table)
        self._tables = [_fold(self.table(), self.fold_us)]
        self._rows = self._tables[0].shape[1]
        self.twins += later.twins
        if later.worst > self.worst:
            self.worst, self.worst_at_us, self.worst_lost = later.worst, later.worst_at_us, later.worst_lost

    def close(self) -> None:
        """End the open runs, as at the end of the log."""
        for key in list(self._open):
            self._close(key)

    def runs(self) -> Runs:
        """All runs so far, open ones included, in order of their start."""
        table = np.concatenate([self.table(), *(_column(last.row) for last in self._open.values())], axis=1)
        if (table[_START] != NO_TIME).any():
            table = table[:, np.argsort(table[_START], kind="stable")]
        receiver, channel = np.divmod(table[_KEY].astype(np.int64) % _UNTIMED, len(CHANNELS))
        return Runs(
            start_us=table[_START].astype(np.int64),
            end_us=table[_END].astype(np.int64),
            lines=table[_LINES].astype(np.int64),
            lost=counts_of(table[_LOST]),
            head=counts_of(table[_HEAD]),
            channel=channel.astype(np.uint8),
            receiver=receiver.astype(np.uint8),
            fold_us=self.fold_us,
        )

    def _add(self, key: int, at_us: Int64s, lost: Int64s, breaks: NDArray[np.bool_]) -> None:
        last = self._open.get(key)
        if key >= _UNTIMED:
            begins = breaks | (lost > TAIL_MOST)
            begins[0] |= last is None
        else:
            begins = np.empty(len(at_us), np.bool_)
            np.greater_equal(np.abs(np.diff(at_us)), self.fold_us, out=begins[1:])
            begins[0] = last is None or abs(int(at_us[0]) - last.row[_END]) >= self.fold_us
        starts = np.flatnonzero(begins)
        self.twins += _twins(lost, starts)
        first = int(starts[0]) if len(starts) else len(lost)
        if first:
            self._extend(key, at_us[:first], lost[:first])
        if len(starts):
            if last is not None:
                self._close(key)
            self._begin(key, at_us, lost, starts)

    def _extend(self, key: int, at_us: Int64s, lost: Int64s) -> None:
        last = self._open[key]
        last.row[_END] = int(at_us[-1])
        last.row[_LINES] += len(lost)
        last.row[_LOST] += int(lost.sum())
        if (room := ANATOMY - len(last.lost)) > 0:
            last.at_us = np.concatenate([last.at_us, at_us[:room]])
            last.lost = np.concatenate([last.lost, lost[:room]])

    def _begin(self, key: int, at_us: Int64s, lost: Int64s, starts: Int64s) -> None:
        """Store all new runs but the last, which stays open."""
        ends = np.append(starts[1:], len(lost))
        sums = np.add.reduceat(lost, starts)
        table = np.empty((7, len(starts)), lost.dtype)
        table[_START], table[_END] = at_us[starts], at_us[ends - 1]
        table[_LINES], table[_LOST], table[_HEAD] = ends - starts, sums, lost[starts]
        table[_KEY], table[_TIMED] = key, key < _UNTIMED
        if len(starts) > 1:
            self._append(table[:, :-1])
            top = int(np.argmax(sums[:-1]))
            part = slice(int(starts[top]), min(int(ends[top]), int(starts[top]) + ANATOMY))
            self._compare(int(sums[top]), at_us[part], lost[part])
        tail = slice(int(starts[-1]), int(starts[-1]) + ANATOMY)
        self._open[key] = _Open(table[:, -1].tolist(), at_us[tail].copy(), lost[tail].copy())

    def _close(self, key: int) -> None:
        last = self._open.pop(key)
        self._append(_column(last.row))
        self._compare(last.row[_LOST], last.at_us, last.lost)

    def _compare(self, total: int, at_us: Int64s, lost: Int64s) -> None:
        if total > self.worst:
            self.worst, self.worst_at_us, self.worst_lost = total, at_us.copy(), lost.copy()

    def worst_lines(self) -> tuple[Int64s, Int64s]:
        """Times and sizes of the first lines of the run that lost most, an open one included."""
        best = (self.worst, self.worst_at_us, self.worst_lost)
        for last in self._open.values():
            best = max(best, (last.row[_LOST], last.at_us, last.lost), key=lambda entry: entry[0])
        return best[1], best[2]

    def _append(self, table: Int64s) -> None:
        self._tables.append(table)
        self._rows += table.shape[1]
        if len(self._tables) > 1_000:
            self._tables = [self.table()]
        while self._rows > MOST_RUNS:
            folded = _fold(self.table(), self.fold_us * 2)
            self.fold_us *= 2
            self._tables, self._rows = [folded], folded.shape[1]

    def table(self) -> Int64s:
        """The closed runs, one column each."""
        return np.concatenate(self._tables, axis=1) if self._tables else np.empty((7, 0), np.int64)


def _column(row: list[int]) -> Int64s:
    return np.array(row, np.int64 if row[_LOST] < EXACT_BELOW else object).reshape(7, 1)


def _twins(lost: Int64s, starts: Int64s) -> int:
    """Runs of two lines or more whose first two are within 1 %; a second line in the next chunk is not seen."""
    pairs = starts[:-1][np.diff(starts) > 1] if len(starts) else starts
    if len(starts) and starts[-1] + 1 < len(lost):
        pairs = np.append(pairs, starts[-1])
    first, second = lost[pairs], lost[pairs + 1] if len(pairs) else lost[pairs]
    return int(np.count_nonzero((first >= TWIN_LEAST) & (np.abs(first - second) * 100 <= first)))


def _fold(table: Int64s, fold_us: int) -> Int64s:
    """Join neighbouring runs of one receiver that lie closer than `fold_us`; lines without a time stay as they are."""
    if table.shape[1] == 0:
        return table
    if (table[_KEY] != table[_KEY, 0]).any():
        table = table[:, np.argsort(table[_KEY], kind="stable")]
    gap = np.abs(table[_START, 1:] - table[_END, :-1])
    joins = (table[_KEY, 1:] == table[_KEY, :-1]) & (table[_TIMED, 1:] == 1) & (gap < fold_us)
    if not joins.any():
        return table
    starts = np.flatnonzero(np.concatenate(([True], ~joins)))
    if float(table[_LOST].sum(dtype=np.float64)) >= EXACT_BELOW:
        table = table.astype(object)
    folded = table[:, starts]
    folded[_END] = table[_END, np.append(starts[1:], table.shape[1]) - 1]
    folded[_LINES] = np.add.reduceat(table[_LINES], starts)
    folded[_LOST] = np.add.reduceat(table[_LOST], starts)
    return folded
