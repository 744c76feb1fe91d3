"""`liq why ADDR`: the chain of decisions about one borrower, from the ledger, the book, the queue and the chain."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from liqcli.cli import options
from liqcli.cli.addresses import Shortened, borrower_named
from liqcli.cli.render import print_json, print_table, say
from liqcli.cli.run import seconds_of
from liqcli.config import Settings
from liqcli.model import Address
from liqcli.text import safe

if TYPE_CHECKING:
    from liqcli.bot.ledger import Decision
    from liqcli.chain.market import Market
    from liqcli.cli.why_steps import Step


@dataclass(frozen=True, slots=True)
class Story:
    """What is known of a borrower: what was decided, the oldest first, and how it stands at `block`."""

    borrower: Address
    block: int
    steps: tuple["Step", ...]


def why(
    *,
    borrower: Annotated[
        str, typer.Argument(metavar="ADDR", help="The borrower's address, also shortened.", show_default=False)
    ],
    since: Annotated[str, typer.Option(help="How far back the ledger is read: 24h, 7d.")] = "24h",
    as_json: options.Json = False,
    network: options.Network = None,
    market: options.MarketName = None,
    provider: options.Provider = None,
    rpc: options.RpcUrl = None,
    redis: options.RedisUrl = None,
    config: options.ConfigFile = None,
    sandbox: options.Sandbox = False,
) -> None:
    """Tell the chain of decisions about a borrower: seen, scored, queued, claimed, read, planned or skipped, sent.

    Example: liq why 0x91f0000000000000000000000000000000aa3daa --sandbox
    """
    wanted, back_s = borrower_named(borrower), seconds_of(since)
    settings = options.settings_from(
        network=network, market=market, provider=provider, rpc=rpc, redis=redis, config=config
    )
    story = asyncio.run(_read(settings, wanted, back_s, sandbox=sandbox))
    if as_json:
        print_json(_document(story))
    else:
        _print_people(story)


async def _read(settings: Settings, wanted: Address | Shortened, back_s: float, *, sandbox: bool) -> Story:
    from liqcli.book.mirror import Mirror
    from liqcli.cli import connect
    from liqcli.cli.catching_up import caught_up
    from liqcli.cli.why_steps import decided, decided_now, hindered, queued, seen

    async with AsyncExitStack() as stack:
        target = await connect.find_target(stack, settings, sandbox=sandbox, tell=say)
        market = await connect.open_market_at(stack, settings, target)
        mirror = Mirror(await caught_up(market, settings, target))
        await mirror.open()
        who = wanted.among(mirror.book.borrowers, place="the book") if isinstance(wanted, Shortened) else wanted
        steps = [
            *(step for decision in _ledger(settings, market, who, back_s) for step in decided(decision, market)),
            *seen(mirror, who, settings),
            *await queued(stack, settings, target, market, who),
            *await decided_now(market, target, who, settings),
            *hindered(settings),
        ]
        return Story(who, mirror.book.cursor, tuple(steps))


def _ledger(settings: Settings, market: "Market", who: Address, back_s: float) -> "Iterator[Decision]":
    """What bots of this data directory decided about the borrower."""
    from liqcli.bot.ledger import read_decisions
    from liqcli.cli.record import ledger_directory

    since = datetime.now(UTC) - timedelta(seconds=back_s)
    found = read_decisions(ledger_directory(settings), since)
    told = None
    for each in found:
        if each.borrower == who and each.market == market.name:
            if each.kind != "liquidated" or told != each.kind:  # the logs of one liquidation come block after block
                yield each
            told = each.kind


def _document(story: Story) -> dict[str, Any]:
    return {
        "borrower": story.borrower,
        "block": story.block,
        "steps": [
            {
                "at": None if step.at is None else _time(step.at).isoformat(timespec="milliseconds"),
                "stage": step.stage,
                "what": safe(step.what),
                "why": safe(step.why) or None,
            }
            for step in story.steps
        ],
    }


def _print_people(story: Story) -> None:
    print(f"{story.borrower}  block {story.block:,}")
    header: Sequence[str] = ["at", "stage", "what", "why"]
    rows = [["now" if step.at is None else _shown(step.at), step.stage, safe(step.what), safe(step.why)]
            for step in story.steps]  # fmt: skip
    print_table(header, rows, left=4, first_to_go=["at"], folds=["what", "why"])


def _shown(at: float) -> str:
    return _time(at).astimezone().strftime("%m-%d %H:%M:%S")


def _time(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
