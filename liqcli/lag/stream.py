"""One receiver's lag lines as a measurement: how long its handler takes, and when it was busy without a pause.

Between two `Lagged` returns the buffer goes from full to full, so arrivals = N + messages handled: the gaps and the
numbers of the lines measure the handler and the producer although neither is in the log.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liqcli.lag.lines import NO_TIME, Channel, Int64s, Receiver
from liqcli.lag.model import Statistics
from liqcli.lag.phase import is_block_locked
from liqcli.lag.runs import Runs
from liqcli.lag.simulate import Seconds, slots_for

MOST_LOST = 1 << 60
"""The runs of a stream are taken to have lost at most this, so that their sums fit 64 bits."""

CHASE_SECONDS = 100e-6
"""Lines closer than this have nothing but printing between them: no handler ran (the width runs are folded at)."""

FEW = 10
"""Lines that lost fewer than this are the rattle of a full buffer; larger ones were missed in one absence."""

PATIENCE_SECONDS = 1.0
"""Handlers slower than this are believed only when N follows the gap very closely."""

SINGLE_QUANTILE = 0.13
"""The middle of the shortest quarter of the gaps: those in which one message was handled."""

PAUSE_SECONDS = 0.5
"""Losses after a longer gap may begin with a block."""

COARSE_SECONDS = 0.01
"""A clock that steps further than this puts everything in phase."""

LONGEST_HANDLER_SECONDS = 5.0
"""A receiver that is away longer than this for each single event is not slow but blocked."""


@dataclass(frozen=True, slots=True)
class Stream:
    """The runs of one receiver on one channel; times are seconds since its first line, empty without a clock.

    `slots` is the buffer the log is read with; `resolution_s` is the step of the log's clock; lines less than `fold_s`
    apart are one run; `twins` tells that a second receiver's equal lines were taken out; `cut` is what was taken off
    absurdly large runs; `quiet_s` is how long the log goes on after the last line.
    """

    channel: Channel
    receiver: Receiver
    start: Seconds
    end: Seconds
    lost: Int64s
    lines: Int64s
    head: Int64s
    slots: int
    resolution_s: float
    begin_us: int
    fold_s: float = CHASE_SECONDS
    twins: bool = False
    cut: int = 0
    quiet_s: float = 0.0

    def __len__(self) -> int:
        return len(self.lost)

    @property
    def timed(self) -> bool:
        """Whether the lines carry times."""
        return len(self.start) > 0

    @property
    def total(self) -> int:
        """Events this receiver lost."""
        return int(self.lost.sum()) + self.cut

    @property
    def gaps(self) -> Seconds:
        """Seconds from the end of each run to the start of the next."""
        return np.maximum(self.start[1:] - self.end[:-1], 0.0)

    @property
    def block_locked(self) -> bool:
        """Whether losses after a pause come in step with the blocks."""
        fresh = np.concatenate([[True], self.gaps > PAUSE_SECONDS]) if self.timed else np.empty(0, np.bool_)
        return self.resolution_s <= COARSE_SECONDS and is_block_locked(self.start[fresh])

    @property
    def is_blurred(self) -> bool:
        """Whether the clock is so coarse that one of its steps holds several lines: their order is all it tells."""
        return self.timed and self.resolution_s > COARSE_SECONDS and int(self.lines.sum()) >= 2 * len(self)

    @property
    def jumps(self) -> Int64s:
        """What was lost in one absence: a run's whole loss, or of a blurred one its first line's."""
        return self.head if self.is_blurred else self.lost

    @property
    def span_s(self) -> float:
        """First line to last line."""
        return float(self.end[-1] - self.start[0]) if self.timed else 0.0


@dataclass(frozen=True, slots=True)
class Service:
    """Seconds a message takes the handler: the bracket, the best guess, and where they come from.

    `source` is given, measured or assumed; `jump` and `gap` are the mean N and the mean gap the bracket was read
    from (0 where it was not).
    """

    low: float
    point: float
    high: float
    source: str
    jump: float = 0.0
    gap: float = 0.0
    count: int = 0

    @property
    def load(self) -> float:
        """Arrivals per message handled while busy; 1 is the edge, NaN where nothing was measured."""
        return 1 + self.jump * self.point / self.gap if self.gap > 0 else float("nan")


def streams(statistics: Statistics, *, capacity: int) -> list[Stream]:
    """One stream per receiver and channel, the one that lost most first."""
    runs, slots = statistics.runs, slots_for(capacity)
    keys = runs.channel.astype(np.int64) << 32 | runs.receiver
    telling = runs.lost != 0
    made = [_stream(statistics, runs, telling & (keys == key), slots) for key in np.unique(keys[telling])]
    return sorted(made, key=lambda stream: -stream.total)


def _stream(statistics: Statistics, runs: Runs, chosen: NDArray[np.bool_], slots: int) -> Stream:
    at = np.flatnonzero(chosen)
    has_time = runs.start_us[at] != NO_TIME
    timed = bool(has_time.any())
    at = at[has_time] if timed else at
    start, end = runs.start_us[at], runs.end_us[at]
    begin = int(start[0]) if timed else 0
    lost = _bounded(runs.lost[at])
    return Stream(
        channel=list(Channel)[int(runs.channel[at[0]])],
        receiver=statistics.receivers[int(runs.receiver[at[0]])],
        start=(start - begin) / 1e6 if timed else np.empty(0),
        end=(end - begin) / 1e6 if timed else np.empty(0),
        lost=lost,
        lines=runs.lines[at],
        head=_bounded(runs.head[at]),
        slots=slots,
        resolution_s=_resolution(statistics),
        begin_us=begin,
        fold_s=runs.fold_us / 1e6,
        cut=int(runs.lost[at].sum()) - int(lost.sum()),
        quiet_s=_quiet(statistics, int(end[-1])) if timed else 0.0,
    )


def _quiet(statistics: Statistics, end_us: int) -> float:
    """Seconds the log goes on after the last line; what --since or --until left out may hold more of them."""
    if statistics.log_end_us is None or statistics.inputs.outside_lines:
        return 0.0
    return max(statistics.log_end_us - end_us, 0) / 1e6


def _bounded(lost: Int64s) -> Int64s:
    """Counts that still add up in 64 bits, however absurd the log's numbers."""
    return np.minimum(lost, MOST_LOST // max(len(lost), 1)).astype(np.int64)


def _resolution(statistics: Statistics) -> float:
    """The step of the log's clock in seconds: a microsecond unless many lines agree on a coarser one.

    Where times are written with a fraction, whole seconds are the producer's doing.
    """
    if statistics.inputs.whole_seconds:
        return 1.0
    at = statistics.rows.at_us
    at = at[at != NO_TIME]
    bare = statistics.inputs.wrapper is None
    steps = (100_000, 10_000, 1_000) if bare else (1_000_000, 100_000, 10_000, 1_000)
    if len(at) < 8 or (bare and not (at % 1_000_000).any()):
        return 1e-6
    return next((step / 1e6 for step in steps if not (at % step).any()), 1e-6)


def measure_service(stream: Stream, *, handler_ms: float | None) -> Service:
    """How long a message takes: as given, as the busy gaps tell, or assumed where there are too few of them."""
    if handler_ms is not None and handler_ms > 0:
        given = handler_ms / 1000
        measured = _measured(stream, given)
        jump, gap, count = (measured.jump, measured.gap, measured.count) if measured else (0.0, 0.0, 0)
        return Service(given, given, given, "given", jump, gap, count)
    return _measured(stream, None) or assumed(stream)


def assumed(stream: Stream) -> Service:
    """A guess for logs that do not tell: 1 ms, or less where events were lost faster than that."""
    rate = stream.total / stream.span_s if stream.span_s > 0 else 0.0
    point = max(10e-6, min(0.001, 0.5 / rate)) if rate > 0 else 0.001
    return Service(10e-6, point, max(point, min(0.05, 1 / rate) if rate > 0 else 0.05), "assumed")


def _measured(stream: Stream, given: float | None) -> Service | None:
    if len(stream) < 3 or not stream.timed or stream.is_blurred:
        return None
    usable = usable_gaps(stream)
    gaps, lost, folded = stream.gaps[usable], stream.lost[1:][usable], folded_seconds(stream)[usable]
    if len(gaps) < 3:
        return None
    single = float(np.quantile(gaps, SINGLE_QUANTILE))
    if given is not None:
        busy = gaps < stream.slots * given
        return _bracket(gaps[busy], lost[busy], folded[busy], single) if busy.any() else None
    point, service = float(np.quantile(gaps, 0.25)), None
    for _ in range(12):
        busy = gaps < stream.slots * point
        if busy.sum() < 3:
            return None
        service = _bracket(gaps[busy], lost[busy], folded[busy], single)
        if service.point == point:
            break
        point = service.point
    return service


def folded_seconds(stream: Stream) -> Seconds:
    """How long the run behind each gap is, where the runs are folded at the usual width."""
    within = np.maximum(stream.end[1:] - stream.start[1:], 0.0)
    return within if stream.fold_s <= CHASE_SECONDS else np.zeros(len(within))


def _bracket(gaps: Seconds, lost: Int64s, folded: Seconds, single: float) -> Service:
    """Wald's identity on the ladder of losses: the handler lies in [gap (N - 2) / N, gap].

    For N near 2 and below the bracket is empty at its low end; there about one gap in four holds a single message,
    so a low quantile of all gaps (`single`) is the handler's time. Handlers too short to be told from printing are
    inside the runs: the time there, at half the width of a run each.
    """
    count = len(gaps) + float(folded.sum()) / (CHASE_SECONDS / 2)
    gap, jump = float(gaps.sum() + folded.sum()) / count, float(lost.sum()) / count
    spread = float(lost.var()) / float(lost.mean()) ** 2
    low = gap * max(0.0, 1 - 2 / jump)
    regular = gap * max(0.0, 1 - min(1.0, 4 / 3 * spread) * 2 / jump)
    best = max(1e-6, max(low, min(single, gap)) if jump < 3 else regular)
    return Service(min(low or single / 3, best), best, max(gap, best), "measured", jump, gap, len(gaps))


def usable_gaps(stream: Stream) -> NDArray[np.bool_]:
    """The gaps that can be a handler at work, not a pause between two absences.

    A large N after a gap belongs to work only where N grows with the gap from line to line: then the messages of the
    whole gap were counted. Where N and the gap go their own ways, most of the gap was idle, and only the rattle after
    a jump, much closer than the jumps, is work.
    """
    gaps, lost = stream.gaps, stream.lost[1:]
    large = lost >= FEW
    if 2 * lost[large].sum() < lost.sum():
        if stream.block_locked:
            return gaps < PAUSE_SECONDS
        return gaps < max(PATIENCE_SECONDS, min(4 * float(np.quantile(gaps, 0.25)), LONGEST_HANDLER_SECONDS))
    large_ok = gaps < PAUSE_SECONDS if stream.block_locked else _follows(gaps, lost, large)
    near = PATIENCE_SECONDS if (large & large_ok).any() else 0.1 * float(np.median(gaps[large]))
    return np.where(large, large_ok, gaps < min(PATIENCE_SECONDS, near)) & (gaps > 0)


def _follows(gaps: Seconds, lost: Int64s, large: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The gaps near the shortest large ones, if N follows the gap among them or all are alike; none otherwise."""
    typical = float(np.quantile(gaps[large], 0.25))
    near = gaps <= min(10 * typical, LONGEST_HANDLER_SECONDS)
    chosen = near & large & (gaps > 0)
    if chosen.sum() < (4 if typical < PATIENCE_SECONDS else 8):
        return near & (gaps < 0.05)
    steps = np.log(gaps[chosen])
    if typical < PATIENCE_SECONDS and float(np.median(np.abs(steps - np.median(steps)))) < 0.1:
        return near
    limit = 0.35 if typical < PATIENCE_SECONDS else 0.12
    return near & (_unrest(gaps, lost, chosen) < limit)


def _unrest(gaps: Seconds, lost: Int64s, chosen: NDArray[np.bool_]) -> float:
    """How far N / gap jumps from one line to the next, beyond what counting by chance explains; 0 is a steady flow."""
    ratio = np.log(lost[chosen] / gaps[chosen])
    chance = 1 / np.sqrt(np.median(lost[chosen]))
    return max(0.0, float(np.median(np.abs(np.diff(ratio)))) - float(chance))


@dataclass(frozen=True, slots=True)
class Episode:
    """Runs [first, stop) with no pause between them long enough to empty the buffer: one busy period."""

    first: int
    stop: int
    start: float
    end: float
    lost: int
    largest: int

    @property
    def seconds(self) -> float:
        """First to last line."""
        return self.end - self.start


def episodes(stream: Stream, service: Service) -> list[Episode]:
    """Split where a gap could hold idle time: after a lag the receiver has a full buffer to work through first."""
    if not stream.timed:
        return []
    pause = max(stream.slots * service.point, CHASE_SECONDS) if service.source != "assumed" else 0.01
    edges = np.flatnonzero(stream.gaps >= pause) + 1
    firsts, stops = np.concatenate([[0], edges]), np.concatenate([edges, [len(stream)]])
    return [
        Episode(
            first,
            stop,
            float(stream.start[first]),
            float(stream.end[stop - 1]),
            int(stream.lost[first:stop].sum()),
            int(stream.jumps[first:stop].max()),
        )
        for first, stop in zip(firsts.tolist(), stops.tolist(), strict=True)
    ]
