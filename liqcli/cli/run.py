"""`liq run`: the bot, from start to summary."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from liqcli.cli import doctor, options, wallet
from liqcli.cli.lead import leading
from liqcli.cli.record import open_record
from liqcli.cli.render import print_json, say
from liqcli.config import Settings
from liqcli.errors import ConfigError, UsageError
from liqcli.text import safe

if TYPE_CHECKING:
    from liqcli.bot.engine import Engine
    from liqcli.bot.execute import Executor
    from liqcli.bot.notes import Tell
    from liqcli.chain.exchange import Exchange
    from liqcli.chain.market import Market
    from liqcli.cli.connect import Target
    from liqcli.ops.logs import LogFormat
    from liqcli.store.cache import HealthCache
    from liqcli.store.queue import BorrowerQueue
    from liqcli.wallet.keys import Key

_INTERRUPTED = 130
_PATIENCE = 2
"""Signals that end a run in order: one drains, two stop now; the next one ends the process."""
_UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def run(
    *,
    live: Annotated[
        bool | None,
        typer.Option("--live/--dry-run", help="Send liquidations; dry run by default, live in the sandbox."),
    ] = None,
    duration: Annotated[str | None, typer.Option(help="Stop after this long: 60s, 10m, 2h.")] = None,
    event_buffer_size: Annotated[int | None, typer.Option(help="Capacity of the event channel.", min=1)] = None,
    action_buffer_size: Annotated[int | None, typer.Option(help="Capacity of the action channel.", min=1)] = None,
    workers: Annotated[int | None, typer.Option(help="Claims evaluated at once.", min=1)] = None,
    account: wallet.Account = None,
    keystore: wallet.Keystore = None,
    password_file: wallet.PasswordFile = None,
    yes: Annotated[bool, typer.Option("--yes", help="Confirm --live without being asked.")] = False,
    skip_checks: Annotated[
        bool, typer.Option("--skip-checks", help="Start without what `liq doctor` examines.")
    ] = False,
    http: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Serve /healthz, /readyz, /metrics and /status.json there.")
    ] = None,
    log_format: Annotated[str, typer.Option(help="console, logfmt or json.")] = "console",
    as_json: options.Json = False,
    network: options.Network = None,
    market: options.MarketName = None,
    provider: options.Provider = None,
    rpc: options.RpcUrl = None,
    redis: options.RedisUrl = None,
    config: options.ConfigFile = None,
    sandbox: options.Sandbox = False,
) -> None:
    """Watch a market's borrowers and liquidate the unhealthy ones at a profit.

    Example: liq run --sandbox --duration 60s
    """
    explained = options.explained_from(
        network=network,
        market=market,
        provider=provider,
        rpc=rpc,
        redis=redis,
        config=config,
        event_buffer_size=event_buffer_size,
        action_buffer_size=action_buffer_size,
        workers=workers,
        http={"listen": http},
    )
    duration_s = None if duration is None else seconds_of(duration)
    settings = explained.settings
    if live and not sandbox:
        wallet.keystore_path(settings, account=account, keystore=keystore)  # no key, no need to ask for anything else
    check = partial(doctor.preflight, explained, account=account, keystore=keystore, config=config)
    started = _run(
        settings,
        live=live,
        sandbox=sandbox,
        duration_s=duration_s,
        as_json=as_json,
        open_key=partial(
            wallet.take_key, settings=settings, account=account, keystore=keystore, password_file=password_file
        ),
        confirmed=yes,
        form=format_named(log_format),
        check=None if skip_checks else check,
    )
    code = asyncio.run(started)
    raise typer.Exit(code)


def seconds_of(text: str) -> float:
    """Seconds in `90`, `60s`, `10m`, `2h` or `1d`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text.strip())
    if match is None:
        raise UsageError(f'"{text}" is no duration', hint="write 60s, 10m or 2h")
    return float(match[1]) * _UNITS_S[match[2]]


def format_named(name: str) -> "LogFormat":
    """The log format a user means."""
    from liqcli.ops.logs import LogFormat

    try:
        return LogFormat(name.strip().lower())
    except ValueError:
        raise UsageError(f'unknown log format "{safe(name, limit=80)}"', hint="console, logfmt or json") from None


async def _run(
    settings: Settings,
    *,
    live: bool | None,
    sandbox: bool,
    duration_s: float | None,
    as_json: bool,
    open_key: Callable[[AsyncExitStack], "Key"],
    confirmed: bool,
    form: "LogFormat",
    check: "Callable[[Target], Awaitable[None]] | None",
) -> int:
    from liqcli.cli import connect
    from liqcli.cli.voice import open_voice, telling, watched
    from liqcli.lock import hold
    from liqcli.ops.status import summary_of

    started = connect.now_iso()
    async with AsyncExitStack() as stack:
        holding = stack.enter_context(hold(settings.data_dir, "run", {"started": started}))
        standing, supervisor = await stack.enter_async_context(watched(settings))
        target = await connect.find_target(stack, settings, sandbox=sandbox, tell=say)
        mode = _mode(target, live=live)
        if mode == "live":
            _confirm(settings, confirmed=confirmed)
        if check is not None:
            await check(target)
        market = await connect.open_market_at(stack, settings, target)
        redis_url = await connect.find_redis(stack, settings, target)
        namespace = connect.namespace_at(market.chain_id, market.name)
        stop = asyncio.Event()
        if settings.redis.url is not None:  # an embedded one has no other run on it
            await stack.enter_async_context(leading(settings, redis_url, namespace, tell=say, stop=stop))
        voice = open_voice(stack, standing, supervisor, market, mode=mode, form=form, to_stderr=as_json)
        store = await connect.open_store(stack, settings, redis_url, namespace)
        tell = open_record(stack, settings, market, voice.note, mode=mode)
        engine = await _open_engine(stack, settings, target, market, store, tell=tell)
        if mode != "dry run":
            key = _key(stack, target, open_key)
            _require_owner(engine.exchange, key)
            engine.executor = await _open_executor(stack, settings, target, market, tell, key=key, redis_url=redis_url)
        facts = {"started": started, "mode": mode, "redis_url": redis_url, "namespace": namespace}
        holding.publish(facts)
        voice.banner(mode)

        def publish(status: dict[str, Any]) -> None:
            holding.publish({**facts, "status": status})

        async with telling(standing, supervisor, engine, publish, mode=mode, network=settings.network):
            interrupted = await _until_stopped(engine, stop, voice.draining, duration_s=duration_s)
        summary = summary_of(engine, mode=mode, network=settings.network)
        if as_json:
            print_json(summary)
        else:
            voice.summary(engine, summary)
    return 130 if interrupted else int(engine.tally.lost > 0)


def _mode(target: "Target", *, live: bool | None) -> str:
    if target.is_sandbox:
        return "dry run" if live is False else "sandbox"
    return "live" if live else "dry run"


def _confirm(settings: Settings, *, confirmed: bool) -> None:
    """Live must be allowed by the settings, and meant by the one who starts it."""
    if not settings.policy.live:
        hint = "check the limits under [policy] in liq.toml, and put  live = true  there"
        raise ConfigError("--live is not allowed: policy.live is false", hint=hint)
    if confirmed:
        return
    if not sys.stdin.isatty():
        raise UsageError("--live asks for a confirmation, and there is no terminal", hint="--yes")
    if typer.prompt(f"this sends real transactions; type {settings.network} to go on") != settings.network:
        raise UsageError("not confirmed: nothing was sent", hint=f"type {settings.network}, or leave --live away")


def _key(stack: AsyncExitStack, target: "Target", open_key: Callable[[AsyncExitStack], "Key"]) -> "Key":
    """The sandbox's throw-away key, or the operator's; in a dry run none is ever built."""
    from liqcli.wallet.keys import Key

    return open_key(stack) if target.sandbox_key is None else Key(target.sandbox_key)


def _require_owner(exchange: "Exchange | None", key: "Key") -> None:
    """Only its owner may call a Liquidator."""
    if exchange is not None and exchange.owner != key.address:
        raise ConfigError(
            f"the Liquidator at {exchange.contract} belongs to {exchange.owner}, not to {key.address}",
            hint="use its owner's key, or deploy one of your own: liq contract deploy",
        )


async def _open_engine(
    stack: AsyncExitStack,
    settings: Settings,
    target: "Target",
    market: "Market",
    store: "tuple[BorrowerQueue, HealthCache]",
    *,
    tell: "Tell",
) -> "Engine":
    """The parts put together over the exact book, for a dry run."""
    from liqcli.book.mirror import Mirror
    from liqcli.book.opening import checkpoint_path
    from liqcli.bot.engine import Engine
    from liqcli.chain.exchange import open_exchange
    from liqcli.cli import connect
    from liqcli.cli.catching_up import caught_up, saved_at

    mirror = Mirror(await caught_up(market, settings, target))
    await mirror.open()
    return Engine(
        market=market,
        mirror=mirror,
        queue=store[0],
        cache=store[1],
        settings=settings,
        executor=None,
        exchange=await open_exchange(market, target.exchange),
        tell=tell,
        checkpoint=saved_at(checkpoint_path(settings.data_dir, mirror.book.identity), settings),
        stream=await connect.open_stream(stack, settings, market),
    )


async def _open_executor(
    stack: AsyncExitStack,
    settings: Settings,
    target: "Target",
    market: "Market",
    tell: "Tell",
    *,
    key: "Key",
    redis_url: str,
) -> "Executor":
    """What makes a run live, through policy and journal."""
    from liqcli.bot.notes import Note

    own = (market.addresses.pool, *([target.exchange.liquidator] if target.exchange.liquidator else []))
    return await wallet.open_executor(
        stack,
        settings,
        market,
        key,
        contracts=own if target.is_sandbox else settings.policy.contracts,
        sandbox=target.is_sandbox,
        redis_url=redis_url,
        tell=lambda text: tell(Note("warn", text)),
    )


async def _until_stopped(
    engine: "Engine", stop: asyncio.Event, draining: Callable[[], None], *, duration_s: float | None
) -> bool:
    """Run until the duration ends or a signal comes; True when it was Ctrl-C. A second signal stops at once."""
    signals = list[signal.Signals]()
    running = asyncio.create_task(engine.run(stop))

    def on_signal(number: signal.Signals) -> None:
        signals.append(number)
        if len(signals) > _PATIENCE:
            os._exit(_INTERRUPTED)  # whatever still hangs: the children die with us
        if len(signals) > 1 or not engine.is_ready:
            running.cancel()
        draining()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal, number)
    if duration_s is not None:
        loop.call_later(duration_s, stop.set)
    with suppress(asyncio.CancelledError):
        await _unwrapped(running)
    return bool(signals) and signals[0] is signal.SIGINT


async def _unwrapped(running: asyncio.Task[None]) -> None:
    """Await the engine; an error that one stage met alone is raised as itself."""
    try:
        await running
    except ExceptionGroup as group:
        raise group.exceptions[0] from group
