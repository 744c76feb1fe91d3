"""What common events do to balances and reserves, as one compiled loop over columns of logs.

The loop takes in only what agrees in every proof that the ledger demands of an event. At anything else it stops before
the block: there is one place where doubt is decided, and that is the ledger.
"""

from typing import NamedTuple

import numpy as np

from liqcli.aave.ray import RAY
from liqcli.book.holdings import (
    AS_OF,
    EMODE,
    HELD,
    LAST,
    LISTED,
    MOST_EMODE,
    MOVED,
    SCALED,
    USED,
    Flags,
    Holdings,
    Numbers,
    Rows,
    Words,
    find,
    pair_at,
    touch_account,
    touch_pair,
)
from liqcli.book.jit import compiled
from liqcli.book.wide import Wide, add, halved, multiply_divide, subtract, wide

IGNORED, MINT, BURN, UPDATE, SUPPLY_ACT, DEBT_ACT, ENABLE, DISABLE, ENTER, OTHER = range(10)
"""What a log is: `OTHER` has to be judged by itself."""
NEVER = -1
_NOTHING, _ONE, _RAY, _HALF_RAY, _LESS_THAN_RAY = (wide(number) for number in (0, 1, RAY, RAY // 2, RAY - 1))
_DEBT_RATE_WORD, _INDEX_WORD, _DEBT_INDEX_WORD = 2, 3, 4


class Logs(NamedTuple):
    """One row a log: its block and timestamp, what it is, its emitter and topics as numbers, and its words."""

    blocks: Rows
    at: Rows
    code: Rows
    named: Numbers
    words: Words


class Places(NamedTuple):
    """By the number of an address: which token it is, and of which asset; -1 is none that the ledger knows.

    The reserve in place n of a page has the tokens 2n (supply) and 2n + 1 (debt). Those `asked` for are listed already.
    """

    token: Numbers
    reserve: Numbers
    asked: Flags


class Reserves(NamedTuple):
    """By place: its id, liquidity and debt rate, liquidity and debt index, and since when; logs may move those `fit`.

    `due` and `updated` are the last block whose balances must have changed its rates, and the last that told new ones.
    """

    ids: Rows
    rates: Words
    since: Rows
    fit: Flags
    touched: Flags
    due: Rows
    updated: Rows


class Tokens(NamedTuple):
    """By token: its scaled supply, whether that is known, whether it rounds as from 3.5 on; `fit` as for reserves."""

    total: Words
    counted: Flags
    directional: Flags
    fit: Flags
    touched: Flags


class Market(NamedTuple):
    """All that accounts have in common."""

    reserves: Reserves
    tokens: Tokens


class Kept(NamedTuple):
    """What an account has of a token, and the index it was last touched at."""

    scaled: Wide
    last: Wide


class Rounding(NamedTuple):
    """How a token rounds, as `scaled.Rounding` has it."""

    is_debt: bool
    directional: bool


@compiled
def are_in_order(blocks: Rows, indexes: Rows, after: int) -> bool:
    """Whether the logs lie behind that block, each behind the one before it."""
    for row in range(len(blocks)):
        if blocks[row] <= after:
            return False
        if row > 0 and (
            blocks[row] < blocks[row - 1] or (blocks[row] == blocks[row - 1] and indexes[row] <= indexes[row - 1])
        ):
            return False
    return True


@compiled
def list_contracts(logs: Logs, places: Places, found: Rows) -> int:
    """Write the numbers of all tokens and assets that the logs name into `found`, each once; how many there are."""
    count = 0
    for row in range(len(logs.code)):
        code = logs.code[row]
        if code not in (IGNORED, ENTER, OTHER):
            number = _contract(logs, row)
            if not places.asked[number]:
                places.asked[number] = True
                found[count] = number
                count += 1
    return count


@compiled
def list_strangers(logs: Logs, places: Places, holdings: Holdings, found: Rows) -> int:
    """Write the numbers of all accounts that the logs change and nobody holds into `found`; how many there are."""
    count = 0
    for row in range(len(logs.code)):
        if logs.code[row] in (MINT, BURN, ENABLE, DISABLE, ENTER) and (
            logs.code[row] == ENTER or _token(logs, places, row) >= 0
        ):
            account = _account(logs, row)
            if not holdings.accounts[account, HELD]:
                holdings.accounts[account, HELD] = LISTED
                found[count] = account
                count += 1
    return count


@compiled
def _contract(logs: Logs, row: int) -> int:
    """The number of the token or the asset that a log is about."""
    return int(logs.named[row, 0 if logs.code[row] in (MINT, BURN) else 1])


@compiled
def _account(logs: Logs, row: int) -> int:
    """The number of the account that a log is about."""
    return int(logs.named[row, 1 if logs.code[row] in (BURN, ENTER) else 2])


@compiled
def _token(logs: Logs, places: Places, row: int) -> int:
    """The token that a log moves, or that its words are of."""
    contract = _contract(logs, row)
    if logs.code[row] in (MINT, BURN):
        return int(places.token[contract])
    reserve = int(places.reserve[contract])
    return -1 if reserve < 0 else 2 * reserve + (1 if logs.code[row] == DEBT_ACT else 0)


@compiled
def fold(logs: Logs, places: Places, holdings: Holdings, market: Market) -> int:  # noqa: C901, PLR0911, PLR0912 - one loop
    """Take in the logs; the first row of the block that has to be judged by itself, or how many logs there are.

    With less than all of them everything is spoilt: it holds part of that block.
    """
    reserves = market.reserves
    begin, block = 0, NEVER
    for row in range(len(logs.code)):
        if logs.blocks[row] != block:
            if not _is_complete(block, reserves):
                return begin
            begin, block = row, logs.blocks[row]
        code = logs.code[row]
        if code == IGNORED:
            continue
        if code == OTHER:
            return begin
        if code == ENTER:
            if not _enter(row, logs, holdings):
                return begin
            continue
        token = _token(logs, places, row)
        if code in (ENABLE, DISABLE):
            if token < 0 or not _switch(row, token, logs, holdings, reserves):
                return begin
            continue
        if token < 0:
            continue
        reserve = token >> 1
        if not reserves.fit[reserve]:
            return begin
        if code == UPDATE:
            _update(row, reserve, logs, reserves)
            reserves.updated[reserve] = block
        elif code in (MINT, BURN):
            grows, fits = _move(row, token, logs, holdings, market)
            if not fits:
                return begin
            if token & 1 or not grows:
                reserves.due[reserve] = block
        else:
            pair = find(holdings, _account(logs, row), _side(reserves, token))
            if pair < 0 or holdings.pairs[pair, MOVED] != block:
                return begin
            holdings.pairs[pair, MOVED] = NEVER
            reserves.due[reserve] = block
    return len(logs.code) if _is_complete(block, reserves) else begin


@compiled
def _side(reserves: Reserves, token: int) -> int:
    """The token by its reserve's id, as accounts keep it."""
    return 2 * int(reserves.ids[token >> 1]) + (token & 1)


@compiled
def _enter(row: int, logs: Logs, holdings: Holdings) -> bool:
    """An e-mode: whether the account may be changed."""
    account = _account(logs, row)
    category = _at(logs.words, row, 0)
    if not _is_live(account, logs.blocks[row], holdings) or category.high > 0 or category.low > MOST_EMODE:
        return False
    touch_account(holdings, account)
    holdings.accounts[account, EMODE] = np.int64(category.low)
    return True


@compiled
def _switch(row: int, token: int, logs: Logs, holdings: Holdings, reserves: Reserves) -> bool:
    """A collateral flag: whether the account may be changed."""
    account = _account(logs, row)
    if not _is_live(account, logs.blocks[row], holdings):
        return False
    touch_account(holdings, account)
    pair = pair_at(holdings, account, _side(reserves, token))
    touch_pair(holdings, pair)
    holdings.pairs[pair, USED] = logs.code[row] == ENABLE
    return True


@compiled
def _is_live(account: int, block: int, holdings: Holdings) -> bool:
    """Whether logs of this block may change the account."""
    return bool(holdings.accounts[account, HELD] == 1 and holdings.accounts[account, AS_OF] < block)


@compiled
def _is_complete(block: int, reserves: Reserves) -> bool:
    """Whether every reserve whose rates must have changed in the block said so."""
    for reserve in range(len(reserves.due)):
        if reserves.due[reserve] == block and reserves.updated[reserve] != block and block != NEVER:
            return False
    return True


@compiled
def _update(row: int, reserve: int, logs: Logs, reserves: Reserves) -> None:
    for half in range(2):
        reserves.rates[reserve, 0, half] = logs.words[row, 0, half]
        reserves.rates[reserve, 1, half] = logs.words[row, _DEBT_RATE_WORD, half]
        reserves.rates[reserve, 2, half] = logs.words[row, _INDEX_WORD, half]
        reserves.rates[reserve, 3, half] = logs.words[row, _DEBT_INDEX_WORD, half]
    reserves.since[reserve] = logs.at[row]
    reserves.touched[reserve] = True


@compiled
def _move(row: int, token: int, logs: Logs, holdings: Holdings, market: Market) -> tuple[bool, bool]:
    """A Mint or Burn: whether the balance grew, and whether all is proved; a move of nothing is half a transfer."""
    reserves, tokens = market
    account, reserve = _account(logs, row), token >> 1
    value, increase, index = _at(logs.words, row, 0), _at(logs.words, row, 1), _at(logs.words, row, 2)
    rounding = Rounding(bool(token & 1), bool(tokens.directional[token]))
    grows, net, fits = _net_of(value, increase, logs.code[row] == MINT)
    is_current = logs.at[row] == reserves.since[reserve]
    if not (fits and is_current and _equal(index, _at(reserves.rates, reserve, 3 if rounding.is_debt else 2))):
        return grows, False
    if not _is_live(account, logs.blocks[row], holdings):
        return grows, False
    pair = pair_at(holdings, account, _side(reserves, token))
    kept = Kept(_kept(holdings, pair, SCALED), _kept(holdings, pair, LAST))
    if not _is_interest(increase, kept, index, rounding, holdings.accounts[account, AS_OF] >= 0):
        return grows, False
    if rounding.directional:
        scaled, fits = _directional_after(kept.scaled, net, grows, index, rounding)
    else:
        scaled, fits = _rounded_after(kept.scaled, net, grows, index)
    if fits and tokens.counted[token]:
        fits = _count(tokens, token, kept.scaled, scaled)
    touch_pair(holdings, pair)
    for half in range(2):
        holdings.words[pair, SCALED + half], holdings.words[pair, LAST + half] = scaled[half], index[half]
    holdings.pairs[pair, MOVED] = logs.blocks[row]
    return grows, fits


@compiled
def _net_of(value: Wide, increase: Wide, mints: bool) -> tuple[bool, Wide, bool]:
    """Whether the balance grew, by how much it changed without interest, and whether that is something that fits."""
    if mints and not _is_below(value, increase):
        net, fits = subtract(value, increase)
    elif mints:
        net, fits = subtract(increase, value)
    else:
        net, fits = add(value, increase)
    return mints and not _is_below(value, increase), net, fits and not _equal(net, _NOTHING)


@compiled
def _is_interest(increase: Wide, kept: Kept, index: Wide, rounding: Rounding, vouched: bool) -> bool:
    """Whether that is the interest since the last touch; where the index of that was never seen, the chain vouches."""
    held, last = kept
    if _equal(last, index) or _equal(held, _NOTHING):
        return _equal(increase, _NOTHING)
    if _equal(last, _NOTHING):
        return vouched
    before, told = _balance_of(held, last, rounding)
    now, told_now = _balance_of(held, index, rounding)
    interest, fits = subtract(now, before)
    return told and told_now and fits and _equal(increase, interest)


@compiled
def _balance_of(scaled: Wide, index: Wide, rounding: Rounding) -> tuple[Wide, bool]:
    """`scaled.balance_of`, and whether it fits."""
    if not rounding.directional:
        return multiply_divide(scaled, index, _HALF_RAY, _RAY)
    return multiply_divide(scaled, index, _LESS_THAN_RAY if rounding.is_debt else _NOTHING, _RAY)


@compiled
def _rounded_after(held: Wide, net: Wide, grows: bool, index: Wide) -> tuple[Wide, bool]:
    """`scaled.scaled_after` up to 3.4."""
    part, fits = multiply_divide(net, _RAY, halved(index), index)
    scaled, sums = add(held, part) if grows else subtract(held, part)
    return scaled, fits and sums


@compiled
def _directional_after(held: Wide, net: Wide, grows: bool, index: Wide, rounding: Rounding) -> tuple[Wide, bool]:
    """`scaled.scaled_after` from 3.5 on."""
    now, told = _balance_of(held, index, rounding)
    balance, sums = add(now, net) if grows else subtract(now, net)
    less, positive = subtract(index, _ONE)
    scaled, fits = multiply_divide(balance, _RAY, _NOTHING if rounding.is_debt else less, index)
    return scaled, fits and sums and told and positive


@compiled
def _count(tokens: Tokens, token: int, held: Wide, scaled: Wide) -> bool:
    """Follow the token's supply; false where it would leave its bounds."""
    without, fits = subtract(_of(tokens.total, token), held)
    if not fits:
        return False
    total, fits = add(without, scaled)
    for half in range(2):
        tokens.total[token, half] = total[half]
    tokens.touched[token] = True
    return fits


@compiled
def _at(words: Words, row: int, place: int) -> Wide:
    return Wide(words[row, place, 0], words[row, place, 1])


@compiled
def _kept(holdings: Holdings, pair: int, column: int) -> Wide:
    return Wide(holdings.words[pair, column], holdings.words[pair, column + 1])


@compiled
def _of(words: Words, row: int) -> Wide:
    return Wide(words[row, 0], words[row, 1])


@compiled
def _equal(a: Wide, b: Wide) -> bool:
    return bool(a.high == b.high and a.low == b.low)


@compiled
def _is_below(a: Wide, b: Wide) -> bool:
    return bool(a.high < b.high or (a.high == b.high and a.low < b.low))
