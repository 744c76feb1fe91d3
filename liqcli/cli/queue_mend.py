"""The half of `liq queue` that changes it; what destroys shows its count first and asks."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from liqcli.cli import options
from liqcli.cli.addresses import borrower_named
from liqcli.cli.completion import offering, tiers
from liqcli.cli.queue_output import items_in
from liqcli.cli.queue_place import Borrower, Place, queue_command, whole
from liqcli.cli.render import print_json, say
from liqcli.errors import InputError, LiqError, UsageError
from liqcli.model import Address, Tier

if TYPE_CHECKING:
    from liqcli.store.queue import BorrowerQueue, QueueItem

_LINE_LIMIT = 65536


@queue_command
def purge(
    place: Place,
    *,
    tier: Annotated[
        str | None,
        typer.Option(help="Only this tier; all without it.", show_default=False, autocompletion=offering(tiers)),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: options.Json = False,
) -> None:
    """Drop borrowers that nobody holds, dead letters too; a running bot queues them again at their next event or sweep.

    Example: liq queue purge --tier low --yes
    """
    wanted = None if tier is None else options.tier_named(tier)
    dropped = place.ask(lambda queue: _purge(queue, wanted, yes=yes))
    if as_json:
        print_json({"tier": None if wanted is None else wanted.value, "purged": dropped})
    else:
        print(f"removed {dropped:,} borrowers{_of(wanted)}")


@queue_command
def requeue(
    place: Place,
    *,
    borrower: Borrower,
    as_json: options.Json = False,
) -> None:
    """Make a dead or waiting borrower ready at once, its failures forgotten.

    Example: liq queue requeue 0x91f0c2a9d5b5ce0b6c7f3f9a8b1de0aa3d3f77aa
    """
    wanted, done = place.ask(lambda queue: _mended(queue, borrower, queue.requeue))
    if not done:
        raise LiqError(f"{wanted} is neither dead nor waiting for another try", hint=f"liq queue show {wanted}")
    _say_done(as_json, {"borrower": wanted, "requeued": True}, f"{wanted} is ready")


@queue_command
def promote(
    place: Place,
    *,
    borrower: Borrower,
    as_json: options.Json = False,
) -> None:
    """Put a borrower in front of all others (of its shard, on a cluster).

    Example: liq queue promote 0x91f0c2a9d5b5ce0b6c7f3f9a8b1de0aa3d3f77aa
    """
    wanted, done = place.ask(lambda queue: _mended(queue, borrower, queue.promote))
    if not done:
        raise LiqError(f"{wanted} is not queued, or a worker holds it", hint=f"liq queue show {wanted}")
    _say_done(as_json, {"borrower": wanted, "promoted": True}, f"{wanted} is next")


@queue_command
def pause(
    place: Place,
    *,
    as_json: options.Json = False,
) -> None:
    """Hand out no more claims to any bot or worker; what is held is finished, and events still come in.

    Example: liq queue pause
    """
    place.ask(lambda queue: queue.pause())
    _say_done(as_json, {"paused": True}, "paused: liq queue resume")


@queue_command
def resume(
    place: Place,
    *,
    as_json: options.Json = False,
) -> None:
    """Hand out claims again.

    Example: liq queue resume
    """
    place.ask(lambda queue: queue.resume())
    _say_done(as_json, {"paused": False}, "claims are handed out again")


@queue_command
def import_(
    place: Place,
    *,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Exported lines; - for stdin.", show_default=False)],
    as_json: options.Json = False,
) -> None:
    """Take exported borrowers in with their age and failures; those already here stay as they are.

    Example: liq queue import queue.jsonl
    """
    items = _read_items(file)
    loaded = place.ask(lambda queue: queue.load(items))
    document = {"read": len(items), "loaded": loaded}
    _say_done(as_json, document, f"{loaded:,} of {len(items):,} borrowers taken in; the others were here already")


async def _mended(
    queue: "BorrowerQueue", borrower: str, deed: Callable[[Address], Awaitable[bool]]
) -> tuple[Address, bool]:
    """The whole address of the borrower that was meant, and whether the deed could be done to it."""
    wanted = await whole(queue, borrower_named(borrower))
    return wanted, await deed(wanted)


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
