"""The screen of a run: its lines, and pinned under them how the bot stands; a pipe gets the lines alone.

All of it is written by one thread of its own, so a terminal that does not take anything never holds the bot up.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Any, TextIO

from liqcli.cli.render import is_ascii_only
from liqcli.lag.glyphs import to_ascii
from liqcli.model import Tier
from liqcli.ops.problems import pauses_of
from liqcli.text import safe, short_address

if TYPE_CHECKING:
    from liqcli.ops.standing import Standing

RULE = "─"
_SHORT_TIERS = ("crit", "high", "med", "low", "safe")
_SHOWN_LINES = 4
_MODE_STYLES = {"LIVE": "bold reverse red", "SANDBOX": "bold cyan", "DRY RUN": "bold green"}


@dataclass(frozen=True, slots=True)
class Screen:
    """Where a run's lines go: `put` never waits, `unpin` takes the pinned rows away for good."""

    put: Callable[[str], None]
    unpin: Callable[[], None]


@contextmanager
def open_screen(standing: "Standing", out: TextIO, *, mode: str, pinned: bool) -> Iterator[Screen]:
    """Take lines for `out` while the block lasts; on a terminal the standing is pinned below them."""
    from liqcli.ops.logs import Lines

    plain = is_ascii_only(out)
    if pinned and is_screen(out):
        foot = Pinned(standing, out, mode=mode, plain=plain)
        lines, unpin = Lines(foot.show, tick=foot.refresh), foot.ended.set
    else:
        lines, unpin = Lines(lambda some: _write(out, some, plain=plain)), _nothing
    standing.lines_dropped = lambda: lines.dropped
    try:
        yield Screen(lines.put, unpin)
    finally:
        unpin()
        lines.close()


class Pinned:
    """A terminal with the standing at its foot from the first status until `ended` is set; the writing thread's own."""

    def __init__(self, standing: "Standing", out: TextIO, *, mode: str, plain: bool) -> None:
        from rich.console import Console
        from rich.live import Live

        self._standing = standing
        self._mode = mode
        self._plain = plain
        self._speed = _Speed()
        self._console: Console = Console(file=out, highlight=False, soft_wrap=False)
        self._live = Live(
            console=self._console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )
        self.ended = Event()

    def show(self, lines: Sequence[str]) -> None:
        """Print lines above the pinned ones; what is wider than the terminal goes on below, cut between words."""
        from rich.text import Text

        if self.ended.is_set():
            self._live.stop()
        for line in lines:
            whole = line[: self._console.width] if set(line) == {RULE} else line
            self._console.print(Text(to_ascii(whole) if self._plain else whole, style=_style(line)), overflow="fold")

    def refresh(self) -> None:
        """Draw the standing as it is now."""
        from rich.text import Text

        if self.ended.is_set():
            self._live.stop()
            return
        if self._standing.status is None:
            return
        if not self._live.is_started:
            self._live.start()
        mode = self._mode
        rows = status_rows(self._standing, mode, self._speed.now(self._standing.status), width=self._console.width)
        text = Text("\n".join([(RULE * self._console.width), *rows]), no_wrap=True, overflow="crop")
        text.highlight_words([mode], _MODE_STYLES.get(mode, "bold"))
        text.highlight_words(["STUCK", "not ready"], "bold red")
        if self._plain:
            text.plain = to_ascii(text.plain.replace(RULE, "-"))
        self._live.update(text, refresh=True)


class _Speed:
    """Events a second between two statuses."""

    def __init__(self) -> None:
        self._before: tuple[float, int] | None = None
        self._rate = 0.0

    def now(self, status: dict[str, Any] | None) -> float:
        """The rate; 0 until there are two statuses."""
        if status is None:
            return 0.0
        at, received = status["duration_s"], status["events"]["received"]
        if self._before is not None and at > self._before[0]:
            self._rate = (received - self._before[1]) / (at - self._before[0])
        if self._before is None or at > self._before[0]:
            self._before = (at, received)
        return self._rate


def status_rows(standing: "Standing", mode: str, events_per_s: float, *, width: int) -> list[str]:
    """The standing in as many rows as it needs, four at most; a part is never cut, the last parts are left out."""
    status = standing.status
    if status is None:
        return [mode]
    parts = [*_first_parts(standing, status, mode, events_per_s), *_tier_parts(status), *_inaction_parts(status)]
    return flow([safe(part, limit=width) for part in parts], width)[:_SHOWN_LINES]


def flow(parts: Sequence[str], width: int) -> list[str]:
    """Parts one after another with dots between, on as many rows of this width as they need."""
    rows = [""]
    for part in parts:
        longer = f"{rows[-1]} · {part}" if rows[-1] else part
        if len(longer) <= width or not rows[-1]:
            rows[-1] = longer
        else:
            rows.append(part)
    return rows


def _first_parts(standing: "Standing", status: dict[str, Any], mode: str, events_per_s: float) -> list[str]:
    head, queue, event = status["head"], status["queue"], status["channels"]["event"]
    problems = standing.problems()
    stuck = [] if standing.is_alive else [f"STUCK for {standing.silent_s:.0f} s"]
    return [
        f"{mode} up {_clock(status['duration_s'] + standing.silent_s)}",
        *(stuck or [f"not ready: {problem}" for problem in problems[:1]]),
        *pauses_of(status),
        f"head {head['block']:,} {head['age_s']:.1f} s",
        f"{events_per_s:,.0f} ev/s",
        "queue ?" if queue is None else f"queue {queue['items']:,}{_oldest(queue)}",
        f"lost {status['events']['lost']:,}",
        f"buf {event['held']:,}/{event['capacity']:,}",
    ]


def _tier_parts(status: dict[str, Any]) -> list[str]:
    sent = status["liquidations"]
    counts = zip(_SHORT_TIERS, (status["by_tier"][tier.value] for tier in Tier), strict=True)
    return [
        " ".join(f"{short} {count:,}" for short, count in counts),
        f"planned {sent['planned']:,} sent {sent['sent']:,} won {sent['won']:,} failed {sent['failed']:,}",
        f"{'-' if status['profit_usd'] < 0 else '+'}${abs(status['profit_usd']):,.2f}",
    ]


def _inaction_parts(status: dict[str, Any]) -> list[str]:
    """Why nothing happens: who is nearest, how far off, and what was left and why, most often first."""
    closest, skipped = status["closest"], status["liquidations"]["skipped"]
    by_count = sorted(skipped.items(), key=lambda reason: reason[1], reverse=True)
    near = []
    if closest is not None:
        factor = closest["health_factor_float"]
        fall = f"falls at {100 / factor - 100:.1f}% collateral" if factor > 0 else ""
        who = f"{'healthy ' if status['by_tier'][Tier.CRITICAL.value] else ''}{short_address(closest['borrower'])}"
        near = [f"closest {who} HF {int(factor * 10_000) / 10_000:.4f} {fall}".rstrip()]
    return [*near, *(f"skipped {count:,}: {reason}" for reason, count in by_count)]


def _oldest(queue: dict[str, Any]) -> str:
    ages = [depth["oldest_s"] for depth in queue["by_tier"].values() if depth["oldest_s"] is not None]
    return f" (oldest {max(ages):.1f} s)" if ages else ""


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest:02}"


def _style(line: str) -> str:
    """A line's colour by its kind, the second word; the words say the same without colour."""
    kind = line[13:22].strip()
    return {"won": "green", "failed": "red", "warn": "yellow", "READY": "bold"}.get(kind, "")


def _nothing() -> None:
    """There is nothing pinned to a pipe."""


def _write(out: TextIO, lines: Sequence[str], *, plain: bool) -> None:
    out.writelines(f"{to_ascii(line) if plain else line}\n" for line in lines)
    out.flush()


def is_screen(out: TextIO) -> bool:
    """Whether a status line can be pinned: a terminal that moves its cursor."""
    from rich.console import Console

    return out.isatty() and not Console(file=out).is_dumb_terminal
