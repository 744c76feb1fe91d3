"""Whether more than one receiver printed the lines of a stream: the line names the channel, never the receiver."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from liqcli.lag.lines import Int64s
from liqcli.lag.simulate import Seconds
from liqcli.lag.stream import FEW, Service, Stream

LEAST_JUMP = 4.0
"""Mean N from which on the lost outnumber the messages handled between two lines."""


def without_twins(stream: Stream) -> Stream:
    """Leave out the second of two large lines that two receivers print for the same loss.

    Such pairs have N within 1 % and less than 2 ms between them, and no other large line near; heads that were
    folded into one run show as two lines of equal halves. A stream mostly without pairs is left as it is.
    """
    large = np.flatnonzero(stream.lost >= FEW)
    if not stream.timed or len(large) == 0:
        return stream
    folded = (stream.lines == 2) & (stream.head >= FEW) & (np.abs(2 * stream.head - stream.lost) <= 0.02 * stream.head)
    second = np.zeros(len(stream), dtype=np.bool_)
    second[large[1:]] = _echoes(stream.start[large], stream.lost[large])
    pairs = int(second.sum() + folded.sum())
    if 2 * pairs < len(large) - int(second.sum()):
        return stream
    keep = ~second
    return replace(
        stream,
        start=stream.start[keep],
        end=stream.end[keep],
        lost=np.where(folded, stream.head, stream.lost)[keep],
        lines=np.where(folded, 1, stream.lines)[keep],
        head=stream.head[keep],
        cut=0,
        twins=True,
    )


def _echoes(start: Seconds, lost: Int64s) -> NDArray[np.bool_]:
    """For each large line but the first: whether it repeats the one before it, with no third one near."""
    gaps = np.diff(start)
    alike = (gaps < 0.002) & (np.abs(np.diff(lost)) <= np.maximum(1, 0.01 * lost[1:]))
    before = np.concatenate([[True], gaps[:-1] > 0.02])
    after = np.concatenate([gaps[1:] > 0.02, [True]])
    echoes: NDArray[np.bool_] = alike & before & after
    return echoes


def is_interleaved(stream: Stream, service: Service) -> bool:
    """Whether two receivers' lines alternate: then short gaps lose as much as long ones.

    A receiver that prints alone loses in proportion to its own gap, once it loses several events a line; a gap between
    two receivers' lines says nothing about either. Streams with few or even gaps are taken as one receiver's.
    """
    if service.source == "assumed" or service.jump < LEAST_JUMP:
        return False
    busy = stream.gaps < stream.slots * service.point
    gaps, lost = stream.gaps[busy], stream.lost[1:][busy]
    if len(gaps) < 10:
        return False
    short = gaps <= np.quantile(gaps, 0.2)
    return bool(lost[short].mean() * gaps.mean() > 2.5 * lost.mean() * gaps[short].mean())
