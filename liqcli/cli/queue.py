"""`liq queue`: look into the priority queue and mend it; looking takes nothing out."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from liqcli.cli import options, queue_mend
from liqcli.cli.addresses import borrower_named
from liqcli.cli.completion import offering, states
from liqcli.cli.queue_output import item_document, print_items, print_stats, stats_document
from liqcli.cli.queue_place import Borrower, Place, queue_command, whole
from liqcli.cli.render import print_json
from liqcli.errors import LiqError, UsageError

if TYPE_CHECKING:
    from liqcli.cli.addresses import Shortened
    from liqcli.model import Address
    from liqcli.store.queue import BorrowerQueue, QueueItem, State

app = typer.Typer(help="Look into the priority queue and mend it.", no_args_is_help=True)


@app.command()
@queue_command
def stats(
    place: Place,
    *,
    as_json: options.Json = False,
) -> None:
    """Depth, age and rates by tier.

    Example: liq queue stats --json
    """
    found = place.ask(lambda queue: queue.stats())
    if as_json:
        print_json(stats_document(found))
    else:
        print_stats(found)


@app.command()
@queue_command
def peek(
    place: Place,
    *,
    count: Annotated[int, typer.Option("-n", "--count", help="How many.", min=1, max=1000)] = 20,
    as_json: options.Json = False,
) -> None:
    """The most urgent borrowers; nothing is taken out.

    Example: liq queue peek -n 5
    """
    found = place.ask(lambda queue: queue.peek(count))
    if as_json:
        print_json({"items": [item_document(item) for item in found]})
    else:
        print_items(found)


@app.command()
@queue_command
def show(
    place: Place,
    *,
    borrower: Borrower,
    as_json: options.Json = False,
) -> None:
    """One borrower of the queue; exit code 1 when it is not there.

    Example: liq queue show 0x91f0c2a9d5b5ce0b6c7f3f9a8b1de0aa3d3f77aa
    """
    wanted = borrower_named(borrower)
    item = place.ask(lambda queue: _shown(queue, wanted))
    if item is None:
        raise LiqError(f"the queue does not hold {wanted}", hint="it is queued at its next event or sweep")
    if as_json:
        print_json({"item": item_document(item)})
    else:
        print_items([item])


@app.command()
@queue_command
def ls(
    place: Place,
    *,
    state: Annotated[
        str, typer.Option(help="ready, leased, later (waits for another try) or dead.", autocompletion=offering(states))
    ] = "ready",
    first: Annotated[int, typer.Option(help="How many to pass over, in each shard.", min=0)] = 0,
    count: Annotated[int, typer.Option("-n", "--count", help="How many, from each shard.", min=1, max=1000)] = 100,
    as_json: options.Json = False,
) -> None:
    """A page of the borrowers in one state, the most urgent (or the earliest due) first.

    Example: liq queue ls --state leased -n 20
    """
    if state not in states():
        raise UsageError(f'unknown state "{state}"', hint=f"states: {', '.join(states())}")
    found = place.ask(lambda queue: queue.ls(_state(state), first=first, count=count))
    if as_json:
        print_json({"state": state, "first": first, "items": [item_document(item) for item in found]})
    else:
        print_items(found, none=f"none is {state}")


@app.command()
@queue_command
def dead(
    place: Place,
    *,
    count: Annotated[int, typer.Option("-n", "--count", help="How many.", min=1, max=1000)] = 100,
    as_json: options.Json = False,
) -> None:
    """The dead letters with why they failed; a new event wakes each for one more try.

    Example: liq queue dead
    """
    found = place.ask(lambda queue: queue.dead(count))
    if as_json:
        print_json({"items": [item_document(item) for item in found]})
    else:
        print_items(found, none="no dead letters")


@app.command()
@queue_command
def export(
    place: Place,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Errors too as JSON; the lines always are.")] = False,  # noqa: ARG001  main reads it
) -> None:
    """Write every borrower as a line of JSON; one that changes meanwhile may come twice.

    Example: liq queue export > queue.jsonl
    """
    place.ask(_write_lines)


async def _shown(queue: "BorrowerQueue", wanted: "Address | Shortened") -> "QueueItem | None":
    return await queue.show(await whole(queue, wanted))


async def _write_lines(queue: "BorrowerQueue") -> None:
    async for item in queue.export():
        print(json.dumps(item_document(item), ensure_ascii=False))


def _state(name: str) -> "State":
    from liqcli.store.queue import State

    return State(name)


app.command()(queue_mend.purge)
app.command()(queue_mend.requeue)
app.command()(queue_mend.promote)
app.command()(queue_mend.pause)
app.command()(queue_mend.resume)
app.command("import")(queue_mend.import_)
