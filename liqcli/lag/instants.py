"""Moments of a log as text: UTC on a wall clock, seconds since the start on an uptime clock."""

from datetime import UTC, datetime, timedelta

from liqcli.lag.glyphs import span
from liqcli.lag.lines import Clock

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE_US = 60_000_000
SECOND_US = 1_000_000


def day(at_us: int) -> str:
    """The date, 2025-05-14; empty beyond the year 9999, where calendars end."""
    moment = _utc(at_us)
    return "" if moment is None else moment.strftime("%Y-%m-%d")


def time_of_day(at_us: int, clock: Clock, *, step_us: int = 1) -> str:
    """The time as exactly as `step_us` needs: 14:39, 14:39:45 or 14:39:45.999162; +1.25 s on an uptime clock."""
    moment = _utc(at_us) if clock is Clock.WALL else None
    if moment is None:
        decimals = 6 if step_us < 1_000 else 3 if step_us < SECOND_US else 0
        return f"+{at_us / SECOND_US:,.{decimals}f} s"
    if step_us % MINUTE_US == 0:
        return moment.strftime("%H:%M")
    if step_us % SECOND_US == 0:
        return moment.strftime("%H:%M:%S")
    return moment.strftime("%H:%M:%S.%f")[: -3 if step_us % 1_000 == 0 else None]


def stamp(at_us: int, clock: Clock, *, step_us: int = 1) -> str:
    """Date and time in one."""
    date = day(at_us) if clock is Clock.WALL else ""
    return f"{date} {time_of_day(at_us, clock, step_us=step_us)}".strip()


def period(start_us: int | None, end_us: int | None, clock: Clock) -> str:
    """From, to and how long; says so when the log has no times."""
    if start_us is None or end_us is None:
        return "no timestamps: incidents are told apart by their place in the file"
    step_us = 1 if end_us - start_us < MINUTE_US else SECOND_US
    end = time_of_day if day(start_us) == day(end_us) else stamp
    zone = "UTC" if clock is Clock.WALL else "after the process began"
    if start_us == end_us:
        return f"{stamp(start_us, clock)} {zone}"
    shown = f"{stamp(start_us, clock, step_us=step_us)} → {end(end_us, clock, step_us=step_us)} {zone}"
    return f"{shown} ({span((end_us - start_us) / SECOND_US)})"


def _utc(at_us: int) -> datetime | None:
    try:
        return EPOCH + timedelta(microseconds=at_us)
    except OverflowError:
        return None
