"""A log that is still written."""

import subprocess
import sys

from liqcli.lag.follow import follow
from tests.lag.logs import facts, full, text


def seen(follower):
    """Lag lines and lines after a look, or None where nothing is new."""
    statistics = follower.poll()
    return None if statistics is None else (statistics.totals.lag_lines, statistics.inputs.lines)


def append(path, content):
    """Write at the end."""
    with path.open("ab") as file:
        file.write(content)


def test_only_whole_lines_are_counted_and_each_once(tmp_path):
    """A line that is being written waits for its line feed."""
    path, line = tmp_path / "bot.log", text(full, facts(1))
    path.write_bytes(line + line[:40])
    with follow([path]) as log:
        assert seen(log) == (1, 1)
        assert seen(log) is None
        append(path, line[40:-1])
        assert seen(log) is None
        append(path, line[-1:])
        assert seen(log) == (2, 2)


def test_rotation_loses_no_line(tmp_path):
    """What was written before the rename is read, then the new file of the name."""
    path, line = tmp_path / "bot.log", text(full, facts(1))
    path.write_bytes(line)
    with follow([path]) as log:
        assert seen(log) == (1, 1)
        moved = path.rename(tmp_path / "bot.log.1")
        append(moved, line * 2)
        path.write_bytes(line * 3)
        assert seen(log) == (6, 6)
        append(path, line)
        assert seen(log) == (7, 7)


def test_truncation_begins_again(tmp_path):
    """As `copytruncate` does."""
    path, line = tmp_path / "bot.log", text(full, facts(1))
    path.write_bytes(line * 5)
    with follow([path]) as log:
        assert seen(log) == (5, 5)
        path.write_bytes(line)
        assert seen(log) == (6, 6)


def test_a_log_may_vanish_and_an_empty_one_may_begin(tmp_path):
    """Neither is an error while following."""
    path, line = tmp_path / "bot.log", text(full, facts(1))
    path.write_bytes(b"")
    with follow([path]) as log:
        assert seen(log) == (0, 0)
        append(path, line)
        assert seen(log) == (1, 1)
        path.unlink()
        assert seen(log) is None


def test_a_pipe_is_followed_until_its_writer_is_gone():
    """`BOT 2>&1 | liq diagnose lag - --follow`: the last line counts even without a line feed."""
    program = (
        "from liqcli.lag.follow import follow\n"
        "with follow(['-']) as log:\n"
        "    while not log.has_ended:\n"
        "        statistics = log.poll()\n"
        "        if statistics: print(statistics.totals.lag_lines, flush=True)\n"
    )
    line = text(full, facts(1))
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(line)
        child.stdin.flush()
        assert child.stdout.readline() == b"1\n"
        child.stdin.write(line * 2 + line[:-1])
        child.stdin.close()
        assert child.stdout.read().split()[-1] == b"4"
