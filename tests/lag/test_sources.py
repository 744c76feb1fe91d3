"""What can be read, and how what cannot is named."""

import bz2
import codecs
import gzip
import io
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard

from liqcli.errors import InputError, UsageError
from liqcli.lag.measure import measure_lag
from tests.lag.logs import FORMS, facts, full, text

FACTS = facts(60)
LOG = text(full, FACTS)
TOTAL = sum(fact[2] for fact in FACTS)


def lost(path):
    """What a log lost."""
    return measure_lag([path]).totals.lost


@pytest.fixture
def log(tmp_path):
    """A log of sixty lines."""
    path = tmp_path / "bot.log"
    path.write_bytes(LOG)
    return path


@pytest.mark.parametrize(
    ("packed", "compression"),
    [
        (gzip.compress(LOG), "gzip"),
        (gzip.compress(LOG[:500]) + gzip.compress(LOG[500:]), "gzip"),
        (zstandard.compress(LOG), "zstd"),
        (zstandard.compress(LOG[:500]) + zstandard.compress(LOG[500:]), "zstd"),
    ],
)
def test_compression_is_known_by_its_first_bytes(packed, compression, tmp_path):
    """The name says nothing; members and frames in a row are one log."""
    path = tmp_path / "bot.log"
    path.write_bytes(packed)
    statistics = measure_lag([path])
    assert (statistics.totals.lost, statistics.inputs.compression) == (TOTAL, compression)


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (codecs.BOM_UTF8 + LOG, "utf-8"),
        (LOG.decode().encode("utf-16"), "utf-16"),
        (codecs.BOM_UTF16_BE + LOG.decode().encode("utf-16-be"), "utf-16"),
        (LOG.decode().encode("utf-16-le"), "utf-16-le"),
        (LOG.decode().encode("utf-16-be"), "utf-16-be"),
        (gzip.compress(LOG.decode().encode("utf-16")), "utf-16"),
        (text(full, FACTS, "\r\n").decode().encode("utf-16"), "utf-16"),
    ],
)
def test_encodings_are_recognised(content, encoding, tmp_path):
    """Windows shells write UTF-16, with and without a byte order mark."""
    path = tmp_path / "bot.log"
    path.write_bytes(content)
    statistics = measure_lag([path])
    assert (statistics.totals.lost, statistics.inputs.encoding) == (TOTAL, encoding)
    assert statistics.inputs.lines == len(FACTS)


def test_a_pattern_names_many_files_in_the_order_of_their_times(tmp_path):
    """Rotated logs are one log: the incident across the edge is one incident, whatever the files are called."""
    for name, part in (("bot.log", FACTS[40:]), ("bot.log.1", FACTS[20:40]), ("bot.log.2", FACTS[:20])):
        (tmp_path / name).write_bytes(text(full, part))
    whole, one = measure_lag([str(tmp_path / "bot.log*")]), tmp_path / "all"
    one.write_bytes(LOG)
    single = measure_lag([one])
    assert whole.inputs.files == tuple(str(tmp_path / f"bot.log{end}") for end in (".2", ".1", ""))
    assert (whole.incidents, whole.totals, whole.seconds) == (single.incidents, single.totals, single.seconds)


def test_files_whose_times_overlap_are_merged_by_time(tmp_path):
    """Two replicas' halves of one stream make the incidents of the whole."""
    (tmp_path / "a.log").write_bytes(text(full, FACTS[::2]))
    (tmp_path / "b.log.gz").write_bytes(gzip.compress(text(FORMS["ansi"], FACTS[1::2])))
    one = tmp_path / "all"
    one.write_bytes(LOG)
    merged = measure_lag([tmp_path / "b.log.gz", tmp_path / "a.log"])
    assert merged.incidents == measure_lag([one]).incidents
    assert merged.inputs.backward_steps == 0


def test_a_file_named_twice_is_read_once(log):
    """By its name and by a pattern."""
    assert measure_lag([log, str(log.parent / "*.log"), log]).totals.lost == TOTAL


def test_since_and_until_cut_and_count_what_they_cut(log):
    """Lines outside are other lines, and their number is told."""
    statistics = measure_lag([log], since="14:40", until="2025-05-14T14:41:00Z")
    inputs = statistics.inputs
    assert (statistics.totals.lag_lines, inputs.outside_lines) == (30, 30)
    assert inputs.lag_lines + inputs.closed_lines + inputs.skipped_lines + inputs.other_lines == inputs.lines == 60


def test_standard_input_is_read_like_a_file():
    """`BOT 2>&1 | liq diagnose lag -`."""
    program = "from liqcli.lag.measure import measure_lag; print(measure_lag(['-']).totals.lost)"
    for content in (LOG, gzip.compress(LOG), zstandard.compress(LOG)):
        done = subprocess.run([sys.executable, "-c", program], input=content, capture_output=True, check=True)
        assert int(done.stdout) == TOTAL


def _pipe(folder):
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def _link(folder):
    (folder / "real").write_bytes(LOG)
    (folder / "link").symlink_to(folder / "real")
    return folder / "link"


def _written(content):
    def write(folder):
        (folder / "file").write_bytes(content)
        return folder / "file"

    return write


@pytest.mark.parametrize(
    ("make", "message", "hint"),
    [
        (_pipe, "is a named pipe", "- <"),
        (_link, "is a symbolic link", "real"),
        (lambda folder: folder, "is a directory", r"\*.log"),
        (lambda folder: folder / "none", "there is no file", "name"),
        (lambda folder: folder / "none*", "no file matches", "pattern"),
        (lambda folder: folder / "bot.log" / "x", "cannot look at", ""),
        (lambda _: Path("/dev/zero"), "is not a regular file", "pipe it"),
        (lambda _: Path("/proc/self/mem"), "cannot read", "ls -l"),
        (lambda folder: folder / ("n" * 300), "cannot look at", ""),
        (_written(b""), "is empty", "2>&1"),
        (_written(b"\x7fELF\x02\x01\x01" + bytes(900)), "is a program", "unpack"),
        (_written(bz2.compress(LOG)), "is bzip2", "unpack"),
        (_written(gzip.compress(os.urandom(9000))[:700]), "is damaged", "unpack"),
        (_written(gzip.compress(LOG)[:-4]), "is damaged", "unpack"),
        (_written(zstandard.compress(LOG)[:300] + b"\xff" * 90), "is damaged", "unpack"),
        (_written(b'10.0.0.1 - - [14/May/2025] "GET / HTTP/1.1" 200\n' * 9), "has no lag lines", "channel lagged by"),
        (
            _written(b'alert=sent text="channel lagged by 5"\n' * 3),
            "3 lines skipped: quotes the words inside another message",
            "channel lagged by",
        ),
    ],
)
def test_what_cannot_be_a_log_is_named(make, message, hint, tmp_path):
    """One line that says what is wrong with which file, and what to type next."""
    (tmp_path / "bot.log").write_bytes(LOG)
    with pytest.raises(InputError, match=message) as caught:
        measure_lag([make(tmp_path)])
    assert caught.value.exit_code == 8
    if hint:
        assert hint.replace("\\", "") in caught.value.hint


def test_an_unknown_format_is_a_usage_error(log):
    """It names the known ones."""
    with pytest.raises(UsageError, match="unknown format") as caught:
        measure_lag([log], form="nginx")
    assert "pretty" in caught.value.hint


def test_a_log_of_ordinary_tracing_lines_is_no_error(tmp_path):
    """No lag is an answer; only what is no such log is not."""
    path = tmp_path / "bot.log"
    path.write_text("2025-05-14T14:39:45.999162Z  INFO bot: started\n")
    statistics = measure_lag([path])
    assert (statistics.totals.lag_lines, statistics.distribution, statistics.incidents) == (0, None, ())


MEASURE = """
import resource, sys
from liqcli.errors import InputError
from liqcli.lag.measure import measure_lag
measure_lag([sys.argv[1]])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    print(measure_lag([sys.argv[2]]).inputs.skip_reasons)
except InputError as error:
    print(error.message)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def answer_and_growth(small, path):
    """What comes of a hostile file, and how many MiB of memory it took beyond a small one."""
    done = subprocess.run([sys.executable, "-c", MEASURE, small, path], capture_output=True, check=True, text=True)
    said, growth = done.stdout.splitlines()
    return said, int(growth)


def test_a_gzip_bomb_is_stopped_in_bounded_memory(log, tmp_path):
    """A gigabyte of nothing in a megabyte: an error, not a gigabyte."""
    bomb, part = tmp_path / "bomb", io.BytesIO()
    with gzip.GzipFile(fileobj=part, mode="wb", compresslevel=9) as packed:
        packed.write(bytes(16 << 20))
    bomb.write_bytes(part.getvalue() * 64)
    said, growth = answer_and_growth(log, bomb)
    assert "500-fold" in said
    assert growth < 64


def test_a_line_of_a_gigabyte_is_dropped_in_bounded_memory(log, tmp_path):
    """It is one skipped line."""
    path = tmp_path / "line"
    with path.open("wb") as file:
        file.write(LOG)
        file.seek(1 << 30, os.SEEK_CUR)
        file.write(b"\n" + LOG)
    said, growth = answer_and_growth(log, path)
    assert said == "{'longer than 4 MiB': 1}"
    assert growth < 64


def test_a_million_lines_are_measured_in_bounded_memory(log, tmp_path):
    """Statistics, not lines, are kept."""
    path = tmp_path / "flood"
    line = "{:04d}-05-14T14:39:45.{:06d}Z ERROR artemis_core::engine: error receiving event: channel lagged by {}\n"
    with path.open("w") as file:
        for year in range(2000, 2020):
            file.writelines(line.format(year, place * 20, 1 + place % 977) for place in range(50_000))
    _, growth = answer_and_growth(log, path)
    assert growth < 100
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0
