"""The verdict, the capacities, the recommendation, the actions and the replay."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqcli.errors import UsageError
from liqcli.lag.advise import diagnose
from liqcli.lag.capacity import needed_slots
from liqcli.lag.incidents import aggregate_columns
from liqcli.lag.lines import Receiver
from liqcli.lag.measure import measure_lag
from liqcli.lag.model import Cause, Level
from liqcli.lag.scenarios import scenario
from liqcli.lag.simulate import Stall, replay, slots_for
from liqcli.lag.simulate import needed_slots as least_slots
from liqcli.lag.stream import measure_service, streams
from liqcli.lag.whatif import what_if

SEEDS = range(8000, 8004)


def statistics_of(at_us, lost, **known):
    """Statistics of lag lines given as columns."""
    return aggregate_columns(np.asarray(at_us, np.int64), np.asarray(lost, np.int64), **known)


def text_statistics(folder, *lines):
    """Statistics of a log of text."""
    path = folder / "bot.log"
    path.write_text("".join(f"{line}\n" for line in lines))
    return measure_lag([path])


@pytest.mark.parametrize("name", ["blocked", "blocks", "on_off", "cascade", "cold_start"])
@pytest.mark.parametrize("capacity", [128, 512, 2048])
def test_the_recommended_capacity_loses_nothing_when_replayed(name, capacity):
    """Zero lag on the same arrivals, with at most four times the least buffer."""
    for one in (scenario(name, seed, capacity) for seed in SEEDS):
        advised = diagnose(statistics_of(*one.lag_lines()), capacity=capacity).recommend
        assert sum(life.lost for life in one.replays(advised.capacity)) == 0
        assert advised.capacity <= 4 * slots_for(one.needed())


def test_the_need_is_exact_inside_one_busy_period():
    """Slots + everything lost, to the message, while the receiver never idles."""
    random = np.random.default_rng(5)
    arrivals = np.cumsum(random.exponential(0.001, 5_000))
    life = replay(arrivals, 0.004, 256)
    stream = streams(statistics_of(life.lag_at * 1e6, life.lag_n), capacity=256)[0]
    service = measure_service(stream, handler_ms=4.0)
    endless = replay(arrivals, 0.004, 2**40)
    last = np.searchsorted(endless.handled_at, life.lag_at[-1])
    at_last_line = np.searchsorted(arrivals, life.lag_at[-1], side="right") - endless.handled[last]
    found = needed_slots(stream, service, Cause.SLOW_CONSUMER, background=0.0)
    assert found == 256 + life.lost
    assert abs(found - at_last_line) <= 2


def test_losses_far_apart_are_not_summed():
    """Ten equal stalls an hour apart need what one needs; ten in a row need ten times as much."""
    far = diagnose(statistics_of(np.arange(10) * 3_600_000_000, [1_000 + turn for turn in range(10)]), handler_ms=1)
    near = diagnose(
        statistics_of(np.arange(10) * 400_000, [1_000 + 37 * (turn % 3) for turn in range(10)]), handler_ms=1
    )
    assert far.recommend.capacity == 2_048
    assert near.recommend.capacity is None or near.recommend.capacity >= 8_192


def test_the_table_has_todays_size_the_folk_rules_and_the_recommendation():
    """Requested sizes in order, each with its slots, memory and what it would have absorbed."""
    said = diagnose(statistics_of([0, 90_000_000, 200_000_000], [700, 1_400, 900]))
    rows = {row.requested: row for row in said.capacities}
    assert list(rows) == sorted(rows)
    assert {512, 1_024, 512 + 1_400, 14_000, said.recommend.capacity, 10_000, 5_000_000} <= set(rows)
    assert rows[5_000_000].slots == 8_388_608
    assert rows[5_000_000].memory_bytes_min == 8_388_608 * 40
    assert (rows[512].incidents_absorbed, rows[1_912].incidents_absorbed) == (0, 3)


def test_a_spinning_producer_overflows_any_size_in_moments():
    """At 6.33 million a second 512 slots last 81 microseconds and 8,388,608 last 1.3 seconds; none absorbs it."""
    at_us, lost = [0, 18, 30, 60], [1_333_363, 114, 76, 190]
    rows = {row.requested: row for row in diagnose(statistics_of(at_us, lost)).capacities}
    assert rows[512].seconds_to_overflow == pytest.approx(81e-6, rel=0.02)
    assert rows[5_000_000].seconds_to_overflow == pytest.approx(1.32, rel=0.02)
    assert {row.incidents_absorbed for row in rows.values()} == {0}


def test_no_lag_is_no_verdict():
    """A log without lag lines: level none, nothing recommended, and a word on what silence does not prove."""
    said = diagnose(statistics_of([], []))
    assert (said.verdict.level, said.verdict.cause, said.recommend.capacity) == (Level.NONE, Cause.UNKNOWN, None)
    assert any("not health" in line for line in said.unknown)


def test_a_closed_channel_comes_before_its_lag(tmp_path):
    """No sender is left: fatal, whatever was lost before; reconnecting comes first."""
    said = diagnose(
        text_statistics(
            tmp_path,
            "2025-05-14T10:00:00.000000Z ERROR artemis_core::engine: error receiving event: channel lagged by 900",
            *("2025-05-14T10:00:01.000000Z ERROR artemis_core::engine: error receiving event: channel closed",) * 3,
        )
    )
    assert (said.verdict.cause, said.verdict.level) == (Cause.CHANNEL_CLOSED, Level.CRITICAL)
    assert "channel closed" in said.advice[0].action
    assert said.recommend.capacity is None


@pytest.mark.parametrize(
    ("name", "first"),
    [("spin", "fix the collector"), ("slow", "drain what waits"), ("blocked", "keep the receive loop free")],
)
def test_the_most_effective_action_comes_first(name, first):
    """Each cause has its own first step, with evidence; reading again after a lag is always among them."""
    one = scenario(name, 8000, 512)
    advice = diagnose(statistics_of(*one.lag_lines()), capacity=512).advice
    assert advice[0].action.startswith(first)
    assert all(step.evidence and step.because and step.confidence in {"high", "medium", "low"} for step in advice)
    assert any("after every lag" in step.action for step in advice)


@pytest.mark.parametrize(
    ("target", "setting"), [("liqcli.bot.engine", "event_buffer_size"), ("artemis_core::engine", None)]
)
def test_our_own_logs_are_told_the_setting(target, setting):
    """Lines of liq itself name the setting to change; other programs' lines do not."""
    at_us, lost = np.array([0, 60_000_000, 150_000_000]), np.array([700, 900, 800])
    own = diagnose(aggregate_columns(at_us, lost, receivers=[Receiver(target, None)])).advice
    assert {step.setting for step in own if step.action.startswith("raise")} == {setting}


def test_a_stale_buffer_stands_below_a_faster_handler():
    """Where the buffer would hide more than a block's second, the work comes first and the buffer after it."""
    one = scenario("on_off", 8001, 2048)
    said = diagnose(statistics_of(*one.lag_lines()), capacity=2048)
    actions = [step.action for step in said.advice]
    assert said.recommend.staleness_s > 1
    assert next(place for place, action in enumerate(actions) if action.startswith("raise")) == 2


@pytest.mark.parametrize("capacity", [-3, 2**63])
def test_an_impossible_capacity_is_refused(capacity):
    """The value is named."""
    with pytest.raises(UsageError, match=str(capacity)):
        diagnose(statistics_of([0], [5]), capacity=capacity)


@pytest.mark.parametrize("name", ["spin", "slow", "blocked", "blocks", "on_off", "cascade"])
def test_todays_buffer_replayed_loses_what_the_log_says(name):
    """The arrivals that are rebuilt from the lines make the present receiver lose the same, within 15 %."""
    one = scenario(name, 8002, 512)
    replayed = what_if(statistics_of(*one.lag_lines()), capacity=512, current_capacity=512)
    assert replayed.lost_after == pytest.approx(replayed.lost_before, rel=0.15)


@pytest.mark.parametrize("name", ["blocked", "blocks", "on_off", "cascade", "cold_start"])
def test_a_larger_buffer_replayed_loses_what_it_would_have_lost(name):
    """Four times the buffer: the replay of the lines is near the replay of the true arrivals."""
    one = scenario(name, 8003, 512)
    at_us, lost = one.lag_lines()
    truth = sum(life.lost for life in one.replays(2048))
    assert what_if(statistics_of(at_us, lost), capacity=2048).lost_after == pytest.approx(truth, abs=0.1 * lost.sum())


def test_a_faster_handler_replayed_loses_less():
    """Half the handler's time removes most of a mild overload."""
    random = np.random.default_rng(6)
    life = replay(np.cumsum(random.exponential(0.01, 20_000)), random.exponential(0.014, 20_000), 512)
    replayed = what_if(statistics_of(life.lag_at * 1e6, life.lag_n), handler_ms=7)
    assert replayed.lost_after < 0.1 * replayed.lost_before


def test_billions_are_replayed_in_lots():
    """3.3 billion events fit: the answer keeps its size."""
    replayed = what_if(statistics_of([0, 50, 54], [3_325_865_212, 374, 24]), capacity=8192)
    assert replayed.lost_after == pytest.approx(3.3259e9, rel=0.001)


@pytest.mark.parametrize(
    "asked", [{}, {"handler_ms": 0.0}, {"handler_ms": -1.0}, {"capacity": 0}, {"handler_ms": float("nan")}]
)
def test_impossible_questions_are_refused(asked):
    """Nothing asked, or no possible buffer or handler: a usage error."""
    with pytest.raises(UsageError):
        what_if(statistics_of([0, 10_000_000], [500, 600]), **asked)


def test_a_stall_known_to_the_second_is_absorbed_by_its_size():
    """100 a second for 10 s against 512 slots: 1,000 waiting events need 1,024 slots, and that is recommended."""
    arrivals = np.arange(6_000) / 100
    life = replay(arrivals, 0.001, 512, stalls=[Stall(20.0, 29.0)])
    said = diagnose(statistics_of(life.lag_at * 1e6, life.lag_n))
    assert said.recommend.capacity == 1_024
    assert (said.recommend.capacity_low, said.recommend.confidence) == (1_024, "medium")


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.integers(-(10**7), 10**7) | st.integers(0, 50),
            st.integers(0, 20) | st.integers(0, 10**6) | st.integers(0, 2**50),
        ),
        min_size=1,
        max_size=60,
    ),
    st.sampled_from([1, 128, 512, 10_000]),
    st.sampled_from([None, 0.001, 3.0, 10**6]),
)
def test_any_lines_are_diagnosed_without_a_fault(lines, capacity, handler_ms):
    """Clocks that step back, equal times, losses of nothing and of astronomic size: a verdict, and sane figures."""
    at_us = np.cumsum([step for step, _ in lines])
    said = diagnose(statistics_of(at_us, [n for _, n in lines]), capacity=capacity, handler_ms=handler_ms)
    assert said.verdict.text
    assert all(
        incident.producer_rate_hz is None or incident.producer_rate_hz >= 0 for incident in said.statistics.incidents
    )
    if said.recommend.capacity is not None:
        assert said.recommend.capacity_low <= said.recommend.capacity <= said.recommend.capacity_high
    if 0 < sum(n for _, n in lines) < 10**7:
        assert what_if(statistics_of(at_us, [n for _, n in lines]), capacity=4 * capacity).lost_after >= 0


def test_a_spinning_producer_is_told_at_the_rate_of_its_worst_stretch():
    """Hours of quiet around it do not thin the rate below what a chain can send."""
    burst = 10_000_000_000 + np.arange(1_000) * 1_000
    at_us = np.concatenate([[0], burst, [20_000_000_000]])
    lost = np.concatenate([[3], np.full(1_000, 200), [3]])

    said = diagnose(statistics_of(at_us, lost))

    assert said.verdict.cause is Cause.SPINNING_PRODUCER
    assert "200,000/s" in said.verdict.text
    assert said.capacities[0].seconds_to_overflow == pytest.approx(said.capacities[0].slots / 200_000, rel=0.01)


def test_the_largest_lag_of_the_folk_rules_is_the_largest_line():
    """Also where it is not the first of the lines that came together."""
    said = diagnose(statistics_of([0, 10, 9_000_000], [5, 7_000, 5]))

    assert {row.rule: row.requested for row in said.capacities}["10 x the largest lag"] == 70_000
    assert {row.rule: row.requested for row in said.capacities}["capacity + largest"] == 7_512


def test_all_incidents_are_counted_where_the_handler_parts_them():
    """Only the worst thousand are listed; the count and the quiet between are of all."""
    at_us = (np.arange(3_000)[:, None] * 3_000_000 + np.arange(10) * 4_000).ravel()
    said = diagnose(statistics_of(at_us, np.full(30_000, 3)), handler_ms=1.0)

    assert said.statistics.incident_count == 3_000
    assert len(said.statistics.incidents) == 1_000
    assert said.statistics.between.median_s == pytest.approx(2.964)


@pytest.mark.parametrize("capacity", [128, 512, 2048])
def test_bursts_of_every_block_need_a_buffer_of_one_block(capacity):
    """A block a second, delivered within milliseconds, larger than the buffer: between two of them it drains."""
    sizes = []
    for seed in range(6):
        random = np.random.default_rng([seed, capacity])
        block = capacity * random.uniform(1.1, 1.8)
        counts = random.poisson(block, 90)
        arrivals = np.repeat(np.arange(90.0), counts)
        arrivals = np.sort(arrivals + random.exponential(0.005, len(arrivals)))
        service = random.exponential(random.uniform(0.3, 0.75) / block, len(arrivals))
        life = replay(arrivals, service, capacity)

        said = diagnose(statistics_of(life.lag_at * 1e6, life.lag_n), capacity=capacity)

        assert said.verdict.cause is Cause.BURST
        assert replay(arrivals, service, said.recommend.capacity).lost == 0
        sizes.append(said.recommend.capacity / slots_for(least_slots(arrivals, service)))
    assert np.median(sizes) <= 1.5
    assert max(sizes) <= 4
