"""`liq audit`: what others did, and why we did not."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from liqcli.cli import options
from liqcli.cli.record import ledger_directory
from liqcli.cli.render import address, print_json, print_table, say, usd
from liqcli.config import Settings
from liqcli.errors import UsageError
from liqcli.model import BASE_UNIT, WAD
from liqcli.text import safe

if TYPE_CHECKING:
    from liqcli.bot.missed import Missed

app = typer.Typer(help="What others did, and why we did not.", no_args_is_help=True)


@app.callback()
def audit() -> None:
    """Hold the audits."""


@app.command()
def missed(
    *,
    from_block: Annotated[int, typer.Option(help="First block to look at.", min=0, show_default=False)],
    to_block: Annotated[int | None, typer.Option(help="Last block; the newest one by default.", min=0)] = None,
    as_json: options.Json = False,
    network: options.Network = None,
    market: options.MarketName = None,
    provider: options.Provider = None,
    rpc: options.RpcUrl = None,
    config: options.ConfigFile = None,
    sandbox: options.Sandbox = False,
) -> None:
    """Liquidations by others, what our ledger knew of the borrower, and what they would have paid.

    Example: liq audit missed --from-block 41000000 --to-block 41001000
    """
    if to_block is not None and to_block < from_block:
        raise UsageError(f"block {to_block} lies before block {from_block}", hint="--from-block A --to-block B, A <= B")
    settings = options.settings_from(network=network, market=market, provider=provider, rpc=rpc, config=config)
    found = asyncio.run(_missed(settings, from_block, to_block, sandbox=sandbox))
    if as_json:
        print_json({"missed": [_document(one, settings) for one in found]})
    else:
        _print_people(found)


async def _missed(settings: Settings, first: int, last: int | None, *, sandbox: bool) -> list["Missed"]:
    from liqcli.bot.ledger import read_decisions
    from liqcli.bot.missed import liquidations, missed_among
    from liqcli.cli import connect

    async with AsyncExitStack() as stack:
        target = await connect.find_target(stack, settings, sandbox=sandbox, tell=say)
        market = await connect.open_market_at(stack, settings, target)
        newest = await market.rpc.block_number()
        taken = await liquidations(market, first, newest if last is None else min(last, newest))
        since = datetime.fromtimestamp(min((one.at for one in taken), default=0), UTC) - timedelta(days=1)
        every = read_decisions(ledger_directory(settings), since)
        return await missed_among(market, taken, [one for one in every if one.market == market.name])


def _document(one: "Missed", settings: Settings) -> dict[str, Any]:
    from liqcli.bot.risk import tier_of

    seen = one.known or one.last
    factor = None if seen is None else seen.health_factor
    return {
        "tx": one.taken.tx_hash,
        "borrower": one.taken.log.borrower,
        "liquidator": one.taken.log.liquidator,
        "block": one.taken.block,
        "debt_usd": None if one.debt_base is None else one.debt_base / BASE_UNIT,
        "in_book": one.in_book,
        "tier": None if factor is None else tier_of(factor, settings.tiers).value,
        "health_factor": None if factor is None else str(factor),
        "health_factor_float": None if factor is None else factor / WAD,
        "reading_age_s": None if seen is None else seen.reading_age_s,
        "reason": safe(one.reason),
        "profit_usd": None if one.profit_base is None else one.profit_base / BASE_UNIT,
    }


def _print_people(found: list["Missed"]) -> None:
    rows = [
        [
            address(one.taken.log.borrower),
            address(one.taken.log.liquidator),
            safe(one.reason),
            f"{one.taken.block:,}",
            usd(one.debt_base),
            usd(one.profit_base),
        ]
        for one in found
    ]
    print_table(["borrower", "liquidated by", "why not by us", "block", "debt", "would have paid"], rows, left=3)
    if not rows:
        say("nobody else liquidated anybody in these blocks")
