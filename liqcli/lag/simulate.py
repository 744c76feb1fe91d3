"""A discrete-event model of tokio's broadcast channel: what a receiver gets, what it loses and when it says so.

`Broadcast` is the channel call by call; `replay` runs a whole stream of arrivals through one receiver that handles
messages one after the other and prints a line at each `Lagged(n)`. Times are float seconds, sorted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from liqcli.errors import UsageError
from liqcli.lag.lines import Int64s

Seconds = NDArray[np.float64]

PRINT_SECONDS = 3e-6
"""What writing one log line costs a receiver; real tokio with tracing to a file takes 2-20 microseconds."""

LARGEST_CAPACITY = 2**62


def slots_for(capacity: int) -> int:
    """The power of two tokio rounds a requested capacity up to; zero panics there and is refused here."""
    if not 1 <= capacity <= LARGEST_CAPACITY:
        raise UsageError(f"a channel cannot hold {capacity} messages", hint="give a capacity of at least 1")
    return 1 << (capacity - 1).bit_length()


@dataclass(frozen=True, slots=True)
class Lagged:
    """`RecvError::Lagged(n)`: exactly n messages were overwritten before this receiver read them."""

    n: int


@dataclass(slots=True)
class Broadcast:
    """The channel call by call; messages are their positions, 0, 1, 2, ..."""

    capacity: int
    slots: int = field(init=False)
    sent: int = 0
    cursors: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.slots = slots_for(self.capacity)

    def send(self, count: int = 1) -> None:
        """Never blocks and never fails: the oldest slots are overwritten."""
        self.sent += count

    def subscribe(self) -> int:
        """A new receiver, at the tail: it hears only what is sent from now on."""
        self.cursors.append(self.sent)
        return len(self.cursors) - 1

    def try_recv(self, receiver: int) -> int | Lagged | None:
        """The next message, the loss that comes before it, or None when there is nothing to read."""
        cursor = self.cursors[receiver]
        oldest = self.sent - self.slots
        if cursor < oldest:
            self.cursors[receiver] = oldest
            return Lagged(oldest - cursor)
        if cursor == self.sent:
            return None
        self.cursors[receiver] = cursor + 1
        return cursor


@dataclass(frozen=True, slots=True)
class Stall:
    """The receiver reads nothing from `start` (seconds) on until `end`, whatever arrives."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Replay:
    """What one receiver lived through: its lag lines, and which messages it handled when."""

    lag_at: Seconds
    lag_n: Int64s
    handled: Int64s
    handled_at: Seconds

    @property
    def lost(self) -> int:
        """Messages overwritten before this receiver read them."""
        return int(self.lag_n.sum())

    def staleness_s(self, arrivals: Seconds) -> float:
        """The greatest age of a message when its handler began; 0.0 when nothing was handled."""
        return float((self.handled_at - arrivals[self.handled]).max(initial=0.0))


def replay(
    arrivals: Seconds,
    service: float | Seconds,
    capacity: int,
    *,
    stalls: Sequence[Stall] = (),
    print_s: float | Seconds = PRINT_SECONDS,
) -> Replay:
    """Run arrivals through one receiver: `service` seconds a message (one number, or one per message).

    `stalls` are in time order; `print_s` may be an array whose values are used in turn, one a lag line.
    """
    run = _Run(np.ascontiguousarray(arrivals, dtype=np.float64), _per_message(service, len(arrivals)))
    prints = np.atleast_1d(np.asarray(print_s, dtype=np.float64))
    slots, waiting, block = slots_for(capacity), list(reversed(stalls)), 64
    while run.cursor < len(run.arrivals):
        begin = run.begin_times(block)
        stalled = int(np.searchsorted(begin, waiting[-1].start)) if waiting else len(begin)
        lagged = run.first_overwritten(begin, slots)
        run.handle(begin, min(stalled, lagged))
        if stalled < len(begin) and stalled <= lagged:
            run.free = max(run.free, waiting.pop().end)
        elif lagged < len(begin):
            run.lag(float(begin[lagged]), slots, float(prints[len(run.lag_n) % len(prints)]))
            block = 16
        else:
            block = min(block * 4, 1 << 16)
    return run.result()


def needed_slots(arrivals: Seconds, service: float | Seconds, *, stalls: Sequence[Stall] = ()) -> int:
    """The deepest backlog an endless buffer would have seen: the least number of slots that loses nothing."""
    endless = replay(arrivals, service, LARGEST_CAPACITY, stalls=stalls)
    behind = np.searchsorted(arrivals, endless.handled_at, side="right") - endless.handled
    return int(behind.max(initial=0))


def _per_message(service: float | Seconds, count: int) -> Seconds:
    return np.broadcast_to(np.asarray(service, dtype=np.float64), (count,))


@dataclass(slots=True)
class _Run:
    """Where a replay stands: the receiver's cursor, and the time it is free again."""

    arrivals: Seconds
    service: Seconds
    cursor: int = 0
    free: float = -np.inf
    lag_at: list[float] = field(default_factory=list)
    lag_n: list[int] = field(default_factory=list)
    handled: list[tuple[int, int]] = field(default_factory=list)
    handled_at: list[Seconds] = field(default_factory=list)

    def begin_times(self, block: int) -> Seconds:
        """When the next messages would be read if none were overwritten: each on arrival or after its forerunner."""
        part = slice(self.cursor, self.cursor + block)
        before = np.cumsum(self.service[part]) - self.service[part]
        ready = self.arrivals[part] - before
        ready[0] = max(ready[0], self.free)
        begin: Seconds = np.maximum.accumulate(ready) + before
        return begin

    def first_overwritten(self, begin: Seconds, slots: int) -> int:
        """The place in `begin` of the first message whose slot was taken before it was read, else its length."""
        taken_at = self.arrivals[self.cursor + slots : self.cursor + slots + len(begin)]
        overwritten = taken_at <= begin[: len(taken_at)]
        return int(overwritten.argmax()) if overwritten.any() else len(begin)

    def handle(self, begin: Seconds, count: int) -> None:
        """Hand the first `count` messages to the handler."""
        if count == 0:
            return
        self.handled.append((self.cursor, self.cursor + count))
        self.handled_at.append(begin[:count])
        self.free = float(begin[count - 1] + self.service[self.cursor + count - 1])
        self.cursor += count

    def lag(self, at: float, slots: int, print_s: float) -> None:
        """Report the loss and jump to the oldest message still kept."""
        oldest = int(np.searchsorted(self.arrivals, at, side="right")) - slots
        self.lag_at.append(at)
        self.lag_n.append(oldest - self.cursor)
        self.cursor = oldest
        self.free = at + print_s

    def result(self) -> Replay:
        """The lists as columns."""
        return Replay(
            np.array(self.lag_at, dtype=np.float64),
            np.array(self.lag_n, dtype=np.int64),
            np.concatenate([np.arange(0), *(np.arange(*span) for span in self.handled)]).astype(np.int64),
            np.concatenate([np.empty(0), *self.handled_at]),
        )
