"""Logs that are still being written: what is new since the last look, across rotation and truncation."""

import io
import os
import select
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liqcli.lag.account import summary_of
from liqcli.lag.chunks import Batch
from liqcli.lag.incidents import INCIDENT_GAP_US, Tally
from liqcli.lag.measure import snapshot
from liqcli.lag.model import DEFAULT_CAPACITY, Statistics
from liqcli.lag.parse import LagReading, in_time_order, newest_of, parse_lag
from liqcli.lag.scan import Scanner
from liqcli.lag.shapes import MARGIN
from liqcli.lag.sources import Block, Opened, Source, open_source, read_blocks

LOOK_SECONDS = 0.5


def follow_lag(
    paths: Sequence[str | Path],
    *,
    form: str | None = None,
    since: str | None = None,
    until: str | None = None,
    capacity: int = DEFAULT_CAPACITY,
    incident_gap_us: int = INCIDENT_GAP_US,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Statistics]:
    """The statistics of all that is there, then again whenever a log has grown.

    A file that is renamed, replaced or cut short is read to its end and then from the new beginning. A line is
    counted when its line feed is there. Ends only when every input is a pipe that was closed.
    """
    reading, tally = parse_lag(paths, form=form, since=since, until=until), Tally()
    with _open_all(reading) as logs:
        news = in_time_order([(span.first_us, log.news()) for log, span in zip(logs, reading.spans, strict=True)])
        seen = -1
        while True:
            for batch in news:
                tally.add(batch)
            if reading.account.size != seen:
                seen = reading.account.size
                summary = summary_of(reading.account)
                yield snapshot(reading, tally, summary, capacity=capacity, incident_gap_us=incident_gap_us)
            if all(log.has_ended for log in logs):
                return
            sleep(LOOK_SECONDS)
            news = (batch for log in logs for batch in log.news())


@dataclass(slots=True)
class Followed:
    """One log and how far it has been read; `rest` is the line that is still being written."""

    source: Source
    opened: Opened
    scanner: Scanner
    reading: LagReading
    rest: bytes = b""
    has_ended: bool = False

    def news(self) -> Iterator[Batch]:
        """The batches of all lines completed since the last look."""
        if self.has_ended:
            return
        yield from self._scan(is_last=False)
        path = self.source.path
        if path is not None and self._is_replaced(path):
            yield from self._scan(is_last=True)
            self.opened.file.close()
            self.opened = open_source(self.source)
            yield from self._scan(is_last=False)

    def _scan(self, *, is_last: bool) -> Iterator[Batch]:
        yield from self.reading.scan(self.scanner, self._blocks(is_last=is_last))
        self.reading.account.add_counts(self.scanner.take_counts())

    def _blocks(self, *, is_last: bool) -> Iterator[Block]:
        stream = _Available(self.rest, self.opened.stream)
        self.rest = b""
        for block in read_blocks(stream, margin=MARGIN):
            if block.unfinished and block.end > block.start and not (is_last or self._has_closed(stream)):
                self.rest = bytes(block.buffer[block.start : block.end - 1])
            else:
                yield block
        self.has_ended = self._has_closed(stream)

    def _has_closed(self, stream: "_Available") -> bool:
        return self.source.path is None and stream.has_closed

    def _is_replaced(self, path: Path) -> bool:
        """Whether the name now means another regular file, or the same one cut short."""
        try:
            now = path.lstat()
        except FileNotFoundError:
            return False
        ours = os.fstat(self.opened.file.fileno())
        is_cut = self.opened.is_plain and now.st_size < self.opened.file.tell()
        return path.is_file() and not path.is_symlink() and (now.st_ino != ours.st_ino or is_cut)


class _Available(io.RawIOBase):
    """The line begun before, then what can be read now without waiting."""

    def __init__(self, rest: bytes, stream: io.BufferedReader) -> None:
        self.rest = rest
        self.stream = stream
        self.has_closed = False

    def readinto(self, buffer: Any, /) -> int:
        if self.rest:
            part, self.rest = self.rest[: len(buffer)], self.rest[len(buffer) :]
            buffer[: len(part)] = part
            return len(part)
        count: int | None = self.stream.readinto(buffer)
        self.has_closed = count == 0
        return count or 0


@contextmanager
def _open_all(reading: LagReading) -> Iterator[list[Followed]]:
    """Open every log; a pipe is read without waiting, and left as it was found."""
    logs = []
    try:
        for source in reading.sources:
            if source.path is None:
                select.select([0], [], [])
            opened = open_source(source)
            if source.path is None and opened.is_plain:
                os.set_blocking(opened.file.fileno(), False)
            scanner = Scanner(source.name, newest_of(source), form=reading.form, roster=reading.roster)
            reading.account.add_source(source, opened)
            logs.append(Followed(source, opened, scanner, reading))
        yield logs
    finally:
        for log in logs:
            if log.source.path is None:
                os.set_blocking(log.opened.file.fileno(), True)
            log.opened.file.close()
