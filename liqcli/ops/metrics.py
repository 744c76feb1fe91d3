"""The metrics: every name with its kind, labels and meaning, read from the status that the loop told last.

A scrape costs the loop nothing: it reads facts that are there already. No label carries an address.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from liqcli.ops.standing import Standing
from liqcli.text import safe

Status = dict[str, Any]
Values = Iterable[tuple[tuple[str, ...], float | None]]
_REASONS = 20
_LONG_HEX = re.compile(r"0x[0-9a-fA-F]{6,}")


@dataclass(frozen=True, slots=True)
class Named:
    """One metric: `read` finds its values by labels in a status; None is left out."""

    name: str
    kind: Literal["counter", "gauge"]
    meaning: str
    read: Callable[[Status], Values]
    labels: tuple[str, ...] = ()


def _at(*path: str) -> Callable[[Status], Values]:
    """The one value at a path; none where a part of the path is None or missing."""

    def read(status: Status) -> Values:
        found: Any = status
        for name in path:
            found = None if found is None else found.get(name)
        return [((), found)]

    return read


def _tiers(*path: str, fact: str | None = None) -> Callable[[Status], Values]:
    """A value for each tier, found under its name at a path, and there under `fact`."""

    def read(status: Status) -> Values:
        found: Any = status
        for name in path:
            found = None if found is None else found[name]
        return [((tier,), part if fact is None else part[fact]) for tier, part in (found or {}).items()]

    return read


def _paces(fact: str) -> Callable[[Status], Values]:
    return lambda status: [((pace,), counts[fact]) for pace, counts in status["cache"]["by_pace"].items()]


def _channels(fact: str) -> Callable[[Status], Values]:
    return lambda status: [((name,), held[fact]) for name, held in status["channels"].items() if held is not None]


def _latencies(status: Status) -> Values:
    for stage, found in status["latency_ms"].items():
        for rank, value in found.items():
            yield (stage, f"0.{rank[1:]}"), None if value is None else value / 1000


def _skips(status: Status) -> Values:
    """By reason; the reasons after the first twenty are counted together, and none names an address."""
    found: dict[str, int] = {}
    for number, (reason, count) in enumerate(status["liquidations"]["skipped"].items()):
        shown = _LONG_HEX.sub("0x", safe(reason, limit=60)) if number < _REASONS else "other"
        found[shown] = found.get(shown, 0) + count
    return [((reason,), count) for reason, count in found.items()]


def _stages(status: Status) -> Values:
    return [((stage,), status["liquidations"][stage]) for stage in ("planned", "sent", "won", "failed")]


def _info(status: Status) -> Values:
    return [((status["mode"], status["network"], safe(status["market"], limit=60)), 1)]


def _redis_up(status: Status) -> Values:
    return [((), status["queue"] is not None)]


def _problems(status: Status) -> Values:
    return [((), len(status["problems"]))]


NAMED = (
    Named("liq_info", "gauge", "always 1; what runs where", _info, ("mode", "network", "market")),
    Named("liq_ready", "gauge", "1 once the first pass over all borrowers is complete", _at("ready")),
    Named("liq_problems", "gauge", "what keeps the bot from being ready, counted", _problems),
    Named("liq_heartbeat_age_seconds", "gauge", "since the loop last came round", _at("heartbeat_age_s")),
    Named("liq_uptime_seconds", "gauge", "since the run began", _at("duration_s")),
    Named("liq_head_block", "gauge", "the newest block seen", _at("head", "block")),
    Named("liq_head_age_seconds", "gauge", "since the newest block was first seen", _at("head", "age_s")),
    Named("liq_book_block", "gauge", "the block up to which every log is applied", _at("book", "block")),
    Named("liq_book_unknown", "gauge", "borrowers whose state is unknown; read first", _at("book", "unknown")),
    Named("liq_book_drift", "gauge", "differences from the chain that the audit found", _at("book", "drift")),
    Named("liq_borrowers", "gauge", "borrowers by tier", _tiers("by_tier"), ("tier",)),
    Named("liq_events_received_total", "counter", "events put into the event channel", _at("events", "received")),
    Named("liq_events_applied_total", "counter", "events taken out and dealt with", _at("events", "applied")),
    Named("liq_events_coalesced_total", "counter", "events folded into another's entry", _at("events", "coalesced")),
    Named("liq_events_lagged_total", "counter", "events that could not be taken as they came", _at("events", "lagged")),
    Named("liq_events_recovered_total", "counter", "of those, how many were read again", _at("events", "recovered")),
    Named("liq_events_lost_total", "counter", "neither applied nor read again; stays 0", _at("events", "lost")),
    Named("liq_channel_capacity", "gauge", "what a channel can hold", _channels("capacity"), ("channel",)),
    Named("liq_channel_held", "gauge", "what a channel holds now", _channels("held"), ("channel",)),
    Named("liq_channel_high_water", "gauge", "the most a channel ever held", _channels("high_water"), ("channel",)),
    Named("liq_channel_waits_total", "counter", "senders that met a full channel", _channels("waits"), ("channel",)),
    Named("liq_redis_up", "gauge", "1 while the queue's server answers", _redis_up),
    Named("liq_queue_items", "gauge", "borrowers in the queue", _at("queue", "items")),
    Named("liq_queue_leased", "gauge", "borrowers with a worker now", _at("queue", "leased")),
    Named("liq_queue_dead", "gauge", "dead letters: given up after too many tries", _at("queue", "dead")),
    Named("liq_queue_paused", "gauge", "1 while the queue is paused", _at("queue", "paused")),
    Named("liq_queue_depth", "gauge", "the queue by tier", _tiers("queue", "by_tier", fact="depth"), ("tier",)),
    Named(
        "liq_queue_oldest_seconds",
        "gauge",
        "how long the oldest entry has waited; absent when there is none",
        _tiers("queue", "by_tier", fact="oldest_s"),
        ("tier",),
    ),
    Named("liq_backlog", "gauge", "borrowers that wait in the process, for want of Redis", _at("backlog")),
    Named("liq_liquidations_total", "counter", "planned, sent, won and failed", _stages, ("stage",)),
    Named("liq_skips_total", "counter", "liquidations not sent, by reason", _skips, ("reason",)),
    Named("liq_profit_usd", "gauge", "net profit of this run", _at("profit_usd")),
    Named(
        "liq_closest_health_factor",
        "gauge",
        "of the healthy borrower nearest to liquidation",
        _at("closest", "health_factor_float"),
    ),
    Named(
        "liq_latency_seconds",
        "gauge",
        "from an event's arrival to the queue, or to the send",
        _latencies,
        ("stage", "quantile"),
    ),
    Named("liq_rpc_requests_total", "counter", "requests to the node", _at("rpc", "requests")),
    Named("liq_rpc_errors_total", "counter", "requests that failed", _at("rpc", "errors")),
    Named("liq_cache_hits_total", "counter", "readings found in the shared cache", _paces("hits"), ("pace",)),
    Named("liq_cache_misses_total", "counter", "readings not found there", _paces("misses"), ("pace",)),
    Named("liq_cache_saved_calls_total", "counter", "borrowers not read for it", _paces("saved_calls"), ("pace",)),
    Named(
        "liq_pacing_interval_seconds",
        "gauge",
        "between two sweeps of a tier",
        _tiers("pacing", fact="interval_s"),
        ("tier",),
    ),
    Named("liq_pacing_batch", "gauge", "borrowers in one read of a tier", _tiers("pacing", fact="batch"), ("tier",)),
    Named("liq_pacing_workers", "gauge", "a tier's reads at once", _tiers("pacing", fact="workers"), ("tier",)),
    Named("liq_tasks", "gauge", "tasks of the event loop", _at("tasks")),
    Named("liq_lines_dropped_total", "counter", "lines the terminal or log was too slow for", _at("lines_dropped")),
)
"""Every metric of ours, in the order of `liq metrics --names`."""


class _Told:
    """A collector over the last told status."""

    def __init__(self, standing: Standing) -> None:
        self._standing = standing

    def collect(self) -> Iterator[Metric]:
        """Every metric that has a value; only the heartbeat before the first status."""
        standing = self._standing
        beat = {"heartbeat_age_s": standing.silent_s, "problems": standing.problems()}
        status = None if standing.status is None else {**standing.status, **beat}
        for named in NAMED:
            if status is not None:
                yield family(named, named.read(status))
            elif named.name in ("liq_heartbeat_age_seconds", "liq_problems"):
                yield family(named, named.read(beat))


def family(named: Named, values: Values) -> Metric:
    """One metric as the client library has it."""
    kind = CounterMetricFamily if named.kind == "counter" else GaugeMetricFamily
    found = kind(named.name, named.meaning, labels=named.labels)
    for labels, value in values:
        if value is not None:
            found.add_metric(labels, float(value))
    return found


def registry_of(standing: Standing) -> CollectorRegistry:
    """Our metrics, and the process's own: memory, processor time, open files."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Told(standing))
    ProcessCollector(registry=registry)
    return registry


def exposition(registry: CollectorRegistry) -> bytes:
    """The text that Prometheus scrapes."""
    return generate_latest(registry)
