"""Logs that repeat each other's lines, and logs that only seem to."""

import gzip

import pytest
import zstandard

from liqcli.lag.follow import follow
from liqcli.lag.measure import measure_lag
from tests.lag.logs import facts, full, text

FACTS = facts(60)
LOG = text(full, FACTS)
LINES = LOG.splitlines(keepends=True)


def lines(first, last):
    """Some lines of the log."""
    return b"".join(LINES[first:last])


def measured(folder, *contents):
    """What is measured of several files."""
    paths = [folder / f"bot.log.{number}" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return measure_lag(paths)


def numbers(statistics):
    """What must not depend on how a log was cut."""
    return (statistics.totals, statistics.incidents, statistics.seconds, statistics.distribution)


@pytest.mark.parametrize(
    "contents",
    [
        (lines(0, 40), lines(25, 60)),
        (lines(25, 60), lines(0, 40)),
        (lines(0, 40), lines(20, 50), lines(30, 60)),
        (LOG, LOG),
        (LOG, lines(10, 20)),
        (LOG, lines(0, 40)),
        (lines(0, 40), gzip.compress(lines(25, 60))),
        (gzip.compress(lines(0, 40)), lines(25, 60)),
        (zstandard.compress(lines(0, 40)), gzip.compress(lines(25, 60))),
        (lines(0, 40), lines(25, 60).decode().encode("utf-16")),
        (lines(0, 40), lines(25, 60)[:-1]),
    ],
)
def test_what_stands_in_two_files_is_read_once(contents, tmp_path):
    """Rotation by copying, logs fetched again and again: byte for byte the end of one is the beginning of the next."""
    statistics = measured(tmp_path, *contents)

    assert numbers(statistics) == numbers(measured(tmp_path, LOG))
    assert statistics.inputs.lines == 60
    assert any("read once" in note for note in statistics.inputs.notes)


@pytest.mark.parametrize(
    ("contents", "lag_lines"),
    [
        ((lines(0, 30), lines(30, 60)), 60),
        ((lines(0, 40), lines(25, 39) + lines(41, 60)), 73),
        ((LINES[0] * 3, LINES[0] * 5), 8),
        ((lines(0, 30) + LINES[30] * 2, LINES[30] * 2 + lines(31, 60)), 63),
        ((text(lambda fact: f"ERROR a: channel lagged by {fact[2]}", FACTS),) * 2, 120),
    ],
)
def test_lines_that_may_have_been_written_twice_are_counted_twice(contents, lag_lines, tmp_path):
    """Only a clock that stepped inside the repeated part proves a copy."""
    statistics = measured(tmp_path, *contents)

    assert statistics.totals.lag_lines == lag_lines
    assert not any("read once" in note for note in statistics.inputs.notes)


def test_numbers_of_skipped_lines_count_what_was_not_read_again(tmp_path):
    """`--show-skipped` names the line of the file."""
    quote = b'2025-05-14T15:00:00Z INFO a: "channel lagged by 5"\n'

    statistics = measured(tmp_path, lines(0, 40), lines(25, 60) + quote)

    assert [skip.line for skip in statistics.inputs.skipped] == [36]


def test_a_file_that_is_followed_is_not_cut_again_after_rotation(tmp_path):
    """What follows under the old name is new."""
    old, new = tmp_path / "bot.log.1", tmp_path / "bot.log"
    old.write_bytes(lines(0, 40))
    new.write_bytes(lines(25, 50))
    with follow([old, new]) as log:
        assert log.poll().totals.lag_lines == 50
        new.rename(tmp_path / "bot.log.0")
        new.write_bytes(lines(50, 60))
        assert log.poll().totals.lag_lines == 60


def test_a_compressed_log_ends_when_its_plain_twin_ends(tmp_path):
    """`-15m` counts back from the same moment."""
    (tmp_path / "bot.log").write_bytes(LOG)
    for name, content in (("bot.log", LOG), ("bot.gz", gzip.compress(LOG)), ("bot.zst", zstandard.compress(LOG))):
        (tmp_path / name).write_bytes(content)
        assert measure_lag([tmp_path / name], since="-1s").totals.lag_lines == 30
