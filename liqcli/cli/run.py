"""`liq run`: the bot, from start to summary."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from liqcli.cli import doctor, options, wallet
from liqcli.cli.completion import log_formats, offering
from liqcli.cli.lead import leading
from liqcli.cli.loop import run_loop
from liqcli.cli.record import open_record
from liqcli.cli.render import print_json, say
from liqcli.cli.signals import Stopping, answer_signals
from liqcli.config import Settings
from liqcli.errors import UsageError
from liqcli.text import safe

if TYPE_CHECKING:
    from liqcli.bot.engine import Engine
    from liqcli.chain.market import Market
    from liqcli.cli.connect import Target
    from liqcli.cli.voice import Voice
    from liqcli.ops.logs import LogFormat
    from liqcli.wallet.keys import Key

_UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Order:
    """What the command line asks of a run."""

    settings: Settings
    live: bool | None
    sandbox: bool
    duration_s: float | None
    as_json: bool
    form: "LogFormat"
    confirmed: bool
    open_key: "Callable[[AsyncExitStack, Target], Key]"
    check: "Callable[[Target], Awaitable[None]] | None"


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
    log_format: Annotated[
        str, typer.Option(help="console, logfmt or json.", autocompletion=offering(log_formats))
    ] = "console",
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
    stopping = answer_signals()
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
    order = Order(
        explained.settings,
        live=live,
        sandbox=sandbox,
        duration_s=None if duration is None else seconds_of(duration),
        as_json=as_json,
        form=format_named(log_format),
        confirmed=yes,
        open_key=partial(
            wallet.key_at,
            settings=explained.settings,
            account=account,
            keystore=keystore,
            password_file=password_file,
        ),
        check=None
        if skip_checks
        else partial(doctor.preflight, explained, account=account, keystore=keystore, config=config),
    )
    if live and not sandbox:
        wallet.keystore_path(order.settings, account=account, keystore=keystore)  # no key: ask for nothing else
    raise typer.Exit(run_loop(stopping.run(lambda stack: _run(stack, order, stopping))))


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


async def _run(stack: AsyncExitStack, order: Order, stopping: Stopping) -> int:
    from liqcli.cli import connect
    from liqcli.cli.voice import open_voice, telling, watched
    from liqcli.lock import hold
    from liqcli.ops.standing import STARTING
    from liqcli.ops.status import summary_of

    settings, started = order.settings, connect.now_iso()
    holding = stack.enter_context(hold(settings.data_dir, "run", {"started": started}))
    standing, supervisor = await stack.enter_async_context(watched(settings))
    target = await connect.find_target(stack, settings, sandbox=order.sandbox, tell=say)
    mode = await _allowed_mode(order, target)
    market = await connect.open_market_at(stack, settings, target)
    voice = open_voice(stack, standing, supervisor, market, mode=mode, form=order.form, to_stderr=order.as_json)

    def stand_by(text: str) -> None:
        say(text)
        standing.waits = text
        supervisor.status(text)
        holding.publish({"started": started, "standby": text})

    redis_url, namespace = await _lead(stack, settings, target, market, voice=voice, stopping=stopping, tell=stand_by)
    standing.waits = STARTING
    holding.publish({"started": started})
    engine = await _open_bot(stack, order, target, market, voice, mode=mode, redis_url=redis_url)
    facts = {"started": started, "mode": mode, "redis_url": redis_url, "namespace": namespace}
    holding.publish(facts)
    voice.banner(mode)

    def publish(status: dict[str, Any]) -> None:
        holding.publish({**facts, "status": status})

    async with telling(standing, supervisor, engine, publish, warn=voice.warn, mode=mode, network=settings.network):
        await _work(engine, order, stopping, voice)
    summary = summary_of(engine, mode=mode, network=settings.network)
    if order.as_json:
        print_json(summary)
    else:
        voice.summary(engine, summary)
    return stopping.code or int(engine.tally.lost > 0)


async def _allowed_mode(order: Order, target: "Target") -> str:
    """How the run may act, once it is confirmed and everything it needs is examined."""
    mode = _mode(target, live=order.live)
    if mode == "live":
        wallet.confirm(order.settings, confirmed=order.confirmed)
    if order.check is not None:
        await order.check(target)
    return mode


def _mode(target: "Target", *, live: bool | None) -> str:
    if target.is_sandbox:
        return "dry run" if live is False else "sandbox"
    return "live" if live else "dry run"


async def _lead(
    stack: AsyncExitStack,
    settings: Settings,
    target: "Target",
    market: "Market",
    *,
    voice: "Voice",
    stopping: Stopping,
    tell: Callable[[str], None],
) -> tuple[str, str]:
    """Redis and the namespace in it; on a shared one this waits until the run leads its market."""
    from liqcli.cli import connect

    redis_url = await connect.find_redis(stack, settings, target)
    namespace = connect.namespace_at(market.chain_id, market.name)
    if settings.redis.url is not None:  # an embedded one has no other run on it
        lease = leading(settings, redis_url, namespace, tell=tell, warn=voice.warn, stop=stopping.asked)
        await stack.enter_async_context(lease)
    return redis_url, namespace


async def _open_bot(
    stack: AsyncExitStack,
    order: Order,
    target: "Target",
    market: "Market",
    voice: "Voice",
    *,
    mode: str,
    redis_url: str,
) -> "Engine":
    """The engine over the exact book; but in a dry run with an executor."""
    from liqcli.cli import connect
    from liqcli.cli.bot import make_live, open_engine

    namespace = connect.namespace_at(market.chain_id, market.name)
    store = await connect.open_store(stack, order.settings, redis_url, namespace)
    tell = open_record(stack, order.settings, market, voice.note, mode=mode)
    engine = await open_engine(stack, order.settings, target, market, store, tell=tell)
    if mode != "dry run":
        await make_live(stack, engine, target, order.open_key, tell=tell, redis_url=redis_url)
    return engine


async def _work(engine: "Engine", order: Order, stopping: Stopping, voice: "Voice") -> None:
    """Run until the duration ends or a signal comes."""
    if order.duration_s is not None:
        asyncio.get_running_loop().call_later(order.duration_s, stopping.asked.set)
    work = engine.run(stopping.asked)
    await stopping.work(work, draining=voice.draining, can_drain=lambda: engine.is_ready)
