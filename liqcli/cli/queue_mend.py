"""The half of `liq queue` that changes it; what destroys shows its count first and asks."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO, TypeVar

import typer

from liqcli.cli import options
from liqcli.cli.queue_output import items_in
from liqcli.cli.render import print_json, say
from liqcli.config import Settings
from liqcli.errors import InputError, LiqError, UsageError
from liqcli.model import Tier

if TYPE_CHECKING:
    from liqcli.store.queue import BorrowerQueue, QueueItem

T = TypeVar("T")
_LINE_LIMIT = 65536

Borrower = Annotated[str, typer.Argument(metavar="ADDR", help="The borrower's address.", show_default=False)]


async def with_queue(settings: Settings, ask: Callable[["BorrowerQueue"], Awaitable[T]], *, sandbox: bool) -> T:
    """What `ask` makes of the queue that the settings, a running bot or the sandbox lead to."""
    from liqcli.cli.connect import find_queue, open_store

    async with AsyncExitStack() as stack:
        redis_url, namespace = await find_queue(stack, settings, sandbox=sandbox)
        queue, _ = await open_store(stack, settings, redis_url, namespace)
        return await ask(queue)


def purge(
    *,
    tier: Annotated[str | None, typer.Option(help="Only this tier; all without it.", show_default=False)] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: options.Json = False,
    network: options.Network = None,
    market: options.MarketName = None,
    redis: options.RedisUrl = None,
    config: options.ConfigFile = None,
    sandbox: options.Sandbox = False,
) -> None:
    """Drop borrowers that nobody holds, dead letters too; a running bot queues them again at their next event or sweep.

    Example: liq queue purge --tier low --yes
    """
    settings = options.settings_from(network=network, market=market, redis=redis, config=config)
    wanted = None if tier is None else options.tier_named(tier)
    dropped = asyncio.run(with_queue(settings, lambda queue: _purge(queue, wanted, yes=yes), sandbox=sandbox))
    if as_json:
        print_json({"tier": None if wanted is None else wanted.value, "purged": dropped})
    else:
        print(f"removed {dropped:,} borrowers{_of(wanted)}")


def requeue(
    *,
    borrower: Borrower,
    as_json: options.Json = False,
    network: options.Network = None,
    market: options.MarketName = None,
    redis: options.RedisUrl = None,
    config: options.ConfigFile = None,
    sandbox: options.Sandbox = False,
) -> None:
    """Make a dead or waiting borrower ready at once, its failures forgotten.

    Example: liq queue requeue 0x91f0c2a9d5b5ce0b6c7f3f9a8b1de0aa3d3f77aa
    """
    settings = options.settings_from(network=network, market=market, redis=redis, config=config)
    wanted = options.address_named(borrower)
    if not asyncio.run(with_queue(settings, lambda queue: queue.requeue(wanted), sandbox=sandbox)):
        raise LiqError(f"{wanted} is neither dead nor waiting for another try", hint=f"liq queue show {wanted}")
    _say_done(as_json, {"borrower": wanted, "requeued": True}, f"{wanted} is ready")


def promote(
    *,
    borrower: Borrower,
    as_json: options.Json = False,
    network: options.Network = None,
    market: options.MarketName = None,
    redis: options.RedisUrl = None,
    config: options.ConfigFile = None,
    sandbox: options.Sandbox = False,
) -> None:
    """Put a borrower in front of all others (of its shard, on a cluster).

    Example: liq queue promote 0x91f0c2a9d5b5ce0b6c7f3f9a8b1de0aa3d3f77aa
    """
    settings = options.settings_from(network=network, market=market, redis=redis, config=config)
    wanted = options.address_named(borrower)
    if not asyncio.run(with_queue(settings, lambda queue: queue.promote(wanted), sandbox=sandbox)):
        raise LiqError(f"{wanted} is not queued, or a worker holds it", hint=f"liq queue show {wanted}")
    _say_done(as_json, {"borrower": wanted, "promoted": True}, f"{wanted} is next")


def pause(
    *,
    as_json: options.Json = False,
    network: options.Network = None,
    market: options.MarketName = None,
    redis: options.RedisUrl = None,
    config: options.ConfigFile = None,
    sandbox: options.Sandbox = False,
) -> None:
    """Hand out no more claims to any bot or worker; what is held is finished, and events still come in.

    Example: liq queue pause
    """
    settings = options.settings_from(network=network, market=market, redis=redis, config=config)
    asyncio.run(with_queue(settings, lambda queue: queue.pause(), sandbox=sandbox))
    _say_done(as_json, {"paused": True}, "paused: liq queue resume")


def resume(
    *,
    as_json: options.Json = False,
    network: options.Network = None,
    market: options.MarketName = None,
    redis: options.RedisUrl = None,
    config: options.ConfigFile = None,
    sandbox: options.Sandbox = False,
) -> None:
    """Hand out claims again.

    Example: liq queue resume
    """
    settings = options.settings_from(network=network, market=market, redis=redis, config=config)
    asyncio.run(with_queue(settings, lambda queue: queue.resume(), sandbox=sandbox))
    _say_done(as_json, {"paused": False}, "claims are handed out again")


def import_(
    *,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Exported lines; - for stdin.", show_default=False)],
    as_json: options.Json = False,
    network: options.Network = None,
    market: options.MarketName = None,
    redis: options.RedisUrl = None,
    config: options.ConfigFile = None,
    sandbox: options.Sandbox = False,
) -> None:
    """Take exported borrowers in with their age and failures; those already here stay as they are.

    Example: liq queue import queue.jsonl
    """
    settings = options.settings_from(network=network, market=market, redis=redis, config=config)
    items = _read_items(file)
    loaded = asyncio.run(with_queue(settings, lambda queue: queue.load(items), sandbox=sandbox))
    document = {"read": len(items), "loaded": loaded}
    _say_done(as_json, document, f"{loaded:,} of {len(items):,} borrowers taken in; the others were here already")


async def _purge(queue: "BorrowerQueue", tier: Tier | None, *, yes: bool) -> int:
    meant = await queue.purgeable(tier)
    say(f"would remove {meant:,} borrowers{_of(tier)}")
    if meant == 0:
        return 0
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("purge asks before it removes, and there is no terminal to ask at", hint="--yes")
        await asyncio.to_thread(typer.confirm, "remove them?", abort=True, err=True)
    return await queue.purge(tier)


def _read_items(file: str) -> list["QueueItem"]:
    """All of them or none: a bad line is found before anything is written."""
    if file == "-":
        return list(items_in(_short_lines(sys.stdin, "stdin"), source="stdin"))
    try:
        with Path(file).open(encoding="utf-8", errors="replace") as stream:
            return list(items_in(_short_lines(stream, file), source=file))
    except OSError as err:
        raise InputError(f"cannot read {file}: {err.strerror}", hint="`liq queue export` writes such a file") from err


def _short_lines(stream: TextIO, source: str) -> Iterator[str]:
    """Lines of a length that an exported borrower can have."""
    while line := stream.readline(_LINE_LIMIT):
        if len(line) == _LINE_LIMIT:
            raise InputError(
                f"a line of {source} is longer than {_LINE_LIMIT:,} characters", hint="one borrower a line"
            )
        yield line


def _of(tier: Tier | None) -> str:
    return "" if tier is None else f" of tier {tier.value}"


def _say_done(as_json: bool, document: Mapping[str, Any], text: str) -> None:
    if as_json:
        print_json(document)
    else:
        print(text)
