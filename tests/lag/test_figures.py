"""What the charts show, before any of it is drawn."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqcli.lag.axes import Axis, decade_axis, doubling_axis, linear_axis, time_axis
from liqcli.lag.figures import POINTS_AT_MOST, Bars, Rug, capacity_losses, figures_of, tallest_points
from liqcli.lag.lines import Clock
from tests.lag.diagnoses import GOLDEN, SAMPLES, START_US, UNTIMED, diagnosis_of, diagnosis_of_columns, scattered

BURSTS = SAMPLES / "tokio-bursts.log"
ALL = ["size-distribution", "loss-over-time", "incident-anatomy", "capacity-against-loss", "cumulative-loss"]


def named(diagnosis, name):
    """One figure of a diagnosis."""
    return next(figure for figure in figures_of(diagnosis) if figure.name == name)


def test_the_golden_log_has_all_five_charts():
    """One incident of 54 lines is enough for every chart."""
    assert [figure.name for figure in figures_of(diagnosis_of(GOLDEN))] == ALL


def test_a_log_without_times_has_no_charts_over_time():
    """What needs times is left out rather than invented."""
    names = [figure.name for figure in figures_of(diagnosis_of(UNTIMED))]

    assert names == ["size-distribution", "incident-anatomy", "capacity-against-loss"]


def test_a_log_without_lag_has_no_chart():
    """There is nothing to draw."""
    assert figures_of(diagnosis_of_columns([], [])) == []


def test_sizes_are_weighted_by_loss_beside_the_lines():
    """53 of 54 lines are small, and one bin holds nearly everything that was lost."""
    lines, losses = named(diagnosis_of(GOLDEN), "size-distribution").layers

    assert sum(height for *_, height in lines.bars) == pytest.approx(100)
    assert sum(height for *_, height in losses.bars) == pytest.approx(100)
    assert losses.bars[-1][2] > 99
    assert lines.bars[-1][2] < 2


def test_loss_over_time_keeps_every_event_and_marks_the_worst_incidents():
    """Bars are sums, so that merging buckets loses nothing; 40 incidents are marked, and the legend says so."""
    diagnosis = scattered(50_000)

    figure = named(diagnosis, "loss-over-time")
    bars, rug = figure.layers

    assert isinstance(bars, Bars)
    assert isinstance(rug, Rug)
    assert sum(height for *_, height in bars.bars) == diagnosis.statistics.totals.lost
    assert len(bars.bars) <= 240
    assert len(rug.places) == 40
    assert rug.label == f"worst 40 of {diagnosis.statistics.incident_count} incidents"


def test_the_anatomy_begins_at_the_head():
    """The first stem stands at zero microseconds and is the jump itself."""
    (stems,) = named(diagnosis_of(GOLDEN), "incident-anatomy").layers

    assert stems.points[0] == (0, 1_333_363)
    assert stems.points[-1][0] == 343


def test_the_anatomy_shows_the_whole_incident():
    """Bursts whose lines lie milliseconds apart: each stem is a line of the one that lost most."""
    diagnosis = diagnosis_of(BURSTS)
    worst = max(diagnosis.statistics.incidents, key=lambda incident: incident.lost)

    assert int(diagnosis.statistics.anatomy.lost.sum()) == worst.lost
    assert len(diagnosis.statistics.anatomy) == worst.lines > 10


def test_the_anatomy_of_a_large_log_is_made_of_runs():
    """Where not every line was kept, one stem stands for the lines that came within microseconds."""
    diagnosis = scattered(80_000)
    worst = max(diagnosis.statistics.incidents, key=lambda incident: incident.lost)
    figure = named(diagnosis, "incident-anatomy")

    assert int(diagnosis.statistics.anatomy.lost.sum()) == worst.lost
    assert figure.layers[0].label == "run"
    assert "lines less than 100 µs apart" in figure.note


def test_incidents_too_small_to_be_listed_count_too():
    """The picture begins at everything that was lost, whatever the table of incidents has room for."""
    diagnosis = scattered(80_000)
    statistics = diagnosis.statistics

    assert statistics.incident_count >= len(statistics.incidents)
    assert capacity_losses(statistics, 512)[0][1] == statistics.totals.lost


def test_few_events_have_whole_numbers_on_their_axis():
    """One event lost: 0 and 1, not 0.2."""
    figure = named(diagnosis_of_columns([START_US], [1]), "cumulative-loss")

    assert [tick.label for tick in figure.y.ticks] == ["0", "1"]
    assert figure.note.startswith("1 event in all")


def test_capacity_against_loss_ends_where_nothing_is_lost():
    """Bursts of 600 events are held by 512 + 600 slots: 2,048 after rounding."""
    points = capacity_losses(diagnosis_of(BURSTS).statistics, 512)

    assert points[0] == (512, 3_597)
    assert points[-1] == (2_048, 0)


def test_a_loss_that_goes_on_is_drawn_as_lost_at_every_size():
    """The golden log's producer spins: picture and table agree that no buffer absorbs it."""
    diagnosis = diagnosis_of(GOLDEN)

    (path,) = named(diagnosis, "capacity-against-loss").layers

    assert {height for _, height in path.points} == {100}
    assert path.points[-1][0] == 8_388_608
    assert {row.incidents_absorbed for row in diagnosis.capacities} == {0}


@pytest.mark.parametrize("path", [GOLDEN, BURSTS, SAMPLES / "tokio-spin.log"])
def test_the_table_absorbs_all_incidents_exactly_where_the_picture_loses_nothing(path):
    """One story for the table and the picture."""
    diagnosis = diagnosis_of(path)
    (curve,) = named(diagnosis, "capacity-against-loss").layers
    nothing_left = {slots for slots, share in curve.points if share == 0}
    drawn = {slots for slots, _ in curve.points}
    number = len(diagnosis.statistics.incidents)

    absorbing = {row.slots for row in diagnosis.capacities if row.incidents_absorbed == number}

    assert absorbing & drawn == nothing_left & {row.slots for row in diagnosis.capacities}


def test_the_capacity_chart_says_that_a_buffer_is_no_cure():
    """However large the buffer, it is full after a second or so."""
    figure = named(diagnosis_of(GOLDEN), "capacity-against-loss")

    assert "only delays this loss" in figure.note
    assert "8,388,608 slots are full after 1.33 s" in figure.note
    assert figure.rules[0].label == "assumed now: 512"


def test_the_given_capacity_is_where_the_curve_begins():
    """--capacity 10,000 is 16,384 slots."""
    figures = {figure.name: figure for figure in figures_of(diagnosis_of(GOLDEN), capacity=10_000)}

    assert figures["capacity-against-loss"].layers[0].points[0] == (16_384, 100)


def test_cumulative_loss_ends_at_the_total():
    """However many points are drawn, the last one is everything."""
    for diagnosis in (diagnosis_of(GOLDEN), scattered(20_000)):
        (path,) = named(diagnosis, "cumulative-loss").layers

        assert path.points[-1][1] == diagnosis.statistics.totals.lost
        assert len(path.points) <= 2 * POINTS_AT_MOST + 4


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 10**9)), min_size=1, max_size=3_000))
def test_thinning_never_loses_the_tallest_point(points):
    """At most one point a column, and the spike is among them."""
    kept = tallest_points(points, Axis("", 0, 10_000, ()))

    assert len(kept) <= POINTS_AT_MOST + 1
    assert max(height for _, height in kept) == max(height for _, height in points)


@given(
    st.lists(
        st.tuples(st.integers(0, 10**12), st.integers(1, 2**40)),
        min_size=1,
        max_size=60,
    )
)
def test_every_axis_is_legible_whatever_the_log(rows):
    """Two to thirteen ticks inside the scale, in order, neighbours told apart; one where all is at once."""
    rows = sorted(rows)
    diagnosis = diagnosis_of_columns([START_US + at_us for at_us, _ in rows], [lost for _, lost in rows])

    for figure in figures_of(diagnosis):
        for axis in (figure.x, figure.y):
            places = [tick.at for tick in axis.ticks]
            assert places == sorted(places)
            assert all(axis.low <= place <= axis.high for place in places)
            assert all(one.label != next_one.label for one, next_one in pairwise(axis.ticks))
            assert 1 <= len(places) <= 13


@pytest.mark.parametrize("seconds", [3, 59, 600, 3_600, 86_400, 30 * 86_400, 800 * 86_400])
def test_a_time_axis_has_a_handful_of_round_times(seconds):
    """From seconds to years: 2 to 8 ticks."""
    axis = time_axis(START_US, START_US + seconds * 1_000_000, Clock.WALL)

    assert 2 <= len(axis.ticks) <= 8


def test_an_uptime_clock_has_no_dates():
    """Seconds since the process began, with a plus."""
    axis = time_axis(5_000_000, 65_000_000, Clock.UPTIME)

    assert axis.label == "hours:minutes:seconds since the process began"
    assert [tick.label for tick in axis.ticks][:2] == ["+0:00:10", "+0:00:20"]


def test_axes_choose_round_numbers():
    """Steps of 1, 2, 5; powers of ten; powers of two."""
    assert [tick.label for tick in linear_axis("", 0, 343).ticks] == ["0", "100", "200", "300"]
    assert [tick.label for tick in decade_axis("", 10, 1_333_363).ticks] == [
        "1",
        "10",
        "100",
        "1,000",
        "10k",
        "100k",
        "1M",
        "10M",
    ]
    assert [tick.label for tick in doubling_axis("", 512, 8_192).ticks] == ["512", "1,024", "2,048", "4,096", "8,192"]


def test_a_fraction_is_cut_at_the_ends():
    """Nothing is drawn outside the frame."""
    axis = Axis("", 1, 100, (), log=True)

    assert [axis.fraction(value) for value in (0.001, 10, 1e9)] == [0, pytest.approx(0.5), 1]
    assert np.isfinite(axis.fraction(0))
