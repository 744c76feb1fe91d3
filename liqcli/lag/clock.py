"""Times in logs: reading the stamps tracing and its wrappers write, and the `--since` / `--until` grammar."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from liqcli.errors import UsageError
from liqcli.lag.lines import NO_TIME

SECOND = 1_000_000
DAY = 86_400 * SECOND
EPOCH = date(1970, 1, 1).toordinal()

ISO = re.compile(
    r"(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?(?: ?(Z|UTC|[+-]\d\d(?::?\d\d)?))?(?![\d:])",
    re.ASCII,
)
UPTIME = re.compile(r"(\d{1,9})\.(\d{9})s(?![\w.])", re.ASCII)
SYSLOG = re.compile(
    r"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) ([ \d]\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?![\d:])",
    re.ASCII,
)
UNIX = re.compile(r"(\d{9,10})\.(\d{6})(?![\d.])", re.ASCII)
EPOCH_TIME = re.compile(r"(?:(\d{9,10})(?:[.,](\d{1,9}))?|(\d{13})(?:\.(\d{1,6}))?|(\d{16})|(\d{19}))(?!\d)", re.ASCII)
"""Seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by their digits."""
MONTHS = {
    name: number + 1
    for number, name in enumerate(("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"))
}

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_RELATIVE = re.compile(r"-([0-9]{1,6})([smhd])")
_TIME_OF_DAY = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9])(?:\.([0-9]{1,9}))?)?")


@lru_cache(maxsize=64)
def day_us(year: int, month: int, day: int) -> int | None:
    """Microseconds from 1970 to that midnight; None for a date that does not exist."""
    try:
        return (date(year, month, day).toordinal() - EPOCH) * DAY
    except ValueError:
        return None


def fraction_us(digits: str | None) -> int:
    """One to nine digits after the point, cut to microseconds."""
    return int(digits[:6].ljust(6, "0")) if digits else 0


def iso_us(stamp: re.Match[str]) -> int:
    """The UTC microsecond of an ISO stamp; a stamp without a zone is taken as UTC; NO_TIME if it does not exist."""
    year, month, day, hour, minute, second, fraction, zone = stamp.groups()
    midnight = day_us(int(year), int(month), int(day))
    if midnight is None or int(hour) > 23 or int(minute) > 59 or int(second) > 60:
        return NO_TIME
    of_day = (int(hour) * 60 + int(minute)) * 60 + int(second)
    return midnight + of_day * SECOND + fraction_us(fraction) - zone_us(zone)


def zone_us(zone: str | None) -> int:
    """How far a zone is ahead of UTC."""
    if zone is None or zone in {"Z", "UTC"}:
        return 0
    minutes = int(zone[1:3]) * 60 + int(zone[3:].removeprefix(":") or 0)
    return (-minutes if zone[:1] == "-" else minutes) * 60 * SECOND


def uptime_us(stamp: re.Match[str]) -> int:
    """Microseconds since the process began."""
    return int(stamp[1]) * SECOND + fraction_us(stamp[2])


def unix_us(stamp: re.Match[str]) -> int:
    """Seconds since 1970 with six digits, as `journalctl -o short-unix` writes."""
    return int(stamp[1]) * SECOND + int(stamp[2])


def epoch_time_us(stamp: re.Match[str]) -> int:
    """The microsecond of a count since 1970."""
    seconds, fraction, millis, thousandths, micros, nanos = stamp.groups()
    if seconds:
        return int(seconds) * SECOND + fraction_us(fraction)
    if millis:
        return int(millis) * 1_000 + round(float(f"0.{thousandths or 0}") * 1_000)
    return int(micros) if micros else int(nanos) // 1_000


def syslog_us(stamp: re.Match[str], newest: date) -> int:
    """A stamp without a year, in the last year that puts it no more than a day after `newest`."""
    month, day, hour, minute, second, fraction = stamp.groups()
    of_day = ((int(hour) * 60 + int(minute)) * 60 + int(second)) * SECOND + fraction_us(fraction)
    for year in range(newest.year + 1, newest.year - 9, -1):
        midnight = day_us(year, MONTHS[month], int(day))
        if midnight is not None and midnight <= (newest.toordinal() + 1 - EPOCH) * DAY:
            return midnight + of_day if of_day < DAY else NO_TIME
    return NO_TIME


def moment_us(text: str, *, log_end: Callable[[], int | None], option: str) -> int:
    """What `--since` and `--until` take: an ISO time, `14:39[:05[.25]]`, or `-15m` before the end of the log.

    A time of day means the day the log ends on, or for --since the day before where that would lie after its end;
    the end is now where the log does not tell.
    """
    text = text.strip()
    if relative := _RELATIVE.fullmatch(text):
        return _end(log_end) - int(relative[1]) * _UNITS[relative[2]] * SECOND
    if clock := _TIME_OF_DAY.fullmatch(text):
        end = _end(log_end)
        of_day = (int(clock[1]) * 3600 + int(clock[2]) * 60 + int(clock[3] or 0)) * SECOND + fraction_us(clock[4])
        moment = end - end % DAY + of_day
        return moment - DAY if option == "--since" and moment > end else moment
    return _iso_moment(text, option)


def _iso_moment(text: str, option: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"{option} {text!r} is not a time",
            hint="write 2025-05-14T14:39:45Z, 2025-05-14, 14:39 or -15m (before the end of the log)",
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _end(log_end: Callable[[], int | None]) -> int:
    end = log_end()
    return end if end is not None else int(datetime.now(tz=UTC).timestamp()) * SECOND
