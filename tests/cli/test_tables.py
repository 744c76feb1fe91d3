"""Tables on a terminal: no number is ever cut, whole columns go instead."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqcli.cli.table import fitting
from tests.cli.terminals import on_terminal

HEADER = ["borrower", "HF", "debt", "text"]
CUT = re.compile(r"[\d,.$]…(?![0-9a-f]{4})|…[\d,.]+ ")
ADDRESS = re.compile(r"0x[0-9a-f]{4}…[0-9a-f]{4}")


@given(
    rows=st.lists(st.tuples(*[st.text("0123456789", max_size=30)] * 4), max_size=5),
    width=st.integers(min_value=1, max_value=140),
)
def test_columns_go_until_the_rest_fits(rows, width):
    """What is shown fits, or is the first column alone; those to go first go first."""
    shown = fitting(HEADER, rows, width=width, first_to_go=["debt"], folds=["text"])
    needed = [max(len(cell) for cell in (name, *column)) for name, *column in zip(HEADER, *rows, strict=True)]
    needed[3] = min(needed[3], 16)
    assert sum(needed[number] for number in shown) + 2 * (len(shown) - 1) <= width or shown == [0]
    assert shown[0] == 0
    filled = {number for number in range(4) if not rows or any(row[number] for row in rows)}
    assert 2 not in shown or filled <= set(shown)


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 120])
def test_a_scan_keeps_its_health_factors(running, columns):
    """From 40 columns on, borrower and health factor are whole in each row, and nothing is cut in its middle."""
    text = ""
    while " 0 failed" not in text:  # the node refuses reads in the moment in which it mines
        with on_terminal(running, columns, "scan", "--sandbox", "--limit", "8") as terminal:
            terminal.wait_for("shown of")
            text = "\n".join(terminal.rows)
    rows = [row for row in terminal.rows if ADDRESS.match(row)]
    assert len(rows) == 8, text
    assert all(re.search(r" \d+\.\d{4}\b", row) for row in rows), text
    assert not any(CUT.search(ADDRESS.sub("", row)) for row in rows), text
    assert ("no room for " in text) or columns > 60, text


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize("args", [["queue", "stats"], ["status"], ["stress", "HYPE=-40%", "--sandbox"]])
def test_other_tables_cut_no_number_either(running, args, columns):
    """The columns that are left are whole."""
    with on_terminal(running, columns, *args) as terminal:
        terminal.to_end()
        rows = [ADDRESS.sub("", row) for row in terminal.rows]
    assert any(rows)
    assert not any(CUT.search(row) for row in rows), "\n".join(rows)
