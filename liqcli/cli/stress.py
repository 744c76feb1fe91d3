"""`liq stress HYPE=-20%`: who is below one under other prices, from the book, every one of them exact."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from liqcli.cli import options
from liqcli.cli.prices import Change, new_prices, parse_changes, untouched
from liqcli.cli.render import address, health, print_json, print_table, say, usd
from liqcli.config import Settings
from liqcli.errors import InputError
from liqcli.model import BASE_UNIT, WAD
from liqcli.text import safe

if TYPE_CHECKING:
    from liqcli.aave.account import AccountData, Position
    from liqcli.book.columns import Columns
    from liqcli.book.moment import Moment
    from liqcli.chain.market import Market
    from liqcli.chain.reserves import ReserveTokens
    from liqcli.cli.connect import Target

STEPS = 80
"""Points of the curve; it goes to twice the shock asked for."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Everybody's position at one block, and what holds there; `unknown` counts borrowers that cannot be valued."""

    block: int
    moment: "Moment"
    positions: Mapping[str, "Position"]
    unknown: int
    tokens: Sequence["ReserveTokens"]


@dataclass(frozen=True, slots=True)
class Fallen:
    """One borrower below one under the shock: as it is, and as it would be."""

    borrower: str
    before: "AccountData"
    after: "AccountData"

    @property
    def already(self) -> bool:
        """Whether it is below one without any shock."""
        return self.before.health_factor < WAD


@dataclass(frozen=True, slots=True)
class Outcome:
    """Who falls, the riskiest first; `curve` is the debt below one in base currency by size, 1 being the shock."""

    stage: Stage
    prices: Mapping[int, int]
    fallen: tuple[Fallen, ...]
    curve: tuple[tuple[float, int], ...]


def stress(
    *,
    shock: Annotated[
        list[str], typer.Argument(metavar="ASSET=CHANGE...", help="HYPE=-20%, UBTC=+5%, UETH=2500.", show_default=False)
    ],
    charts: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Draw the debt falling against the size of the shock.")
    ] = None,
    as_json: options.Json = False,
    network: options.Network = None,
    market: options.MarketName = None,
    provider: options.Provider = None,
    rpc: options.RpcUrl = None,
    config: options.ConfigFile = None,
    sandbox: options.Sandbox = False,
) -> None:
    """Show who falls below one under other prices; assets not named keep theirs.

    Example: liq stress HYPE=-20% wstHYPE=-20% --sandbox
    """
    changes = parse_changes(shock)
    settings = options.settings_from(network=network, market=market, provider=provider, rpc=rpc, config=config)
    stage = asyncio.run(_read(settings, sandbox=sandbox))
    outcome = _outcome(stage, new_prices(changes, stage.tokens, stage.moment.reserves))
    if charts is not None:
        _draw(outcome, changes, charts)
    if as_json:
        print_json(_document(outcome))
    else:
        _print_people(outcome)
    if note := untouched(changes, stage.tokens, outcome.prices):
        say(note)


async def _read(settings: Settings, *, sandbox: bool) -> Stage:
    from liqcli.cli import connect

    async with AsyncExitStack() as stack:
        target = await connect.find_target(stack, settings, sandbox=sandbox, tell=say)
        market = await connect.open_market_at(stack, settings, target)
        return await _stage(market, settings, target)


async def _stage(market: "Market", settings: Settings, target: "Target") -> Stage:
    """The book, caught up to the block of the prices."""
    from liqcli.book.moment import can_value, moment_at
    from liqcli.book.reads import read_truth
    from liqcli.cli.catching_up import caught_up

    follower = await caught_up(market, settings, target)
    book = follower.book
    truth = await read_truth(market, [], sources=book.price_sources, categories=book.categories)
    await follower.catch_up(truth.block)
    book.set_prices(truth.prices)
    moment = moment_at(book.version, book.reserves, book.emodes, truth.at)
    borrowers = list(book.borrowers)
    positions = [book.position(borrower) for borrower in borrowers if book.why_unknown(borrower) is None]
    known = {position.borrower: position for position in positions if can_value(moment, position)}
    return Stage(book.cursor, moment, known, len(borrowers) - len(known), market.reserves)


def _outcome(stage: Stage, prices: Mapping[int, int]) -> Outcome:
    from liqcli.book.columns import Columns
    from liqcli.book.moment import account_at, liquidatable, repriced

    columns = Columns()
    columns.put(*stage.positions.values())
    after = repriced(stage.moment, prices)
    columns.revalue(after)
    chosen = [stage.positions[borrower] for borrower in columns.candidates()]
    fallen = [
        Fallen(position.borrower, account_at(stage.moment, position), account)
        for position, account in liquidatable(after, chosen)
    ]
    fallen.sort(key=lambda each: each.after.health_factor)
    return Outcome(stage, prices, tuple(fallen), tuple(_curve(stage, prices, columns)))


def _curve(stage: Stage, prices: Mapping[int, int], columns: "Columns") -> Sequence[tuple[float, int]]:
    """The debt of everybody below one, at today's prices, from no shock to twice the one asked for."""
    from liqcli.book.moment import account_at, repriced

    debts = {name: account_at(stage.moment, position).debt_base for name, position in stage.positions.items()}
    now = {number: stage.moment.reserves[number].price for number in prices}
    points = []
    for step in range(STEPS + 1):
        size = 2 * step / STEPS
        at_size = {number: round(now[number] + size * (price - now[number])) for number, price in prices.items()}
        if min(at_size.values()) <= 0:
            break
        columns.revalue(repriced(stage.moment, at_size))
        points.append((size, sum(debts[borrower] for borrower in columns.candidates(below=1.0))))
    return points


def _document(outcome: Outcome) -> dict[str, Any]:
    stage, fallen = outcome.stage, outcome.fallen
    return {
        "block": stage.block,
        "block_age_s": _age_s(stage),
        "shock": _shock(outcome),
        "borrowers": len(stage.positions),
        "unknown": stage.unknown,
        "already_below": sum(each.already for each in fallen),
        "falling": [_fallen_document(each) for each in fallen],
        "debt_base": str(sum(each.after.debt_base for each in fallen)),
        "debt_usd": sum(each.after.debt_base for each in fallen) / BASE_UNIT,
        "collateral_base": str(sum(each.after.collateral_base for each in fallen)),
        "collateral_usd": sum(each.after.collateral_base for each in fallen) / BASE_UNIT,
        "curve": [{"size": size, "debt_usd": debt / BASE_UNIT} for size, debt in outcome.curve],
    }


def _shock(outcome: Outcome) -> dict[str, Any]:
    """Every moved price, by symbol, or by address where two assets share one."""
    symbols = [token.symbol for token in outcome.stage.tokens]
    return {
        safe(token.symbol) if symbols.count(token.symbol) == 1 else token.asset: {
            "asset": token.asset,
            "from_usd": outcome.stage.moment.reserves[token.id].price / BASE_UNIT,
            "to_usd": outcome.prices[token.id] / BASE_UNIT,
        }
        for token in outcome.stage.tokens
        if token.id in outcome.prices
    }


def _fallen_document(each: Fallen) -> dict[str, Any]:
    return {
        "borrower": each.borrower,
        "health_factor": str(each.after.health_factor),
        "health_factor_float": each.after.health_factor / WAD,
        "health_factor_now": str(each.before.health_factor),
        "already_below": each.already,
        "debt_base": str(each.after.debt_base),
        "debt_usd": each.after.debt_base / BASE_UNIT,
        "collateral_base": str(each.after.collateral_base),
        "collateral_usd": each.after.collateral_base / BASE_UNIT,
    }


def _print_people(outcome: Outcome) -> None:
    rows = [
        [
            address(each.borrower),
            health(each.before.health_factor),
            health(each.after.health_factor),
            usd(each.after.debt_base),
            usd(each.after.collateral_base),
        ]
        for each in outcome.fallen
    ]
    print_table(["borrower", "HF now", "HF then", "debt", "collateral"], rows, first_to_go=("collateral", "debt"))
    moved = ", ".join(
        f"{name} ${each['from_usd']:,.2f} > ${each['to_usd']:,.2f}" for name, each in _shock(outcome).items()
    )
    already = sum(each.already for each in outcome.fallen)
    say(
        f"{moved}: {len(rows):,} of {len(outcome.stage.positions):,} below 1, {already:,} of them already now · "
        f"debt {usd(sum(each.after.debt_base for each in outcome.fallen))} · block {outcome.stage.block:,}, "
        f"{_age_s(outcome.stage)} s old" + (f" · {outcome.stage.unknown:,} unknown" if outcome.stage.unknown else "")
    )


def _draw(outcome: Outcome, changes: Sequence[Change], directory: Path) -> None:
    from liqcli.cli.stress_chart import draw

    try:
        directory.mkdir(parents=True, exist_ok=True)
        for path in draw(outcome.curve, changes, directory):
            say(f"wrote {path}")
    except OSError as err:
        raise InputError(f"cannot write charts to {directory} ({err.strerror})", hint="name another directory") from err


def _age_s(stage: Stage) -> int:
    return max(int(time.time()) - stage.moment.now, 0)
