"""What a run says of itself: the summary it ends with, and the status that others read while it is up."""

from dataclasses import asdict
from time import monotonic, time
from typing import TYPE_CHECKING, Any

from liqcli.config import pause_file
from liqcli.model import BASE_UNIT, WAD, Pace, Tier

if TYPE_CHECKING:
    from liqcli.bot.channel import Channel
    from liqcli.bot.engine import Engine
    from liqcli.bot.tally import CacheUse
    from liqcli.chain.stream import Stream
    from liqcli.store.figures import QueueStats


def summary_of(engine: "Engine", *, mode: str, network: str) -> dict[str, Any]:
    """The run in the fields that scripts read (docs/cli.md, `liq run --json`)."""
    tally, by_tier = engine.tally, engine.by_tier()
    return {
        "mode": mode,
        "network": network,
        "market": engine.market.name,
        "duration_s": round(tally.duration_s, 3),
        "events": {
            "received": engine.events.received,
            "applied": tally.applied,
            "coalesced": tally.coalesced,
            "lagged": 0 if engine.stream is None else engine.stream.counts.lagged,
            "recovered": 0 if engine.stream is None else engine.stream.counts.recovered,
            "lost": tally.lost,
        },
        "borrowers": len(engine.mirror),
        "by_tier": {tier.value: by_tier[tier] for tier in Tier},
        "liquidations": {
            "planned": tally.planned,
            "sent": tally.sent,
            "won": tally.won,
            "failed": tally.failed,
            "skipped": dict(tally.skipped),
        },
        "profit_base": str(tally.profit_base),
        "profit_usd": tally.profit_base / BASE_UNIT,
        "latency_ms": {
            "event_to_queue": asdict(tally.event_to_queue.percentiles()),
            "event_to_send": asdict(tally.event_to_send.percentiles()),
            **(
                {stage: asdict(took.percentiles()) for stage, took in engine.executor.stages.items()}
                if engine.executor
                else {}
            ),
        },
        "rpc": {"requests": engine.market.rpc.requests, "errors": engine.market.rpc.errors},
        "cache": cache_facts(tally.cache),
    }


def status_of(engine: "Engine", *, mode: str, network: str) -> dict[str, Any]:
    """The summary so far, and how the bot stands at this moment."""
    closest, head, stream = engine.closest(), engine.watch.state(), engine.stream
    return {
        **summary_of(engine, mode=mode, network=network),
        "ready": engine.is_ready,
        "signing_paused": pause_file(engine.settings).exists(),
        "head": {
            "block": head.block,
            "age_s": round(monotonic() - head.seen_at, 3),
            "mined_s": round(time() - head.timestamp, 3),
            "max_mined_s": engine.settings.max_head_age_s,
            "problem": head.reason or None,
        },
        "websocket": None if stream is None else _websocket(stream),
        "endpoints": [asdict(health) for health in engine.market.rpc.health()],
        "book": {
            "block": engine.mirror.book.cursor,
            "unknown": len(engine.mirror.book.unknown),
            "drift": engine.mirror.book.drift,
        },
        "channels": {
            "event": _channel(engine.events),
            "action": None if engine.dispatch is None else _channel(engine.dispatch.actions),
        },
        "backlog": engine.backlogged,
        "pacing": {tier.value: asdict(engine.tuner.pacing[tier]) for tier in Tier},
        "tuning": [str(change) for change in engine.tuner.changes],
        "closest": None
        if closest is None
        else {"borrower": closest.borrower, "health_factor_float": closest.health_factor / WAD},
    }


def cache_facts(use: "CacheUse") -> dict[str, Any]:
    """How often the shared cache had a fresh reading, and whom it saved from being read; whole and by pace."""
    counted = {"hits": use.hits, "misses": use.misses, "saved_calls": use.saved_calls}
    by_pace = {pace.value: {name: count[pace] for name, count in counted.items()} for pace in Pace}
    return {**{name: count.total() for name, count in counted.items()}, "by_pace": by_pace}


def queue_facts(stats: "QueueStats") -> dict[str, Any]:
    """What the queue's server says of the queue."""
    return {
        "items": stats.items,
        "leased": stats.leased,
        "dead": stats.dead,
        "paused": stats.paused,
        "in_per_s": stats.in_per_s,
        "out_per_s": stats.out_per_s,
        "by_tier": {tier.value: asdict(stats.by_tier[tier]) for tier in Tier},
    }


def _websocket(stream: "Stream") -> dict[str, Any]:
    lags = [{"at_us": at_us, "lost": lost} for at_us, lost in stream.lags]
    return {"connected": stream.is_connected, **asdict(stream.counts), "lags": lags}


def _channel(channel: "Channel[Any]") -> dict[str, int]:
    return {
        "capacity": channel.capacity,
        "held": len(channel),
        "received": channel.received,
        "waits": channel.waits,
        "high_water": channel.high_water,
    }
