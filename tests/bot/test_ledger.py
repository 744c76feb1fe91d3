"""The ledger keeps every decision, and the report adds them up."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from liqcli.bot.ledger import STARTED, Decision, Ledger, Rival, read_decisions
from liqcli.bot.notes import Note
from liqcli.bot.report import reports_on
from liqcli.bot.report_page import render_page
from liqcli.model import BASE_UNIT, Liquidation, ProfitLine, Reading, Receipt

BORROWER = "0x" + "ab" * 20
PLAN = Liquidation(
    BORROWER, "0x" + "01" * 20, "0x" + "02" * 20, 10**9, 10**9, 10**18, 10**14, 100, 10**18 - 1,
    (ProfitLine("seized", 110 * BASE_UNIT), ProfitLine("repaid", -100 * BASE_UNIT), ProfitLine("gas", -1)),
)  # fmt: skip
WON = Receipt("0x" + "cc" * 32, 101, True, 400_000, 10**9, 10**9, 10**18, PLAN.profit)  # noqa: FBT003
FAILED = replace(WON, succeeded=False, profit=(ProfitLine("gas", -5),))
READING = Reading(BORROWER, 10**10, 10**10, 10**18 - 1, 100, 1_700_000_000)
YESTERDAY = timedelta(days=1)


@pytest.fixture
def ledger(tmp_path):
    """An empty ledger."""
    return Ledger(tmp_path / "ledger", market="mine", mode="live")


def written(tmp_path):
    """What can be read again."""
    return list(read_decisions(tmp_path / "ledger", datetime.now(UTC) - YESTERDAY))


def test_a_decision_comes_back_as_it_was(ledger, tmp_path):
    """Amounts as exact integers, the rival and the age of the reading included."""
    seven_seconds_ago = int(datetime.now(UTC).timestamp()) - 7
    ledger.note(Note("won", reading=replace(READING, at=seven_seconds_ago), plan=PLAN, tx_hash="0x00", receipt=WON))
    ledger.lost(Note("failed", plan=PLAN), Rival("0x11", "0x22", 102, 2))
    won, lost = written(tmp_path)
    assert (won.kind, won.tx_hash, won.profit_base, won.gas_wei) == ("won", WON.tx_hash, WON.profit_base, 4 * 10**14)
    assert (won.debt_to_cover, won.expected_base, won.health_factor) == (10**9, PLAN.profit_base, 10**18 - 1)
    assert 6 <= won.reading_age_s <= 60
    assert (lost.kind, lost.rival) == ("lost", Rival("0x11", "0x22", 102, 2))


def test_only_decisions_are_written(ledger, tmp_path):
    """Warnings and progress are for the eyes."""
    for kind in ("warn", "start", "READY", "tune"):
        ledger.note(Note(kind, "text"))
    assert written(tmp_path) == []


def test_a_line_cut_by_a_crash_is_left_out(ledger, tmp_path):
    """The lines before and after it count."""
    ledger.note(Note("plan", plan=PLAN))
    [path] = (tmp_path / "ledger").iterdir()
    path.write_text(path.read_text() + '{"at": 17')
    with path.open("a") as file:
        file.write("\n")
    ledger.note(Note("plan", plan=PLAN))
    assert len(written(tmp_path)) == 2


def test_a_disk_that_refuses_costs_lines_and_not_the_run(tmp_path, caplog):
    """It is said once; when lines are taken again it is said how many are missing."""
    blocked = tmp_path / "ledger"
    blocked.touch()
    ledger = Ledger(blocked, market="mine", mode="live")
    for _ in range(3):
        ledger.note(Note("plan", plan=PLAN))
    assert [record.message for record in caplog.records] == [f"the ledger in {blocked} takes no lines: File exists"]
    blocked.unlink()
    ledger.note(Note("plan", plan=PLAN))
    ledger.note(Note("plan", plan=PLAN))
    assert caplog.records[1:][0].message == f"the ledger in {blocked} takes lines again; 3 are missing"
    assert (len(caplog.records), len(written(tmp_path))) == (2, 2)


def test_the_report_adds_up(ledger, tmp_path):
    """Counts by kind, profit paid beside profit expected, gas, and skips by the reasons that the run counts by."""
    ledger.mark(STARTED)
    for text in ("profit 1.90 below min_profit 5.00", "profit 2.11 below min_profit 5.00"):
        ledger.note(Note("skip", text, READING, reason="profit below min_profit"))
    ledger.note(Note("skip", "paused by /var/lib/bot2/PAUSE", READING, reason="paused"))
    ledger.note(Note("won", plan=PLAN, receipt=WON))
    ledger.note(Note("failed", plan=PLAN, receipt=FAILED))
    now = datetime.now(UTC)
    [report] = reports_on(written(tmp_path), since=now - YESTERDAY, until=now)
    assert dict(report.counts) == {"skip": 3, "won": 1, "failed": 1}
    assert dict(report.skipped) == {"profit below min_profit": 2, "paused": 1}
    assert report.expected_base == 2 * PLAN.profit_base
    assert report.profit_base == WON.profit_base - 5
    assert report.gas_wei == 8 * 10**14
    assert [base for _, base in report.profits] == [WON.profit_base, WON.profit_base - 5]
    assert sum(counts.total() for _, counts in report.buckets()) == 5
    assert report.runs == 1


def test_the_page_escapes_what_is_foreign_and_loads_nothing():
    """Markup in a reason is text; the policy of the page allows no script and no request."""
    now = datetime.now(UTC)
    hostile = "<script>alert(1)</script> \x1b[2J &amp; ' onload=x"
    decision = Decision(now.timestamp(), "skip", "mine", "live", borrower=BORROWER, why=hostile)
    page = render_page(reports_on([decision], since=now - YESTERDAY, until=now))
    assert "<script" not in page
    assert "\x1b" not in page
    assert "default-src 'none'" in page
    assert not re.search(r"(src|href)=|https?://", page)


def test_an_empty_ledger_is_an_empty_report(tmp_path):
    """No directory, no decisions, a page all the same."""
    now = datetime.now(UTC)
    [report] = reports_on(list(read_decisions(tmp_path / "none", now - YESTERDAY)), since=now - YESTERDAY, until=now)
    assert report.counts.total() == 0
    assert "<svg" in render_page([report])


def test_modes_are_never_added_up(tmp_path):
    """What a sandbox won is no live profit: a report for each mode, the live one first, and the page says which."""
    for mode in ("dry run", "sandbox", "live"):
        ledger = Ledger(tmp_path / "ledger", market="mine", mode=mode)
        ledger.mark(STARTED)
        ledger.note(Note("won", plan=PLAN, receipt=WON))
    now = datetime.now(UTC)
    reports = reports_on(written(tmp_path), since=now - YESTERDAY, until=now)
    assert [(report.mode, report.runs, report.counts["won"]) for report in reports] == [
        ("live", 1, 1), ("sandbox", 1, 1), ("dry run", 1, 1),
    ]  # fmt: skip
    assert {report.profit_base for report in reports} == {WON.profit_base}
    assert re.findall(r"<h2>([^<]+)</h2>", render_page(reports)) == ["live", "sandbox", "dry run"]
