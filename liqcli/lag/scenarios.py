"""Lag of known cause: streams of arrivals and receivers whose parameters are drawn anew from every seed.

Each generator chooses its scales so that a buffer of `capacity` lags in the way its cause names; nothing else is
fixed. `scenario` retries with the next sub-seed until at least one lag line comes out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from liqcli.errors import UsageError
from liqcli.lag.lines import Int64s
from liqcli.lag.model import Cause
from liqcli.lag.simulate import Replay, Seconds, Stall, needed_slots, replay, slots_for

Rng = np.random.Generator

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Consumer:
    """One receiver: seconds a message takes it, and when it reads nothing at all."""

    service: Seconds
    stalls: tuple[Stall, ...] = ()


@dataclass(frozen=True, slots=True)
class Scenario:
    """A stream with its receivers and the cause that a diagnosis of their log should name."""

    name: str
    cause: Cause
    capacity: int
    arrivals: Seconds
    consumers: tuple[Consumer, ...]
    print_s: Seconds

    def replays(self, capacity: int) -> list[Replay]:
        """Each receiver's life with a buffer of `capacity`."""
        return [
            replay(self.arrivals, consumer.service, capacity, stalls=consumer.stalls, print_s=self.print_s)
            for consumer in self.consumers
        ]

    def needed(self) -> int:
        """The least number of messages the buffer must hold for no receiver to lose one."""
        return max(needed_slots(self.arrivals, consumer.service, stalls=consumer.stalls) for consumer in self.consumers)

    def lag_lines(self) -> tuple[Int64s, Int64s]:
        """Microseconds since the stream began, and N, of every line of the log, in the order of time."""
        lives = self.replays(self.capacity)
        at = np.concatenate([life.lag_at for life in lives])
        lost = np.concatenate([life.lag_n for life in lives])
        order = np.argsort(at, kind="stable")
        return (at[order] * 1e6).astype(np.int64), lost[order]


def log_text(at_us: Int64s, lost: Int64s, *, channel: str = "event", form: str = "full") -> str:
    """The log artemis would have written: `form` is full, compact, ansi, json or plain (no times)."""
    line = LINE_FORMS[form].replace("CHANNEL", channel)
    moments = (START + timedelta(microseconds=at) for at in at_us.tolist())
    return "".join(
        line % {"at": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "n": n}
        for moment, n in zip(moments, lost.tolist(), strict=True)
    )


LINE_FORMS = {
    "full": "%(at)s ERROR artemis_core::engine: error receiving CHANNEL: channel lagged by %(n)d\n",
    "compact": "%(at)s ERROR artemis_core::engine: error receiving CHANNEL error=channel lagged by %(n)d\n",
    "ansi": "\x1b[2m%(at)s\x1b[0m \x1b[31mERROR\x1b[0m \x1b[2martemis_core::engine\x1b[0m\x1b[2m:\x1b[0m "
    "error receiving CHANNEL: channel lagged by %(n)d\n",
    "json": '{"timestamp":"%(at)s","level":"ERROR","fields":{"message":"error receiving CHANNEL: '
    'channel lagged by %(n)d"},"target":"artemis_core::engine"}\n',
    "plain": "ERROR artemis_core::engine: error receiving CHANNEL: channel lagged by %(n)d\n",
}


def scenario(name: str, seed: int, capacity: int) -> Scenario:
    """The stream and receivers of one seed; the same arguments give the same scenario."""
    if name not in GENERATORS:
        raise UsageError(f"there is no scenario {name!r}", hint=f"one of: {', '.join(GENERATORS)}")
    for attempt in range(50):
        rng = np.random.default_rng([seed, capacity, attempt, *name.encode()])
        made = GENERATORS[name](rng, capacity)
        if len(made.lag_lines()[0]):
            return made
    raise UsageError(f"{name} with seed {seed} does not lag a buffer of {capacity}", hint="take a smaller capacity")


def spin(rng: Rng, capacity: int) -> Scenario:
    """A collector that never waits, pausing only when its scheduler takes the turn away, and a slow handler."""
    rate, handler = log_uniform(rng, 2e5, 8e6), log_uniform(rng, 0.005, 0.15)
    per_turn = int(rng.integers(64, 2048))
    count = int(min(1_500_000, rate * max(handler * rng.integers(4, 12), rng.uniform(0.3, 1.0))))
    gaps = rng.exponential(1 / rate, count)
    gaps[::per_turn] += rng.exponential(0.05 * per_turn / rate, len(gaps[::per_turn]))
    arrivals = np.cumsum(gaps)
    return build(
        "spin", Cause.SPINNING_PRODUCER, capacity, arrivals, Consumer(service_times(rng, handler, count)), rng=rng
    )


def slow(rng: Rng, capacity: int) -> Scenario:
    """Messages come faster than the handler takes them, for as long as the log lasts."""
    rho, rate = log_uniform(rng, 1.15, 4.0), log_uniform(rng, 20, 5_000)
    slots = slots_for(capacity)
    count = int(slots * rho / (rho - 1) + rho * max(6 * slots, 4_000))
    arrivals = steady(rng, rate, count)
    return build(
        "slow", Cause.SLOW_CONSUMER, capacity, arrivals, Consumer(service_times(rng, rho / rate, count)), rng=rng
    )


def blocked(rng: Rng, capacity: int) -> Scenario:
    """A steady flow the handler keeps up with, but for stalls that outlast the buffer."""
    rho, rate = rng.uniform(0.1, 0.8), log_uniform(rng, 20, 2_000)
    slots = slots_for(capacity)
    starts, stalls = 0.0, []
    for length in slots / rate * rng.uniform(0.8, 6.0, int(rng.integers(3, 14))):
        starts += length * rng.exponential(3.0) / (1 - rho) + 2 * slots / rate
        stalls.append(Stall(starts, starts + length))
        starts += length
    count = int(rate * (starts + 4 * slots / rate))
    service = service_times(rng, rho / rate, count)
    return build(
        "blocked", Cause.BLOCKED_CONSUMER, capacity, steady(rng, rate, count), Consumer(service, tuple(stalls)), rng=rng
    )


def cold_start(rng: Rng, capacity: int) -> Scenario:
    """The first scan runs inside the handler: nothing is read until it ends, then all is well."""
    rho, rate = rng.uniform(0.1, 0.8), log_uniform(rng, 20, 2_000)
    length = slots_for(capacity) / rate * log_uniform(rng, 1.3, 40.0)
    count = int(rate * length * rng.uniform(2.0, 3.0))
    consumer = Consumer(service_times(rng, rho / rate, count), (Stall(0.0, length),))
    return build("cold_start", Cause.BLOCKED_CONSUMER, capacity, steady(rng, rate, count), consumer, rng=rng)


def blocks(rng: Rng, capacity: int) -> Scenario:
    """A block a second and a big one a minute, each delivered within milliseconds."""
    slots, minutes = slots_for(capacity), int(rng.integers(6, 14))
    small, big = rng.uniform(2, 20), slots * rng.uniform(1.2, 5.0)
    spread = log_uniform(rng, 0.005, 0.5)
    sizes = rng.poisson(small, 60 * minutes)
    sizes[::60] = big * rng.gamma(6.0, 1 / 6, minutes)
    at = np.repeat(np.arange(60 * minutes, dtype=np.float64), sizes)
    arrivals = np.sort(at + 0.05 + rng.uniform(0, spread, len(at)))
    mean_service = rng.uniform(0.1, 0.6) * 60 / (60 * small + big)
    return build(
        "blocks", Cause.BURST, capacity, arrivals, Consumer(service_times(rng, mean_service, len(arrivals))), rng=rng
    )


def on_off(rng: Rng, capacity: int) -> Scenario:
    """Busy phases the handler cannot follow, quiet phases in which it catches up."""
    slots, service = slots_for(capacity), log_uniform(rng, 0.0003, 0.02)
    busy, quiet = log_uniform(rng, 1.6, 6.0), rng.uniform(0.05, 0.5)
    cycles = int(rng.integers(5, 14))
    deep = slots * (0.7 + rng.exponential(1.5, cycles))
    busy_s = deep * service / (busy - 1)
    quiet_s = deep * service / (1 - quiet) * (1 + rng.exponential(1.5, cycles))
    lengths = np.ravel(np.column_stack([quiet_s, busy_s]))
    arrivals = poisson_cells(rng, lengths, np.tile([quiet / service, busy / service], cycles))
    return build(
        "on_off", Cause.BURST, capacity, arrivals, Consumer(service_times(rng, service, len(arrivals))), rng=rng
    )


def cascade(rng: Rng, capacity: int) -> Scenario:
    """A price falls: liquidations and their echoes rush in, and the rush dies away exponentially."""
    slots, service = slots_for(capacity), log_uniform(rng, 0.0003, 0.02)
    calm, peak = rng.uniform(0.05, 0.4), log_uniform(rng, 3.0, 30.0)
    count = int(rng.integers(1, 6))
    decay_s = slots * service * rng.uniform(1.5, 5.0, count) / (peak - 1 - np.log(peak))
    lengths, rates = [], []
    for decay in decay_s:
        steps = np.full(200, decay * 12 / 200)
        calm_s = slots * service * rng.uniform(6.0, 20.0)
        lengths += [calm_s, *steps]
        rates += [calm / service, *((calm + peak * np.exp(-np.cumsum(steps) / decay)) / service)]
    arrivals = poisson_cells(rng, np.array(lengths), np.array(rates))
    return build(
        "cascade", Cause.BURST, capacity, arrivals, Consumer(service_times(rng, service, len(arrivals))), rng=rng
    )


def near_critical(rng: Rng, capacity: int) -> Scenario:
    """The handler is only just fast enough: chance alone fills the buffer now and then."""
    slots = slots_for(capacity)
    rho, rate = 1 - rng.uniform(0.5, 3.0) / slots, log_uniform(rng, 20, 5_000)
    count = int(min(400_000, 20 * slots**2))
    arrivals = np.cumsum(rng.exponential(1 / rate, count))
    service = rng.exponential(rho / rate, count) if rng.random() < 0.7 else rng.gamma(4, rho / rate / 4, count)
    return build("near_critical", Cause.NEAR_CRITICAL, capacity, arrivals, Consumer(service), rng=rng)


def two_receivers(rng: Rng, capacity: int) -> Scenario:
    """Two strategies on one channel print the same words for a loss of their own each."""
    one = [blocked, blocks, slow][rng.integers(3)](rng, capacity)
    factor = rng.uniform(0.9, 1.1)
    first = one.consumers[0]
    late = tuple(Stall(stall.start, stall.end + rng.exponential(0.0005)) for stall in first.stalls)
    second = Consumer(rng.permutation(first.service) * factor, late)
    return Scenario("two_receivers", one.cause, capacity, one.arrivals, (first, second), one.print_s)


GENERATORS: dict[str, Callable[[Rng, int], Scenario]] = {
    made.__name__: made
    for made in (spin, slow, blocked, blocks, on_off, cascade, near_critical, cold_start, two_receivers)
}


def build(name: str, cause: Cause, capacity: int, arrivals: Seconds, consumer: Consumer, *, rng: Rng) -> Scenario:
    """The scenario of one receiver, which prints a line in 2-15 microseconds."""
    return Scenario(
        name, cause, capacity, arrivals, (consumer,), log_uniform(rng, 2e-6, 8e-6) * rng.gamma(4, 0.25, 4096)
    )


def log_uniform(rng: Rng, low: float, high: float) -> float:
    """A number between low and high, each factor of two equally likely."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def service_times(rng: Rng, mean: float, count: int) -> Seconds:
    """Handler times of one of four shapes: constant, exponential, gamma, log-normal."""
    shapes: list[Callable[[], Seconds]] = [
        lambda: np.full(count, mean),
        lambda: rng.exponential(mean, count),
        lambda: rng.gamma(4.0, mean / 4, count),
        lambda: rng.lognormal(-0.5, 1.0, count) * mean,
    ]
    return shapes[rng.integers(len(shapes))]()


def steady(rng: Rng, rate: float, count: int) -> Seconds:
    """Arrivals at one mean rate: by chance, evenly spaced, or in small blocks of equal size."""
    shape = rng.integers(3)
    if shape == 0:
        return np.cumsum(rng.exponential(1 / rate, count))
    if shape == 1:
        return np.arange(count) / rate
    size = int(rng.integers(2, 12))
    return np.sort(np.arange(count) // size * size / rate + rng.uniform(0, 0.2 * size / rate, count))


def poisson_cells(rng: Rng, lengths: Seconds, rates: Seconds) -> Seconds:
    """Arrivals by chance whose rate is constant within each cell of time."""
    counts = rng.poisson(lengths * rates)
    starts = np.cumsum(lengths) - lengths
    return np.sort(np.repeat(starts, counts) + rng.random(int(counts.sum())) * np.repeat(lengths, counts))
