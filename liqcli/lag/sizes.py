"""Sizes of lag lines in constant memory: a logarithmic histogram with 128 steps for every doubling."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from liqcli.lag.lines import Int64s

_STEPS = 128
_BINS = _STEPS * 65 + 1
"""Exact below 256; 65 doublings reach past the largest count of 64 bits."""
_EXACT_FLOATS = 2**53
_SHARES = (0.5, 0.9, 0.95, 0.99)


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


@dataclass(slots=True)
class SizeTally:
    """Counts and sums per bin, and the largest of all."""

    lines: Int64s = field(default_factory=lambda: np.zeros(_BINS, np.int64))
    lost: Int64s = field(default_factory=lambda: np.zeros(_BINS, np.int64))
    maximum: int = 0

    def add(self, lost: Int64s) -> None:
        """Take the sizes of the next lines."""
        values = lost.astype(np.float64)
        bins = bin_of(values)
        top = int(bins.max()) + 1
        self.lines[:top] += np.bincount(bins, minlength=top)
        self._add_lost(_sums(bins, lost, top))
        self.maximum = max(self.maximum, int(lost.max()))

    def _add_lost(self, sums: Int64s) -> None:
        """Add to the sums of the lowest bins, in Python's integers from where 64 bits might not hold them."""
        if self.lost.dtype != object and (sums.dtype == object or int(self.lost.max()) >= 2**62):
            self.lost = self.lost.astype(object)
        self.lost[: len(sums)] += sums

    def merge(self, other: "SizeTally") -> None:
        """Add another part of the log."""
        self.lines += other.lines
        self._add_lost(other.lost)
        self.maximum = max(self.maximum, other.maximum)

    def median(self) -> float | None:
        """The middle value to within 0.8 %; None without lines."""
        return _quantiles(_centres(), self.lines.astype(np.float64))[0] if self.lines.any() else None

    def distribution(self, total: int, exact: Int64s | None) -> Distribution | None:
        """What a report shows; `exact` are all the values where they were kept."""
        count = int(self.lines.sum())
        if count == 0:
            return None
        values = _centres() if exact is None else np.sort(exact).astype(np.float64)
        lines = self.lines.astype(np.float64) if exact is None else np.ones(len(values))
        return Distribution(
            mean=total / count,
            maximum=self.maximum,
            per_line=Percentiles(*(_quantiles(values, lines) if exact is None else _exact(values))),
            by_loss=Percentiles(*_quantiles(values, self.lost.astype(np.float64) if exact is None else values)),
            histogram=self._histogram(),
        )

    def _histogram(self) -> tuple[HistogramBin, ...]:
        used = np.flatnonzero(self.lines)
        first, last = ((int(place) - 1) // _STEPS for place in (max(used[0], 1), max(used[-1], 1)))
        return tuple(self._doubling(doubling) for doubling in range(first, last + 1))

    def _doubling(self, doubling: int) -> HistogramBin:
        """All from a power of two up to the next; a count of zero goes with the ones."""
        part = slice(doubling * _STEPS + 1 if doubling else 0, (doubling + 1) * _STEPS + 1)
        low, high = 2**doubling, 2 ** (doubling + 1) - 1
        return HistogramBin(low, high, int(self.lines[part].sum()), int(self.lost[part].sum()))


def bin_of(values: NDArray[np.float64]) -> Int64s:
    """The bin of each whole value: 0 for 0, then 128 equal steps from each power of two to the next.

    The top bits of a float are its doubling and its step.
    """
    bins: Int64s = np.maximum((values.view(np.int64) >> 45) - (1023 * _STEPS - 1), 0)
    return bins


def _sums(bins: Int64s, lost: Int64s, top: int) -> Int64s:
    """The exact sum of each bin."""
    if int(lost.max()) < _EXACT_FLOATS // len(lost):
        return np.bincount(bins, lost, minlength=top).astype(np.int64)
    sums: Int64s = np.zeros(top, object)
    np.add.at(sums, bins, lost.astype(object))
    return sums


def _edges() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The lowest and the highest whole value of every bin."""
    lowest = np.ceil(((np.arange(_BINS + 1) + (1023 * _STEPS - 1)) << 45).view(np.float64))
    lowest[0] = 0.0
    return lowest[:-1], lowest[1:] - 1


def _centres() -> NDArray[np.float64]:
    low, high = _edges()
    return np.asarray((low + np.maximum(low, high)) / 2)


def _quantiles(values: NDArray[np.float64], weights: NDArray[np.float64]) -> list[float]:
    """The smallest value at which each share of the weight is reached."""
    reached = np.cumsum(weights)
    places = np.searchsorted(reached, np.array(_SHARES) * reached[-1])
    return [float(values[min(place, len(values) - 1)]) for place in places]


def _exact(values: NDArray[np.float64]) -> list[float]:
    return [float(value) for value in np.quantile(values, _SHARES)]
