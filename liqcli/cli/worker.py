"""`liq worker`: a share of the work of a `liq run` elsewhere, over the same Redis, with a key of its own."""

import asyncio
import sys
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from liqcli.cli import options, wallet
from liqcli.cli.loop import run_loop
from liqcli.cli.notes import Printer
from liqcli.cli.render import print_json, say, usd
from liqcli.cli.run import seconds_of
from liqcli.cli.signals import DRAINING, Stopping, answer_signals
from liqcli.config import Settings
from liqcli.errors import ConfigError
from liqcli.lock import holder_of
from liqcli.model import BASE_UNIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from liqcli.bot.execute import Executor
    from liqcli.bot.worker import Worker
    from liqcli.chain.exchange import Exchange
    from liqcli.chain.market import Market
    from liqcli.cli.connect import Target
    from liqcli.wallet.keys import Key


def worker(
    *,
    live: Annotated[
        bool, typer.Option("--live/--dry-run", help="Send liquidations; a dry run plans and sends nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before --live.")] = False,
    duration: Annotated[str | None, typer.Option(help="Stop after this long: 60s, 10m, 2h.")] = None,
    workers: Annotated[int | None, typer.Option(help="Claims evaluated at once.", min=1)] = None,
    as_json: options.Json = False,
    account: wallet.Account = None,
    keystore: wallet.Keystore = None,
    password_file: wallet.PasswordFile = None,
    network: options.Network = None,
    market: options.MarketName = None,
    provider: options.Provider = None,
    rpc: options.RpcUrl = None,
    redis: options.RedisUrl = None,
    config: options.ConfigFile = None,
    sandbox: options.Sandbox = False,
) -> None:
    """Check and liquidate borrowers that a `liq run` on any machine has queued; needs that run's Redis.

    Example: liq worker --redis redis://10.0.0.5:6379 --live --account second
    """
    settings = options.settings_from(
        network=network, market=market, provider=provider, rpc=rpc, redis=redis, config=config, workers=workers
    )
    open_key = partial(
        wallet.take_key, settings=settings, account=account, keystore=keystore, password_file=password_file
    )
    stopping = answer_signals()
    work = partial(
        _run,
        settings=settings,
        stopping=stopping,
        open_key=open_key if live else None,
        confirmed=yes,
        duration_s=None if duration is None else seconds_of(duration),
        sandbox=sandbox,
        as_json=as_json,
    )
    raise typer.Exit(run_loop(stopping.run(work)))


async def _run(
    stack: AsyncExitStack,
    *,
    settings: Settings,
    stopping: Stopping,
    open_key: "Callable[[AsyncExitStack], Key] | None",
    confirmed: bool,
    duration_s: float | None,
    sandbox: bool,
    as_json: bool,
) -> int:
    from liqcli.cli import connect

    target = await connect.find_target(stack, settings, sandbox=sandbox, tell=say)
    redis_url = _shared_redis(settings, target)
    market = await connect.open_market_at(stack, settings, target)
    printer = Printer(market, write=partial(print, file=sys.stderr if as_json else sys.stdout, flush=True))
    found = await _open_worker(
        stack, settings, target, market, printer, redis_url=redis_url, open_key=open_key, confirmed=confirmed
    )
    printer.banner("live worker" if open_key else "dry-run worker")
    if duration_s is not None:
        asyncio.get_running_loop().call_later(duration_s, stopping.asked.set)
    await stopping.work(found.run(stopping.asked), draining=lambda: say(DRAINING), can_drain=lambda: True)
    if as_json:
        print_json(summary_of(found, live=open_key is not None))
    else:
        _print_summary(found)
    return stopping.code


def _shared_redis(settings: Settings, target: "Target") -> str:
    """The Redis of the run that fills the queue; a worker never starts one of its own."""
    running = holder_of(settings.data_dir, "run") or {}
    found = settings.redis.url or target.redis_url or running.get("redis_url")
    if found is None:
        raise ConfigError("a worker needs the Redis of a run", hint="--redis URL, the same as that `liq run` has")
    return str(found)


async def _open_worker(
    stack: AsyncExitStack,
    settings: Settings,
    target: "Target",
    market: "Market",
    printer: Printer,
    *,
    redis_url: str,
    open_key: "Callable[[AsyncExitStack], Key] | None",
    confirmed: bool,
) -> "Worker":
    from liqcli.bot.worker import Worker
    from liqcli.chain.exchange import open_exchange
    from liqcli.cli import connect

    namespace = connect.namespace_at(market.chain_id, market.name)
    queue, cache = await connect.open_store(stack, settings, redis_url, namespace)
    exchange = await open_exchange(market, target.exchange)
    executor = None
    if open_key is not None:
        if not target.is_sandbox:
            wallet.confirm(settings, confirmed=confirmed)
        key = open_key(stack)
        exchange = _own(exchange, key)
        executor = await _open_executor(stack, settings, target, market, printer, key=key, redis_url=redis_url)
    return Worker(
        market=market,
        queue=queue,
        cache=cache,
        settings=settings,
        executor=executor,
        exchange=exchange,
        tell=printer.note,
    )


def _own(exchange: "Exchange | None", key: "Key") -> "Exchange | None":
    """The Liquidator if it is this key's: nobody else may call it, so another key works with its own tokens."""
    if exchange is None or exchange.owner == key.address:
        return exchange
    say(f"the Liquidator at {exchange.contract} belongs to {exchange.owner}: going on with this key's own tokens")
    return None


async def _open_executor(
    stack: AsyncExitStack,
    settings: Settings,
    target: "Target",
    market: "Market",
    printer: Printer,
    *,
    key: "Key",
    redis_url: str,
) -> "Executor":
    from liqcli.bot.notes import Note

    return await wallet.open_executor(
        stack,
        settings,
        market,
        key,
        contracts=(market.addresses.pool,) if target.is_sandbox else settings.policy.contracts,
        sandbox=target.is_sandbox,
        redis_url=redis_url,
        tell=lambda text: printer.note(Note("warn", text)),
    )


def summary_of(found: "Worker", *, live: bool) -> dict[str, Any]:
    """What a worker did, in the fields of a run's summary where they mean the same."""
    from liqcli.ops.status import cache_facts

    tally = found.tally
    return {
        "mode": "live" if live else "dry run",
        "market": found.market.name,
        "duration_s": round(tally.duration_s, 3),
        "claimed": found.claimed,
        "liquidations": {
            "planned": tally.planned,
            "sent": tally.sent,
            "won": tally.won,
            "failed": tally.failed,
            "fenced": found.fenced,
            "skipped": dict(tally.skipped),
        },
        "profit_base": str(tally.profit_base),
        "profit_usd": tally.profit_base / BASE_UNIT,
        "rpc": {"requests": found.market.rpc.requests, "errors": found.market.rpc.errors},
        "cache": cache_facts(tally.cache),
    }


def _print_summary(found: "Worker") -> None:
    tally = found.tally
    print(
        f"worked {tally.duration_s:.1f} s · claimed {found.claimed:,} · planned {tally.planned}, sent {tally.sent},"
        f" won {tally.won}, failed {tally.failed}, fenced {found.fenced}, skipped {tally.skipped.total()}"
        f" · profit {usd(tally.profit_base)}"
    )
