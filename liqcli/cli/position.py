"""`liq position ADDR`: one borrower whole, read and checked at one block, and what other prices would make of it."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from liqcli.cli import options
from liqcli.cli.addresses import Shortened, borrower_named
from liqcli.cli.prices import Change, kin_of, new_prices, parse_changes, price_label, untouched
from liqcli.cli.render import health, print_json, print_table, say, usd
from liqcli.config import Settings
from liqcli.model import BASE_UNIT, WAD, Address, Exit, Liquidation
from liqcli.text import safe

if TYPE_CHECKING:
    from liqcli.chain.market import Market
    from liqcli.cli.connect import Target
    from liqcli.cli.position_view import Balance, View

_FIRST_TO_GO = ("LT", "price", "", "value")


def position(
    *,
    borrower: Annotated[
        str, typer.Argument(metavar="ADDR", help="The borrower's address, also shortened.", show_default=False)
    ],
    what_if: Annotated[
        list[str] | None,
        typer.Option(metavar="ASSET=CHANGE", help="Other prices: HYPE=-8%, UBTC=90000; may be given again."),
    ] = None,
    as_json: options.Json = False,
    network: options.Network = None,
    market: options.MarketName = None,
    provider: options.Provider = None,
    rpc: options.RpcUrl = None,
    config: options.ConfigFile = None,
    sandbox: options.Sandbox = False,
) -> None:
    """Show one borrower: balances, the price of each asset at which it falls, and the best liquidation.

    Example: liq position 0x91f0000000000000000000000000000000aa3daa --what-if HYPE=-8% --sandbox
    """
    wanted = borrower_named(borrower)
    changes = parse_changes(what_if or [])
    settings = options.settings_from(network=network, market=market, provider=provider, rpc=rpc, config=config)
    view, shocked = asyncio.run(_read(settings, wanted, changes, sandbox=sandbox))
    if as_json:
        print_json(_document(view) | ({} if shocked is None else {"what_if": _what_if(view, shocked, changes)}))
        return
    _print_people(view)
    if shocked is not None:
        _print_what_if(view, shocked, changes)


async def _read(
    settings: Settings, wanted: Address | Shortened, changes: Sequence[Change], *, sandbox: bool
) -> tuple["View", "View | None"]:
    from liqcli.bot.decide import decide
    from liqcli.chain.exchange import open_exchange
    from liqcli.cli import connect
    from liqcli.cli.position_view import view_of, with_prices

    least = settings.limits.min_profit_base
    async with AsyncExitStack() as stack:
        target = await connect.find_target(stack, settings, sandbox=sandbox, tell=say)
        market = await connect.open_market_at(stack, settings, target)
        snapshot = await market.snapshot(await _meant(wanted, market, settings, target))
        gas_price = await market.rpc.gas_price()
        exchange = await open_exchange(market, target.exchange)
        best = await decide(snapshot, market, exchange, settings.limits)
    view = replace(view_of(snapshot, min_profit_base=least, gas_price=gas_price), best=best)
    if not changes:
        return view, None
    prices = new_prices(changes, list(snapshot.tokens.values()), snapshot.reserves)
    return view, view_of(with_prices(snapshot, prices), min_profit_base=least, gas_price=gas_price)


async def _meant(wanted: Address | Shortened, market: "Market", settings: Settings, target: "Target") -> Address:
    """The whole address; for a shortened one the book is opened."""
    from liqcli.cli.catching_up import caught_up

    if not isinstance(wanted, Shortened):
        return wanted
    follower = await caught_up(market, settings, target)
    return wanted.among(follower.book.borrowers, place="the book")


def _document(view: "View") -> dict[str, Any]:
    account, held = view.account, view.snapshot.position
    return {
        "borrower": held.borrower,
        "block": view.snapshot.block,
        "block_age_s": _age_s(view),
        **_standing(view),
        "available_borrows_base": str(account.available_borrows_base),
        "available_borrows_usd": account.available_borrows_base / BASE_UNIT,
        "liquidation_threshold": account.liquidation_threshold,
        "ltv": account.ltv,
        "emode": held.emode,
        "collateral": [
            {**_balance(item), "used_as_collateral": item.counts, "liquidation_threshold": item.threshold}
            for item in view.collateral
        ],
        "debt": [_balance(item) for item in view.debt],
    }


def _standing(view: "View") -> dict[str, Any]:
    """What depends on prices alone: the sums, the health, the prices at which it falls, and what can be taken."""
    account = view.account
    best = view.best if isinstance(view.best, Liquidation) else None
    return {
        "health_factor": str(account.health_factor),
        "health_factor_float": account.health_factor / WAD,
        "collateral_base": str(account.collateral_base),
        "collateral_usd": account.collateral_base / BASE_UNIT,
        "debt_base": str(account.debt_base),
        "debt_usd": account.debt_base / BASE_UNIT,
        "liquidation_price": _liquidation_prices(view),
        "best": None if best is None else _best(best),
        "why_not": None if isinstance(view.best, Liquidation) else view.best.text,
    }


def _liquidation_prices(view: "View") -> dict[str, float | None]:
    """By symbol, or by address where two assets share one."""
    tokens = {item.token.id: item for item in (*view.collateral, *view.debt) if item.counts}.values()
    names = [safe(item.token.symbol) for item in tokens]
    return {
        name if names.count(name) == 1 else item.token.asset: item.falls_at / BASE_UNIT if item.falls_at else None
        for name, item in zip(names, tokens, strict=True)
    }


def _balance(item: "Balance") -> dict[str, Any]:
    return {
        "asset": item.token.asset,
        "symbol": safe(item.token.symbol),
        "amount": str(item.amount),
        "amount_float": item.amount / 10**item.token.decimals,
        "price_usd": item.price / BASE_UNIT,
        "base": str(item.base),
        "usd": item.base / BASE_UNIT,
    }


def _best(best: Liquidation) -> dict[str, Any]:
    return {
        "debt_asset": best.debt_asset,
        "collateral_asset": best.collateral_asset,
        "debt_to_cover": str(best.debt_to_cover),
        "expected_collateral": str(best.expected_collateral),
        "own_funds": best.exit is None or not best.exit.flash_loan,
        "profit_base": str(best.profit_base),
        "profit_usd": best.profit_base / BASE_UNIT,
        "profit": [{"what": line.what, "base": str(line.base), "usd": line.base / BASE_UNIT} for line in best.profit],
        "exit": None if best.exit is None else _exit(best.exit),
    }


def _exit(through: Exit) -> dict[str, Any]:
    """How the collateral is sold; amounts in the debt's token."""
    return {
        "contract": through.contract,
        "router": through.router,
        "path": through.path,
        "flash_loan": through.flash_loan,
        "premium": str(through.premium),
        "proceeds": str(through.proceeds),
        "profit": str(through.profit),
        "min_profit": str(through.min_profit),
    }


def _what_if(view: "View", shocked: "View", changes: Sequence[Change]) -> dict[str, Any]:
    reserves, moved = view.snapshot.reserves, shocked.snapshot.reserves
    shock = {
        safe(view.snapshot.tokens[number].symbol): {
            "from_usd": reserves[number].price / BASE_UNIT,
            "to_usd": moved[number].price / BASE_UNIT,
        }
        for number in moved
        if moved[number].price != reserves[number].price
    }
    tokens = list(view.snapshot.tokens.values())
    kept = [safe(token.symbol) for token in kin_of(changes, tokens, _moved(view, shocked))]
    return {"shock": shock, "correlated_unchanged": kept, **_standing(shocked)}


def _moved(view: "View", shocked: "View") -> set[int]:
    """The reserves whose price is another."""
    before, after = view.snapshot.reserves, shocked.snapshot.reserves
    return {number for number in after if after[number].price != before[number].price}


def _print_people(view: "View") -> None:
    held, account = view.snapshot.position, view.account
    version = ".".join(map(str, view.snapshot.version))
    say(f"block {view.snapshot.block:,}, {_age_s(view)} s old · Aave v{version}")
    emode = f"e-mode {held.emode}" if held.emode else "no e-mode"
    print(f"{held.borrower}  health factor {health(account.health_factor)}  {emode}")
    print(
        f"collateral {usd(account.collateral_base)}, threshold {account.liquidation_threshold / 100:.2f} %, "
        f"ltv {account.ltv / 100:.2f} %  debt {usd(account.debt_base)}, "
        f"can borrow {usd(account.available_borrows_base)}"
    )
    rows = [["held" if item.counts else "unused", *_cells(item)] for item in view.collateral]
    rows += [["owed", *_cells(item)] for item in view.debt]
    if rows:
        print_table(
            ["", "asset", "amount", "price", "value", "LT", "HF = 1 at"], rows, left=2, first_to_go=_FIRST_TO_GO
        )
    _print_best(view)


def _cells(item: "Balance") -> list[str]:
    amount = f"{item.amount / 10**item.token.decimals:,.4f}"
    threshold = f"{item.threshold / 100:g} %" if item.threshold else ""
    falls_at = price_label(item.falls_at, item.price) if item.counts else ""
    return [safe(item.token.symbol, limit=16), amount, usd(item.price), usd(item.base), threshold, falls_at]


def _print_best(view: "View") -> None:
    if not isinstance(view.best, Liquidation):
        print(f"no liquidation: {safe(view.best.text)}")
        return
    tokens = {token.asset: token for token in view.snapshot.tokens.values()}
    debt, collateral = tokens[view.best.debt_asset], tokens[view.best.collateral_asset]
    repaid = f"{view.best.debt_to_cover / 10**debt.decimals:,.6f} {safe(debt.symbol, limit=16)}"
    print(
        f"best liquidation{_means(view.best)}: repay {repaid}"
        f" for {view.best.expected_collateral / 10**collateral.decimals:,.6f} {safe(collateral.symbol, limit=16)}"
    )
    rows = [[line.what, usd(line.base)] for line in view.best.profit]
    print_table(["", "USD"], [*rows, ["profit", usd(view.best.profit_base)]])


def _means(best: Liquidation) -> str:
    """Whose money it takes, where that is not the pool's."""
    if best.exit is None:
        return " with own funds, nothing sold"
    return "" if best.exit.flash_loan else " with own funds"


def _print_what_if(view: "View", shocked: "View", changes: Sequence[Change]) -> None:
    reserves, after, moved = view.snapshot.reserves, shocked.snapshot.reserves, _moved(view, shocked)
    changed = [
        f"{safe(token.symbol, limit=16)} {usd(reserves[number].price)} > {usd(after[number].price)}"
        for number, token in view.snapshot.tokens.items()
        if number in moved
    ]
    print(f"what if {', '.join(changed) or 'nothing changed'}: health factor {health(shocked.account.health_factor)}")
    print(f"collateral {usd(shocked.account.collateral_base)}, debt {usd(shocked.account.debt_base)}")
    if not moved & {item.token.id for item in (*view.collateral, *view.debt)}:
        print("this borrower neither holds nor owes any of that: nothing changes for it")
    if note := untouched(changes, list(view.snapshot.tokens.values()), moved):
        say(note)
    _print_best(shocked)
    if isinstance(shocked.best, Liquidation):
        print("no exchange quotes other prices: what a loan and a sale would cost is left out")


def _age_s(view: "View") -> int:
    return max(int(time.time()) - view.snapshot.at, 0)
