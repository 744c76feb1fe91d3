"""Columns of lines: batches from the scanner, and cutting and joining them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liqcli.lag.lines import Int64s, LagChunk, UInt8s

EMPTY = LagChunk(
    at_us=np.empty(0, np.int64),
    lost=np.empty(0, np.int64),
    channel=np.empty(0, np.uint8),
    receiver=np.empty(0, np.uint8),
    breaks=np.empty(0, np.bool_),
)

EXACT_BELOW = 2**55
"""Sums below this leave room in 64 bits for what is computed from them; others are left to Python's integers."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Lag lines and `channel closed` lines (their `lost` is 0) that were read together."""

    lag: LagChunk
    closed: LagChunk = EMPTY


def counts_of(values: Sequence[int] | NDArray[Any]) -> Int64s:
    """Counts as a column: of Python integers (dtype object) where their sum might not fit 64 bits."""
    column = np.asarray(values, np.float64)
    if len(column) == 0 or float(np.abs(column).max()) * len(column) < EXACT_BELOW:
        return np.asarray(values).astype(np.int64)
    return np.array([int(value) for value in values], object)


def slice_chunk(chunk: LagChunk, part: slice | NDArray[np.bool_] | Int64s) -> LagChunk:
    """Some rows of a chunk."""
    return LagChunk(chunk.at_us[part], chunk.lost[part], chunk.channel[part], chunk.receiver[part], chunk.breaks[part])


def join_chunks(chunks: Sequence[LagChunk]) -> LagChunk:
    """Chunks one after the other."""
    parts = [*chunks, EMPTY]
    return LagChunk(
        np.concatenate([part.at_us for part in parts]),
        np.concatenate([part.lost for part in parts]),
        np.concatenate([part.channel for part in parts]),
        np.concatenate([part.receiver for part in parts]),
        np.concatenate([part.breaks for part in parts]),
    )


def widened(chunk: LagChunk) -> LagChunk:
    """The same rows, ready to be summed."""
    if chunk.lost.dtype != object and int(chunk.lost.max(initial=0)) < EXACT_BELOW // max(len(chunk), 1):
        return chunk
    return replace(chunk, lost=counts_of(chunk.lost))


def with_receivers(chunk: LagChunk, receiver: UInt8s) -> LagChunk:
    """The same rows under other receiver codes."""
    return LagChunk(chunk.at_us, chunk.lost, chunk.channel, receiver, chunk.breaks)
