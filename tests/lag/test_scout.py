"""A large log is surveyed ahead and read where it lies: the numbers are those of reading it byte by byte."""

import faulthandler
import os
from itertools import dropwhile

import pytest

from liqcli.lag.blocks import BLOCK, MAPPED, MARGIN, map_blocks, read_blocks
from liqcli.lag.measure import measure_lag
from liqcli.lag.parse import parse_lag
from liqcli.lag.parts import _begun_parts, _fork, begun
from liqcli.lag.scout import MOST, Scout, sent_ahead
from liqcli.lag.search import CLOSED_NEEDLE, LAG_NEEDLE
from liqcli.lag.snapshot import snapshot
from liqcli.lag.sources import find_sources
from liqcli.lag.survey import survey, surveys_of, with_surveys
from tests.lag.logs import FORMS, facts, full, stamp, text

pytestmark = pytest.mark.usefixtures("reader")
OTHERS = 60
"""Other lines before each lag line."""


def other(at_us):
    """A line that is not about lag."""
    return f"{stamp(at_us)}  INFO bot::strategy: processed block={at_us % 10**7} in 12.5ms, nothing to do\n" * OTHERS


def sparse(form=full, lines=4_000):
    """A log of about 20 MiB, a lag line here and there, with a closed channel and a zero byte."""
    made = facts(lines)
    log = "".join(other(fact[0]) + form(fact) + "\n" for fact in made).encode()
    odd = full(made[0]).replace(f"lagged by {made[0][2]}", "closed").encode() + b"\nbin\0ary\n"
    middle = log.index(b"\n", len(log) // 3) + 1
    return log[:middle] + odd + log[middle:]


def written(folder, content):
    path = folder / "bot.log"
    path.write_bytes(content)
    return path


def finished(path):
    """A scout that went as far as it goes."""
    scout = Scout(find_sources([path])[0])
    os.waitid(os.P_PID, scout._process, os.WEXITED | os.WNOWAIT)
    return scout


def measured(result):
    reading, tally = result
    return snapshot(reading, tally, reading.summary(), capacity=512, incident_gap_us=1_000_000)


def comparable(statistics):
    """All that is told on paper."""
    plain = ("inputs", "totals", "by_receiver", "incidents", "incident_count", "distribution", "minutes", "closed")
    return {name: getattr(statistics, name) for name in plain}


@pytest.mark.parametrize("form", ["full", "ansi", "json", "pretty"])
@pytest.mark.parametrize("processes", [2, 3])
def test_what_was_surveyed_is_measured_as_if_it_had_been_read(form, processes, tmp_path):
    """However far the scout came: to the end, or nowhere."""
    path = written(tmp_path, sparse(FORMS[form]))
    whole = comparable(measure_lag([path], processes=1))

    assert whole["totals"].closed_lines == whole["inputs"].skip_reasons["binary data"] == 1
    assert comparable(measured(begun(parse_lag([path]), processes, finished(path))())) == whole
    scout = Scout(find_sources([path])[0])
    scout.recall()
    assert comparable(measured(begun(parse_lag([path]), processes, scout)())) == whole
    assert comparable(measure_lag([path], processes=processes)) == whole


def test_a_scout_reports_what_a_search_finds(tmp_path):
    """Block by block: lines, zero bytes and the places of every needle."""
    path = written(tmp_path, sparse())
    known, begin = surveys_of(finished(path).report()), 0

    with path.open("rb") as file:
        for block in map_blocks(file, margin=MARGIN, limit=path.stat().st_size):
            told, found = known.pop(begin), survey(block)
            assert (told.size, told.lines, told.has_zero) == (found.size, found.lines, found.has_zero)
            for needle in (LAG_NEEDLE, CLOSED_NEEDLE):
                assert (told.places[needle] - told.start).tolist() == (found.places[needle] - found.start).tolist()
            begin += told.size
    assert (begin, known) == (path.stat().st_size, {})


def test_a_scout_leaves_a_crowded_log_alone_unless_it_is_compiled(reader, tmp_path):
    """One by one its needles are found more slowly than later, all at once."""
    path = written(tmp_path, text(full, facts(MOST * 40)))
    known = surveys_of(finished(path).report())
    assert sum(len(found.places[LAG_NEEDLE]) for found in known.values()) == (MOST * 40 if reader == "compiled" else 0)


def test_a_scout_ends_where_its_report_is_full(monkeypatch, tmp_path):
    """What it tells is whole blocks, and the rest is read without it."""
    monkeypatch.setattr("liqcli.lag.scout.REPORT_BYTES", 1 << 12)
    path = written(tmp_path, sparse())
    whole, scout = comparable(measure_lag([path], processes=1)), finished(path)
    assert comparable(measured(begun(parse_lag([path]), 2, scout)())) == whole


def test_a_scout_is_sent_only_into_a_large_plain_file(tmp_path):
    """For others nothing runs ahead."""
    path = written(tmp_path, text(full, facts(50)))
    with sent_ahead([path], None) as scout:
        assert scout is None
    with sent_ahead([path, path.with_name("*.log")], 2) as scout:
        assert scout is not None
    assert scout._process == 0


@pytest.mark.parametrize("length", [BLOCK - 1, BLOCK, BLOCK + 1, MAPPED, MAPPED + BLOCK])
@pytest.mark.parametrize("before", [0, BLOCK // 2, MAPPED - 5])
def test_a_long_line_is_dropped_wherever_it_lies(length, before, tmp_path):
    """At the same length whether blocks are read or seen where they lie."""
    line = b"x" * 99 + b"\n"
    head = line * (before // len(line)) if before else b""
    path = written(tmp_path, head + b"y" * (length - 1) + b"\n" + line * (3 * MAPPED // len(line)))

    def lines(cut):
        with path.open("rb") as file:
            blocks = [
                (bytes(block.buffer[block.start : block.end]), block.dropped)
                for block in cut(file, margin=MARGIN, limit=path.stat().st_size)
            ]
        return b"".join(part for part, _ in blocks), sum(dropped for _, dropped in blocks)

    assert lines(map_blocks) == lines(read_blocks)
    assert lines(map_blocks)[1] == (length > BLOCK)


@pytest.mark.parametrize("before", [0, 50, 1_500])
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_what_follows_an_event_that_fills_the_buffer_is_read(before, processes, tmp_path):
    """The first line of an event whose second one is too long is taken as it stands; nothing behind it is lost."""
    made = facts(6_000)
    begin = text(FORMS["pretty"], made[:before]).decode() + FORMS["pretty"](made[before]).split("\n")[0] + "\n"
    rest = text(full, made[before + 1 :] * 20).decode()
    inputs = measure_lag([written(tmp_path, f"{begin}{'z' * (5 << 20)}\n{rest}".encode())], processes=processes).inputs
    assert (inputs.lines, inputs.lag_lines) == (begin.count("\n") + 1 + rest.count("\n"), before + 1 + rest.count("\n"))
    assert sum(inputs.skip_reasons.values()) == 1


def test_nothing_is_known_of_blocks_behind_a_dropped_line(tmp_path):
    """Where they begin in the file is not counted any more: a scout ends there, and what it told is not used there."""
    part = sparse(lines=1_500)
    path = written(tmp_path, part + b"z" * (5 << 20) + b"\n" + part * 3)
    known = surveys_of(finished(path).report())
    assert sum(told.size for told in known.values()) <= len(part)
    with path.open("rb") as file:
        cut = map_blocks(file, margin=MARGIN, limit=path.stat().st_size)
        blocks = with_surveys(cut, 0, dict.fromkeys(range(path.stat().st_size), next(iter(known.values()))))
        behind = [block.survey for block in dropwhile(lambda block: not block.dropped, blocks)]
    assert behind == [None] * len(behind)
    assert len(behind) >= 2


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_a_clock_that_steps_back_is_noticed_wherever_it_does(processes, tmp_path):
    """Also where one process ends and the next begins: each line is earlier than the one before."""
    made = [full(fact).encode() + b"\n" for fact in reversed(facts(300))]
    path = written(tmp_path, b"".join(made))
    edges = [len(b"".join(made[: 300 * part // processes])) for part in range(processes + 1)]
    assert measured(_begun_parts(parse_lag([path]), edges, {})()).inputs.backward_steps == 299


class Cutting(dict):
    """Surveys that cut the log to a few blocks when a reader asks for the second one."""

    def __init__(self, path, size):
        super().__init__()
        self.path, self.size = path, size

    def get(self, begin, default=None):
        if begin > 0:
            faulthandler.disable()
            os.truncate(self.path, self.size)
        return default


def test_a_log_cut_while_it_is_read_is_read_to_where_it_ends_now(tmp_path):
    """The process that saw its memory vanish dies alone; what is left is read."""
    content = sparse()
    path, size = written(tmp_path, content), content.index(b"\n", MAPPED + 1_000) + 1
    reading = parse_lag([path])

    cut = measured(_begun_parts(reading, [0, len(content)], Cutting(path, size))())

    assert path.stat().st_size == cut.inputs.bytes == size
    assert comparable(cut) == comparable(measure_lag([path], processes=1))


def test_a_reader_killed_by_vanished_memory_has_no_answer(tmp_path):
    """So that its part is read again."""
    path = written(tmp_path, sparse())

    def look():
        with path.open("rb") as file:
            file.seek(content_line(path))
            block = next(map_blocks(file, margin=MARGIN, limit=2 * MAPPED))
            faulthandler.disable()
            os.truncate(path, 0)
            return bytes(block.buffer)

    assert _fork(look)() is None


def content_line(path):
    """Where a line begins behind the first margin."""
    with path.open("rb") as file:
        file.seek(MARGIN)
        file.readline()
        return file.tell()


def test_a_log_that_grew_since_it_was_surveyed_is_read_whole(tmp_path):
    """What the scout saw was another state of the file."""
    path = written(tmp_path, sparse())
    scout = finished(path)
    with path.open("ab") as file:
        file.write(text(full, facts(50)))

    grown = measured(begun(parse_lag([path]), 2, scout)())

    assert comparable(grown) == comparable(measure_lag([path], processes=1))
