"""The pinned rows as text: what is in them, in which order, and what gives way on a narrow terminal."""

import io
import time

import pytest

from liqcli.cli.statusline import Pinned, flow, status_rows
from liqcli.ops.standing import Standing
from tests.ops.statuses import standing, status

BORROWER = "0x" + "ab" * 20


def rows(width=100, mode="LIVE", **changed):
    """The rows of a status with some facts changed."""
    return status_rows(standing(**changed), mode, 12.0, width=width)


@pytest.mark.parametrize("mode", ["LIVE", "DRY RUN", "SANDBOX"])
def test_the_mode_stands_first(mode):
    """What a run may do is the first word, at every width."""
    assert all(rows(width, mode)[0].startswith(f"{mode} up ") for width in (40, 80, 120))


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120])
def test_no_row_is_wider_than_the_terminal_and_no_part_is_cut(width):
    """Parts flow into the next row; those that have no room in four rows are left out whole."""
    whole = [part for row in rows(1000) for part in row.split(" · ")]
    shown = rows(width)
    assert len(shown) <= 4
    assert all(len(row) <= width for row in shown)
    assert [part for row in shown for part in row.split(" · ")] == whole[: sum(row.count(" · ") + 1 for row in shown)]


def test_a_stuck_loop_is_said_first():
    """The rows are drawn by another thread than the loop's, so they tell of it."""
    told = standing()
    time.sleep(2 * told.every_s + 0.05)
    assert "STUCK for 0 s" in status_rows(told, "LIVE", 0.0, width=100)[0]


def test_what_keeps_it_from_being_ready_is_said():
    """The first problem stands beside the mode."""
    assert "not ready: Redis does not answer" in rows(queue=None)[0]
    assert "queue ?" in " ".join(rows(queue=None))


def test_a_pause_is_never_a_riddle():
    """Signing or queue stopped by the operator stands in the first rows, with what ends it."""
    paused = {**status()["queue"], "paused": True}
    shown = " · ".join(rows(120, signing_paused=True, queue=paused))
    assert "LIVE up" in shown
    assert "signing is paused: liq resume · the queue is paused: liq queue resume · head" in shown


def test_silence_is_explained():
    """Who is closest, how far its collateral may fall, and why others were left, most often first."""
    told = status()["liquidations"]
    shown = " ".join(
        rows(
            120,
            closest={"borrower": BORROWER, "health_factor_float": 1.02},
            liquidations={**told, "skipped": {"stale head": 2, "profit below the minimum": 7}},
            by_tier={**status()["by_tier"], "critical": 0},
        )
    )
    assert "closest 0xabab…abab HF 1.0200 falls at -2.0% collateral" in shown
    assert shown.index("skipped 7: profit below the minimum") < shown.index("skipped 2: stale head")


def test_the_closest_is_no_comfort_while_others_are_below():
    """With somebody critical the closest is said to be the closest of the healthy."""
    near = {"borrower": BORROWER, "health_factor_float": 1.02}
    shown = " ".join(rows(120, closest=near, by_tier={**status()["by_tier"], "critical": 3}))
    assert "crit 3 " in shown
    assert "closest healthy 0xabab…abab HF 1.0200" in shown


def test_a_health_factor_is_cut_not_rounded():
    """0.99999 never shows as 1."""
    assert "HF 0.9999" in " ".join(rows(120, closest={"borrower": BORROWER, "health_factor_float": 0.999999}))


def test_a_hostile_reason_cannot_move_the_cursor():
    """Reasons may come from contracts and nodes."""
    told = status()["liquidations"]
    assert "\x1b" not in "".join(rows(liquidations={**told, "skipped": {"\x1b[2Jgone\n": 1}}))


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_line_wider_than_the_terminal_is_cut_between_words(width, monkeypatch):
    """No number and no word of it is torn, and a rule is as wide as the terminal at most."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm-256color")
    out = io.StringIO()
    line = "ran 8.6 s · 8,914 borrowers · critical 4, high_risk 61, medium_risk 402, low_risk 1,950, safe 6,497"
    Pinned(Standing(), out, mode="LIVE", plain=False).show(["─" * 80, line])
    rule, *rows = out.getvalue().splitlines()
    assert rule == "─" * width
    assert max(map(len, rows)) <= width
    assert " ".join(rows).split() == line.split()


def test_flow_keeps_the_order():
    """Parts are joined while they fit."""
    assert flow(["aaa", "bbb", "ccc"], 9) == ["aaa · bbb", "ccc"]
