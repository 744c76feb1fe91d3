"""One borrower under one set of prices: what it holds and owes, where each price brings it down, what can be taken."""

from dataclasses import dataclass, replace

from liqcli.aave.account import (
    AccountData,
    account_data,
    collateral_balance,
    debt_balance,
    debt_value,
    in_emode,
    price_of,
)
from liqcli.book.brink import liquidation_price
from liqcli.book.moment import Moment, moment_at
from liqcli.bot.decide import Skip, best_liquidation
from liqcli.chain.reserves import ReserveTokens
from liqcli.chain.snapshot import Snapshot
from liqcli.model import Liquidation


@dataclass(frozen=True, slots=True)
class Balance:
    """One balance: `counts` is whether it is used as collateral, or a debt; `falls_at` the price that takes it down."""

    token: ReserveTokens
    amount: int
    base: int
    price: int
    threshold: int
    counts: bool
    falls_at: int | None


@dataclass(frozen=True, slots=True)
class View:
    """The borrower; what it supplied without using it, of an asset that has no price, is left out."""

    snapshot: Snapshot
    account: AccountData
    collateral: tuple[Balance, ...]
    debt: tuple[Balance, ...]
    best: Liquidation | Skip


def view_of(snapshot: Snapshot, *, min_profit_base: int, gas_price: int) -> View:
    """The borrower as the snapshot has it."""
    held = snapshot.position
    moment = moment_at(snapshot.version, snapshot.reserves, snapshot.emodes, snapshot.at)
    return View(
        snapshot,
        account_data(snapshot.version, snapshot.reserves, snapshot.emodes, held, snapshot.at),
        tuple(
            _collateral(snapshot, moment, number) for number in sorted(held.scaled_collateral.keys() & moment.reserves)
        ),
        tuple(_debt(snapshot, moment, number) for number in sorted(held.scaled_debt)),
        best_liquidation(snapshot, min_profit_base=min_profit_base, gas_price=gas_price),
    )


def with_prices(snapshot: Snapshot, prices: dict[int, int]) -> Snapshot:
    """The same block with other prices; the pool's own answer no longer belongs to it."""
    moved = {number: replace(snapshot.reserves[number], price=price) for number, price in prices.items()}
    reserves = {**snapshot.reserves, **moved}
    account = account_data(snapshot.version, reserves, snapshot.emodes, snapshot.position, snapshot.at)
    return replace(snapshot, reserves=reserves, account=account)


def _collateral(snapshot: Snapshot, moment: Moment, number: int) -> Balance:
    version, held, reserve = snapshot.version, snapshot.position, snapshot.reserves[number]
    amount = collateral_balance(version, reserve, held.scaled_collateral[number], snapshot.at)
    price = price_of(version, reserve, snapshot.emodes, held)
    inside = in_emode(version, reserve, snapshot.emodes, held)
    counts = number in held.collateral_ids
    return Balance(
        token=snapshot.tokens[number],
        amount=amount,
        base=amount * price // reserve.unit,
        price=price,
        threshold=snapshot.emodes[held.emode].liquidation_threshold if inside else reserve.liquidation_threshold,
        counts=counts,
        falls_at=liquidation_price(moment, held, number) if counts else None,
    )


def _debt(snapshot: Snapshot, moment: Moment, number: int) -> Balance:
    version, held, reserve = snapshot.version, snapshot.position, snapshot.reserves[number]
    amount = debt_balance(version, reserve, held.scaled_debt[number], snapshot.at)
    price = price_of(version, reserve, snapshot.emodes, held)
    base = debt_value(version, amount, price, reserve.unit)
    falls_at = liquidation_price(moment, held, number)
    return Balance(snapshot.tokens[number], amount, base, price, threshold=0, counts=True, falls_at=falls_at)
