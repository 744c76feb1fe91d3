"""Tables for notebooks and CSV."""

import csv
import io

import pytest

from liqcli.lag.frames import csv_of, csv_tables, guarded, incidents_frame, lines_frame, series_frame
from tests.lag.diagnoses import GOLDEN, UNTIMED, bursts, diagnosis_of, diagnosis_of_columns, diagnosis_of_text


def rows_of(content):
    """A CSV file as a reader sees it."""
    return list(csv.DictReader(io.StringIO(content.decode())))


def test_incidents_carry_the_golden_figures():
    """One row, its times to the microsecond."""
    (row,) = rows_of(csv_of(incidents_frame(diagnosis_of(GOLDEN).statistics)))

    assert row["start"] == "2025-05-14T14:39:45.999162Z"
    assert row["duration_us"] == "343"
    assert (row["lost"], row["head"], row["tail"]) == ("1335533", "1333363", "2170")
    assert row["cause"] == "spinning_producer"


def test_the_series_adds_up():
    """Buckets of loss, and the running total, which ends at all that was lost."""
    statistics = bursts(40).statistics

    frame = series_frame(statistics)

    assert int(frame["lost"].sum()) == statistics.totals.lost
    assert int(frame["lost_so_far"].iloc[-1]) == statistics.totals.lost
    assert str(frame["at"].dtype) == "datetime64[us, UTC]"


def test_lines_are_the_log_itself():
    """54 lines, first and last as they stand in the file."""
    frame = lines_frame(diagnosis_of(GOLDEN).statistics)

    assert len(frame) == 54
    assert frame["lost"].iloc[0] == 1_333_363
    assert set(frame["channel"]) == {"event"}


@pytest.mark.parametrize("name", ["incidents", "series", "minutes", "lines", "sizes", "capacities"])
@pytest.mark.parametrize("log", ["golden", "untimed", "nothing"])
def test_every_table_can_be_written_for_every_log(log, name):
    """A log without times or without lag has empty cells or no rows, never an error."""
    made = {"golden": lambda: diagnosis_of(GOLDEN), "untimed": lambda: diagnosis_of(UNTIMED)}
    diagnosis = made.get(log, lambda: diagnosis_of_columns([], []))()

    content = csv_of(csv_tables(diagnosis)[name]())

    assert content.endswith(b"\n")
    assert b"-9223372036854775808" not in content
    assert b"NaT" not in content


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_text_that_begins_like_a_formula_is_quoted(text):
    """A spreadsheet shows it instead of running it."""
    assert guarded(text).startswith("'")


def test_a_span_from_the_log_cannot_become_a_formula(tmp_path):
    """The guard stands in the file, numbers stay numbers."""
    diagnosis = diagnosis_of_text(
        tmp_path,
        '2025-05-14T14:39:45.999162Z ERROR =cmd{x="=1"}: artemis: error receiving event: channel lagged by 9',
    )

    for row in rows_of(csv_of(incidents_frame(diagnosis.statistics))):
        assert not row["target"].startswith(("=", "+", "-", "@"))
        assert not row["span"].startswith(("=", "+", "-", "@"))
        assert row["lost"] == "9"
