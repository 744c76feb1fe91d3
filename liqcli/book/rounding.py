"""Which way a token rounds, told by what it answers: a fork may run tokens of another release than its pool."""

from collections.abc import Iterable

from liqcli.book.ledger import Ledger
from liqcli.book.scaled import balance_of
from liqcli.book.state import Token
from liqcli.chain.abi import (
    BALANCE_OF,
    GET_RESERVE_NORMALIZED_DEBT,
    GET_RESERVE_NORMALIZED_INCOME,
    SCALED_BALANCE_OF,
    encode_call,
    words,
)
from liqcli.chain.aggregate import Read
from liqcli.chain.market import Market
from liqcli.model import Address

_WITNESSES = 12
"""Holders asked per token: a rounding cannot be told from a balance that comes out even."""


async def probe_rounding(market: Market, ledger: Ledger) -> list[Address]:
    """Tokens that round otherwise than the book thought; their holders are unknown until they are read again."""
    corrected = []
    for token, holders in _witnesses(ledger).items():
        directional = await _rounding_of(market, ledger, token, holders)
        if directional is not None and directional != token.directional:
            token.directional = directional
            corrected.append(token.address)
            for holder in ledger.holders(token):
                ledger.doubt(holder, "it holds a token that rounds otherwise than was thought")
    return corrected


async def _rounding_of(market: Market, ledger: Ledger, token: Token, holders: Iterable[Address]) -> bool | None:
    """Whether the token's balances round directionally; None when they do not tell."""
    asset = ledger.reserves[token.reserve_id].tokens.asset
    index_of = GET_RESERVE_NORMALIZED_DEBT if token.is_debt else GET_RESERVE_NORMALIZED_INCOME
    reads: list[Read] = [(market.addresses.pool, encode_call(index_of, asset))]
    for holder in holders:
        reads += [(token.address, encode_call(selector, holder)) for selector in (SCALED_BALANCE_OF, BALANCE_OF)]
    index, *answers = (words(result, 1)[0] if result else 0 for result in (await market.aggregator.read(reads)).results)
    balances = list(zip(answers[::2], answers[1::2], strict=True))
    fitting = [way for way in (False, True) if _fits(token, way, index, balances)]
    return fitting[0] if len(fitting) == 1 else None


def _fits(token: Token, directional: bool, index: int, balances: list[tuple[int, int]]) -> bool:
    trial = token.copy()
    trial.directional = directional
    return all(balance_of(scaled, index, trial) == balance for scaled, balance in balances)


def _witnesses(ledger: Ledger) -> dict[Token, list[Address]]:
    """Some holders of each token."""
    found: dict[Token, list[Address]] = {token: [] for token in ledger.tokens.values()}
    sides = {(token.reserve_id, token.is_debt): holders for token, holders in found.items()}
    for address, account in ledger.bring_home().items():
        for number in account.collateral:
            sides[number, False].append(address)
        for number in account.debt:
            sides[number, True].append(address)
        if all(len(holders) >= _WITNESSES for holders in found.values()):
            break
    return {token: holders[:_WITNESSES] for token, holders in found.items() if holders}
