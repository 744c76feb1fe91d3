"""Sizes of lag lines in constant memory: a logarithmic histogram with 128 steps for every doubling."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from liqcli.lag.model import Distribution, HistogramBin, Int64s, Percentiles

_STEPS = 128
_BINS = _STEPS * 46
"""Exact below 256; 46 doublings reach past the largest count that is read."""
_SHARES = (0.5, 0.9, 0.95, 0.99)


@dataclass(slots=True)
class SizeTally:
    """Counts and sums per bin, and the largest of all."""

    lines: Int64s = field(default_factory=lambda: np.zeros(_BINS, np.int64))
    lost: NDArray[np.float64] = field(default_factory=lambda: np.zeros(_BINS))
    maximum: int = 0

    def add(self, lost: Int64s) -> None:
        """Take the sizes of the next lines."""
        bins = bin_of(lost.astype(np.float64))
        top = int(bins.max()) + 1
        self.lines[:top] += np.bincount(bins, minlength=top)
        self.lost[:top] += np.bincount(bins, lost, minlength=top)
        self.maximum = max(self.maximum, int(lost.max()))

    def merge(self, other: "SizeTally") -> None:
        """Add another part of the log."""
        self.lines += other.lines
        self.lost += other.lost
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
            by_loss=Percentiles(*_quantiles(values, self.lost if exact is None else values)),
            histogram=self._histogram(),
        )

    def _histogram(self) -> tuple[HistogramBin, ...]:
        used = np.flatnonzero(self.lines)
        doublings = [int(_lowest(place)).bit_length() - 1 for place in (used[0], used[-1])]
        return tuple(self._histogram_bin(doubling) for doubling in range(max(doublings[0], 0), doublings[1] + 1))

    def _histogram_bin(self, doubling: int) -> HistogramBin:
        low, high = 2**doubling, 2 ** (doubling + 1) - 1
        part = slice(int(bin_of(np.array([float(low)]))[0]), int(bin_of(np.array([float(high)]))[0]) + 1)
        first = 0 if doubling == 0 else part.start
        lines, lost = self.lines[first : part.stop], self.lost[first : part.stop]
        return HistogramBin(low, high, int(lines.sum()), int(lost.sum()))


def bin_of(values: NDArray[np.float64]) -> Int64s:
    """The bin of each value: itself below 128, then 128 equal steps from each power of two to the next."""
    mantissa, exponent = np.frexp(values)
    doublings = np.maximum(exponent - 8, 0)
    bins: Int64s = np.ldexp(mantissa, exponent - doublings).astype(np.int64) + _STEPS * doublings
    return bins


def _lowest(place: int | np.integer) -> float:
    doublings = max(int(place) // _STEPS - 1, 0)
    return float((int(place) - _STEPS * doublings) << doublings)


def _centres() -> NDArray[np.float64]:
    places = np.arange(_BINS)
    doublings = np.maximum(places // _STEPS - 1, 0)
    width = 2.0**doublings
    centres: NDArray[np.float64] = (places - _STEPS * doublings) * width + (width - 1) / 2
    return centres


def _quantiles(values: NDArray[np.float64], weights: NDArray[np.float64]) -> list[float]:
    """The smallest value at which each share of the weight is reached."""
    reached = np.cumsum(weights)
    places = np.searchsorted(reached, np.array(_SHARES) * reached[-1])
    return [float(values[min(place, len(values) - 1)]) for place in places]


def _exact(values: NDArray[np.float64]) -> list[float]:
    return [float(value) for value in np.quantile(values, _SHARES)]
