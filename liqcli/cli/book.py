"""`liq book`: the mirror of a market's positions, held against the chain, and its borrowers in and out."""

import asyncio
import random
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from liqcli.cli import options
from liqcli.cli.exit_codes import FOUND
from liqcli.cli.render import address, print_json, print_table, progress, say
from liqcli.config import Settings
from liqcli.errors import AlreadyRunning
from liqcli.lock import holder_of

if TYPE_CHECKING:
    from liqcli.book.audit import AuditReport
    from liqcli.book.positions import Book

app = typer.Typer(help="The exact copy of every position: audit it, and bring borrowers in and out.")

_UNREAD = 4
_SAMPLE = 100


@app.command()
def audit(
    *,
    everyone: Annotated[bool, typer.Option("--all", help="Everyone in the book.")] = False,
    sample: Annotated[int, typer.Option(help="So many, drawn at random.", min=1)] = _SAMPLE,
    as_json: options.Json = False,
    network: options.Network = None,
    market: options.MarketName = None,
    provider: options.Provider = None,
    rpc: options.RpcUrl = None,
    config: options.ConfigFile = None,
    sandbox: options.Sandbox = False,
) -> None:
    """Compare the book with the pool's own account data at one block; every field must be equal.

    Example: liq book audit --all --sandbox
    """
    settings = options.settings_from(network=network, market=market, provider=provider, rpc=rpc, config=config)
    report, gaps = asyncio.run(_audit(settings, None if everyone else sample, sandbox=sandbox))
    if as_json:
        print_json(_document(report, gaps))
    else:
        _print_report(report, gaps)
    if report.mismatches:
        raise typer.Exit(FOUND)
    if report.unknown:
        raise typer.Exit(_UNREAD)


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="CSV or JSON lines of addresses.")],
    *,
    as_json: options.Json = False,
    network: options.Network = None,
    market: options.MarketName = None,
    provider: options.Provider = None,
    rpc: options.RpcUrl = None,
    config: options.ConfigFile = None,
    sandbox: options.Sandbox = False,
) -> None:
    """Take borrowers into the book and read their positions now, instead of finding them in years of logs.

    Example: liq book import borrowers.csv
    """
    from liqcli.book.addresses import read_addresses

    settings = options.settings_from(network=network, market=market, provider=provider, rpc=rpc, config=config)
    borrowers = read_addresses(file)
    new, book = asyncio.run(_import(settings, borrowers, sandbox=sandbox))
    facts = {"read": len(borrowers), "new": new, "accounts": len(book), "unknown": len(book.unknown)}
    if as_json:
        print_json({"block": book.cursor, **facts})
    else:
        say(f"{len(borrowers):,} addresses read, {new:,} of them new; {len(book):,} in the book at {book.cursor:,}")
    if book.unknown:
        raise typer.Exit(_UNREAD)


@app.command()
def export(
    *,
    json_lines: Annotated[bool, typer.Option("--jsonl", help="JSON lines instead of CSV.")] = False,
    network: options.Network = None,
    market: options.MarketName = None,
    provider: options.Provider = None,
    rpc: options.RpcUrl = None,
    config: options.ConfigFile = None,
    sandbox: options.Sandbox = False,
) -> None:
    """Print every account in the book, one a line, as `liq book import` reads them.

    Example: liq book export > borrowers.csv
    """
    from liqcli.book.addresses import write_addresses

    settings = options.settings_from(network=network, market=market, provider=provider, rpc=rpc, config=config)
    book = asyncio.run(_open(settings, sandbox=sandbox))
    for line in write_addresses(sorted(book.accounts), as_json=json_lines):
        print(line)


async def _audit(settings: Settings, sample: int | None, *, sandbox: bool) -> tuple["AuditReport", int]:
    from liqcli.book.audit import audit as compare
    from liqcli.book.opening import heal_all
    from liqcli.cli import connect
    from liqcli.cli.catching_up import caught_up, save

    async with AsyncExitStack() as stack:
        target = await connect.find_target(stack, settings, sandbox=sandbox, tell=say)
        follower = await caught_up(await connect.open_market_at(stack, settings, target), settings, target)
        everyone = sorted(follower.book.accounts)
        chosen = everyone if sample is None or sample >= len(everyone) else random.sample(everyone, sample)
        progress(f"comparing {len(chosen):,} of {len(everyone):,} accounts")
        report = await compare(follower, chosen)
        await heal_all(follower)
        save(follower, settings)
        return report, follower.book.gaps


async def _import(settings: Settings, borrowers: list[str], *, sandbox: bool) -> tuple[int, "Book"]:
    from liqcli.book.follow import Follower
    from liqcli.book.opening import catch_up, checkpoint_path, identity_of, import_accounts, load_book
    from liqcli.cli import connect
    from liqcli.cli.catching_up import saved_at, showing

    if (running := holder_of(settings.data_dir, "run")) is not None:
        raise AlreadyRunning(f"the bot of pid {running['pid']} keeps this book", hint="stop it, import, start it again")
    async with AsyncExitStack() as stack:
        target = await connect.find_target(stack, settings, sandbox=sandbox, tell=say)
        market = await connect.open_market_at(stack, settings, target)
        path = checkpoint_path(settings.data_dir, identity_of(market))
        known = await load_book(market, path, tell=say)
        before = 0 if known is None else len(known)
        book = await import_accounts(market, known, borrowers)
        if known is None:
            say(f"a new book from block {book.cursor:,} on: of others it learns only when they act")
        follower = Follower(market, book, window_blocks=settings.rpc.log_window_blocks)
        new, (last, _) = len(book) - before, await market.head()
        with showing(last - book.cursor) as show:
            await catch_up(follower, last, path=saved_at(path, settings), on_progress=show)
        return new, book


async def _open(settings: Settings, *, sandbox: bool) -> "Book":
    from liqcli.cli import connect
    from liqcli.cli.catching_up import caught_up

    async with AsyncExitStack() as stack:
        target = await connect.find_target(stack, settings, sandbox=sandbox, tell=say)
        follower = await caught_up(await connect.open_market_at(stack, settings, target), settings, target)
        return follower.book


def _document(report: "AuditReport", gaps: int) -> dict[str, Any]:
    return {
        "block": report.block,
        "checked": report.checked,
        "mismatches": [
            {"borrower": found.borrower, "field": found.field, "book": str(found.book), "chain": str(found.chain)}
            for found in report.mismatches
        ],
        "unknown": [{"borrower": borrower, "why": why} for borrower, why in report.unknown.items()],
        "gaps": gaps,
    }


def _print_report(report: "AuditReport", gaps: int) -> None:
    verdict = f"{len(report.wrong):,} differ" if report.mismatches else "all exact"
    print(f"block {report.block:,}: {report.checked:,} accounts compared, {verdict}")
    if report.mismatches:
        rows = [(address(m.borrower), m.field, str(m.book), str(m.chain)) for m in report.mismatches]
        print_table(("borrower", "field", "book", "chain"), rows, left=2)
        say("whoever differed was read again from the chain")
    if report.unknown:
        print_table(
            ("borrower", "unknown because"), [(address(who), why) for who, why in report.unknown.items()], left=2
        )
    if gaps:
        say(f"signs of lost logs so far: {gaps:,}")
