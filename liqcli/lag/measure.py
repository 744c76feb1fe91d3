"""Logs to statistics: parse and aggregate in one pass, on several processors where a file is large."""

import os
import pickle
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from liqcli.errors import LiqError
from liqcli.lag.blocks import BLOCK
from liqcli.lag.clock import SECOND
from liqcli.lag.incidents import statistics_of
from liqcli.lag.lines import DEFAULT_CAPACITY, InputSummary, Int64s
from liqcli.lag.model import Statistics
from liqcli.lag.parse import LagReading, parse_lag
from liqcli.lag.pretty import is_behind
from liqcli.lag.runs import INCIDENT_GAP_US
from liqcli.lag.scan import receiver_code
from liqcli.lag.sources import Source, opened
from liqcli.lag.tally import Tally

FORK_LEAST = 48 << 20
"""Bytes per process below which another process costs more than it saves."""
MOST_PROCESSES = 4


def measure_lag(
    paths: Sequence[str | Path],
    *,
    form: str | None = None,
    since: str | None = None,
    until: str | None = None,
    capacity: int = DEFAULT_CAPACITY,
    incident_gap_us: int = INCIDENT_GAP_US,
    processes: int | None = None,
) -> Statistics:
    """Read logs to their end and measure; arguments as for `parse_lag` and `find_incidents`."""
    reading = parse_lag(paths, form=form, since=since, until=until)
    tally = Tally()
    edges = _edges(reading.sources, processes)
    if len(edges) > 2:
        _measure_parts(reading, tally, edges)
    else:
        for batch in reading:
            tally.add(batch)
    return snapshot(reading, tally, reading.summary(), capacity=capacity, incident_gap_us=incident_gap_us)


def snapshot(
    reading: LagReading, tally: Tally, summary: InputSummary, *, capacity: int, incident_gap_us: int
) -> Statistics:
    """The statistics so far; lines in neighbouring seconds of a clock of whole seconds may be microseconds apart."""
    if summary.whole_seconds:
        incident_gap_us += SECOND
    statistics = statistics_of(tally, summary, reading.receivers, capacity=capacity, incident_gap_us=incident_gap_us)
    return replace(statistics, log_start_us=reading.account.first_us, log_end_us=reading.account.last_us)


def _edges(sources: list[Source], processes: int | None) -> list[int]:
    """Offsets at line starts that cut a single large plain file into one part per process."""
    source = sources[0]
    if len(sources) > 1 or source.path is None or source.size is None:
        return []
    wanted = processes or min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1, MOST_PROCESSES)
    parts = min(wanted, source.size // FORK_LEAST) if processes is None else wanted
    if parts < 2:
        return []
    with opened(source) as file:
        if not file.is_plain:
            return []
        inner = {_event_start(file.stream, source.size * part // parts) for part in range(1, parts)}
    return sorted({0, source.size} | {edge for edge in inner if 0 < edge < source.size})


def _event_start(stream: Any, offset: int) -> int:
    """Where the first whole event behind an offset begins; 0 where the line there is too long to look for its end."""
    stream.seek(offset)
    is_whole = stream.readline(BLOCK).endswith(b"\n")
    begin = int(stream.tell())
    while is_whole and is_behind(stream.readline(BLOCK)):
        begin = int(stream.tell())
    return begin if is_whole else 0


def _measure_parts(reading: LagReading, tally: Tally, edges: list[int]) -> None:
    children = [
        _fork(partial(_measure_part, reading, Tally(), start, end - start)) for start, end in pairwise(edges[1:])
    ]
    _measure_part(reading, tally, 0, edges[1])
    for child in children:
        later, later_tally = child()
        codes: Int64s = np.array([receiver_code(reading.roster, who) for who in later.roster], np.int64)
        tally.merge(later_tally, codes)
        reading.account.merge(later.account)


def _measure_part(reading: LagReading, tally: Tally, start: int, length: int) -> tuple[LagReading, Tally]:
    for batch in reading.read(reading.sources[0], start=start, limit=length):
        tally.add(batch)
    return reading, tally


def _fork(work: Callable[[], Any]) -> Callable[[], Any]:
    """Run work in a child process; the function returned waits for its result, or raises its LiqError."""
    source, sink = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 warns of numpy's idle BLAS threads; the child uses none of them.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os.close(source)
        _work_and_exit(work, sink)
    os.close(sink)

    def result() -> Any:
        with os.fdopen(source, "rb") as pipe:
            answer = pipe.read()
        os.waitpid(child, 0)
        if not answer:
            raise LiqError("a process that read part of the log died", hint="is there enough memory?")
        outcome = pickle.loads(answer)  # noqa: S301 - written by our own child a moment ago
        if isinstance(outcome, LiqError):
            raise outcome
        return outcome

    return result


def _work_and_exit(work: Callable[[], Any], sink: int) -> NoReturn:
    status = 1
    try:
        try:
            outcome = work()
        except LiqError as error:
            outcome = error
        with os.fdopen(sink, "wb") as pipe:
            pickle.dump(outcome, pipe, pickle.HIGHEST_PROTOCOL)
        status = 0
    finally:
        os._exit(status)
