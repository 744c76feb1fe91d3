"""From one receiver's lag lines to the cause of its losses, each rule with the figures that decide it."""

from dataclasses import dataclass

import numpy as np

from liqcli.lag import glyphs
from liqcli.lag.model import Cause
from liqcli.lag.receivers import is_interleaved
from liqcli.lag.stream import CHASE_SECONDS, FEW, Episode, Service, Stream, episodes

CHAIN_EVENTS_PER_SECOND = 10_000
"""More than HyperEVM can log for longer than a block: 2 M gas a second in small blocks, 375 gas for the least log."""

BLOCK_EVENTS = 30_000
"""More than one big block logs: 30 M gas, about 1,750 gas for a log of Aave's size."""

LONGEST_ABSENCE_SECONDS = 100
"""No handler stays away longer while a chain sends its most: a larger jump has another cause."""

SHALLOW = 0.6
"""Clusters that lose less than this share of the buffer are chance's work even where the loss is steady."""

SPINNING_RATE = 30_000
"""Events a second that only a loop without a wait sends."""


RELENTLESS = 0.85
LEAST_STEPS = 6
"""Loss in so great a share of so many steps of a coarse clock is taken to be all along."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one stream says: the cause, how sure, the evidence, and what the capacity sum needs."""

    stream: Stream
    service: Service
    episodes: tuple[Episode, ...]
    cause: Cause
    confidence: str
    evidence: tuple[str, ...]
    rate_hz: float | None = None
    duty: float = 0.0
    interleaved: bool = False


def chase_rate(stream: Stream) -> float | None:
    """Events a second while the receiver did nothing but print; None where too few were counted to tell.

    Chases must be what the stream is made of: a few close lines among others are the chance pick of busy moments.
    """
    chased = stream.lines > 1
    lines = int((stream.lines[chased] - 1).sum())
    tail = int((stream.lost[chased] - stream.head[chased]).sum())
    seconds = float((stream.end[chased] - stream.start[chased]).sum()) if stream.timed else 0.0
    if stream.fold_s > CHASE_SECONDS or seconds < 20 * stream.resolution_s:
        return None
    if lines <= len(stream) or tail < max(20, 4 * lines):
        return None
    return tail / seconds


def find_cause(stream: Stream, service: Service) -> Finding:
    """Try the causes from the one that explains most to the one that explains least."""
    split = tuple(episodes(stream, service))
    duty = busy_share(stream, split)
    rate = chase_rate(stream)
    interleaved = stream.timed and is_interleaved(stream, service)
    cause, confidence, evidence = (
        _untimed(stream)
        or _spinning(stream, rate, receivers=2 if interleaved else 1)
        or _grazing(stream, service, split, depth=SHALLOW * stream.slots)
        or _sustained(stream, service, split, duty)
        or _edge(stream, service, split)
        or _absent(stream, service, split)
        or _bursts(stream, service, split, duty)
    )
    if cause is Cause.SPINNING_PRODUCER and rate is None:
        rate = _stretch_rate(stream)
    return Finding(stream, service, split, cause, confidence, evidence, rate, duty, interleaved)


Reason = tuple[Cause, str, tuple[str, ...]]


def busy_share(stream: Stream, split: tuple[Episode, ...]) -> float:
    """The share of the time from first to last line in which the receiver had no chance to idle."""
    if len(split) == 0 or stream.span_s <= 0:
        return 0.0
    return sum(episode.seconds for episode in split) / stream.span_s


def _untimed(stream: Stream) -> Reason | None:
    if stream.timed:
        return None
    largest = int(stream.head.max())
    return (
        Cause.UNKNOWN,
        "low",
        (f"the lines carry no time: {stream.total:,} lost, {largest:,} in one line, at a rate the log does not tell",),
    )


def _spinning(stream: Stream, rate: float | None, *, receivers: int) -> Reason | None:
    """More events than blocks could have carried, in the time they came in."""
    largest_chase = int(stream.lost[stream.lines > 1].max(initial=0))
    if rate is not None and rate >= SPINNING_RATE and largest_chase > BLOCK_EVENTS:
        tail = int((stream.lost - stream.head).sum())
        return (
            Cause.SPINNING_PRODUCER,
            "high",
            (
                f"{tail:,} events were overwritten while the receiver did nothing but print: {glyphs.rate(rate)}",
                f"the chain cannot log more than about {CHAIN_EVENTS_PER_SECOND:,} events/s",
            ),
        )
    if (blurred := _blurred_chase(stream)) is not None:
        return blurred
    excess, first, last = _greatest_excess(stream)
    if excess <= BLOCK_EVENTS * receivers + CHAIN_EVENTS_PER_SECOND * 2 * stream.resolution_s:
        return _enormous(stream)
    lost = int(stream.lost[first + 1 : last + 1].sum())
    seconds = max(float(stream.end[last] - stream.end[first]), stream.resolution_s)
    return (
        Cause.SPINNING_PRODUCER,
        "high",
        (
            f"{lost:,} events were lost within {glyphs.span(seconds)}: at least {glyphs.rate(lost / seconds)}",
            f"a chain cannot log more than about {CHAIN_EVENTS_PER_SECOND:,} events/s, or {BLOCK_EVENTS:,} in a block",
        ),
    )


def _blurred_chase(stream: Stream) -> Reason | None:
    """Behind a large head more events within one step of the clock than a chain sends in that time."""
    chased = (stream.lines > 2) & (stream.lost > BLOCK_EVENTS)
    if stream.resolution_s <= CHASE_SECONDS or not chased.any():
        return None
    tail, seconds = stream.lost - stream.head, stream.end - stream.start + stream.resolution_s
    rate = float((tail[chased] / seconds[chased]).max())
    if rate < SPINNING_RATE:
        return None
    return (
        Cause.SPINNING_PRODUCER,
        "medium",
        (
            f"behind the head of a chase came {glyphs.rate(rate)} or more; the clock is too coarse to say how many",
            f"the chain cannot log more than about {CHAIN_EVENTS_PER_SECOND:,} events/s",
        ),
    )


def _stretch_rate(stream: Stream) -> float | None:
    """Events a second over the stretch that lost most beyond what a chain can send; None where it is one jump."""
    excess, first, last = _greatest_excess(stream)
    if excess <= BLOCK_EVENTS or last <= first:
        return None
    seconds = max(float(stream.end[last] - stream.end[first]), stream.resolution_s)
    return int(stream.lost[first + 1 : last + 1].sum()) / seconds


def _enormous(stream: Stream) -> Reason | None:
    """One jump so large that no absence explains it at the rate of a chain."""
    largest = int(stream.head.max())
    away = largest / CHAIN_EVENTS_PER_SECOND
    if away <= LONGEST_ABSENCE_SECONDS:
        return None
    return (
        Cause.SPINNING_PRODUCER,
        "medium",
        (
            f"{largest:,} events in one jump",
            f"at {glyphs.rate(CHAIN_EVENTS_PER_SECOND)}, the most a chain sends, that takes {glyphs.span(away)}",
        ),
    )


def _greatest_excess(stream: Stream) -> tuple[float, int, int]:
    """The stretch of lines that lost most beyond what the chain can send, and its first and last run."""
    if len(stream) < 2:
        return 0.0, 0, 0
    allowed = CHAIN_EVENTS_PER_SECOND * stream.end
    level = np.cumsum(stream.lost) - allowed
    lowest = np.minimum.accumulate(level)
    last = int((level - lowest).argmax())
    first = int(level[: last + 1].argmin())
    return float(level[last] - level[first]), first, last


def _sustained(stream: Stream, service: Service, split: tuple[Episode, ...], duty: float) -> Reason | None:
    """No room for a pause between first and last line: fewer were handled than came, all along."""
    if stream.is_blurred:
        return _relentless(stream, split)
    if _never_drains(stream, service, split):
        return _overload(stream, service, duty, "high")
    longest = max(split, key=lambda episode: episode.lost)
    if longest.stop - longest.first < 6 or service.source == "assumed":
        return None
    whole = duty > 0.85 and longest.seconds > 0.6 * stream.span_s
    if not (whole or _steady_loss(stream, service, duty)) or _dies_away(stream, longest):
        return None
    depth = stream.slots * service.point
    is_over = stream.quiet_s > longest.seconds + depth
    is_volley = longest.seconds < min(10.0, 3 * depth) and service.load > 6
    if len(split) == 1 and (is_over or is_volley):
        return None
    return _overload(stream, service, duty, "high" if longest.seconds > 3 * depth else "medium")


def _overload(stream: Stream, service: Service, duty: float, confidence: str) -> Reason:
    excess, depth = glyphs.significant(stream.total / stream.span_s), stream.slots * service.point
    return (
        Cause.SLOW_CONSUMER,
        confidence,
        (
            f"{excess} events/s more came than were handled, for {glyphs.span(stream.span_s)} without relief",
            f"{glyphs.percent(duty, 1.0)} of it left no chance to idle: a full buffer takes {glyphs.span(depth)}",
        ),
    )


def _relentless(stream: Stream, split: tuple[Episode, ...]) -> Reason | None:
    """Loss in nearly every step of a clock too coarse to tell more."""
    steps = round(stream.span_s / stream.resolution_s) + 1
    whole = Episode(0, len(stream), split[0].start, split[-1].end, stream.total, 0)
    if steps < LEAST_STEPS or len(stream) < RELENTLESS * steps or _dies_away(stream, whole):
        return None
    return (
        Cause.SLOW_CONSUMER,
        "medium",
        (
            f"events were lost in {len(stream):,} of {steps:,} steps of the log's clock, without relief",
            f"the clock steps by {glyphs.span(stream.resolution_s)}: pauses shorter than that would not be seen",
        ),
    )


def _never_drains(stream: Stream, service: Service, split: tuple[Episode, ...]) -> bool:
    """Whether the pauses between many episodes could not have held what was lost: an endless buffer grows on."""
    if len(split) < 8 or service.source == "assumed" or service.jump < FEW:
        return False
    room = np.maximum(stream.gaps / service.point - stream.slots, 0.0).sum()
    return bool(room < stream.total - split[0].lost)


def _steady_loss(stream: Stream, service: Service, duty: float) -> bool:
    """Whether each eighth of the time has its fair share of the loss although some gaps are long."""
    if duty < 0.6 or service.jump > 4:
        return False
    eighths, _ = np.histogram(stream.start, bins=8, weights=stream.lost)
    return bool(eighths.min() > 0.4 * eighths.mean())


def _dies_away(stream: Stream, episode: Episode) -> bool:
    """Whether the loss of an episode thins out towards its end, as a rush does and an overload does not."""
    part = slice(episode.first, episode.stop)
    quarters, _ = np.histogram(stream.start[part], bins=4, weights=stream.lost[part])
    return bool(quarters[3] < 0.13 * episode.lost and quarters[0] > quarters[2])


def _grazing(stream: Stream, service: Service, split: tuple[Episode, ...], *, depth: float) -> Reason | None:
    """Small losses in loose clusters: the load sits at the edge, and chance decides.

    At the edge a backlog wanders: gaps between losses have no typical size, and clusters stay below `depth`.
    An overload, even a short one, pushes: losses follow each other at a steady pace.
    """
    weighted = float((stream.lost.astype(np.float64) ** 2).sum()) / stream.total
    small = weighted < max(4.0, min(FEW, stream.slots / 16)) and stream.head.max() <= max(2 * FEW, stream.slots / 16)
    clusters = np.array([episode.lost for episode in split], dtype=np.float64)
    shallow = float((clusters**2).sum() / clusters.sum()) < depth
    if not (small and shallow and _wanders(stream, service)):
        return None
    return (
        Cause.NEAR_CRITICAL,
        "medium" if len(stream) >= 30 else "low",
        (
            f"a line loses {weighted:.1f}, a cluster {int(clusters.max()):,} at most, of a buffer of {stream.slots:,}",
            "arrivals and handling are so close that the log does not tell which is faster",
        ),
    )


def _edge(stream: Stream, service: Service, split: tuple[Episode, ...]) -> Reason | None:
    """A wandering backlog that lost more than that, at a load too near one to call it a burst."""
    longest = max(split, key=lambda episode: episode.lost)
    if service.source == "assumed" or service.load > 1.6 or _dies_away(stream, longest):
        return None
    return _grazing(stream, service, split, depth=np.inf)


def _wanders(stream: Stream, service: Service) -> bool:
    """Whether the gaps inside clusters are of all sizes: their longest twentieth is far above their median."""
    gaps = stream.gaps
    if service.source != "assumed":
        gaps = gaps[gaps < stream.slots * service.point]
    if len(gaps) < 6:
        return True
    middle, longest = np.quantile(gaps, [0.5, 0.95])
    return bool(longest > (7 if len(gaps) >= 30 else 3) * middle) and (service.jump < 3 or service.source == "assumed")


def _absent(stream: Stream, service: Service, split: tuple[Episode, ...]) -> Reason | None:
    """Most of the loss came in single jumps: the receiver did not read at all while they happened."""
    heads = sum(episode.largest for episode in split)
    if heads < 0.5 * stream.total or stream.block_locked or _is_volley(stream, service, split):
        return None
    jumps = sum(episode.largest >= FEW for episode in split)
    largest = max(episode.largest for episode in split)
    return (
        Cause.BLOCKED_CONSUMER,
        "high" if jumps >= 3 else "medium" if len(stream) > 1 else "low",
        (
            f"{glyphs.percent(heads, stream.total)} of the loss came in {_jumps(max(jumps, 1), largest)}",
            "the receiver did not read once while a jump built up",
            "no loss in between: it keeps up when it runs",
        ),
    )


def _jumps(jumps: int, largest: int) -> str:
    return f"one jump of {largest:,}" if jumps == 1 else f"{jumps:,} jumps of up to {largest:,}"


def _is_volley(stream: Stream, service: Service, split: tuple[Episode, ...]) -> bool:
    """Whether clusters hold several jumps of like size a handler's time apart: the receiver was reading."""
    if service.source == "assumed" or service.jump < FEW:
        return False
    shared = sum(episode.lost for episode in split if episode.largest < 0.7 * episode.lost)
    return shared > 0.4 * stream.total


def _bursts(stream: Stream, service: Service, split: tuple[Episode, ...], duty: float) -> Reason:
    """Losses in clusters, with pauses long enough to catch up in."""
    evidence = [f"{_clusters(len(split), duty)}; in between it catches up"]
    if stream.block_locked:
        evidence.append("the clusters begin at one phase of the second, as blocks do")
    if service.source != "assumed":
        evidence.append(
            f"inside a cluster {service.load:.1f} events come for each handled ({glyphs.span(service.point)} each)"
        )
    return Cause.BURST, "high" if len(split) >= 3 else "medium", tuple(evidence)


def _clusters(number: int, duty: float) -> str:
    share = f"{glyphs.percent(duty, 1.0)} of the time"
    return f"one cluster of loss fills {share}" if number == 1 else f"{number:,} clusters of loss fill {share}"
