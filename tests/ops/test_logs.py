import io
import json
import logging
import threading
import time

import pytest

from liqcli.bot.notes import Note
from liqcli.model import Liquidation, ProfitLine, Reading, Receipt
from liqcli.ops.logs import Lines, LogFormat, Structured, log_library_warnings

BORROWER = "0x" + "ab" * 20
READING = Reading(BORROWER, 10**12, 9 * 10**11, 987654321987654321, 14, 1_700_000_000)
PLAN = Liquidation(BORROWER, "0x" + "01" * 20, "0x" + "02" * 20, 10**19, 10**19, 5, 7, 14, 9, (ProfitLine("gas", -3),))
RECEIPT = Receipt("0x" + "cd" * 32, 15, True, 429_628, 10**9, 1, 2, (ProfitLine("seized collateral", 10**12),))  # noqa: FBT003
CANARY = "the-secret-canary"


def structured(form):
    """A log of this form, and the lines it wrote."""
    lines = []
    return Structured(form, lines.append), lines


def fail_with(private_key):
    """Raise while a secret is in a local."""
    raise ValueError(f"bad key of {len(private_key)} characters")


def test_json_lines_hold_the_facts_of_the_documents():
    """One object a line; amounts and what JSON readers would round are strings, addresses are whole."""
    log, lines = structured(LogFormat.JSON)
    log.note(Note("plan", reading=READING, plan=PLAN))
    log.note(Note("won", reading=READING, plan=PLAN, tx_hash=RECEIPT.tx_hash, receipt=RECEIPT))
    planned, won = map(json.loads, lines)
    assert (planned["event"], planned["level"], planned["borrower"]) == ("plan", "info", BORROWER)
    assert planned["health_factor"] == str(READING.health_factor)
    assert planned["debt_to_cover"] == str(10**19)
    assert won["profit"] == [{"what": "seized collateral", "base": 10**12}]
    assert planned["timestamp"].endswith("Z")


def test_logfmt_lines_are_flat_pairs():
    """Lists become pairs of their own, texts with spaces are quoted."""
    log, lines = structured(LogFormat.LOGFMT)
    log.note(Note("failed", "no answer in time", READING, PLAN, receipt=RECEIPT))
    assert lines[0].startswith("timestamp=")
    assert " level=error event=failed " in lines[0]
    assert 'text="no answer in time"' in lines[0]
    assert 'profit.0.what="seized collateral" profit.0.base=1000000000000' in lines[0]


@pytest.mark.parametrize("form", [LogFormat.JSON, LogFormat.LOGFMT])
def test_hostile_text_is_one_plain_line(form):
    """Escape sequences, line breaks and bidi marks of a token or a node never reach a log."""
    log, lines = structured(form)
    log.note(Note("warn", "\x1b]0;owned\x07\nforged=1 \u202eevil"))
    assert len(lines) == 1
    assert not set("\x1b\n\x07\u202e") & set(lines[0])
    assert not any(escaped in lines[0] for escaped in ("\\u001b", "\\n", "\\u202e"))


@pytest.mark.parametrize("form", [LogFormat.JSON, LogFormat.LOGFMT, None])
def test_a_traceback_shows_no_local(form):
    """What a library logs with an exception keeps the frames and never their variables."""
    log, lines = structured(form) if form else (None, [])
    undo = log_library_warnings(log, lines.append)
    try:
        fail_with(CANARY)
    except ValueError:
        logging.getLogger("some.library").exception("it broke")
    finally:
        undo()
    assert "it broke" in lines[0]
    assert "ValueError" in lines[0]
    assert CANARY not in "".join(lines)


def test_a_reader_that_blocks_holds_nobody_up():
    """Lines beyond the bound are dropped at once and counted, and the reader is told how many."""
    opened, shown = threading.Event(), []

    def show(lines):
        opened.wait(10)
        shown.extend(lines)

    lines = Lines(show, held=10)
    started = time.monotonic()
    for number in range(1000):
        lines.put(str(number))
    assert time.monotonic() - started < 0.5
    assert lines.dropped >= 1000 - 10 - 200
    opened.set()
    lines.close()
    told = next(line for line in shown if "lines were dropped" in line)
    assert f"{lines.dropped:,} lines" in told
    assert len(shown) == 1000 - lines.dropped + 1


def test_lines_come_in_their_order_and_all():
    """Nothing is lost where the reader keeps up."""
    out = io.StringIO()
    lines = Lines(lambda some: out.write("".join(f"{line}\n" for line in some)))
    for number in range(500):
        lines.put(str(number))
    lines.close()
    assert out.getvalue().split() == [str(number) for number in range(500)]


def test_a_terminal_that_went_away_costs_lines_only():
    """A broken pipe is counted, and the thread lives on for the next lines."""
    kept, broken = [], threading.Event()

    def show(lines):
        if not broken.is_set():
            broken.set()
            raise BrokenPipeError
        kept.extend(lines)

    lines = Lines(show)
    lines.put("lost")
    broken.wait(5)
    lines.put("kept")
    lines.close()
    assert kept == ["kept"]
    assert lines.dropped == 1


def test_closing_waits_two_seconds_at_most():
    """A terminal that takes nothing does not keep the bot from ending."""
    forever = threading.Event()
    lines = Lines(lambda _: forever.wait(20))
    lines.put("stuck")
    started = time.monotonic()
    lines.close()
    assert time.monotonic() - started < 3
    forever.set()
