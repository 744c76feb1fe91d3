"""The report on the terminal."""

import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqcli.lag.glyphs import to_ascii
from liqcli.lag.markdown import render_markdown
from liqcli.lag.report import Role, render
from tests.lag.diagnoses import GOLDEN, START_US, UNTIMED, bursts, diagnosis_of, diagnosis_of_columns, diagnosis_of_text

EXPECTED = Path(__file__).parents[1] / "data" / "lag" / "golden-report.txt"
ERROR = "ERROR artemis_core::engine: error receiving event:"


def span_line(name, lost):
    """A lag line of the receiver that calls itself so."""
    return f'2025-05-14T14:39:45.999162Z ERROR run{{n="{name}"}}: a: error receiving event: channel lagged by {lost}'


def text_of(diagnosis, **options):
    """The report as one text."""
    return "\n".join(line.text for line in render(diagnosis, **options))


def test_the_golden_report_is_exactly_this(monkeypatch):
    """Every character of the report on the founding log, at 80 columns."""
    monkeypatch.chdir(GOLDEN.parents[1])

    shown = text_of(diagnosis_of(GOLDEN.relative_to(GOLDEN.parents[1])), width=80)

    assert shown.splitlines() == EXPECTED.read_text().splitlines()


def test_the_verdict_comes_before_everything_but_the_source():
    """What was read, then what it means."""
    lines = render(diagnosis_of(GOLDEN), width=80)

    before = [line.role for line in lines[: [line.role for line in lines].index(Role.VERDICT)] if line.text]

    assert set(before) == {Role.SOURCE}
    assert len(before) <= 4


def test_the_numbers_of_the_incident_are_all_there():
    """Lost = head + tail, how long, how fast, how far away."""
    shown = " ".join(text_of(diagnosis_of(GOLDEN), width=120).split())

    assert "1,335,533 (100.0%) = 1,333,363 at once + 2,170 in 53 more lines within 343 µs" in shown
    assert "6.33 million/s" in shown
    assert "median 24 ·" in shown
    assert "mean 24,732" in shown


@pytest.mark.parametrize("width", [60, 80, 100, 120, 400])
@pytest.mark.parametrize("log", ["golden", "untimed", "bursts"])
def test_no_line_is_wider_than_the_terminal(log, width):
    """80 columns at least, 120 at most."""
    made = {"golden": lambda: diagnosis_of(GOLDEN), "untimed": lambda: diagnosis_of(UNTIMED)}
    diagnosis = made.get(log, lambda: bursts(30))()

    lines = render(diagnosis, width=width)

    assert max(len(line.text) for line in lines) <= min(max(width, 80), 120)


def test_at_80_columns_the_price_of_a_buffer_stays():
    """Size, slots, time to overflow, incidents absorbed, staleness and memory: who proposes the size goes first."""
    shown = text_of(bursts(12), width=80)

    header = next(line for line in shown.splitlines() if "requested" in line)
    assert " ".join(header.split()) == "requested slots full after absorbs data up to memory from"


def test_no_number_is_written_in_exponent_form():
    """1,500 events/s, not 1.5e+03."""
    at_us = START_US + np.arange(20_000) * 3_000
    shown = text_of(diagnosis_of_columns(at_us, np.resize([1, 3, 9, 5], 20_000)), width=100)

    assert "events/s more came than were handled" in shown
    assert not re.search(r"\de[+-]?\d\d", shown)


def test_a_log_without_times_says_so_and_has_no_column_of_dashes():
    """Columns of which nothing is known are left out."""
    shown = text_of(diagnosis_of(UNTIMED), width=100)

    assert "no timestamps" in shown
    assert "812,484,047" in shown
    assert "full after" not in shown
    assert "Lost over time" not in shown


def test_a_single_line_has_no_distribution(tmp_path):
    """One number is its own median."""
    shown = text_of(diagnosis_of_text(tmp_path, span_line("a", 91)), width=80)

    assert "1 line · 1 lag line · 0 skipped" in shown
    assert "1 in 1 incident" in shown
    assert "median" not in shown
    assert "Size of a lag" not in shown


def test_gaps_in_the_series_are_gaps():
    """Two losses a minute apart, blanks between them."""
    shown = text_of(diagnosis_of_columns([START_US, START_US + 59_000_000], [500, 9]), width=100)

    line = next(line for line in shown.splitlines() if line.startswith("  █"))
    assert line.strip()[1:-1].isspace()
    assert len(line.strip()) == 60


def test_skipped_lines_are_shown_on_request(tmp_path):
    """How many, why, and the first of them; without control characters."""
    diagnosis = diagnosis_of_text(
        tmp_path,
        f"2025-05-14T14:39:45.999162Z {ERROR} channel lagged by 12",
        f"2025-05-14T14:39:46.000000Z {ERROR} channel lagged by twelve\x1b[2J",
    )

    assert diagnosis.statistics.inputs.skipped_lines == 1
    assert "Skipped lines (1)" not in text_of(diagnosis)
    shown = text_of(diagnosis, show_skipped=True)
    assert "Skipped lines (1)" in shown
    assert "\x1b" not in shown


def test_text_from_the_log_cannot_steer_the_terminal(tmp_path):
    """Escape codes, direction marks and markup in names are shown as plain text."""
    diagnosis = diagnosis_of_text(
        tmp_path,
        span_line("\x1b[31m\u202e[/nope]", 9),
        span_line("b", 7),
    )

    for shown in (text_of(diagnosis), render_markdown(diagnosis)):
        assert all(char == "\n" or unicodedata.category(char) not in ("Cc", "Cf") for char in shown)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 10**12), st.integers(1, 2**50)), max_size=80), st.integers(80, 120))
def test_any_log_fits_and_has_an_ascii_twin(rows, width):
    """No number breaks a column, and the plain form stands in the same columns."""
    rows = sorted(rows)
    diagnosis = diagnosis_of_columns([START_US + at for at, _ in rows], [lost for _, lost in rows])

    lines = [line.text for line in render(diagnosis, width=width)]

    assert max(map(len, lines)) <= width
    for line in lines:
        assert to_ascii(line).isascii()
        assert len(to_ascii(line)) == len(line)
        assert "nan" not in line.split()


def test_markdown_has_the_verdict_the_advice_and_the_tables():
    """Ready for an issue."""
    shown = render_markdown(diagnosis_of(GOLDEN))

    assert shown.startswith("## CRITICAL: spinning producer · a bigger buffer cannot help\n")
    assert "### Do first\n\n1. **Fix the collector" in shown
    assert "| 512 | 512 |" in shown


def test_markdown_from_the_log_stays_text(tmp_path):
    """No table cell, link, tag or heading of its own."""
    diagnosis = diagnosis_of_text(
        tmp_path,
        span_line("|[x](http://a.b)<b>", 9),
        span_line("b", 7),
    )

    shown = render_markdown(diagnosis)

    assert "http://" not in shown
    assert "<b>" not in shown
    assert "[x]" not in shown.replace("\\[x\\]", "")
