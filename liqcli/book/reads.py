"""What the book reads from the chain itself: the market to begin with, accounts it does not know, and the truth."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from liqcli.aave.account import AccountData, EMode, Position, Reserve
from liqcli.book.state import EModes, ReserveState, state_of
from liqcli.chain.abi import (
    GET_ASSET_PRICE,
    GET_LIQUIDATION_GRACE_PERIOD,
    GET_RESERVE_DATA,
    GET_USER_ACCOUNT_DATA,
    GET_USER_CONFIGURATION,
    GET_USER_EMODE,
    SCALED_BALANCE_OF,
    SCALED_TOTAL_SUPPLY,
    encode_call,
    words,
)
from liqcli.chain.aggregate import Read
from liqcli.chain.market import Market
from liqcli.chain.reserves import ReserveTokens, decode_emode, decode_reserve, emode_price_source, emode_reads, required
from liqcli.model import Address

_CATEGORIES = range(1, 256)
_READS_IN_ONE_CALL = 1500
"""Each costs a node some 10,000 gas; public ones stop an eth_call at 50 million."""


@dataclass(frozen=True, slots=True)
class MarketState:
    """Reserves and e-modes at one block."""

    block: int
    reserves: tuple[ReserveState, ...]
    emodes: EModes


@dataclass(frozen=True, slots=True)
class Accounts:
    """Positions at one block."""

    block: int
    positions: tuple[Position, ...]


@dataclass(frozen=True, slots=True)
class Truth:
    """What the chain itself says, all at one block: prices, reserves, each token's scaled supply, e-modes, accounts.

    `prices` and `accounts` lack what the oracle or the pool refused.
    """

    block: int
    at: int
    prices: Mapping[Address, int]
    reserves: Sequence[ReserveState]
    totals: Mapping[Address, int]
    emodes: EModes
    accounts: Mapping[Address, AccountData]


async def read_market(market: Market) -> MarketState:
    """Every reserve and every defined e-mode category, at one block."""
    pool, version = market.addresses.pool, market.version
    reads: list[Read] = [(pool, encode_call(GET_RESERVE_DATA, reserve.asset)) for reserve in market.reserves]
    if version >= (3, 1):
        reads += [(pool, encode_call(GET_LIQUIDATION_GRACE_PERIOD, reserve.asset)) for reserve in market.reserves]
    categories = [emode_reads(version, pool, category) for category in _CATEGORIES]
    answers = await market.aggregator.read([*reads, *(read for category in categories for read in category)])
    count = len(market.reserves)
    data, graces = answers.results[:count], answers.results[count : len(reads)] or [bytes(32)] * count
    states = tuple(
        state_of(tokens, _reserve(reserve, grace), as_of=answers.block)
        for tokens, reserve, grace in zip(market.reserves, data, graces, strict=True)
    )
    return MarketState(answers.block, states, _emodes(market, _CATEGORIES, answers.results[len(reads) :]))


async def read_accounts(market: Market, borrowers: Sequence[Address]) -> list[Accounts]:
    """The positions of these accounts, in groups that are each of one block."""
    width = 2 + 2 * len(market.reserves)
    at_once = max(_READS_IN_ONE_CALL // width, 1)
    groups = [borrowers[start : start + at_once] for start in range(0, len(borrowers), at_once)]
    return [await _read_group(market, group) for group in groups]


async def read_truth(
    market: Market, borrowers: Sequence[Address], *, sources: Iterable[Address] = (), categories: Iterable[int] = ()
) -> Truth:
    """All of it in one call; `sources` are priced beside the listed assets, `categories` are the e-modes in use."""
    listed = market.reserves
    assets = [*(tokens.asset for tokens in listed), *sources]
    tokens_of = [token for tokens in listed for token in (tokens.a_token, tokens.debt_token)]
    pool, oracle, numbers = market.addresses.pool, market.addresses.oracle, list(categories)
    sections: list[list[Read]] = [
        [(oracle, encode_call(GET_ASSET_PRICE, asset)) for asset in assets],
        [(pool, encode_call(GET_RESERVE_DATA, tokens.asset)) for tokens in listed],
        [(token, SCALED_TOTAL_SUPPLY) for token in tokens_of],
        [read for number in numbers for read in emode_reads(market.version, pool, number)],
        [(pool, encode_call(GET_USER_ACCOUNT_DATA, borrower)) for borrower in borrowers],
    ]
    answers = await market.aggregator.read([read for section in sections for read in section])
    results = iter(answers.results)
    prices, reserves, totals, emodes, accounts = ([next(results) for _ in section] for section in sections)
    return Truth(
        block=answers.block,
        at=answers.at,
        prices={asset: price for asset, price in _numbers(assets, prices).items() if price},
        reserves=[_state(tokens, data, answers.block) for tokens, data in zip(listed, reserves, strict=True) if data],
        totals=_numbers(tokens_of, totals),
        emodes=_emodes(market, numbers, emodes),
        accounts={
            borrower: AccountData(*words(result, 6))
            for borrower, result in zip(borrowers, accounts, strict=True)
            if result is not None
        },
    )


def _numbers(names: Sequence[Address], results: Sequence[bytes | None]) -> dict[Address, int]:
    found = zip(names, results, strict=True)
    return {name: words(result, 1)[0] for name, result in found if result}


def _state(tokens: ReserveTokens, data: bytes, block: int) -> ReserveState:
    return state_of(tokens, decode_reserve(data, price=0, grace_until=0), as_of=block)


async def _read_group(market: Market, borrowers: Sequence[Address]) -> Accounts:
    answers = await market.aggregator.read([read for borrower in borrowers for read in _reads_of(market, borrower)])
    width = 2 + 2 * len(market.reserves)
    rows = [answers.results[width * row : width * (row + 1)] for row in range(len(borrowers))]
    found = [_position(market, borrower, row) for borrower, row in zip(borrowers, rows, strict=True)]
    return Accounts(answers.block, tuple(found))


def _reads_of(market: Market, borrower: Address) -> list[Read]:
    pool, balance = market.addresses.pool, encode_call(SCALED_BALANCE_OF, borrower)
    flags: list[Read] = [
        (pool, encode_call(selector, borrower)) for selector in (GET_USER_CONFIGURATION, GET_USER_EMODE)
    ]
    return flags + [(token, balance) for tokens in market.reserves for token in (tokens.a_token, tokens.debt_token)]


def _position(market: Market, borrower: Address, row: Sequence[bytes | None]) -> Position:
    flags, emode, *balances = (words(required(result, "an account's state"), 1)[0] for result in row)
    ids = [tokens.id for tokens in market.reserves]
    collateral = {number: scaled for number, scaled in zip(ids, balances[::2], strict=True) if scaled}
    debt = {number: scaled for number, scaled in zip(ids, balances[1::2], strict=True) if scaled}
    used = frozenset(number for number in range(flags.bit_length() // 2) if flags >> 2 * number + 1 & 1)
    return Position(borrower, collateral, debt, used, emode)


def _reserve(data: bytes | None, grace: bytes | None) -> Reserve:
    return decode_reserve(required(data, "getReserveData"), price=0, grace_until=words(grace, 1)[0] if grace else 0)


def _emodes(market: Market, categories: Sequence[int], results: Sequence[bytes | None]) -> EModes:
    """Categories that are defined: an undefined one answers nothing but zeros."""
    version = market.version
    width = len(results) // max(len(categories), 1)
    emodes: EModes = {}
    for row, category in enumerate(categories):
        answers = results[width * row : width * (row + 1)]
        emode = decode_emode(version, answers, price=0)
        if emode != EMode(0, 0, 0):
            emodes[category] = emode, emode_price_source(version, answers)
    return emodes
