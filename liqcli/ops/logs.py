"""Log lines that never make the bot wait: a bounded hand-over to one writing thread, and structured formats."""

import logging
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from time import monotonic
from typing import TYPE_CHECKING, Any

import structlog
from structlog.tracebacks import ExceptionDictTransformer

from liqcli.text import safe

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

    from liqcli.bot.notes import Note

LINES_HELD = 4096
_TICK_S = 1.0
_AT_ONCE = 200
_CLOSE_S = 2.0
_LEVELS = {"warn": "warning", "failed": "error"}
_TOO_LONG_FOR_JSON = 2**53


class LogFormat(StrEnum):
    """How a run's lines look."""

    CONSOLE = "console"
    LOGFMT = "logfmt"
    JSON = "json"


class Lines:
    """Hands lines to one thread that writes them; when that is too slow the newest lines are dropped and counted.

    `show` writes some lines and may block for as long as a terminal likes; `tick` is called every second by the same
    thread. What cannot be written counts as dropped.
    """

    def __init__(
        self, show: Callable[[Sequence[str]], None], *, tick: Callable[[], None] | None = None, held: int = LINES_HELD
    ) -> None:
        self.dropped = 0
        self._show = show
        self._tick = tick
        self._waiting: queue.Queue[str | None] = queue.Queue(held)
        self._thread = threading.Thread(target=self._write, name="lines", daemon=True)
        self._thread.start()

    def put(self, line: str) -> None:
        """Hand a line over; never waits."""
        try:
            self._waiting.put_nowait(line)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Write what waits, for two seconds at most."""
        until = monotonic() + _CLOSE_S
        try:
            self._waiting.put(None, timeout=_CLOSE_S)
        except queue.Full:
            return
        self._thread.join(max(until - monotonic(), 0.0))

    def _write(self) -> None:
        ended, told = False, 0
        while not ended:
            lines, ended = self._some()
            if self.dropped > told:
                lines.append(f"... {self.dropped - told:,} lines were dropped: this output is slower than the bot")
                told = self.dropped
            try:
                if lines:
                    self._show(lines)
                if self._tick is not None:
                    self._tick()
            except OSError:
                self.dropped += len(lines)
                told = self.dropped

    def _some(self) -> tuple[list[str], bool]:
        """What waits now, or within a second; and whether that was the end."""
        lines = list[str]()
        try:
            line = self._waiting.get(timeout=_TICK_S)
            while line is not None and len(lines) < _AT_ONCE:
                lines.append(line)
                line = self._waiting.get_nowait()
        except queue.Empty:
            return lines, False
        if line is not None:
            lines.append(line)
        return lines, line is None


class Structured:
    """Puts facts into lines of JSON or logfmt; every text in them is plain text, and no traceback shows a local."""

    def __init__(self, form: LogFormat, write: Callable[[str], None], **always: Any) -> None:
        self._logger: Any = structlog.wrap_logger(
            _Writer(write), processors=[*_PREPARED, _renderer(form)], wrapper_class=structlog.BoundLogger, **always
        )

    def note(self, note: "Note") -> None:
        """One line for what a running bot says."""
        level = _LEVELS.get(note.kind, "info")
        self._logger.msg(note.kind, level=level, **facts_of(note))

    def say(self, event: str, *, level: str = "info", **facts: Any) -> None:
        """One line of facts."""
        self._logger.msg(event, level=level, **facts)


class _Writer:
    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def msg(self, line: str) -> None:
        """Write one line."""
        self._write(line)


def facts_of(note: "Note") -> dict[str, Any]:
    """A note's facts under the names of the JSON documents, amounts as decimal strings."""
    reading, plan, receipt = note.reading, note.plan, note.receipt
    facts: dict[str, Any] = {"text": note.text or None, "reason": note.reason or None, "tx_hash": note.tx_hash or None}
    if reading is not None:
        facts |= {"borrower": reading.borrower, "health_factor": reading.health_factor, "block": reading.block}
        facts["debt_base"] = str(reading.debt_base)
    if plan is not None:
        facts |= {"borrower": plan.borrower, "debt_asset": plan.debt_asset, "collateral_asset": plan.collateral_asset}
        facts |= {"debt_to_cover": str(plan.debt_to_cover), "expected_base": str(plan.profit_base)}
    if receipt is not None:
        facts |= {"tx_hash": receipt.tx_hash, "block": receipt.block, "gas_used": receipt.gas_used}
        facts |= {"profit_base": str(receipt.profit_base), "profit": [asdict(line) for line in receipt.profit]}
    return {name: fact for name, fact in facts.items() if fact is not None}


def log_library_warnings(structured: Structured | None, say: Callable[[str], None]) -> Callable[[], None]:
    """Send what libraries log from WARNING on the same way, `say` where it is not structured; returns the undoing."""
    handler = _LibraryWarnings(structured, say)
    root = logging.getLogger()
    root.addHandler(handler)
    return lambda: root.removeHandler(handler)


class _LibraryWarnings(logging.Handler):
    """Library warnings as lines; in words only an exception's type and text are told."""

    def __init__(self, structured: Structured | None, say: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._structured = structured
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        """One line a record."""
        text = record.getMessage()
        if self._structured is None:
            raised = f" ({record.exc_info[1]!r})" if record.exc_info and record.exc_info[1] else ""
            self._say(f"{record.name}: {text}{raised}")
        else:
            facts = {"logger": record.name, "text": text, "exc_info": record.exc_info or None}
            level = record.levelname.lower()
            self._structured.say("log", level=level, **{name: fact for name, fact in facts.items() if fact is not None})


def _plain(_: "WrappedLogger", __: str, facts: "EventDict") -> "EventDict":
    return {name: _value(fact) for name, fact in facts.items()}


def _value(fact: Any) -> Any:
    """Text made safe at any depth; an integer that JSON readers would round becomes a string."""
    if isinstance(fact, str):
        return safe(fact)
    if isinstance(fact, int) and not isinstance(fact, bool):
        return str(fact) if abs(fact) >= _TOO_LONG_FOR_JSON else fact
    if isinstance(fact, Mapping):
        return {safe(str(name)): _value(part) for name, part in fact.items()}
    if isinstance(fact, Sequence):
        return [_value(part) for part in fact]
    return fact


def _flat(_: "WrappedLogger", __: str, facts: "EventDict") -> "EventDict":
    """Logfmt has no depth: lists of lines become `what=amount` pairs of their own."""
    return dict(_flattened("", facts))


def _flattened(above: str, fact: Any) -> Iterator[tuple[str, Any]]:
    parts = fact.items() if isinstance(fact, Mapping) else enumerate(fact)
    for name, part in parts:
        full = f"{above}{name}".replace(" ", "_")
        if isinstance(part, Mapping | list):
            yield from _flattened(f"{full}.", part)
        else:
            yield full, part


_PREPARED: "tuple[Processor, ...]" = (
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False, use_rich=False)),
    _plain,
)


def _renderer(form: LogFormat) -> "Processor":
    if form is LogFormat.JSON:
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    logfmt = structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], drop_missing=True)
    return lambda logger, name, facts: logfmt(logger, name, _flat(logger, name, facts))
