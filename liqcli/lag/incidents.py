"""From tallies to statistics: runs grouped into incidents, with what each of them tells about the producer."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liqcli.lag.anatomy import anatomy_of
from liqcli.lag.assumed import DEFAULT_CAPACITY, INCIDENT_GAP_US
from liqcli.lag.chunks import Batch, counts_of, slice_chunk
from liqcli.lag.lines import (
    CHANNELS,
    NO_TIME,
    Channel,
    Clock,
    InputSummary,
    Int64s,
    LagChunk,
    Receiver,
    UInt8s,
)
from liqcli.lag.model import ClosedFlood, Incident, ReceiverTotal, Spacing, Statistics, Totals
from liqcli.lag.runs import FOLD_US, MOST_RATE_HZ, Runs
from liqcli.lag.simulate import slots_for
from liqcli.lag.tally import RATE_SCALE, Flood, Tally, keys_of

MOST_INCIDENTS = 1_000


def aggregate(
    batches: Iterable[Batch],
    *,
    summary: "InputSummary | None" = None,
    receivers: Sequence[Receiver] = (),
    capacity: int = DEFAULT_CAPACITY,
    incident_gap_us: int = INCIDENT_GAP_US,
) -> Statistics:
    """Statistics of any stream of batches; without a `summary` (simulated lines) one is made up from the rows."""
    tally = Tally()
    for batch in batches:
        tally.add(batch)
    inputs = summary or _summary_of(tally)
    return statistics_of(tally, inputs, tuple(receivers), capacity=capacity, incident_gap_us=incident_gap_us)


def aggregate_columns(
    at_us: Int64s,
    lost: Int64s,
    *,
    channel: UInt8s | None = None,
    receiver: UInt8s | None = None,
    receivers: Sequence[Receiver] = (Receiver(None, None),),
    capacity: int = DEFAULT_CAPACITY,
) -> Statistics:
    """Statistics of lag lines that are already columns, as a simulation makes them; channel code 0 is `event`."""
    nothing = np.zeros(len(lost), np.uint8)
    chunk = LagChunk(
        at_us=np.asarray(at_us, np.int64),
        lost=counts_of(lost),
        channel=nothing if channel is None else channel,
        receiver=nothing if receiver is None else receiver,
        breaks=np.zeros(len(lost), np.bool_),
    )
    empty = slice_chunk(chunk, slice(0, 0))
    return aggregate([Batch(chunk, empty)], receivers=receivers, capacity=capacity)


def statistics_of(
    tally: Tally, inputs: InputSummary, receivers: tuple[Receiver, ...], *, capacity: int, incident_gap_us: int
) -> Statistics:
    """What a tally amounts to; the tally may go on counting."""
    tally.flush()
    runs, rows = tally.runs.runs(), tally.rows()
    complete = tally.lines == len(rows)
    groups = group_runs(runs, incident_gap_us)
    incidents = find_incidents(
        runs, receivers, rows=rows if complete else None, capacity=capacity, gap_us=incident_gap_us
    )
    anatomy, anatomy_us = anatomy_of(
        incidents, receivers, rows=rows if complete else None, runs=runs, worst_run=(worst_run := _worst_run(tally))
    )
    return Statistics(
        inputs=inputs,
        totals=_totals(tally),
        receivers=receivers,
        by_receiver=tuple(
            ReceiverTotal(receivers[receiver], CHANNELS[channel], lines, lost)
            for (receiver, channel), (lines, lost) in sorted(tally.by_receiver.items(), key=lambda item: -item[1][1])
        ),
        distribution=tally.sizes.distribution(tally.lost, rows.lost if complete else None),
        runs=runs,
        rows=rows,
        rows_complete=complete,
        incidents=tuple(incidents),
        incident_count=len(groups.lost),
        incident_gap_us=incident_gap_us,
        anatomy=anatomy,
        anatomy_us=anatomy_us,
        worst_run=worst_run,
        seconds=tally.series.seconds.series(),
        minutes=tally.series.minutes.series(),
        worst_minute=tally.series.minutes.worst(),
        start_us=_known(tally.start),
        end_us=_known(tally.end),
        log_start_us=_known(tally.start),
        log_end_us=_known(tally.end),
        between=spacing_of(groups),
        pair_rate_hz=_median_rate(tally, rows if complete else None),
        twin_pairs=tally.runs.twins,
        closed=tuple(_flood(flood, CHANNELS[key[1]], receivers[key[0]]) for key, flood in tally.closed.items()),
    )


def find_incidents(
    runs: Runs,
    receivers: Sequence[Receiver],
    *,
    rows: LagChunk | None = None,
    capacity: int = DEFAULT_CAPACITY,
    gap_us: int = INCIDENT_GAP_US,
    most: int = MOST_INCIDENTS,
) -> list[Incident]:
    """Runs of one receiver less than `gap_us` apart, in time order; runs without a time are incidents of their own.

    At most `most`, those with the greatest loss. `rows`, when all lines are at hand, give the median of the pairs
    as the producer's rate; else it is tail / duration.
    """
    groups = group_runs(runs, gap_us)
    pairs = _pairs(rows) if rows is not None else None
    chosen = np.sort(np.argsort(-groups.lost, kind="stable")[:most])
    return [_incident(groups, place, receivers, pairs, slots_for(capacity)) for place in chosen.tolist()]


@dataclass(frozen=True, slots=True)
class Groups:
    """Incidents as columns, in order of their start; `busy_us` and `busy_lost` sum the tails within runs."""

    start_us: Int64s
    end_us: Int64s
    lines: Int64s
    lost: Int64s
    head: Int64s
    key: Int64s
    busy_us: Int64s
    busy_lost: Int64s


def group_runs(runs: Runs, gap_us: int) -> Groups:
    """Join the runs of each receiver that lie closer than `gap_us`."""
    key = runs.receiver.astype(np.int64) * len(CHANNELS) + runs.channel
    order = np.argsort(key, kind="stable")
    start, end, key = runs.start_us[order], runs.end_us[order], key[order]
    splits = (start[1:] - end[:-1] >= gap_us) | (start[1:] == NO_TIME) | (start[:-1] == NO_TIME) | (np.diff(key) != 0)
    first = np.flatnonzero(np.concatenate((np.ones(min(len(key), 1), np.bool_), splits)))
    has_rate = (runs.lines > 1) & (runs.start_us != NO_TIME) & (runs.fold_us == FOLD_US)
    busy_us = np.where(has_rate, np.maximum(runs.end_us - runs.start_us, 0), 0)[order]
    busy_lost = np.where(has_rate, runs.lost - runs.head, 0)[order]

    def total(column: Int64s) -> Int64s:
        return np.add.reduceat(column, first) if len(first) else column[:0]

    groups = (
        start[first],
        np.maximum.reduceat(end, first) if len(first) else end[:0],
        total(runs.lines[order]),
        total(runs.lost[order]),
        runs.head[order][first],
        key[first],
        total(busy_us),
        total(busy_lost),
    )
    by_time = np.argsort(groups[0], kind="stable")
    return Groups(*(column[by_time] for column in groups))


@dataclass(frozen=True, slots=True)
class _Pairs:
    key: Int64s
    at_us: Int64s
    rate: NDArray[np.float64]

    def median(self, key: int, start: int, end: int) -> float | None:
        low, high = np.searchsorted(self.key, [key, key + 1])
        first, last = low + np.searchsorted(self.at_us[low:high], [start + 1, end + 1])
        return float(np.median(self.rate[first:last])) if last > first else None


def _pairs(rows: LagChunk) -> _Pairs:
    """The pairs of every receiver, sorted for look-up by time."""
    key = keys_of(rows)
    order = np.argsort(key, kind="stable")
    key, at_us, lost = key[order], rows.at_us[order], rows.lost[order]
    gap = np.diff(at_us)
    near = (np.diff(key) == 0) & (gap > 0) & (gap < FOLD_US) & (at_us[:-1] != NO_TIME)
    speed = lost[1:].astype(np.float64) / np.maximum(gap, 1) * 1e6
    near = np.flatnonzero(near & (speed < MOST_RATE_HZ))
    key, at_us, rate = key[near + 1], at_us[near + 1], speed[near]
    order = np.lexsort((at_us, key))
    return _Pairs(key[order], at_us[order], rate[order])


def _incident(groups: Groups, place: int, receivers: Sequence[Receiver], pairs: _Pairs | None, slots: int) -> Incident:
    start, end, key = int(groups.start_us[place]), int(groups.end_us[place]), int(groups.key[place])
    busy_us, head = int(groups.busy_us[place]), int(groups.head[place])
    low = int(groups.busy_lost[place]) / busy_us * 1e6 if busy_us else None
    low = low if low is not None and low < MOST_RATE_HZ else None
    median = pairs.median(key, start, end) if pairs is not None and start != NO_TIME else None
    rate = median or low
    return Incident(
        start_us=_known(start),
        end_us=_known(end),
        lines=int(groups.lines[place]),
        lost=int(groups.lost[place]),
        head=head,
        channel=CHANNELS[key % len(CHANNELS)],
        receiver=receivers[key // len(CHANNELS)],
        producer_rate_hz=rate,
        producer_rate_low_hz=low,
        stall_s=(head + slots) / rate if rate else None,
    )


def spacing_of(groups: Groups) -> Spacing | None:
    """Quiet from the end of each incident to the start of the next; None for fewer than two with times."""
    timed = groups.start_us != NO_TIME
    quiet = np.maximum(groups.start_us[timed][1:] - groups.end_us[timed][:-1], 0) / 1e6
    if len(quiet) == 0:
        return None
    return Spacing(float(np.median(quiet)), float(np.quantile(quiet, 0.1)), float(np.mean(quiet)))


def _median_rate(tally: Tally, rows: LagChunk | None) -> float | None:
    if rows is None:
        tallied = tally.rates.median()
        return None if tallied is None else (tallied - 1) * RATE_SCALE
    rates = _pairs(rows).rate
    return float(np.median(rates)) if len(rates) else None


def _totals(tally: Tally) -> Totals:
    lost, lines = dict.fromkeys(Channel, 0), dict.fromkeys(Channel, 0)
    for (_, channel), (count, total) in tally.by_receiver.items():
        lost[CHANNELS[channel]] += total
        lines[CHANNELS[channel]] += count
    closed = sum(flood.lines for flood in tally.closed.values())
    return Totals(tally.lines, closed, tally.lost, lost, lines)


def _worst_run(tally: Tally) -> LagChunk:
    at_us, lost = tally.runs.worst_lines()
    codes = np.zeros(len(lost), np.uint8)
    return LagChunk(at_us, lost, codes, codes, np.zeros(len(lost), np.bool_))


def _flood(flood: Flood, channel: Channel, receiver: Receiver) -> ClosedFlood:
    start, end = _known(flood.start), _known(flood.end)
    seconds = (end - start) / 1e6 if start is not None and end is not None else 0.0
    rate = flood.lines / seconds if seconds > 0 else None
    return ClosedFlood(start, end, flood.lines, channel, receiver, rate)


def _known(at_us: int) -> int | None:
    return None if at_us == NO_TIME else at_us


def _summary_of(tally: Tally) -> InputSummary:
    closed = sum(flood.lines for flood in tally.closed.values())
    return InputSummary(
        files=(),
        format="full",
        wrapper=None,
        why="columns, not a file",
        ansi=False,
        lines=tally.lines + closed,
        lag_lines=tally.lines,
        closed_lines=closed,
        skipped_lines=0,
        bytes=0,
        clock=Clock.NONE if tally.start == NO_TIME else Clock.WALL,
    )
