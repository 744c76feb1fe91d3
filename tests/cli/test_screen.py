"""What `liq run` shows on a terminal of 80, 100 and 120 columns, without colour, in ASCII, and through a pipe."""

import json
import re
import signal
import time

import pytest

from tests.cli.terminals import on_terminal

LINE = re.compile(r"\d\d:\d\d:\d\d\.\d{3} \S+")
NUMBER_CUT = re.compile(r"[\d,.]…|…[\d,.]+ ")


@pytest.mark.parametrize("columns", [80, 100, 120])
def test_the_standing_is_pinned_below_the_lines(place, columns):
    """Mode, head, tiers, sends and who is closest are whole at every width, and the lines scroll above them."""
    with on_terminal(place, columns, "run", "--sandbox", "--duration", "30s") as terminal:
        terminal.wait_for("SANDBOX up")
        terminal.feed(4)
        terminal.wait_for_foot("closest")
        foot = " ".join(terminal.foot)
        assert re.search(r"SANDBOX up 00:00:\d\d · head \d+ \d\.\d s · [\d,]+ ev/s", foot), terminal.rows
        assert "lost 0" in foot
        assert re.search(r"crit \d+ high \d+ med \d+ low \d+ safe \d+", foot)
        assert re.search(r"planned \d+ sent \d+ won \d+ failed \d+", foot)
        assert re.search(r"\+\$[\d,]+\.\d\d", foot)
        assert re.search(r"closest (healthy )?0x[0-9a-f]{4}…[0-9a-f]{4} HF 1\.\d{4}", foot)
        assert not NUMBER_CUT.search(re.sub(r"0x[0-9a-f]{4}…[0-9a-f]{4}", "", foot))
        assert len(terminal.foot) <= 4
        assert max(map(len, terminal.foot)) <= columns
        assert "won" in "\n".join(terminal.rows)


def test_the_summary_takes_the_place_of_the_pinned_rows(place):
    """At the end the rows are gone, the cursor is back, and the summary stands there."""
    with on_terminal(place, 100, "run", "--sandbox", "--duration", "4s") as terminal:
        terminal.wait_for("closest to liquidation")
        terminal.feed(10)
        assert "SANDBOX up" not in "\n".join(terminal.rows)
        assert terminal.raw.rindex("\x1b[?25h") > terminal.raw.rindex("\x1b[?25l")
        assert "liquidations  planned" in "\n".join(terminal.rows)


def test_dry_run_is_always_visible(place):
    """The mode is in the banner and in the pinned rows, and the plans are counted."""
    with on_terminal(place, 80, "run", "--sandbox", "--dry-run", "--duration", "30s") as terminal:
        terminal.wait_for("DRY RUN up")
        terminal.wait_for_foot(r"planned [1-9]\d* sent 0 won 0")


def test_without_colour_nothing_is_lost(place):
    """NO_COLOR leaves no colour code, and the rows say the same."""
    with on_terminal(place, 80, "run", "--sandbox", "--duration", "30s", NO_COLOR="1") as terminal:
        terminal.wait_for("SANDBOX up")
        terminal.wait_for_foot("crit")
        assert not re.search(r"\x1b\[(3|4|9|10)\d(;|m)", terminal.raw)


def test_the_c_locale_gets_ascii(place):
    """Under LC_ALL=C every character is ASCII, and the columns hold."""
    with on_terminal(place, 80, "run", "--sandbox", "--duration", "30s", LC_ALL="C") as terminal:
        terminal.wait_for("SANDBOX up")
        terminal.feed(2)
        terminal.wait_for_foot(r" \| head ")
        assert terminal.raw.isascii()
        assert any(set(row) == {"-"} for row in terminal.rows)


@pytest.mark.parametrize(
    "args", [["doctor", "--sandbox"], ["scan", "--sandbox", "--limit", "3"], ["--help"], ["nonsense"]]
)
def test_in_the_c_locale_every_command_is_ascii(running, args):
    """Tables, findings, help and errors alike, on both streams."""
    with on_terminal(running, 80, *args, LC_ALL="C") as terminal:
        terminal.to_end()
        assert terminal.raw.isascii(), [char for char in terminal.raw if not char.isascii()]
        assert any(terminal.rows)


def test_a_dumb_terminal_gets_lines_only(place):
    """TERM=dumb cannot move its cursor, so nothing is pinned."""
    with on_terminal(place, 80, "run", "--sandbox", "--duration", "5s", TERM="dumb") as terminal:
        terminal.wait_for("closest to liquidation")
        assert "\x1b[" not in terminal.raw


def test_ctrl_c_drains_and_leaves_a_clean_terminal(place):
    """The first Ctrl-C is answered in a line, and the run ends with 130 and its summary."""
    with on_terminal(place, 80, "run", "--sandbox") as terminal:
        terminal.wait_for("SANDBOX up")
        terminal.process.sendintr()
        terminal.wait_for("closest to liquidation")
        terminal.feed(10)
        assert "draining" in terminal.raw
        terminal.process.wait()
        assert terminal.process.exitstatus == 130


def test_a_pipe_gets_one_line_an_event_and_no_escape(place):
    """Piped output is as plain as a log file: no escape, no pinned row, whole hashes."""
    finished = place.liq("run", "--sandbox", "--duration", "5s")
    assert finished.code == 0, finished.err
    assert "\x1b" not in finished.out
    assert " up 00:00" not in finished.out
    kinds = [LINE.match(line) for line in finished.out.splitlines()]
    assert sum(kind is not None for kind in kinds) >= 10
    assert re.search(r"tx 0x[0-9a-f]{64}", finished.out)


@pytest.mark.parametrize(("form", "first"), [("json", "{"), ("logfmt", "timestamp=")])
def test_a_structured_log_has_one_form_to_the_end(place, form, first):
    """From the start to the summary each line is of the form asked for."""
    finished = place.liq("run", "--sandbox", "--duration", "5s", "--log-format", form)
    lines = finished.out.splitlines()
    assert finished.code == 0, finished.err
    assert all(line.startswith(first) for line in lines)
    if form == "json":
        events = [json.loads(line) for line in lines]
        assert [events[0]["event"], events[-1]["event"]] == ["start", "end"]
        assert {"READY", "plan", "sent", "won"} <= {event["event"] for event in events}
        assert events[-1]["events"]["lost"] == 0


def test_a_reader_that_reads_nothing_does_not_stop_the_bot(place):
    """With its pipe full for ten seconds the bot keeps coming round, and ends when it is told to."""
    facts = place.directory / "data" / "run.json"
    with place.start("run", "--sandbox", "--log-format", "json") as process:
        until = time.monotonic() + 40
        while not (facts.exists() and '"ready": true' in facts.read_text()) and time.monotonic() < until:
            time.sleep(0.2)
        time.sleep(10)
        assert time.time() - facts.stat().st_mtime < 5
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
    assert '"event": "end"' in out


@pytest.mark.parametrize(("args", "code"), [(["--log-format", "xml"], 2), (["--http", "nowhere"], 3)])
def test_wrong_values_are_named_before_anything_starts(place, args, code):
    """A wrong format or address ends the command with a hint."""
    finished = place.liq("run", "--sandbox", *args)
    assert finished.code == code, finished.err
    assert "hint:" in finished.err
