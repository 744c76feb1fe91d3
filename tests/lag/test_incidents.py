"""Incidents and statistics: the golden logs, and that nothing depends on how the lines arrive."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqcli.lag.advise import diagnose
from liqcli.lag.chunks import Batch, slice_chunk
from liqcli.lag.contract import iso, statistics_fields, to_json
from liqcli.lag.frames import csv_of, csv_tables
from liqcli.lag.html import render_html
from liqcli.lag.incidents import aggregate, aggregate_columns, find_incidents, statistics_of
from liqcli.lag.lines import NO_TIME, Channel, Clock, LagChunk, Receiver
from liqcli.lag.measure import measure_lag
from liqcli.lag.model import Cause
from liqcli.lag.report import render
from liqcli.lag.runs import MOST_RUNS
from liqcli.lag.tally import Tally
from tests.lag.logs import FORMS, START, facts, full, text
from tests.lag.samples import SAMPLES


def test_the_golden_log_is_one_incident():
    """14 May 2025: 1,335,533 events in 343 us, by a producer of seven million a second; no rounding anywhere."""
    statistics = measure_lag([SAMPLES / "artemis-2025-05-14-event-lag.log"])
    (incident,) = statistics.incidents
    assert (incident.lines, incident.lost, incident.head, incident.tail) == (54, 1_335_533, 1_333_363, 2_170)
    assert (incident.duration_us, incident.channel, incident.cause) == (343, Channel.EVENT, Cause.UNKNOWN)
    assert incident.producer_rate_hz == pytest.approx(7.0e6, rel=0.01)
    assert incident.producer_rate_low_hz == pytest.approx(6.33e6, rel=0.001)
    assert incident.stall_s == pytest.approx(0.19, abs=0.01)
    assert statistics.distribution is not None
    assert (round(statistics.distribution.mean), statistics.distribution.per_line.median) == (24_732, 24)
    assert statistics.distribution.by_loss.median == 1_333_363
    assert iso(statistics.start_us) == "2025-05-14T14:39:45.999162Z"
    assert iso(statistics.end_us) == "2025-05-14T14:39:45.999505Z"
    assert (statistics.inputs.format, statistics.inputs.lines, statistics.inputs.other_lines) == ("full", 54, 0)


def test_the_long_stall_lasted_more_than_eight_minutes():
    """3,325,865,212 events at the rate its own tail shows."""
    statistics = measure_lag([SAMPLES / "artemis-2025-05-14-long-stall.log"])
    (incident,) = statistics.incidents
    assert (incident.head, incident.tail, incident.duration_us) == (3_325_865_212, 398, 54)
    assert incident.stall_s is not None
    assert 8 * 60 < incident.stall_s < 9 * 60


def test_without_times_totals_and_sizes_are_known_and_rates_are_null():
    """56 lines: incidents by their place, a line too large for a tail begins one."""
    statistics = measure_lag([SAMPLES / "artemis-no-timestamps.log"])
    assert (statistics.totals.lost, statistics.totals.lag_lines) == (812_484_047, 56)
    assert statistics.inputs.clock is Clock.NONE
    first = statistics.incidents[0]
    assert (first.lines, first.head, first.tail) == (3, 9_941_704, 109)
    assert all(
        (item.start_us, item.duration_us, item.producer_rate_hz, item.stall_s) == (None, None, None, None)
        for item in statistics.incidents
    )
    assert (statistics.pair_rate_hz, statistics.seconds.points, statistics.worst_minute) == (None, (), None)


def chunk_of(rows):
    """A chunk of (time, N, channel, receiver) rows."""
    at_us, lost, channel, receiver = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [], [])
    return LagChunk(
        np.array(at_us, np.int64),
        np.array(lost, np.int64),
        np.array(channel, np.uint8),
        np.array(receiver, np.uint8),
        np.zeros(len(rows), np.bool_),
    )


ROWS = st.lists(
    st.tuples(st.integers(-50, 4_000_000), st.integers(1, 2**40), st.integers(0, 2), st.integers(0, 1)), max_size=60
).map(lambda steps: [(START + sum(s[0] for s in steps[: n + 1]), *step[1:]) for n, step in enumerate(steps)])
WHO = (Receiver("a", None), Receiver("b", None))


@settings(max_examples=150)
@given(ROWS, st.lists(st.integers(0, 60), max_size=4))
def test_how_lines_are_batched_changes_nothing(rows, cuts):
    """The same rows in one batch or in many give equal statistics."""
    whole = aggregate([Batch(chunk_of(rows))], receivers=WHO)
    edges = sorted({0, len(rows), *(min(cut, len(rows)) for cut in cuts)})
    parts = [Batch(slice_chunk(chunk_of(rows), slice(a, b))) for a, b in pairwise(edges)]
    tally = Tally()
    for part in parts:
        tally.add(part)
        tally.flush()
    assert comparable(statistics_of(tally, whole.inputs, WHO, capacity=512, incident_gap_us=1_000_000)) == comparable(
        whole
    )


@settings(max_examples=150)
@given(ROWS, st.integers(0, 60))
def test_two_halves_merge_to_the_whole(rows, cut):
    """What two processes measured apart is what one would have measured; the second knows the receivers reversed."""
    cut = min(cut, len(rows))
    whole = aggregate([Batch(chunk_of(rows))], receivers=WHO)
    first, second = Tally(), Tally()
    first.add(Batch(chunk_of(rows[:cut])))
    second.add(Batch(chunk_of([(at, lost, channel, 1 - receiver) for at, lost, channel, receiver in rows[cut:]])))
    first.merge(second, np.array([1, 0]))
    merged = statistics_of(first, whole.inputs, WHO, capacity=512, incident_gap_us=1_000_000)
    assert comparable(merged) == comparable(whole)


def comparable(statistics):
    """Everything that must be equal; twins and the anatomy of a run that is cut in two are as each part saw them."""
    runs = statistics.runs
    columns = [column.tolist() for column in (runs.start_us, runs.end_us, runs.lines, runs.lost, runs.head)]
    return (
        statistics.totals,
        statistics.distribution,
        statistics.incidents,
        sorted(zip(*columns, runs.receiver.tolist(), runs.channel.tolist(), strict=True)),
        statistics.seconds,
        statistics.worst_minute,
        (statistics.start_us, statistics.end_us, statistics.between, statistics.pair_rate_hz),
        sorted(statistics.by_receiver, key=str),
    )


@settings(max_examples=100)
@given(ROWS)
def test_incidents_account_for_every_event(rows):
    """Nothing is lost between lines, runs, incidents, series and histogram."""
    statistics = aggregate([Batch(chunk_of(rows))], receivers=WHO)
    total = sum(row[1] for row in rows)
    assert statistics.totals.lost == total == sum(item.lost for item in statistics.incidents)
    assert int(statistics.runs.lost.sum()) == total == sum(point.lost for point in statistics.seconds.points)
    assert sum(item.lines for item in statistics.incidents) == len(rows)
    if statistics.distribution is not None:
        assert sum(part.count for part in statistics.distribution.histogram) == len(rows)
        assert sum(part.lost for part in statistics.distribution.histogram) == total


def test_a_quiet_second_parts_incidents_and_one_microsecond_less_does_not():
    """The gap is measured from the end of one run to the start of the next."""
    at = [START, START + 999_999, START + 2_000_000]
    assert [item.lines for item in aggregate_columns(np.array(at), np.array([5, 6, 7])).incidents] == [2, 1]
    at = [START, START + 1_000_000]
    assert [item.lines for item in aggregate_columns(np.array(at), np.array([5, 6])).incidents] == [1, 1]


def test_incidents_can_be_grouped_again_by_a_physical_gap():
    """Once slots x service time is known, the same runs give other incidents."""
    statistics = aggregate_columns(START + np.arange(10) * 50_000, np.full(10, 20))
    assert len(find_incidents(statistics.runs, statistics.receivers, gap_us=1_000_000)) == 1
    assert len(find_incidents(statistics.runs, statistics.receivers, gap_us=50_000)) == 10


def test_channels_and_receivers_have_their_own_incidents():
    """Interleaved lines of two channels are two incidents, each with its own head."""
    rows = [(START + n * 10, 100 - n, n % 2, 0) for n in range(20)]
    statistics = aggregate([Batch(chunk_of(rows))], receivers=WHO)
    assert sorted((item.channel, item.head, item.lines) for item in statistics.incidents) == [
        (Channel.ACTION, 99, 10),
        (Channel.EVENT, 100, 10),
    ]


def test_two_receivers_that_report_one_loss_are_seen():
    """Pairs of lines with nearly one N after quiet: twins, and no producer's rate."""
    rows = [
        (START + pair * 5_000_000 + line * 9, 70_000 + pair * 31 + line, 0, 0) for pair in range(14) for line in (0, 1)
    ]
    statistics = aggregate([Batch(chunk_of(rows))], receivers=WHO)
    assert statistics.twin_pairs == 14
    assert statistics.pair_rate_hz is None


def test_more_runs_than_fit_are_folded_wider():
    """Half a million lone lines take the memory of a hundred thousand, and lose no event."""
    tally, lines = Tally(), 500_000
    tally.add(Batch(chunk_of([])))
    rows = np.arange(lines, dtype=np.int64)
    nothing = np.zeros(lines, np.uint8)
    tally.add(Batch(LagChunk(START + rows * 150, rows % 97 + 1, nothing, nothing, nothing.astype(np.bool_))))
    runs = tally.runs.runs()
    tally.flush()
    runs = tally.runs.runs()
    assert len(runs) <= MOST_RUNS
    assert (int(runs.lost.sum()), runs.fold_us) == (int((rows % 97 + 1).sum()), 200)


def test_closed_channels_are_floods_and_no_lag(tmp_path):
    """A million lines a second that say the same: counted apart, with their rate."""
    path = tmp_path / "bot.log"
    lines = [full(fact).replace(f"lagged by {fact[2]}", "closed") for fact in facts(100)]
    path.write_text("\n".join(lines))
    statistics = measure_lag([path])
    assert (statistics.totals.lag_lines, statistics.totals.closed_lines, statistics.totals.lost) == (0, 100, 0)
    event = next(flood for flood in statistics.closed if flood.channel is Channel.EVENT)
    assert (event.lines, event.receiver.target) == (80, "artemis_core::engine")
    assert event.rate_hz == pytest.approx(80 / 61, rel=0.01)


@pytest.mark.parametrize("form", ["full", "ansi", "json", "docker json"])
def test_two_processes_measure_what_one_does(form, tmp_path):
    """A file cut at a line start between processes: equal in every figure, down to the numbers of skipped lines."""
    path = tmp_path / "bot.log"
    path.write_bytes(
        text(FORMS[form], facts(3_000)) + b'INFO x: "channel lagged by 5"\n' + text(FORMS[form], facts(50))
    )
    one, two, four = (measure_lag([path], processes=processes) for processes in (1, 2, 4))
    assert comparable(one) == comparable(two) == comparable(four)
    assert replace(one.inputs, skipped=()) == replace(two.inputs, skipped=()) == replace(four.inputs, skipped=())
    assert [skip.line for skip in one.inputs.skipped] == [skip.line for skip in four.inputs.skipped] == [3_001]


@given(
    st.lists(
        st.tuples(st.integers(0, 10**10), st.one_of(st.integers(1, 2**64 - 1), st.integers(1, 10**6))),
        min_size=1,
        max_size=40,
    )
)
def test_every_sum_is_exact_up_to_the_largest_count_of_tokio(rows):
    """64-bit counts: totals, incidents, series and histogram add up to the last event, and everything is shown."""
    rows = sorted(rows)
    total = sum(lost for _, lost in rows)

    said = diagnose(aggregate_columns(np.array([at_us for at_us, _ in rows]), [lost for _, lost in rows]))
    measured = said.statistics

    assert measured.totals.lost == total
    assert sum(incident.lost for incident in measured.incidents) == total
    assert sum(point.lost for point in measured.seconds.points) == total
    assert sum(part.lost for part in measured.distribution.histogram) == total
    assert measured.distribution.maximum == max(lost for _, lost in rows)
    assert json.loads(json.dumps(to_json(said)))["lost"]["total"] == total
    assert f"{total:,}" in "".join(line.text for line in render(said))
    assert render_html(said)
    for table in csv_tables(said).values():
        assert csv_of(table())


def test_sums_stay_exact_over_more_lines_than_are_kept():
    """A hundred thousand lines of the largest counts, far apart and close together."""
    lost = [2**64 - 1 - line for line in range(100_000)]
    at_us = np.cumsum(np.arange(100_000) % 7 * 40)

    measured = aggregate_columns(at_us, lost)

    assert measured.totals.lost == sum(lost)
    assert sum(part.lost for part in measured.distribution.histogram) == sum(lost)
    assert int(measured.runs.lost.sum()) == sum(lost)
    assert sum(point.lost for point in measured.seconds.points) == sum(lost)


def test_json_has_no_times_where_there_is_no_wall_clock():
    """Null, not 1970."""
    statistics = aggregate_columns(np.array([NO_TIME, NO_TIME]), np.array([5, 6]))
    fields = statistics_fields(statistics)
    assert (fields["start"], fields["end"], fields["series"]) == (None, None, [])
