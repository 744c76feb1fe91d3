"""`liq queue`: look into the priority queue and mend it; looking takes nothing out."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from liqcli.cli import options
from liqcli.cli.render import address, health, print_json, print_table, say
from liqcli.config import Settings
from liqcli.model import NO_DEBT, WAD
from liqcli.text import safe

if TYPE_CHECKING:
    from liqcli.store.queue import BorrowerQueue, QueueItem, QueueStats

T = TypeVar("T")

app = typer.Typer(help="Look into the priority queue and mend it.", no_args_is_help=True)


@app.command()
def stats(
    *,
    as_json: options.Json = False,
    network: options.Network = None,
    market: options.MarketName = None,
    redis: options.RedisUrl = None,
    config: options.ConfigFile = None,
    sandbox: options.Sandbox = False,
) -> None:
    """Depth, age and rates by tier.

    Example: liq queue stats --json
    """
    settings = options.settings_from(network=network, market=market, redis=redis, config=config)
    found = _with_queue(settings, lambda queue: queue.stats(), sandbox=sandbox)
    if as_json:
        print_json(_stats_document(found))
    else:
        _print_stats(found)


@app.command()
def peek(
    *,
    count: Annotated[int, typer.Option("-n", "--count", help="How many.", min=1, max=1000)] = 20,
    as_json: options.Json = False,
    network: options.Network = None,
    market: options.MarketName = None,
    redis: options.RedisUrl = None,
    config: options.ConfigFile = None,
    sandbox: options.Sandbox = False,
) -> None:
    """The most urgent borrowers; nothing is taken out.

    Example: liq queue peek -n 5
    """
    settings = options.settings_from(network=network, market=market, redis=redis, config=config)
    found = _with_queue(settings, lambda queue: queue.peek(count), sandbox=sandbox)
    if as_json:
        print_json({"items": [_item_document(item) for item in found]})
    else:
        _print_items(found)


def _with_queue(settings: Settings, ask: Callable[["BorrowerQueue"], Awaitable[T]], *, sandbox: bool) -> T:
    async def asked() -> T:
        from liqcli.cli.connect import find_queue, open_store

        async with AsyncExitStack() as stack:
            redis_url, namespace = await find_queue(stack, settings, sandbox=sandbox)
            queue, _ = await open_store(stack, settings, redis_url, namespace)
            return await ask(queue)

    return asyncio.run(asked())


def _stats_document(found: "QueueStats") -> dict[str, Any]:
    return {
        "items": found.items,
        "leased": found.leased,
        "dead": found.dead,
        "later": found.later,
        "paused": found.paused,
        "by_tier": {tier.value: asdict(depth) for tier, depth in found.by_tier.items()},
        "rates": {"in_per_s": found.in_per_s, "out_per_s": found.out_per_s},
        "wait_ms": asdict(found.wait_ms),
        "totals": dict(found.totals),
    }


def _item_document(item: "QueueItem") -> dict[str, Any]:
    return {
        "borrower": item.borrower,
        "score": item.score,
        "tier": item.tier.value,
        "health_factor": None if item.health_factor is None else str(item.health_factor),
        "health_factor_float": None if item.health_factor in (None, NO_DEBT) else item.health_factor / WAD,
        "because": item.because,
        "age_s": item.age_s,
        "tries": item.tries,
        "leased": item.leased,
    }


def _print_stats(found: "QueueStats") -> None:
    rows = [
        [
            tier.value,
            f"{depth.depth:,}",
            _seconds(depth.oldest_s),
            *map(_ms, asdict(found.wait_ms_by_tier[tier]).values()),
        ]
        for tier, depth in found.by_tier.items()
    ]
    print_table(["tier", "depth", "oldest", "wait p50", "p95", "p99"], rows)
    paused = " · PAUSED: liq queue resume" if found.paused else ""
    print(
        f"{found.items:,} items · {found.leased:,} leased · {found.dead:,} dead letters"
        f" · in {found.in_per_s:.1f}/s, out {found.out_per_s:.1f}/s{paused}"
    )


def _print_items(items: list["QueueItem"]) -> None:
    rows = [
        [
            address(item.borrower),
            item.tier.value,
            health(item.health_factor),
            f"{item.score:.4f}",
            safe(item.because),
            _seconds(item.age_s),
            str(item.tries),
            "yes" if item.leased else "",
        ]
        for item in items
    ]
    print_table(["borrower", "tier", "HF", "score", "because", "age", "tries", "leased"], rows, left=2)
    if not items:
        say("the queue is empty")


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f} ms"
