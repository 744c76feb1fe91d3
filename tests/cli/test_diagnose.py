"""`liq diagnose lag` as people and scripts meet it."""

import csv
import gzip
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pexpect
import pyte
import pytest

from liqcli.cli import diagnose
from liqcli.cli.main import exit_code_of
from liqcli.lag.model import Level
from tests.cli.schemas import faults

ROOT = Path(__file__).parents[2]
GOLDEN = str(ROOT / "sample_logs" / "artemis-2025-05-14-event-lag.log")
UNTIMED = str(ROOT / "sample_logs" / "artemis-no-timestamps.log")
LIQ = Path(sys.executable).with_name("liq")
ESCAPE = "\x1b"


def liq(*args, **environment):
    """Run the installed command with a plain environment; nothing comes from a terminal."""
    clean = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **environment}
    return subprocess.run([LIQ, *args], capture_output=True, env=clean, timeout=60, check=False)


def answer(capsys, *args):
    """Exit code and standard output of one command line, in this process."""
    code = exit_code_of(["diagnose", "lag", *map(str, args)])
    return code, capsys.readouterr().out


def test_the_document_has_every_field_of_the_contract(capsys):
    """Scripts rely on these names."""
    code, out = answer(capsys, GOLDEN, "--json")
    document = json.loads(out)

    assert code == 0
    assert document["schema_version"] == 1
    contract = {
        "files", "format", "lines", "lag_lines", "closed_lines", "skipped_lines", "start", "end", "lost",
        "distribution", "incidents", "series", "verdict", "capacities", "recommend", "unknown", "advice",
    }  # fmt: skip
    assert contract <= set(document)
    assert document["lost"] == {"total": 1_335_533, "event": 1_335_533, "action": 0, "unknown": 0}
    assert document["verdict"]["cause"] == "spinning_producer"
    assert document["verdict"]["buffer_can_help"] is False


@pytest.mark.parametrize(
    "name", ["artemis-2025-05-14-event-lag", "artemis-no-timestamps", "tokio-bursts", "tracing-json", "tracing-notime"]
)
def test_every_document_is_that_of_the_schema(capsys, name):
    """With and without times, spans and closed channels."""
    _, out = answer(capsys, ROOT / "sample_logs" / f"{name}.log", "--json")

    assert faults("diagnose-lag", json.loads(out)) == []


@pytest.mark.parametrize(
    ("lines", "options"),
    [
        (["INFO a::b: nothing to say"], []),
        (["ERROR a::b: error receiving event: channel closed"], []),
        (["ERROR a::b: error receiving event: channel lagged by ", "ERROR a::b: channel lagged by 7"], []),
        (["ERROR a::b: error receiving event: channel lagged by 18446744073709551615"], []),
        (["ERROR a::b: error receiving event: channel lagged by 5"], ["--what-if", "capacity=8192"]),
        (["ERROR a::b: error receiving event: channel lagged by 5"], ["--until", "2025-01-01"]),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_documents_of_little_are_those_of_the_schema_too(capsys, tmp_path, lines, options, packed):
    """No lag, only a closed channel, what was skipped, the largest count, inside docker, compressed."""
    log = tmp_path / "bot.log"
    text = "".join(f"bot-1  | 2025-05-14T14:39:4{place}Z {line}\n" for place, line in enumerate(lines)).encode()
    log.write_bytes(gzip.compress(text) if packed else text)

    _, out = answer(capsys, log, "--json", *options)

    assert faults("diagnose-lag", json.loads(out)) == []


def test_the_document_without_times_is_json_too(capsys):
    """Null where nothing is known, never NaN."""
    _, out = answer(capsys, UNTIMED, "--json")

    document = json.loads(out, parse_constant=pytest.fail)

    assert document["start"] is None
    assert document["incidents"][0]["duration_us"] is None


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["nowhere.log"], 8, "there is no file nowhere.log"),
        (["EMPTY"], 8, "is empty (0 bytes)"),
        (["NGINX"], 8, "has no lag lines (12 lines read"),
        ([], 2, "no log is named"),
        ([GOLDEN, "--format", "xml"], 2, "xml"),
        ([GOLDEN, "--fail-on", "terrible"], 2, 'does not know "terrible"'),
        ([GOLDEN, "--what-if", "capcity=9"], 2, 'does not know "capcity"'),
        ([GOLDEN, "--what-if", "capacity=many"], 2, "is not a number"),
        ([GOLDEN, "--what-if", "capacity=1.5"], 2, "whole"),
        ([GOLDEN, "--what-if", "handler_ms=0"], 2, "above zero"),
        ([GOLDEN, "--capacity", "0"], 2, "0 is not in the range"),
        ([GOLDEN, "--since", "yesterdayish"], 2, "is not a time"),
        ([GOLDEN, "--compare", GOLDEN, GOLDEN], 2, "BEFORE AFTER"),
        ([GOLDEN, "--follow", "--markdown"], 2, "--follow"),
    ],
)
def test_a_mistake_is_named_with_a_hint(capsys, tmp_path, args, code, message):
    """Unusable input is 8, a value that is not known is 2; both say what to type."""
    (tmp_path / "empty.log").touch()
    (tmp_path / "access.log").write_text('1.2.3.4 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 23\n' * 12)
    made = {"EMPTY": str(tmp_path / "empty.log"), "NGINX": str(tmp_path / "access.log")}

    got = exit_code_of(["diagnose", "lag", *(made.get(arg, arg) for arg in args)])

    err = capsys.readouterr().err
    error, hint = err.strip().splitlines()
    assert got == code
    assert error.startswith("error: ")
    assert hint.startswith("hint: ")
    assert message in err


def test_a_mistake_under_json_is_a_document(capsys):
    """One document on stdout, also when it fails."""
    code, out = answer(capsys, "nowhere.log", "--json")

    assert code == 8
    assert json.loads(out)["error"]["code"] == "input_error"


def test_only_one_form_is_printed(capsys):
    """--json and --markdown together is a usage error."""
    code, out = answer(capsys, GOLDEN, "--json", "--markdown")

    assert code == 2
    assert "choose one" in json.loads(out)["error"]["hint"]


@pytest.mark.parametrize(("level", "code"), [("low", 10), ("critical", 10), ("HIGH", 10)])
def test_fail_on_is_for_the_build_server(capsys, level, code):
    """The golden log is critical, so every level fails."""
    assert answer(capsys, GOLDEN, "--fail-on", level)[0] == code


def test_fail_on_lets_what_is_less_bad_pass(capsys):
    """A log without times is not critical."""
    assert answer(capsys, UNTIMED, "--fail-on", "critical")[0] == 0


def test_the_levels_are_those_of_the_model():
    """The command names them itself so that help need not load the model."""
    assert tuple(level.value for level in Level) == diagnose.LEVELS


def test_the_report_offers_what_was_not_asked_for_yet(capsys, tmp_path):
    """Nobody is told to try what is already on the command line."""
    _, bare = answer(capsys, GOLDEN)
    _, drawn = answer(capsys, GOLDEN, "--charts", tmp_path, "--fail-on", "critical")

    assert "Next: --charts DIR · --html FILE" in bare
    assert "Next: --html FILE · --json · --csv FILE · --what-if capacity=8192" in drawn


def test_skipped_lines_are_offered_until_they_are_shown(capsys, tmp_path):
    """--show-skipped stands first where something was skipped."""
    log = tmp_path / "bot.log"
    log.write_text(f"{Path(GOLDEN).read_text()}\n2025-05-14T14:39:47Z ERROR a: channel lagged by twelve\n")

    assert "Next: --show-skipped · --charts DIR" in answer(capsys, log)[1]
    assert "Next: --charts DIR" in answer(capsys, log, "--show-skipped")[1]


def test_one_of_a_kind_is_told_in_the_singular(capsys, tmp_path):
    """1 event, 1 line, 1 time."""
    lag, closed = tmp_path / "lag.log", tmp_path / "closed.log"
    lag.write_text("2025-05-14T14:39:45 ERROR a: error receiving event: channel lagged by 1\n")
    closed.write_text("2025-05-14T14:39:45Z ERROR a: error receiving event: channel closed\n")

    shown = answer(capsys, lag)[1] + answer(capsys, closed)[1]

    assert not re.findall(r"(?<![0-9,.])1 (?:events|lines|times|jumps|clusters|incidents|pairs)\b", shown)
    assert "1 event lost in 1 line" in " ".join(shown.split())
    assert "1 time `channel closed`" in shown


def test_what_if_is_replayed_and_shown(capsys):
    """In the text and in the document."""
    _, text = answer(capsys, GOLDEN, "--what-if", "capacity=8192,handler_ms=2")
    _, out = answer(capsys, GOLDEN, "--json", "--what-if", "capacity=8192")

    assert "What if" in text
    assert "As logged, 1,335,533 events were lost." in text
    assert json.loads(out)["what_if"]["capacity"] == 8192


def test_the_given_capacity_reaches_the_verdict(capsys):
    """--capacity is no longer among what the log cannot tell."""
    _, plain = answer(capsys, GOLDEN)
    _, told = answer(capsys, GOLDEN, "--capacity", "512")

    assert "512 is assumed" in plain
    assert "512 is assumed" not in told


def test_since_leaves_out_what_was_before(capsys):
    """Half of the tail."""
    _, out = answer(capsys, GOLDEN, "--json", "--since", "2025-05-14T14:39:45.999300Z")

    assert json.loads(out)["lost"]["total"] < 2_170


def test_files_are_written_where_asked(capsys, tmp_path):
    """CSV, page and pictures in one run, the document still alone on stdout."""
    charts, page, table = tmp_path / "charts", tmp_path / "charts" / "lag.html", tmp_path / "lag.csv"

    code, out = answer(capsys, GOLDEN, "--json", "--charts", charts, "--html", page, "--csv", table)

    assert code == 0
    assert json.loads(out)["lag_lines"] == 54
    assert len(list(charts.glob("*.png"))) == len(list(charts.glob("*.svg"))) == 5
    assert page.read_text().startswith("<!doctype html>")
    assert [row["lost"] for row in csv.DictReader(io.StringIO(table.read_text()))] == ["1335533"]


def test_a_folder_gets_every_table(capsys, tmp_path):
    """Incidents, series, lines, sizes, capacities."""
    answer(capsys, GOLDEN, "--csv", tmp_path)

    assert {path.name for path in tmp_path.iterdir()} == {
        "incidents.csv", "series.csv", "minutes.csv", "lines.csv", "sizes.csv", "capacities.csv",
    }  # fmt: skip
    assert len((tmp_path / "lines.csv").read_text().splitlines()) == 55


def test_a_link_in_the_place_of_the_report_is_refused(capsys, tmp_path):
    """Exit 2, and what it points to is untouched."""
    theirs = tmp_path / "theirs"
    theirs.write_text("precious")
    (tmp_path / "lag.html").symlink_to(theirs)

    assert answer(capsys, GOLDEN, "--html", tmp_path / "lag.html")[0] == 2
    assert theirs.read_text() == "precious"


def test_compare_shows_before_and_after(capsys):
    """As text, as Markdown and as a document."""
    code, text = answer(capsys, "--compare", GOLDEN, UNTIMED)
    _, markdown = answer(capsys, "--compare", GOLDEN, UNTIMED, "--markdown")
    _, out = answer(capsys, "--compare", GOLDEN, UNTIMED, "--json")

    assert code == 0
    assert text.startswith("NO EVIDENCE")
    assert markdown.startswith("## No evidence")
    assert json.loads(out)["before"]["lost"] == 1_335_533


def test_markdown_goes_into_an_issue(capsys):
    """Headings and tables."""
    _, out = answer(capsys, GOLDEN, "--markdown")

    assert out.startswith("## CRITICAL: spinning producer")
    assert "| events lost | 1,335,533, all on the event channel |" in out


def test_the_log_may_come_through_a_pipe():
    """A bot writes into it directly: BOT | liq diagnose lag -."""
    result = subprocess.run(
        [LIQ, "diagnose", "lag", "-", "--json"],
        input=Path(GOLDEN).read_bytes(),
        capture_output=True,
        timeout=60,
        check=True,
    )

    assert json.loads(result.stdout)["lost"]["total"] == 1_335_533


def test_a_pipe_gets_no_colour():
    """Not even when the terminal type promises some."""
    result = liq("diagnose", "lag", GOLDEN, TERM="xterm-256color")

    assert result.returncode == 0
    assert ESCAPE.encode() not in result.stdout
    assert max(map(len, result.stdout.decode().splitlines())) <= 100


@pytest.mark.parametrize("environment", [{"LC_ALL": "C"}, {"PYTHONIOENCODING": "latin-1"}])
def test_a_terminal_without_unicode_gets_ascii(environment):
    """Bars of #, a sparkline of dots and dashes, no question marks for them."""
    result = liq("diagnose", "lag", GOLDEN, **environment)

    assert result.stdout.isascii()
    assert b"####" in result.stdout
    assert b"?" not in result.stdout


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", ">&- 2>&- <&-"])
def test_a_closed_stream_is_no_error(closed):
    """What started it may have closed stdout or stderr: nothing is shown there, and the exit code still tells."""
    command = f"{LIQ} diagnose lag {GOLDEN} --fail-on high {closed}"

    result = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60, check=False)

    assert result.returncode == 10
    assert b"Traceback" not in result.stderr


def test_what_the_window_leaves_out_is_counted(capsys):
    """No lag in the window is not no lag in the log."""
    _, out = answer(capsys, GOLDEN, "--since", "14:39:45.999300", "--until", "2025-05-14T14:39:45.999400Z")
    _, none = answer(capsys, GOLDEN, "--until", "2025-05-13")

    assert "outside --since/--until" in out
    assert "54 outside --since/--until" in none


def test_a_reader_that_leaves_early_is_no_error():
    """As with `| head -1`: quiet, like any other filter."""
    command = f"{LIQ} diagnose lag {GOLDEN} | head -1"

    result = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60, check=True)

    assert result.stderr == b""


def test_a_small_log_loads_nothing_heavy():
    """Numpy is enough for text; pandas, matplotlib, web3 and redis stay where they are."""
    program = (
        "import sys\nfrom liqcli.cli.main import exit_code_of\n"
        f"exit_code_of(['diagnose', 'lag', {GOLDEN!r}])\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )

    result = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=True)

    loaded = set(result.stderr.decode().split())
    assert "numpy" in loaded
    assert not loaded & {"pandas", "matplotlib", "web3", "redis", "numba", "rich", "pyarrow"}


def test_help_does_not_load_numpy():
    """Help is instant."""
    program = (
        "import sys\nfrom liqcli.cli import diagnose\nprint(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )

    result = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=True)

    assert "numpy" not in result.stdout.decode().split()


@pytest.mark.parametrize("columns", [80, 100, 120])
def test_a_terminal_shows_the_report_in_its_width(columns):
    """No line wraps, the verdict stands near the top, colour is only added."""
    screen = pyte.Screen(columns, 90)
    terminal = pyte.ByteStream(screen)
    child = pexpect.spawn(
        str(LIQ), ["diagnose", "lag", GOLDEN], dimensions=(90, columns), timeout=30,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "xterm-256color"},
    )  # fmt: skip
    terminal.feed(child.read())
    child.close()

    shown = [row.rstrip() for row in screen.display]
    assert child.exitstatus == 0
    assert "VERDICT  CRITICAL  spinning producer · a bigger buffer cannot help" in shown
    assert screen.buffer[shown.index("Measured")][0].bold


def test_no_colour_means_no_colour():
    """NO_COLOR on a terminal."""
    child = pexpect.spawn(
        str(LIQ), ["diagnose", "lag", GOLDEN], timeout=30,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "xterm-256color", "NO_COLOR": "1"},
    )  # fmt: skip
    shown = child.read()
    child.close()

    assert b"\x1b[3" not in shown
    assert b"\x1b[1;3" not in shown


def test_follow_redraws_until_it_is_stopped(tmp_path):
    """A line appended is in the next picture; Ctrl-C ends with 130."""
    log = tmp_path / "bot.log"
    line = "2025-05-14T14:39:01.000000Z ERROR artemis_core::engine: error receiving event: channel lagged by {}\n"
    log.write_text(line.format(10))
    child = pexpect.spawn(
        str(LIQ), ["diagnose", "lag", "--follow", str(log)], dimensions=(60, 100), timeout=60,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "xterm-256color"},
    )  # fmt: skip
    child.expect("10, all on the event channel")
    child.expect("Ctrl-C ends")

    with log.open("a") as file:
        file.write(line.format(3_000))
    child.expect("3,010, all on the event channel")
    child.expect("Ctrl-C ends")  # the picture is whole and it waits: an interrupt amid the drawing may get lost
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()

    assert child.exitstatus == 130


def test_follow_ends_with_the_pipe():
    """BOT | liq diagnose lag --follow -: the last picture is the whole, and the exit code is that of success."""
    command = f"(cat {UNTIMED}; sleep 0.5; cat {UNTIMED}) | {LIQ} diagnose lag --follow -"

    result = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60, check=True)

    assert result.stdout.decode().count("VERDICT") >= 1
    assert "112 lag lines" in result.stdout.decode()


def test_follow_ends_when_fail_on_has_its_reason():
    """For a soak test that should stop at the first bad sign."""
    result = liq("diagnose", "lag", "--follow", GOLDEN, "--fail-on", "high")

    assert result.returncode == 10
    assert b"VERDICT  CRITICAL" in result.stdout
