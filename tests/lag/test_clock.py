"""The time grammar of --since and --until, and the clocks of logs."""

from datetime import UTC, date, datetime

import pytest

from liqcli.errors import UsageError
from liqcli.lag.clock import ISO, SYSLOG, iso_us, moment_us, syslog_us
from liqcli.lag.lines import NO_TIME

END = int(datetime(2025, 5, 14, 14, 41, 10, tzinfo=UTC).timestamp()) * 1_000_000


def moment(text, option="--since"):
    """What a time means for a log that ends at 14:41:10."""
    at_us = moment_us(text, log_end=lambda: END, option=option)
    return datetime.fromtimestamp(at_us / 1e6, tz=UTC).strftime("%Y-%m-%d %H:%M:%S")


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("2025-05-14T14:39:45Z", "2025-05-14 14:39:45"),
        ("2025-05-14T16:39:45+02:00", "2025-05-14 14:39:45"),
        ("2025-05-14 14:39:45", "2025-05-14 14:39:45"),
        ("2025-05-13", "2025-05-13 00:00:00"),
        ("14:39", "2025-05-14 14:39:00"),
        ("14:39:45", "2025-05-14 14:39:45"),
        ("-15m", "2025-05-14 14:26:10"),
        ("-90s", "2025-05-14 14:39:40"),
        ("-2h", "2025-05-14 12:41:10"),
        ("-1d", "2025-05-13 14:41:10"),
        ("23:50", "2025-05-13 23:50:00"),
    ],
)
def test_since_takes_iso_times_times_of_day_and_spans(text, meaning):
    """A time of day is the last one the log has seen; a span counts back from the log's end."""
    assert moment(text) == meaning


def test_until_may_lie_after_the_end():
    """14:50 in a log that ends at 14:41 cuts nothing off."""
    assert moment("14:50", "--until") == "2025-05-14 14:50:00"


@pytest.mark.parametrize("text", ["", "yesterday", "25:00", "14:61", "-15", "15m", "2025-13-01", "-9999999m"])
def test_what_is_no_time_is_refused_with_examples(text):
    """The error names the option, the value and what to write."""
    with pytest.raises(UsageError, match="--since") as caught:
        moment(text)
    assert "14:39" in caught.value.hint


def test_a_log_without_an_end_counts_from_now():
    """Standard input does not tell how it will end."""
    before = datetime.now(tz=UTC).timestamp()
    at_us = moment_us("-15m", log_end=lambda: None, option="--since")
    assert before - 902 <= at_us / 1e6 <= before - 898


@pytest.mark.parametrize(
    ("text", "at_us"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000),
        ("1970-01-01T00:00:01.5Z", 1_500_000),
        ("1970-01-01T00:00:01,123Z", 1_123_000),
        ("1970-01-01T00:00:01.123456789Z", 1_123_456),
        ("1970-01-01 01:00:01+01:00", 1_000_000),
        ("1969-12-31T22:30:01-0130", 1_000_000),
        ("1970-01-01T00:00:01", 1_000_000),
        ("1970-02-30T00:00:01Z", NO_TIME),
        ("1970-01-01T24:00:01Z", NO_TIME),
        ("0000-01-01T00:00:01Z", NO_TIME),
    ],
)
def test_iso_stamps_are_microseconds_of_utc(text, at_us):
    """Zones are undone, fractions cut to microseconds, impossible dates have no time."""
    found = ISO.match(text)
    assert found is not None
    assert iso_us(found) == at_us


@pytest.mark.parametrize(("day", "year"), [("Nov 20", 2026), ("Nov 22", 2026), ("Nov 23", 2026), ("Dec 31", 2025)])
def test_a_stamp_without_a_year_is_the_latest_not_after_the_file(day, year):
    """One day of grace, for zones."""
    found = SYSLOG.match(f"{day} 10:00:00")
    assert found is not None
    at_us = syslog_us(found, date(2026, 11, 22))
    assert datetime.fromtimestamp(at_us / 1e6, tz=UTC).year == year
