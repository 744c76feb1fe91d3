"""Logs that are still being written: what is new since the last look, across rotation and truncation."""

import io
import os
import select
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from liqcli.lag.account import summary_of
from liqcli.lag.assumed import DEFAULT_CAPACITY, INCIDENT_GAP_US
from liqcli.lag.blocks import MARGIN, Block, read_blocks
from liqcli.lag.chunks import Batch
from liqcli.lag.model import Statistics
from liqcli.lag.parse import LagReading, in_time_order, parse_lag
from liqcli.lag.scan import Scanner
from liqcli.lag.snapshot import snapshot
from liqcli.lag.sources import STDIN_FILENO, Opened, Source, open_source
from liqcli.lag.tally import Tally


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
            self.source = replace(self.source, repeat=None)
            self.opened = open_source(self.source)
            yield from self._scan(is_last=False)

    def close(self) -> None:
        """Close the file; a pipe is left as it was found."""
        if self.source.path is None:
            os.set_blocking(self.opened.file.fileno(), True)
        self.opened.file.close()

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


@dataclass(slots=True)
class Follower:
    """The running statistics of logs that are still written; made by `follow`, closed by leaving `with`."""

    reading: LagReading
    logs: list[Followed]
    capacity: int
    incident_gap_us: int
    tally: Tally = field(default_factory=Tally)
    seen: int = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for log in self.logs:
            log.close()

    @property
    def has_ended(self) -> bool:
        """Whether nothing can come any more: every input is a pipe whose writer is gone."""
        return all(log.has_ended for log in self.logs)

    def poll(self) -> Statistics | None:
        """Read the lines completed since the last call; None where there are none.

        A file that is renamed, replaced or cut short is read to its end, then from its new beginning.
        """
        if self.seen < 0:
            spans = zip(self.logs, self.reading.spans, strict=True)
            news = in_time_order([(span.first_us, log.news()) for log, span in spans])
        else:
            news = (batch for log in self.logs for batch in log.news())
        for batch in news:
            self.tally.add(batch)
        if self.reading.account.size == self.seen:
            return None
        self.seen = self.reading.account.size
        summary = summary_of(self.reading.account)
        return snapshot(self.reading, self.tally, summary, capacity=self.capacity, incident_gap_us=self.incident_gap_us)


def follow(
    paths: Sequence[str | Path],
    *,
    form: str | None = None,
    since: str | None = None,
    until: str | None = None,
    capacity: int = DEFAULT_CAPACITY,
    incident_gap_us: int = INCIDENT_GAP_US,
) -> Follower:
    """Begin to follow logs; arguments as for `measure_lag`. The first `poll` reads all that is there."""
    reading = parse_lag(paths, form=form, since=since, until=until)
    return Follower(reading, [_open(reading, source) for source in reading.sources], capacity, incident_gap_us)


def _open(reading: LagReading, source: Source) -> Followed:
    """Open one log; a pipe will be read without waiting once it has begun."""
    if source.path is None:
        select.select([STDIN_FILENO], [], [])
    file = open_source(source)
    if source.path is None and file.is_plain:
        os.set_blocking(file.file.fileno(), False)
    reading.account.add_source(source, file)
    scanner = reading.scanner(source, file)
    return Followed(source, file, scanner, reading)
