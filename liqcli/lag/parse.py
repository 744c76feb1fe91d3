"""Logs to columns: files in the order of their times, each cut into blocks and scanned."""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from liqcli.errors import UsageError
from liqcli.lag.account import Account, check, summary_of
from liqcli.lag.blocks import MARGIN, Block, read_blocks
from liqcli.lag.chunks import Batch, slice_chunk
from liqcli.lag.clock import moment_us
from liqcli.lag.lines import NO_TIME, InputSummary, Int64s, LagChunk, Receiver
from liqcli.lag.overlap import without_repeats
from liqcli.lag.scan import Scanner
from liqcli.lag.sources import Opened, Source, find_sources, opened, skip
from liqcli.lag.spans import Span, span_of

Cut: TypeAlias = Callable[[io.BufferedReader], Iterator[Block]]

FORMATS = ("full", "compact", "pretty", "json", "uptime", "plain")
_TAIL = 8_192


@dataclass(slots=True)
class LagReading:
    """Iterating yields batches in the order of time, once; `receivers` and `summary` then tell whom and what."""

    sources: list[Source]
    spans: list[Span]
    form: str | None = None
    since: int | None = None
    until: int | None = None
    roster: dict[Receiver, int] = field(default_factory=dict)
    account: Account = field(default_factory=Account)

    def __iter__(self) -> Iterator[Batch]:
        if len(self.sources) == 1:
            yield from self.read(self.sources[0])
            return
        yield from in_time_order(
            [(span.first_us, self.read(source)) for source, span in zip(self.sources, self.spans, strict=True)]
        )

    @property
    def receivers(self) -> tuple[Receiver, ...]:
        """Who printed the lines, by the code in the columns."""
        return tuple(self.roster)

    def summary(self) -> InputSummary:
        """What was read; raises InputError where that is nothing, or nothing that looks like such a log."""
        check(self.account)
        return summary_of(self.account)

    def read(self, source: Source) -> Iterator[Batch]:
        """The batches of one file, and its part of the account."""
        return self.read_part(source, start=0, cut=partial(read_blocks, margin=MARGIN))

    def read_part(self, source: Source, *, start: int, cut: Cut) -> Iterator[Batch]:
        """The batches of what `cut` takes of a file from `start` on, and its part of the account."""
        with opened(source) as file:
            scanner = self.scanner(source, file, start)
            yield from self.scan(scanner, cut(file.stream))
        self.account.add_source(source, file)
        self.account.add_counts(scanner.take_counts())

    def scanner(self, source: Source, file: Opened, start: int = 0) -> Scanner:
        """The scanner of an open file, which goes to where reading begins."""
        repeat = source.repeat
        skip(file, repeat.size if repeat else start)
        lines_before = repeat.lines if repeat else 0
        return Scanner(source.name, newest_of(source), form=self.form, roster=self.roster, lines_before=lines_before)

    def scan(self, scanner: Scanner, blocks: Iterable[Block]) -> Iterator[Batch]:
        """The batches of some blocks of one file."""
        tail, before = b"", NO_TIME
        for block in blocks:
            batch = scanner.scan(block)
            if block.end > block.start:
                if not tail:
                    self.account.open(bytes(block.buffer[block.start : block.start + _TAIL]), scanner.newest)
                tail = bytes(block.buffer[max(block.start, block.end - _TAIL) : block.end])
                self.account.size += block.end - block.start
            before = self._count_steps(batch.lag.at_us, before)
            if len(batch.lag) or len(batch.closed):
                yield self._within(batch)
        self.account.close(tail, scanner.newest)

    def _count_steps(self, at_us: Int64s, before: int) -> int:
        timed = at_us[at_us != NO_TIME]
        if len(timed) == 0:
            return before
        account, first, last = self.account, int(timed[0]), int(timed[-1])
        account.backward += int(np.count_nonzero(timed[1:] < timed[:-1])) + (first < before)
        account.first_lag_us = first if account.first_lag_us == NO_TIME else account.first_lag_us
        account.last_lag_us = last
        return last

    def _within(self, batch: Batch) -> Batch:
        if self.since is None and self.until is None:
            return batch
        within = Batch(self._cut(batch.lag), self._cut(batch.closed))
        self.account.outside_lag += len(batch.lag) - len(within.lag)
        self.account.outside_closed += len(batch.closed) - len(within.closed)
        return within

    def _cut(self, chunk: LagChunk) -> LagChunk:
        inside = chunk.at_us != NO_TIME
        if self.since is not None:
            inside &= chunk.at_us >= self.since
        if self.until is not None:
            inside &= chunk.at_us <= self.until
        return slice_chunk(chunk, inside)


def parse_lag(
    paths: Sequence[str | Path], *, form: str | None = None, since: str | None = None, until: str | None = None
) -> LagReading:
    """Open logs for reading: files, globs, or `-` for standard input; .gz and .zst by their first bytes.

    `form` forces one of FORMATS; `since` and `until` take what clock.moment_us takes and leave out lines without
    a time. Raises InputError for what cannot be a log and UsageError for an unknown format or time.
    """
    if form is not None and form not in FORMATS:
        raise UsageError(f"unknown format {form!r}", hint=f"one of: {', '.join(FORMATS)}")
    sources = find_sources(paths)
    needs_spans = len(sources) > 1 or since is not None or until is not None
    spans = [span_of(source, newest_of(source)) if needs_spans else Span(None, None) for source in sources]
    order = sorted(range(len(sources)), key=lambda place: (spans[place].first_us or NO_TIME, place))
    sources, spans = [sources[place] for place in order], [spans[place] for place in order]
    sources = without_repeats(sources, spans, [newest_of(source) for source in sources])
    ends = [span.last_us for span in spans if span.last_us is not None]

    def log_end() -> int | None:
        return max(ends) if len(ends) == len(spans) else None

    return LagReading(
        sources,
        spans,
        form,
        None if since is None else moment_us(since, log_end=log_end, option="--since"),
        None if until is None else moment_us(until, log_end=log_end, option="--until"),
    )


def in_time_order(streams: list[tuple[int | None, Iterator[Batch]]]) -> Iterator[Batch]:
    """Merge streams that begin at known times; a stream is opened only when the others have come to its beginning."""
    for _, stream in (entry for entry in streams if entry[0] is None):
        yield from stream
    waiting = sorted(((first, stream) for first, stream in streams if first is not None), key=lambda entry: entry[0])
    active: list[tuple[Batch, Iterator[Batch]]] = []
    while waiting or active:
        if waiting and (not active or waiting[0][0] <= min(_head(batch) for batch, _ in active)):
            _advance(active, waiting.pop(0)[1])
            continue
        batch, stream = active.pop(min(range(len(active)), key=lambda place: _head(active[place][0])))
        bounds = [_head(other) for other, _ in active] + [first for first, _ in waiting[:1]]
        cut = _rows_until(batch.lag, min(bounds)) if bounds else len(batch.lag)
        yield Batch(slice_chunk(batch.lag, slice(0, cut)), batch.closed)
        if cut < len(batch.lag):
            rest = slice_chunk(batch.lag, slice(cut, None))
            active.append((Batch(rest), stream))
        else:
            _advance(active, stream)


def _advance(active: list[tuple[Batch, Iterator[Batch]]], stream: Iterator[Batch]) -> None:
    batch = next(stream, None)
    if batch is not None:
        active.append((batch, stream))


def _head(batch: Batch) -> int:
    timed = batch.lag.at_us[batch.lag.at_us != NO_TIME]
    return int(timed[0]) if len(timed) else NO_TIME


def _rows_until(chunk: LagChunk, bound: int) -> int:
    """Rows before the first one later than `bound`, and at least one, so that the merge moves on."""
    later = np.flatnonzero(chunk.at_us > bound)
    return max(int(later[0]), 1) if len(later) else len(chunk)


def newest_of(source: Source) -> date:
    """The day a log was last written, to which stamps without a year are dated."""
    return datetime.fromtimestamp(source.modified, tz=UTC).date() if source.modified else datetime.now(tz=UTC).date()
