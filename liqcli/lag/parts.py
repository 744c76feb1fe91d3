"""Logs read and tallied in one pass, by a process for each part where a file is large."""

import fcntl
import gc
import io
import os
import pickle
import signal
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial, reduce
from itertools import pairwise
from typing import Any, NoReturn, TypeAlias

import numpy as np

from liqcli.errors import LiqError
from liqcli.lag.account import Account
from liqcli.lag.blocks import BLOCK, MARGIN, Block, map_blocks, read_blocks
from liqcli.lag.chunks import Batch
from liqcli.lag.lines import Int64s
from liqcli.lag.parse import LagReading
from liqcli.lag.pretty import is_behind
from liqcli.lag.scan import receiver_code
from liqcli.lag.scout import Scout, process_count
from liqcli.lag.sources import Source, opened
from liqcli.lag.survey import Surveys, surveys_of, with_surveys
from liqcli.lag.tally import Tally

LEFT_IN_SPARSE = 0.4
LEFT_IN_CROWDED = 0.65
"""What is left to do for a byte that was surveyed, beside one that was not."""
CROWDED_BYTES = 2_000
"""With needles closer than this on average, most of the work is to read them."""
PIPE_BYTES = 1 << 20
"""A tally takes megabytes: through a pipe of the usual 64 KiB they would come in sixteen times as many pieces."""
FREED_BYTES = 24 << 20
"""glibc gives freed memory back to the system, page by page, until it saw so large a block come back untouched."""

Measured: TypeAlias = tuple[LagReading, Tally]


def begun(reading: LagReading, processes: int | None, scout: Scout | None) -> Callable[[], Measured]:
    """Begin to read on as many processes as are worth it; the function returned waits until all is read."""
    parts = process_count(reading.sources, processes) if scout is not None else 1
    if scout is None or parts < 2:
        return partial(_measured, reading, reading)
    known = surveys_of(scout.report()) if scout.source == reading.sources[0] else {}
    return _begun_parts(reading, _edges(reading.sources[0], parts, known), known)


def _edges(source: Source, parts: int, known: Surveys) -> list[int]:
    """Offsets at line starts that cut a file into one part per process, equal in what is left to do."""
    size = source.size or 0
    ahead = sum(survey.size for survey in known.values())
    left = _work_left(known, ahead)
    spared = ahead * (1 - left)
    marks = [(size - spared) * part / parts for part in range(1, parts)]
    places = [_block_edge(mark / left, known) if mark + spared < ahead else mark + spared for mark in marks]
    with opened(source) as file:
        inner = {_event_start(file.stream, int(place)) for place in places}
    return sorted({0, size} | {edge for edge in inner if 0 < edge < size})


def _work_left(known: Surveys, ahead: int) -> float:
    needles = sum(len(places) for survey in known.values() for places in survey.places.values())
    return LEFT_IN_CROWDED if needles * CROWDED_BYTES > ahead else LEFT_IN_SPARSE


def _block_edge(place: float, known: Surveys) -> int:
    """Just before a block that was surveyed: what is known of it holds only if it is read as it was seen."""
    return max(max(begin for begin in known if begin <= place) - 1, 0)


def _event_start(stream: Any, offset: int) -> int:
    """Where the first whole event behind an offset begins; 0 where the line there is too long to look for its end."""
    stream.seek(offset)
    is_whole = stream.readline(BLOCK).endswith(b"\n")
    begin = int(stream.tell())
    while is_whole and is_behind(stream.readline(BLOCK)):
        begin = int(stream.tell())
    return begin if is_whole else 0


def _measured(reading: LagReading, batches: Iterable[Batch]) -> Measured:
    tally = Tally()
    for batch in batches:
        tally.add(batch)
    return reading, tally


def _begun_parts(reading: LagReading, edges: list[int], known: Surveys) -> Callable[[], Measured]:
    """A process for each part; none of them is this one, for they die if the file is cut while they look at it."""
    parts = list(pairwise(edges))
    children = [_fork(partial(_measure_part, reading, part, partial(_mapped, known, part[0]))) for part in parts]

    def result() -> Measured:
        return reduce(
            _joined,
            [child() or _measure_part(reading, part, read_blocks) for child, part in zip(children, parts, strict=True)],
        )

    return result


def _mapped(known: Surveys, begin: int, stream: io.BufferedReader, *, margin: int, limit: int) -> Iterator[Block]:
    return with_surveys(map_blocks(stream, margin=margin, limit=limit), begin, known)


def _measure_part(reading: LagReading, part: tuple[int, int], blocks: Callable[..., Iterator[Block]]) -> Measured:
    start, end = part
    cut = partial(blocks, margin=MARGIN, limit=end - start)
    mine = replace(reading, roster={}, account=Account())
    return _measured(mine, mine.read_part(mine.sources[0], start=start, cut=cut))


def _joined(first: Measured, second: Measured) -> Measured:
    reading, tally = first
    later, later_tally = second
    codes: Int64s = np.array([receiver_code(reading.roster, who) for who in later.roster], np.int64)
    tally.merge(later_tally, codes)
    reading.account.merge(later.account)
    return reading, tally


def _fork(work: Callable[[], Any]) -> Callable[[], Any]:
    """Run work in a child process.

    The function returned waits for its result, or raises its LiqError; None if memory it saw was taken from under it.
    """
    source, sink = os.pipe()
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):
            fcntl.fcntl(sink, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
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
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGBUS:
            return None
        if status:
            raise LiqError("a process that read part of the log died", hint="is there enough memory?")
        outcome = pickle.loads(answer)  # noqa: S301 - written by our own child a moment ago
        if isinstance(outcome, LiqError):
            raise outcome
        return outcome

    return result


def _work_and_exit(work: Callable[[], Any], sink: int) -> NoReturn:
    status = 1
    np.empty(FREED_BYTES, np.uint8)
    gc.freeze()  # looking for garbage among what the parent loaded would copy all of it
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
