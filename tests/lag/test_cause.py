"""The cause, from lag lines alone, on real logs and on simulated ones whose truth is known."""

from pathlib import Path

import numpy as np
import pytest

from liqcli.lag.advise import diagnose, findings
from liqcli.lag.incidents import aggregate_columns
from liqcli.lag.measure import measure_lag
from liqcli.lag.model import Cause, Level
from liqcli.lag.scenarios import GENERATORS, log_text, scenario
from liqcli.lag.simulate import Stall, replay
from liqcli.lag.stream import measure_service, streams
from tests.lag.logs import TARGET, full, message, stamp

SAMPLES = Path(__file__).parents[2] / "sample_logs"
SEEDS = range(7000, 7004)


def diagnosed(at_us, lost, **known):
    """The diagnosis of lag lines given as columns."""
    columns = (np.asarray(column, np.int64) for column in (at_us, lost))
    return diagnose(aggregate_columns(*columns, capacity=known.get("capacity", 512)), **known)


def lived(arrivals, service, capacity, stalls=()):
    """The diagnosis of what one receiver would have logged."""
    life = replay(arrivals, service, capacity, stalls=stalls)
    return diagnosed(life.lag_at * 1e6, life.lag_n, capacity=capacity)


def simulated(name, capacity):
    """Diagnoses of one scenario over the seeds, with the truth."""
    made = [scenario(name, seed, capacity) for seed in SEEDS]
    return [(one, diagnosed(*one.lag_lines(), capacity=capacity)) for one in made]


def test_the_log_of_may_2025_is_a_spinning_producer():
    """343 microseconds, 1,335,533 lost, 6.33 million events a second: no buffer cures it."""
    said = diagnose(measure_lag([SAMPLES / "artemis-2025-05-14-event-lag.log"]))
    incident = said.statistics.incidents[0]
    assert (said.verdict.cause, said.verdict.buffer_can_help) == (Cause.SPINNING_PRODUCER, False)
    assert (incident.lost, incident.head, incident.tail) == (1_335_533, 1_333_363, 2_170)
    assert incident.producer_rate_hz == pytest.approx(6.33e6, rel=0.01)
    assert incident.stall_s == pytest.approx(0.21, abs=0.01)
    assert said.recommend.capacity is None


def test_three_lines_are_enough_for_a_stall_of_minutes():
    """3.3 billion events at the rate of the 398 that follow: away for seven to nine minutes."""
    said = diagnose(measure_lag([SAMPLES / "artemis-2025-05-14-long-stall.log"]))
    assert said.verdict.cause is Cause.SPINNING_PRODUCER
    assert 7 * 60 < said.statistics.incidents[0].stall_s < 9 * 60


def test_without_times_the_cause_is_unknown():
    """Totals hold, rates and cause do not, and the report says why."""
    said = diagnose(measure_lag([SAMPLES / "artemis-no-timestamps.log"]))
    assert (said.verdict.cause, said.verdict.buffer_can_help) == (Cause.UNKNOWN, None)
    assert {incident.producer_rate_hz for incident in said.statistics.incidents} == {None}
    assert any("no time" in line for line in said.unknown)


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("capacity", [128, 512, 2048])
def test_the_cause_of_simulated_logs_is_named(name, capacity):
    """Each seed draws its own rates, loads and shapes; one miss in a scenario's seeds is the most allowed."""
    if name == "near_critical" and capacity > 512:
        capacity = 64  # a large buffer at the edge needs millions of messages to lag once
    wrong = [
        (one.cause, said.verdict.cause)
        for one, said in simulated(name, capacity)
        if said.verdict.cause is not one.cause
    ]
    assert len(wrong) <= 1, wrong


@pytest.mark.parametrize("name", ["spin", "slow"])
def test_endless_causes_are_never_answered_with_a_buffer(name):
    """Neither the recommendation, nor the verdict, nor an action offers a larger one."""
    for _, said in simulated(name, 512):
        assert said.recommend.capacity is None
        assert said.verdict.buffer_can_help is False
        assert said.verdict.level is Level.CRITICAL
        assert not any(advice.action.startswith("raise") for advice in said.advice)


def test_a_chase_counts_arrivals_exactly():
    """The reported rate of a spinning producer is the one it had."""
    arrivals = np.arange(400_000) / 2e6
    life = replay(arrivals, 0.05, 512, print_s=4e-6)
    said = diagnosed(life.lag_at * 1e6, life.lag_n)
    assert said.statistics.incidents[0].producer_rate_hz == pytest.approx(2e6, rel=0.02)


@pytest.mark.parametrize("name", ["blocked", "near_critical", "cold_start", "two_receivers"])
def test_rates_are_left_out_where_the_lines_do_not_count_them(name):
    """After a stall, at the edge, or from several receivers, the handled messages are the larger, uncounted part."""
    for _, said in simulated(name, 128):
        rates = [incident.producer_rate_hz for incident in said.statistics.incidents]
        assert sum(rate is not None for rate in rates) <= 0.05 * len(rates)


@pytest.mark.parametrize("name", ["spin", "blocks", "on_off", "cascade"])
def test_rates_are_near_the_truth_where_they_are_told(name):
    """Within 25 % of the arrivals that really came during the incident."""
    for one, said in simulated(name, 512):
        for incident in said.statistics.incidents:
            if incident.producer_rate_hz is not None:
                edges = np.array([incident.start_us, incident.end_us + 1]) / 1e6
                edges[1] = min(edges[1], one.arrivals[-1])  # a last stall may outlive the producer
                came = np.diff(np.searchsorted(one.arrivals, edges))[0]
                assert incident.producer_rate_hz == pytest.approx(came / (edges[1] - edges[0]), rel=0.25)


def test_a_log_of_text_gives_what_its_columns_give(tmp_path):
    """The parser stands between the receiver and the diagnosis and changes nothing."""
    at_us, lost = scenario("blocks", 3, 512).lag_lines()
    log = tmp_path / "bot.log"
    log.write_text(log_text(at_us, lost, form="json"))
    read, direct = diagnose(measure_lag([log])), diagnosed(at_us, lost)
    assert (read.verdict, read.recommend) == (direct.verdict, direct.recommend)


def test_the_handler_is_measured_from_the_gaps():
    """Constant 3 ms, six arrivals a message: found within a tenth."""
    random = np.random.default_rng(1)
    life = replay(np.cumsum(random.exponential(0.0005, 40_000)), 0.003, 512)
    measured = aggregate_columns((life.lag_at * 1e6).astype(np.int64), life.lag_n)
    service = measure_service(streams(measured, capacity=512)[0], handler_ms=None)
    assert service.source == "measured"
    assert service.point == pytest.approx(0.003, rel=0.1)
    assert service.low <= 0.003 <= service.high * 1.01


def test_stalls_on_a_timer_are_not_taken_for_blocks():
    """Five seconds away every thirty: the period is neither a second nor a minute."""
    stalls = [Stall(20.0 + 30 * turn, 25.0 + 30 * turn) for turn in range(18)]
    assert lived(np.arange(0, 600, 1 / 150), 0.002, 512, stalls).verdict.cause is Cause.BLOCKED_CONSUMER


def test_blocks_delivered_at_once_are_bursts():
    """Single jumps at one phase of the second are the chain's blocks, not the receiver's absence."""
    random = np.random.default_rng(2)
    sizes = np.where(random.random(300) < 0.1, random.integers(700, 2_000, 300), random.poisson(100, 300))
    arrivals = np.sort(np.repeat(np.arange(300.0), sizes) + random.uniform(0, 0.003, sizes.sum()))
    assert lived(arrivals, 0.001, 512).verdict.cause is Cause.BURST


def test_bursts_that_never_drain_are_an_overload():
    """Blocks of 300 every second, 4.5 ms each: the pauses between the losses cannot hold what was lost."""
    random = np.random.default_rng(3)
    sizes = random.poisson(300, 60)
    arrivals = np.sort(np.repeat(np.arange(60.0), sizes) + random.uniform(0, 0.1, sizes.sum()))
    said = lived(arrivals, 0.0045, 128)
    assert (said.verdict.cause, said.recommend.capacity) == (Cause.SLOW_CONSUMER, None)


def test_a_slow_handler_is_slow_however_slow():
    """150 ms a message against 100 a second loses 14 a line for minutes: no burst lasts so long."""
    random = np.random.default_rng(4)
    said = lived(np.cumsum(random.exponential(0.01, 9_000)), 0.15, 512)
    assert said.verdict.cause is Cause.SLOW_CONSUMER
    assert said.recommend.speedup_needed == pytest.approx(15, rel=0.1)


def test_one_enormous_jump_is_no_absence():
    """Nothing stays away for the minutes in which a chain would log 1.3 million events."""
    assert diagnosed([0], [1_333_363]).verdict.cause is Cause.SPINNING_PRODUCER


def test_equal_pairs_come_from_two_receivers():
    """Two strategies that were blocked together print the same loss; the need is one receiver's."""
    at_us = [0, 300, 50_300_000, 50_300_200, 90_700_000, 90_700_100]
    said = diagnosed(at_us, [900, 901, 1_500, 1_500, 700, 700])
    assert said.verdict.cause is Cause.BLOCKED_CONSUMER
    assert said.recommend.capacity == 4096
    assert any("two receivers" in line for line in said.unknown)


def test_each_channel_is_a_story_of_its_own():
    """A spinning event channel does not colour the action channel's stalls."""
    at_us = np.array([0, 10, 20, 10_300_000, 60_700_000, 95_000_000], np.int64)
    lost = np.array([2_000_000, 80, 75, 600, 900, 700], np.int64)
    channel = np.array([0, 0, 0, 1, 1, 1], np.uint8)
    found = findings(aggregate_columns(at_us, lost, channel=channel), capacity=512, handler_ms=None)
    assert [one.cause for one in found] == [Cause.SPINNING_PRODUCER, Cause.BLOCKED_CONSUMER]


def test_the_recorded_log_of_a_real_receiver_is_read_as_its_own_count():
    """Tokio's receiver counted 3,597 lost in three bursts, each message handled in a millisecond."""
    said = diagnose(measure_lag([SAMPLES / "tokio-bursts.log"]))
    assert (said.statistics.totals.lost, said.statistics.incident_count) == (3_597, 3)
    assert (said.verdict.cause, said.recommend.capacity) == (Cause.BURST, 2_048)
    assert said.statistics.incidents[0].producer_rate_hz == pytest.approx(6_000, rel=0.25)


def test_the_recorded_log_of_a_real_spinning_sender_is_called_so():
    """30 million a second: no buffer."""
    said = diagnose(measure_lag([SAMPLES / "tokio-spin.log"]))
    assert (said.verdict.cause, said.recommend.capacity) == (Cause.SPINNING_PRODUCER, None)
    assert said.statistics.totals.lost == 1_431_767


def test_the_time_between_two_blocks_is_no_handlers_time():
    """Small losses in some of the blocks: milliseconds apart within one, a second or more between them."""
    random = np.random.default_rng(17)
    blocks = np.flatnonzero(random.random(120) < 0.3)
    at_us = (blocks[:, None] * 1_000_000 + np.arange(3) * 3_000 + random.integers(0, 400, (len(blocks), 3))).ravel()
    stream = streams(aggregate_columns(at_us, random.integers(1, 7, len(at_us))), capacity=512)[0]

    assert stream.block_locked
    assert measure_service(stream, handler_ms=None).point < 0.01


def coarse(folder, at_us, lost, digits):
    """The diagnosis of a log whose times have so many digits behind the second."""
    path = folder / "bot.log"
    made = [(int(at) + 1_763_000_000_123_456, "event", int(n)) for at, n in zip(at_us, lost, strict=True)]
    path.write_text("".join(f"{stamp(fact[0], digits)} ERROR {TARGET}: {message(fact)}\n" for fact in made))
    return diagnose(measure_lag([path]))


@pytest.mark.parametrize("digits", [3, 0])
@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("spin", Cause.SPINNING_PRODUCER),
        ("slow", Cause.SLOW_CONSUMER),
        ("blocked", Cause.BLOCKED_CONSUMER),
        ("blocks", Cause.BURST),
        ("cascade", Cause.BURST),
        ("cold_start", Cause.BLOCKED_CONSUMER),
    ],
)
def test_a_coarse_clock_does_not_change_the_cause(name, cause, digits, tmp_path):
    """Syslog, journald's short form and env_logger write whole seconds: that is no step with the blocks."""
    said = coarse(tmp_path, *scenario(name, 7_000, 512).lag_lines(), digits)

    assert said.verdict.cause is cause
    assert said.statistics.inputs.whole_seconds is (digits == 0)
    assert (said.recommend.capacity is None) is (said.verdict.buffer_can_help is False)


def test_whole_seconds_do_not_tear_an_incident(tmp_path):
    """What went on from second to second is one incident, as with a finer clock."""
    at_us, lost = scenario("slow", 7_000, 512).lag_lines()

    said = [coarse(tmp_path, at_us, lost, digits) for digits in (0, 6)]

    assert [one.statistics.incident_count for one in said] == [1, 1]
    assert "in one line" not in " ".join(advice.evidence for advice in said[0].advice)


def test_a_chase_within_one_step_of_the_clock_is_still_a_chase(tmp_path):
    """2,170 events in two milliseconds are a spinning producer, however the lines share their times."""
    at_us = [0, *range(20, 340, 8)]

    said = coarse(tmp_path, at_us, [500_000] + [54] * (len(at_us) - 1), 3)

    assert said.verdict.cause is Cause.SPINNING_PRODUCER


def test_seconds_written_with_a_fraction_are_exact(tmp_path):
    """Whole seconds by chance, or by blocks, are no coarse clock."""
    said = coarse(tmp_path, np.arange(20) * 1_000_000 + 876_544, np.resize([700, 900], 20), 6)

    assert not said.statistics.inputs.whole_seconds
    assert said.verdict.cause is Cause.BURST


@pytest.mark.parametrize(("after_s", "cause"), [(0, Cause.SLOW_CONSUMER), (4, Cause.SLOW_CONSUMER), (60, Cause.BURST)])
def test_a_rush_that_the_log_outlives_was_no_lasting_overload(after_s, cause, tmp_path):
    """Six seconds of loss without relief, then ten times as long without any: the receiver did catch up."""
    at_us, lost = scenario("slow", 7_000, 512).lag_lines()
    path = tmp_path / "bot.log"
    made = [(int(at) + 1_763_000_000_123_456, "event", int(n)) for at, n in zip(at_us, lost, strict=True)]
    quiet = [f"{stamp(made[-1][0] + second * 1_000_000)}  INFO bot: block\n" for second in range(1, after_s)]
    path.write_text("".join([f"{full(fact)}\n" for fact in made] + quiet))

    said = diagnose(measure_lag([path]))

    assert said.verdict.cause is cause
    assert said.verdict.buffer_can_help is (cause is Cause.BURST)


def test_what_a_window_leaves_out_is_not_quiet(tmp_path):
    """An overload cut off by --until may go on behind it."""
    at_us, lost = scenario("slow", 7_000, 512).lag_lines()
    path, began = tmp_path / "bot.log", 1_763_000_000_123_456
    made = [(int(at) + began, "event", int(n)) for at, n in zip(at_us, lost, strict=True)]
    path.write_text("".join(f"{full(fact)}\n" for fact in made))

    said = diagnose(measure_lag([path], until=stamp(made[len(made) // 3][0])))

    assert said.statistics.inputs.outside_lines > 0
    assert said.verdict.cause is Cause.SLOW_CONSUMER
