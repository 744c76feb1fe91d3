"""Every form of log gives the numbers of its plain twin."""

import os

import pytest

from liqcli.lag.lines import Channel, Clock, Receiver
from liqcli.lag.measure import measure_lag
from tests.lag.logs import FORMS, START, UNTIMED, facts, full, text
from tests.lag.samples import COUNTED, SAMPLES, TRACING


def numbers(statistics):
    """What must not depend on the form."""
    incidents = [
        (item.start_us, item.end_us, item.lines, item.lost, item.head, item.channel, item.producer_rate_hz)
        for item in statistics.incidents
    ]
    return (
        statistics.totals,
        statistics.distribution,
        incidents,
        statistics.seconds,
        statistics.minutes,
        statistics.pair_rate_hz,
    )


@pytest.fixture
def write(tmp_path):
    """Write a log of the day after and say where."""

    def written(content, name="bot.log"):
        path = tmp_path / name
        path.write_bytes(content)
        os.utime(path, (START // 10**6 + 86_400,) * 2)
        return path

    return written


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_numbers_of_its_plain_twin(form, write):
    """Wrappers, colours, zones and JSON change nothing that is measured."""
    made = facts()
    statistics = measure_lag([write(text(FORMS[form], made))])
    assert numbers(statistics) == numbers(measure_lag([write(text(full, made), "twin.log")]))
    assert statistics.totals.lost == sum(fact[2] for fact in made)
    assert statistics.totals.lines_by_channel == {Channel.EVENT: 160, Channel.ACTION: 40, Channel.UNKNOWN: 0}
    assert statistics.inputs.skipped_lines == 0
    assert statistics.by_receiver[0].receiver.target == "artemis_core::engine"


@pytest.mark.parametrize("form", UNTIMED)
def test_forms_without_a_time_of_day_give_the_same_totals(form, write):
    """Without a wall clock sizes and channels are still exact."""
    made = facts()
    statistics = measure_lag([write(text(UNTIMED[form], made))])
    twin = measure_lag([write(text(full, made), "twin.log")])
    assert (statistics.totals, statistics.distribution) == (twin.totals, twin.distribution)
    assert statistics.inputs.format == form.split()[0]


def test_an_uptime_clock_keeps_durations(write):
    """Seconds since start measure incidents as well as a calendar does."""
    made = facts()
    statistics = measure_lag([write(text(UNTIMED["uptime"], made))])
    twin = measure_lag([write(text(full, made), "twin.log")])
    assert statistics.inputs.clock is Clock.UPTIME
    assert [item.duration_us for item in statistics.incidents] == [item.duration_us for item in twin.incidents]
    assert statistics.start_us == twin.start_us - START + 3_000_000


@pytest.mark.parametrize("name", TRACING)
def test_real_tracing_output_is_read_whole(name):
    """Each of the seven recorded forms holds the same seven lags and one closed channel."""
    statistics = measure_lag([SAMPLES / name])
    assert (statistics.totals.lag_lines, statistics.totals.closed_lines, statistics.totals.lost) == (7, 1, 6_667_461)
    assert statistics.totals.lost_by_channel == {Channel.EVENT: 6_666_815, Channel.ACTION: 134, Channel.UNKNOWN: 512}
    assert statistics.inputs.format == TRACING[name]
    assert statistics.inputs.skipped_lines == 0


@pytest.mark.parametrize("name", TRACING)
def test_spans_tell_receivers_apart(name):
    """A strategy that logs inside a span is its own receiver, by its text fields and not by its numbers."""
    receivers = {total.receiver for total in measure_lag([SAMPLES / name]).by_receiver}
    assert Receiver("artemis_core::engine", 'strategy:process_event name="aave"') in receivers
    assert Receiver("artemis_core::engine", None) in receivers


@pytest.mark.parametrize("feed", ["\n", "\r\n"])
def test_a_missing_last_line_feed_costs_no_line(feed, write):
    """The last line counts whether or not the writer came to end it."""
    made = facts()
    whole = text(full, made, feed)
    assert measure_lag([write(whole)]).totals == measure_lag([write(whole.removesuffix(feed.encode()), "cut")]).totals


@pytest.mark.parametrize("line", COUNTED)
def test_other_ways_to_say_it_are_counted(line, write):
    """Wrappers of the channel and other crates word it differently."""
    statistics = measure_lag([write(COUNTED[line].encode() + b"\n")])
    assert (statistics.totals.lag_lines, statistics.totals.lost) == (1, 77), line


def test_a_forced_format_leaves_others_out_and_says_so(write):
    """--format json counts no text line, and shows what it left out."""
    log = write(text(full, facts(3)) + text(FORMS["json"], facts(4)))
    statistics = measure_lag([log], form="json")
    assert (statistics.totals.lag_lines, statistics.inputs.skip_reasons) == (4, {"not in the json format": 3})
    assert measure_lag([log]).inputs.format == "mixed"


def test_a_year_that_is_not_written_comes_from_the_file(write):
    """Syslog writes no year: the file's own date gives it, and the report says so."""
    line = "May 14 14:39:45 bot1 liq[1]: ERROR artemis_core::engine: error receiving event: channel lagged by 5\n"
    statistics = measure_lag([write(line.encode())])
    assert statistics.start_us is not None
    assert any("without a year" in note for note in statistics.inputs.notes)


@pytest.mark.parametrize("form", FORMS | UNTIMED)
def test_the_largest_count_of_tokio_is_exact_in_every_form(form, write):
    """u64::MAX among small ones, once and by the hundred: the sum has 22 digits and each of them is right."""
    large = [(at_us, channel, 2**64 - 1 if place % 2 else lost) for place, (at_us, channel, lost) in enumerate(facts())]

    statistics = measure_lag([write(text((FORMS | UNTIMED)[form], large))])

    assert statistics.totals.lost == sum(lost for _, _, lost in large)
    assert sum(incident.lost for incident in statistics.incidents) == statistics.totals.lost
