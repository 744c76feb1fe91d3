"""What a borrower may do next: each act is a few real transactions, chosen by what the borrower holds right now."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from liqcli.chain.abi import (
    GET_USER_ACCOUNT_DATA,
    GET_USER_CONFIGURATION,
    GET_USER_EMODE,
    encode_call,
    pack_aggregate3,
    unhex,
    unpack_aggregate3,
    words,
)
from liqcli.chain.aggregate import AGGREGATOR
from liqcli.chain.rpc import Rpc
from liqcli.errors import Unreachable
from liqcli.model import BASE_UNIT, Address
from liqcli.sandbox import calls
from liqcli.sandbox.market import Deployment
from liqcli.sandbox.plans import Plan
from liqcli.sandbox.reserves import HYPE_EMODE
from liqcli.sandbox.transactions import Transaction

BALANCE_OF = bytes.fromhex("70a08231")
DUST_BASE = 10 * BASE_UNIT
"""Amounts below ten dollars are not worth an act."""
REPAY_ALL = 0.15
"""Share of the repayments that close the debt."""


@dataclass(frozen=True, slots=True)
class Act:
    """A kind of act and its transactions, all of one borrower and in order."""

    kind: str
    transactions: Sequence[Transaction]


@dataclass(frozen=True, slots=True)
class Holdings:
    """One borrower at one block; amounts in token units by symbol, zero ones left out."""

    borrower: Address
    available_base: int
    emode: int
    supplied: Mapping[str, int]
    owed: Mapping[str, int]
    collateral: frozenset[str]


@dataclass(frozen=True, slots=True)
class Stage:
    """Where acts take place: the market, its prices, the people, and the dice."""

    market: Deployment
    prices: Mapping[str, int]
    people: Sequence[Address]
    dice: random.Random

    def worth(self, symbol: str, amount: int) -> int:
        """An amount in base currency."""
        return amount * self.prices[symbol] // self.market.asset(symbol).listing.unit

    def amount(self, symbol: str, base: int) -> int:
        """Base currency in token units."""
        return base * self.market.asset(symbol).listing.unit // self.prices[symbol]


async def read_holdings(rpc: Rpc, market: Deployment, borrowers: Sequence[Address]) -> list[Holdings]:
    """What each borrower holds, all from one block."""
    reads = [read for borrower in borrowers for read in _reads(market, borrower)]
    call = {"to": AGGREGATOR, "data": "0x" + pack_aggregate3(reads).hex()}
    results = unpack_aggregate3(unhex(await rpc.call("eth_call", call, "latest")), len(reads))
    size = len(reads) // len(borrowers)
    return [
        _holdings(market, borrower, [_required(result) for result in results[at * size : (at + 1) * size]])
        for at, borrower in enumerate(borrowers)
    ]


def choose(stage: Stage, holdings: Holdings) -> Act | None:
    """A random act that these holdings allow; None when they allow nothing."""
    kinds = list(KINDS)
    weights = [KINDS[kind][1] for kind in kinds]
    while kinds:
        kind = stage.dice.choices(kinds, weights)[0]
        transactions = KINDS[kind][0](stage, holdings)
        if transactions:
            return Act(kind, transactions)
        weights.pop(kinds.index(kind))
        kinds.remove(kind)
    return None


def arrival(stage: Stage, plan: Plan) -> Act:
    """A newcomer brings tokens and opens the planned position without anyone's help."""
    steps = []
    for symbol, amount in plan.collateral:
        steps += _pay_in(stage, plan.borrower, symbol, amount)
    if plan.emode:
        steps.append(calls.set_emode(plan.borrower, stage.market.pool, plan.emode))
    borrows = [
        calls.borrow(plan.borrower, stage.market.pool, stage.market.asset(symbol), amount)
        for symbol, amount in plan.debt
    ]
    return Act("newcomer", steps + borrows)


def departure(stage: Stage, holdings: Holdings) -> Act:
    """Somebody leaves the market: every debt is closed, then everything withdrawn."""
    pool, steps = stage.market.pool, list[Transaction]()
    for symbol, owed in sorted(holdings.owed.items()):
        steps += _pay_back(stage, holdings.borrower, symbol, owed, calls.EVERYTHING)
    steps += [
        calls.withdraw(holdings.borrower, pool, stage.market.asset(symbol), calls.EVERYTHING)
        for symbol in sorted(holdings.supplied)
    ]
    return Act("departure", steps)


def _borrow(stage: Stage, holdings: Holdings) -> list[Transaction]:
    if holdings.available_base < DUST_BASE:
        return []
    choices = [a.listing.symbol for a in stage.market.assets if not holdings.emode or a.listing.emode == holdings.emode]
    symbol = stage.dice.choice(choices)
    amount = stage.amount(symbol, int(holdings.available_base * stage.dice.uniform(0.1, 0.9)))
    return [calls.borrow(holdings.borrower, stage.market.pool, stage.market.asset(symbol), amount)]


def _repay(stage: Stage, holdings: Holdings) -> list[Transaction]:
    if not holdings.owed:
        return []
    symbol = stage.dice.choice(sorted(holdings.owed))
    owed = holdings.owed[symbol]
    amount = calls.EVERYTHING if stage.dice.random() < REPAY_ALL else int(owed * stage.dice.uniform(0.05, 0.6))
    return _pay_back(stage, holdings.borrower, symbol, owed, amount)


def _withdraw(stage: Stage, holdings: Holdings) -> list[Transaction]:
    part = _some_supplied(stage, holdings, 0.02, 0.25)
    if part is None:
        return []
    symbol, amount = part
    return [calls.withdraw(holdings.borrower, stage.market.pool, stage.market.asset(symbol), amount)]


def _supply(stage: Stage, holdings: Holdings) -> list[Transaction]:
    symbol = stage.dice.choice(stage.market.assets).listing.symbol
    held = sum(stage.worth(symbol, amount) for symbol, amount in holdings.supplied.items())
    base = max(DUST_BASE, int(held * stage.dice.uniform(0.02, 0.2)))
    return _pay_in(stage, holdings.borrower, symbol, stage.amount(symbol, base))


def _transfer(stage: Stage, holdings: Holdings) -> list[Transaction]:
    part = _some_supplied(stage, holdings, 0.01, 0.15)
    to = stage.dice.choice(stage.people)
    if part is None or to == holdings.borrower:
        return []
    symbol, amount = part
    return [calls.transfer_a_tokens(holdings.borrower, stage.market.asset(symbol), to, amount)]


def _collateral_off(stage: Stage, holdings: Holdings) -> list[Transaction]:
    """The smallest of several: the one whose loss the position may survive."""
    if len(holdings.collateral) < 2:
        return []
    symbol = min(sorted(holdings.collateral), key=lambda symbol: stage.worth(symbol, holdings.supplied[symbol]))
    return [calls.use_as_collateral(holdings.borrower, stage.market.pool, stage.market.asset(symbol), use=False)]


def _collateral_on(stage: Stage, holdings: Holdings) -> list[Transaction]:
    unused = sorted(set(holdings.supplied) - holdings.collateral)
    if not unused:
        return []
    asset = stage.market.asset(stage.dice.choice(unused))
    return [calls.use_as_collateral(holdings.borrower, stage.market.pool, asset, use=True)]


def _emode(stage: Stage, holdings: Holdings) -> list[Transaction]:
    """Enter when every debt belongs to the category, leave when one is in: Aave itself refuses what is unsafe."""
    fitting = {a.listing.symbol for a in stage.market.assets if a.listing.emode == HYPE_EMODE.id}
    if not holdings.emode and not set(holdings.owed) <= fitting:
        return []
    category = 0 if holdings.emode else HYPE_EMODE.id
    return [calls.set_emode(holdings.borrower, stage.market.pool, category)]


KINDS: dict[str, tuple[Callable[[Stage, Holdings], list[Transaction]], float]] = {
    "borrow": (_borrow, 5),
    "repay": (_repay, 4),
    "withdraw": (_withdraw, 4),
    "supply": (_supply, 3),
    "transfer": (_transfer, 2),
    "collateral_off": (_collateral_off, 3),
    "collateral_on": (_collateral_on, 30),
    "emode": (_emode, 4),
}
"""Kind of act -> how it is made, and how often relative to the others; rarely possible ones weigh more."""


def _pay_in(stage: Stage, who: Address, symbol: str, amount: int) -> list[Transaction]:
    asset, pool = stage.market.asset(symbol), stage.market.pool
    return [
        calls.mint(who, asset, amount),
        calls.approve(who, asset, pool),
        calls.supply(who, pool, asset, amount, who),
    ]


def _pay_back(stage: Stage, who: Address, symbol: str, owed: int, amount: int) -> list[Transaction]:
    """One per cent more than is owed is at hand: interest runs until the block."""
    asset, pool = stage.market.asset(symbol), stage.market.pool
    return [
        calls.mint(who, asset, owed + owed // 100 + 1),
        calls.approve(who, asset, pool),
        calls.repay(who, pool, asset, amount),
    ]


def _some_supplied(stage: Stage, holdings: Holdings, least: float, most: float) -> tuple[str, int] | None:
    if not holdings.supplied:
        return None
    symbol = stage.dice.choice(sorted(holdings.supplied))
    amount = int(holdings.supplied[symbol] * stage.dice.uniform(least, most))
    return (symbol, amount) if amount else None


def _reads(market: Deployment, borrower: Address) -> list[tuple[Address, bytes]]:
    pool_reads = [
        (market.pool, encode_call(selector, borrower))
        for selector in (GET_USER_ACCOUNT_DATA, GET_USER_EMODE, GET_USER_CONFIGURATION)
    ]
    balance = encode_call(BALANCE_OF, borrower)
    tokens = [token for asset in market.assets for token in (asset.a_token, asset.debt_token)]
    return pool_reads + [(token, balance) for token in tokens]


def _holdings(market: Deployment, borrower: Address, results: Sequence[bytes]) -> Holdings:
    account, emode, flags = words(results[0], 6), words(results[1], 1)[0], words(results[2], 1)[0]
    balances = [words(result, 1)[0] for result in results[3:]]
    symbols = [asset.listing.symbol for asset in market.assets]
    supplied = {symbol: held for symbol, held in zip(symbols, balances[::2], strict=True) if held}
    owed = {symbol: debt for symbol, debt in zip(symbols, balances[1::2], strict=True) if debt}
    # Reserve ids count up in the order of listing; an id's collateral flag is bit 2 * id + 1.
    used = frozenset(symbol for at, symbol in enumerate(symbols) if flags >> (2 * at + 1) & 1 and symbol in supplied)
    return Holdings(borrower, account[2], emode, supplied, owed, used)


def _required(result: bytes | None) -> bytes:
    if result is None:
        raise Unreachable("a read of the sandbox's market failed")
    return result
