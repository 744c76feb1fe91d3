"""The model of tokio's broadcast channel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqcli.errors import UsageError
from liqcli.lag.simulate import Broadcast, Lagged, Stall, needed_slots, replay, slots_for


@pytest.mark.parametrize(
    ("capacity", "slots"), [(1, 1), (3, 4), (512, 512), (600, 1024), (10_000, 16_384), (5_000_000, 8_388_608)]
)
def test_capacity_is_rounded_up_to_a_power_of_two(capacity, slots):
    """Tokio allocates the next power of two."""
    assert slots_for(capacity) == slots


@pytest.mark.parametrize("capacity", [0, -1, 2**63])
def test_impossible_capacities_are_refused(capacity):
    """A channel of zero, or more than memory has addresses, is a usage error that names the value."""
    with pytest.raises(UsageError, match=str(capacity)):
        slots_for(capacity)


def test_lagged_counts_the_overwritten_messages_only():
    """Ten sends into a channel of 3 (4 slots): Lagged(6), then message 6."""
    channel = Broadcast(3)
    receiver = channel.subscribe()
    channel.send(10)
    assert [channel.try_recv(receiver) for _ in range(6)] == [Lagged(6), 6, 7, 8, 9, None]


def test_falling_exactly_capacity_behind_is_no_lag():
    """Four unread messages fit four slots; the fifth overwrites one."""
    channel = Broadcast(4)
    receiver = channel.subscribe()
    channel.send(4)
    assert channel.try_recv(receiver) == 0
    channel.send(2)
    assert [channel.try_recv(receiver), channel.try_recv(receiver)] == [Lagged(1), 2]


def test_a_late_subscriber_starts_at_the_tail():
    """What was sent before it came is neither received nor lost."""
    channel = Broadcast(2)
    channel.send(100)
    late = channel.subscribe()
    channel.send()
    assert channel.try_recv(late) == 100


@given(st.integers(1, 40), st.lists(st.integers(0, 30), max_size=60))
def test_sent_is_received_plus_lost_plus_backlog(capacity, steps):
    """The identity holds for any mix of sends and reads: even steps send that many, odd ones read."""
    channel = Broadcast(capacity)
    receiver = channel.subscribe()
    received = lost = 0
    for step in steps:
        if step % 2 == 0:
            channel.send(step)
            continue
        match channel.try_recv(receiver):
            case Lagged(n):
                lost += n
            case int():
                received += 1
    assert channel.sent == received + lost + (channel.sent - channel.cursors[receiver])


def replay_by_calls(arrivals, service, capacity, print_s):
    """The same receiver, written with the channel's calls and a clock: slow and plain."""
    channel = Broadcast(capacity)
    receiver = channel.subscribe()
    now, lines, handled = 0.0, [], []
    while True:
        channel.sent = sum(at <= now for at in arrivals.tolist())
        match channel.try_recv(receiver):
            case None if channel.sent == len(arrivals):
                return lines, handled
            case None:
                now = float(arrivals[channel.sent])
            case Lagged(n):
                lines.append((now, n))
                now += print_s
            case int(message):
                handled.append(message)
                now += float(service[message])


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 12)), max_size=120), st.integers(1, 20))
def test_replay_equals_the_channel_call_by_call(steps, capacity):
    """The vectorised replay and a receiver that calls try_recv see the same lags and the same messages."""
    arrivals = np.cumsum([gap for gap, _ in steps], dtype=np.float64)
    service = np.array([cost for _, cost in steps], dtype=np.float64)
    lines, handled = replay_by_calls(arrivals, service, capacity, 1.0)
    result = replay(arrivals, service, capacity, print_s=1.0)
    assert list(zip(result.lag_at.tolist(), result.lag_n.tolist(), strict=True)) == lines
    assert result.handled.tolist() == handled


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 8)), min_size=1, max_size=100))
def test_needed_slots_is_the_least_buffer_without_loss(steps):
    """With that many slots nothing is lost; a buffer of half as many loses something."""
    arrivals = np.cumsum([gap for gap, _ in steps], dtype=np.float64)
    service = np.array([cost for _, cost in steps], dtype=np.float64)
    slots = slots_for(max(1, needed_slots(arrivals, service)))
    assert replay(arrivals, service, slots).lost == 0
    if slots > 1:
        assert replay(arrivals, service, slots // 2).lost > 0


def test_a_stall_loses_what_arrives_beyond_the_buffer():
    """100 messages a second for 10 s against 512 slots: the receiver is back at second 10 and has lost 489."""
    arrivals = np.arange(2_000) / 100
    result = replay(arrivals, 0.001, 512, stalls=[Stall(0.0, 10.0)])
    assert (result.lag_at[0], result.lag_n.tolist()) == (10.0, [1001 - 512])


def test_a_spinning_producer_drags_a_tail_behind_the_head():
    """At 1 million/s, 3 us a line: after the head each line reports the 3 messages that came while it was printed."""
    arrivals = np.arange(200_000) / 1e6
    result = replay(arrivals, 0.1, 512, print_s=3.05e-6)
    assert result.lag_n[0] > 90_000
    assert set(result.lag_n[1:1000].tolist()) == {3, 4}


def test_the_age_of_messages_grows_with_the_buffer():
    """A larger buffer turns loss into staleness: 8 times the slots, 8 times the age."""
    arrivals = np.arange(40_000) / 1_000
    ages = [replay(arrivals, 0.01, capacity).staleness_s(arrivals) for capacity in (128, 1024)]
    assert ages == pytest.approx([1.28, 10.24], rel=0.02)
