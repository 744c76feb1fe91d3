"""The account of a reading: every line is lag, closed, skipped or other, and what form they had."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import date

from liqcli.errors import InputError
from liqcli.lag.glyphs import plural
from liqcli.lag.lines import NO_TIME, Clock, InputSummary
from liqcli.lag.scan import Counts
from liqcli.lag.sources import Opened, Source
from liqcli.lag.spans import first_time, last_time
from liqcli.lag.wrappers import read_line

_FORMS = {
    "full": "time, level, spans and target, then the message and its fields",
    "compact": "time, level and target, with the fields of the spans behind the message",
    "pretty": "time, level, target and message, with the place in the code on the next line",
    "json": "one JSON object a line",
    "uptime": "seconds since the process began, level and target before the message",
    "plain": "lines without a time",
    "mixed": "several formats in one log",
}


@dataclass(slots=True)
class Account:
    """What has been seen of the input so far."""

    files: list[str] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    size: int = 0
    outside_lag: int = 0
    outside_closed: int = 0
    backward: int = 0
    first_lag_us: int = NO_TIME
    last_lag_us: int = NO_TIME
    first_us: int | None = None
    last_us: int | None = None
    opening: bytes = b""
    forms: Counter[str] = field(default_factory=Counter)
    encodings: Counter[str] = field(default_factory=Counter)
    compressions: Counter[str] = field(default_factory=Counter)
    repeats: list[str] = field(default_factory=list)

    def open(self, text: bytes, newest: date) -> None:
        """Note how a file begins."""
        self.opening = self.opening or text[:200]
        first = first_time(text, newest)
        if first is not None:
            self.first_us = first if self.first_us is None else min(self.first_us, first)
        for raw in text.split(b"\n")[:20]:
            line = read_line(raw, newest=newest)
            if line.has_level:
                self.forms[line.format] += 1

    def close(self, text: bytes, newest: date) -> None:
        """Note how a file ends."""
        last = last_time(text, newest)
        if last is not None:
            self.last_us = last if self.last_us is None else max(self.last_us, last)

    def add_source(self, source: Source, opened: Opened) -> None:
        """Note a file and what had to be undone to read it."""
        if source.name not in self.files:
            self.files.append(source.name)
        if source.repeat is not None:
            lines = plural(source.repeat.lines, "line")
            self.repeats.append(f"{source.name} begins with {lines} of {source.repeat.of}: read once")
        self.encodings[opened.encoding] += 1
        if opened.compression is not None:
            self.compressions[opened.compression] += 1

    def add_counts(self, counts: Counts) -> None:
        """Add what a scanner has seen."""
        self.counts.merge(counts)

    def merge(self, later: "Account") -> None:
        """Add the account of the part of the same file that follows."""
        self.counts.merge(later.counts, lines_before=self.counts.lines)
        self.size += later.size
        self.outside_lag += later.outside_lag
        self.outside_closed += later.outside_closed
        self.backward += later.backward + (NO_TIME < later.first_lag_us < self.last_lag_us)
        self.last_lag_us = self.last_lag_us if later.last_lag_us == NO_TIME else later.last_lag_us
        self.last_us = self.last_us if later.last_us is None else later.last_us


def check(account: Account) -> None:
    """Raise InputError where there was nothing to read, or nothing that looks like a log of this kind."""
    counts, files = account.counts, ", ".join(account.files)
    if counts.lines == 0:
        raise InputError(f"{files} is empty (0 bytes)", hint="capture both streams: BOT > app.log 2>&1")
    if counts.lag + counts.closed == 0 and not account.forms:
        opening = account.opening.split(b"\n")[0][:60].decode("utf-8", "backslashreplace")
        skipped = "".join(f"; {plural(number, 'line')} skipped: {why}" for why, number in counts.skip_reasons.items())
        raise InputError(
            f"{files} has no lag lines ({plural(counts.lines, 'line')} read{skipped}; it begins {opening!a})",
            hint='expected lines such as "ERROR artemis_core::engine: error receiving event: channel lagged by 24"',
        )


def summary_of(account: Account) -> InputSummary:
    """The account so far."""
    counts = account.counts
    name = _format(counts.formats or account.forms)
    wrappers = [wrapper for wrapper, _ in counts.wrappers.most_common()]
    return InputSummary(
        files=tuple(account.files),
        format=name,
        wrapper="+".join(wrappers) or None,
        why=_FORMS[name] + (f", inside {' and '.join(wrappers)}" if wrappers else ""),
        ansi=counts.ansi > 0,
        lines=counts.lines,
        lag_lines=counts.lag - account.outside_lag,
        closed_lines=counts.closed - account.outside_closed,
        skipped_lines=counts.skip_reasons.total(),
        bytes=account.size,
        clock=_clock(counts),
        whole_seconds=_is_whole(counts),
        encoding="+".join(account.encodings),
        compression="+".join(account.compressions) or None,
        skipped=tuple(counts.skipped),
        skip_reasons=dict(counts.skip_reasons),
        backward_steps=account.backward,
        outside_lines=account.outside_lag + account.outside_closed,
        notes=(*account.repeats, *_notes(counts)),
    )


def _format(formats: Counter[str]) -> str:
    names = set(formats)
    if names == {"full", "compact"}:
        return "compact"
    return names.pop() if len(names) == 1 else "mixed"


def _clock(counts: Counts) -> Clock:
    for clock in (Clock.WALL, Clock.UPTIME):
        if counts.clocks[clock]:
            return clock
    return Clock.NONE


def _is_whole(counts: Counts) -> bool:
    """Whether every time stands for a whole second."""
    return counts.clocks[Clock.WALL] > 0 and counts.fractions == 0


def _notes(counts: Counts) -> tuple[str, ...]:
    notes = []
    if _is_whole(counts):
        notes.append("the times are whole seconds: what happened within a second is not told")
    if counts.zone_assumed:
        notes.append(f"{plural(counts.zone_assumed, 'time')} without a zone, taken as UTC")
    if counts.year_assumed:
        years = plural(counts.year_assumed, "time")
        notes.append(f"{years} without a year: the latest not after the file's own date is taken")
    if counts.clocks[Clock.NONE] and counts.clocks.total() > counts.clocks[Clock.NONE]:
        notes.append(f"{plural(counts.clocks[Clock.NONE], 'line')} without a time: counted, but in no rate or series")
    if counts.clocks[Clock.WALL] and counts.clocks[Clock.UPTIME]:
        notes.append("the log mixes times of day with seconds since start: rates across them mean nothing")
    return tuple(notes)
