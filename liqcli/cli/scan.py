"""`liq scan`: every borrower's tier in one shot, what it shows confirmed on chain at one block."""

import asyncio
import csv
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from liqcli.cli import options
from liqcli.cli.completion import offering, tiers
from liqcli.cli.exit_codes import FOUND
from liqcli.cli.render import address, health, print_json, print_table, say, usd
from liqcli.config import Settings
from liqcli.model import BASE_UNIT, NO_DEBT, WAD, Address, Liquidation, Reading, Tier
from liqcli.text import safe

if TYPE_CHECKING:
    from liqcli.book.mirror import Mirror
    from liqcli.chain.exchange import Exchange
    from liqcli.chain.market import Batch, Market

_UNREAD = 4
_AGAIN_S = 0.2
_SPARE = 100
"""Read beside those to be shown: on a moving market some leave their tier before they are confirmed."""
_BLUR = 0.002
"""Twice the band in which the columns' health factors may stray from the exact ones."""


_FIRST_TO_GO = ("collateral", "tier", "best close", "debt", "est. profit")


@dataclass(frozen=True, slots=True)
class Shown:
    """One borrower of the answer: its confirmed reading, its tier, and the best liquidation if there is one."""

    reading: Reading
    tier: Tier
    best: Liquidation | None
    why_not: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A scan's result; `read` and `failed` count borrowers, every shown one was read at `block`."""

    block: int
    at: int
    tiers: tuple[Tier, ...]
    read: int
    failed: int
    shown: tuple[Shown, ...]


def scan(
    *,
    tier: Annotated[
        list[str] | None, typer.Option(help="Only this tier; may be given again.", autocompletion=offering(tiers))
    ] = None,
    hf_below: Annotated[float | None, typer.Option(help="Only health factors below this.", min=0)] = None,
    min_debt: Annotated[float, typer.Option(help="Only debts of at least this many USD.", min=0)] = 0.0,
    limit: Annotated[int | None, typer.Option(help="At most this many, the riskiest first.", min=1)] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV on stdout.")] = False,
    fail_on_found: Annotated[bool, typer.Option("--fail-on-found", help="Exit with 10 when anybody is shown.")] = False,
    as_json: options.Json = False,
    network: options.Network = None,
    market: options.MarketName = None,
    provider: options.Provider = None,
    rpc: options.RpcUrl = None,
    config: options.ConfigFile = None,
    sandbox: options.Sandbox = False,
) -> None:
    """Show who is at risk, by the exact book, each confirmed on chain at one block.

    Example: liq scan --tier critical --sandbox
    """
    tiers = tuple(options.tier_named(name) for name in tier or []) or tuple(Tier)
    settings = options.settings_from(network=network, market=market, provider=provider, rpc=rpc, config=config)
    wanted = Wanted(tiers, hf_below, round(min_debt * BASE_UNIT), limit)
    answer, symbols = asyncio.run(_scan(settings, wanted, sandbox=sandbox))
    if as_json:
        print_json(_document(answer))
    elif as_csv:
        _print_csv(answer)
    else:
        _print_people(answer, symbols)
    if answer.failed:
        raise typer.Exit(_UNREAD)
    if fail_on_found and answer.shown:
        raise typer.Exit(FOUND)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whom to show."""

    tiers: tuple[Tier, ...]
    hf_below: float | None
    min_debt_base: int
    limit: int | None

    def picks(self, reading: Reading, tier: Tier) -> bool:
        """Whether a borrower belongs into the answer."""
        below = self.hf_below is None or reading.health_factor < self.hf_below * WAD
        return tier in self.tiers and below and reading.debt_base >= self.min_debt_base


async def _scan(settings: Settings, wanted: Wanted, *, sandbox: bool) -> tuple[Answer, dict[str, str]]:
    from liqcli.book.mirror import Mirror
    from liqcli.chain.exchange import open_exchange
    from liqcli.cli import connect
    from liqcli.cli.catching_up import caught_up

    async with AsyncExitStack() as stack:
        target = await connect.find_target(stack, settings, sandbox=sandbox, tell=say)
        market = await connect.open_market_at(stack, settings, target)
        mirror = Mirror(await caught_up(market, settings, target))
        await mirror.open()
        exchange = await open_exchange(market, target.exchange)
        answer = await _answer(market, mirror, exchange, wanted, settings)
        return answer, {reserve.asset: reserve.symbol for reserve in market.reserves}


async def _answer(
    market: "Market", mirror: "Mirror", exchange: "Exchange | None", wanted: Wanted, settings: Settings
) -> Answer:
    """Whom the book shows in these tiers, and everybody it does not know, confirmed on chain at one block."""
    from liqcli.bot.risk import tier_of

    unknown = list(mirror.book.unknown)
    picked = [reading for tier in wanted.tiers for reading in _in_tier(mirror, tier, settings)]
    picked = [reading for reading in picked if wanted.picks(reading, tier_of(reading.health_factor, settings.tiers))]
    room = None if wanted.limit is None else wanted.limit + _SPARE
    riskiest = sorted(picked, key=lambda reading: reading.health_factor)[:room]
    confirmed = await _confirmed(market, [*(reading.borrower for reading in riskiest), *unknown])
    shown = [
        await _shown(market, exchange, reading, tier_of(reading.health_factor, settings.tiers), settings)
        for reading in sorted(confirmed.readings.values(), key=lambda reading: reading.health_factor)
        if wanted.picks(reading, tier_of(reading.health_factor, settings.tiers))
    ]
    block, at = (confirmed.block, confirmed.at) if confirmed.readings else (mirror.book.cursor, mirror.now)
    return Answer(block, at, wanted.tiers, len(mirror), len(confirmed.failed), tuple(shown[: wanted.limit]))


async def _confirmed(market: "Market", borrowers: Sequence[Address]) -> "Batch":
    """Read at one block; all once more when somebody was not read, which some nodes refuse while a block comes in."""
    batch = await market.readings(borrowers)
    if not batch.failed:
        return batch
    await asyncio.sleep(_AGAIN_S)
    return await market.readings(borrowers)


def _in_tier(mirror: "Mirror", tier: Tier, settings: Settings) -> list[Reading]:
    """The book's exact readings around a tier; the columns' floats only choose whom to value, rather a few too many."""
    low, high = settings.tiers.bounds(tier)
    near = mirror.between(low * (1 - _BLUR), high * (1 + _BLUR))
    found = (mirror.reading(borrower) for borrower in near)
    return [reading for reading in found if reading is not None and reading.health_factor != NO_DEBT]


async def _shown(
    market: "Market", exchange: "Exchange | None", reading: Reading, tier: Tier, settings: Settings
) -> Shown:
    from liqcli.bot.decide import Skip, decide
    from liqcli.chain.reserves import Unknown

    if not reading.is_liquidatable:
        return Shown(reading, tier, None, "")
    try:
        snapshot = await market.snapshot(reading.borrower)
    except Unknown as err:
        return Shown(reading, tier, None, str(err))
    decision = await decide(snapshot, market, exchange, settings.limits)
    if isinstance(decision, Skip):
        return Shown(reading, tier, None, decision.text)
    return Shown(reading, tier, decision, "")


def _document(answer: Answer) -> dict[str, Any]:
    return {
        "block": answer.block,
        "block_age_s": max(int(time.time()) - answer.at, 0),
        "tiers": [tier.value for tier in answer.tiers],
        "read": answer.read,
        "failed": answer.failed,
        "borrowers": [_borrower_document(shown) for shown in answer.shown],
    }


def _borrower_document(shown: Shown) -> dict[str, Any]:
    reading, best = shown.reading, shown.best
    return {
        "borrower": reading.borrower,
        "tier": shown.tier.value,
        "health_factor": str(reading.health_factor),
        "health_factor_float": reading.health_factor / WAD,
        "collateral_base": str(reading.collateral_base),
        "collateral_usd": reading.collateral_base / BASE_UNIT,
        "debt_base": str(reading.debt_base),
        "debt_usd": reading.debt_base / BASE_UNIT,
        "pace": None,
        "best": None
        if best is None
        else {
            "debt_asset": best.debt_asset,
            "collateral_asset": best.collateral_asset,
            "debt_to_cover": str(best.debt_to_cover),
            "profit_base": str(best.profit_base),
            "profit_usd": best.profit_base / BASE_UNIT,
        },
    }


def _print_people(answer: Answer, symbols: dict[str, str]) -> None:
    rows = [
        [
            address(shown.reading.borrower),
            shown.tier.value,
            health(shown.reading.health_factor),
            usd(shown.reading.debt_base),
            usd(shown.reading.collateral_base),
            _pair(shown, symbols),
            "" if shown.best is None else usd(shown.best.profit_base),
        ]
        for shown in answer.shown
    ]
    header = ["borrower", "tier", "HF", "debt", "collateral", "best close", "est. profit"]
    print_table(header, rows, left=2, first_to_go=_FIRST_TO_GO, folds=["best close"])
    age_s = max(int(time.time()) - answer.at, 0)
    say(
        f"{len(rows):,} shown of {answer.read:,} read, {answer.failed:,} failed · block {answer.block:,}, {age_s} s old"
    )


def _pair(shown: Shown, symbols: dict[str, str]) -> str:
    if shown.best is None:
        return safe(shown.why_not, limit=40)
    return f"{safe(symbols[shown.best.debt_asset])} > {safe(symbols[shown.best.collateral_asset])}"


def _print_csv(answer: Answer) -> None:
    out = csv.writer(sys.stdout)
    out.writerow(["borrower", "tier", "health_factor", "debt_usd", "collateral_usd", "profit_usd"])
    for shown in answer.shown:
        best = "" if shown.best is None else shown.best.profit_base / BASE_UNIT
        reading = shown.reading
        out.writerow(
            [
                reading.borrower,
                shown.tier.value,
                str(reading.health_factor),
                reading.debt_base / BASE_UNIT,
                reading.collateral_base / BASE_UNIT,
                best,
            ]
        )
