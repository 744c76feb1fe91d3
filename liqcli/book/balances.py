"""What common events do to balances and reserves, as one compiled loop over columns of logs.

The loop takes in only what agrees in every proof that the ledger demands of an event. At anything else it stops before
the block: there is one place where doubt is decided, and that is the ledger.
"""

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from liqcli.aave.ray import RAY
from liqcli.book.jit import compiled
from liqcli.book.wide import Wide, add, halved, multiply_divide, subtract, wide

Rows: TypeAlias = npt.NDArray[np.int64]
Words: TypeAlias = npt.NDArray[np.uint64]
Flags: TypeAlias = npt.NDArray[np.bool_]

IGNORED, MINT, BURN, UPDATE, SUPPLY_ACT, DEBT_ACT, BESIDE, OTHER = range(8)
"""What a log is: `BESIDE` touches neither balances nor reserves, `OTHER` has to be judged by itself."""
_NEVER = -1
_SPREAD = 0x9E3779B9
_NOTHING, _ONE, _RAY, _HALF_RAY, _LESS_THAN_RAY = (wide(number) for number in (0, 1, RAY, RAY // 2, RAY - 1))
_DEBT_RATE_WORD, _INDEX_WORD, _DEBT_INDEX_WORD = 2, 3, 4


class Logs(NamedTuple):
    """One row a log: its block and timestamp, what it is, whose balance (a pair), of which token, and its words.

    The reserve numbered n here has the tokens 2n (supply) and 2n + 1 (debt); -1 is none that the ledger knows.
    """

    blocks: Rows
    at: Rows
    code: Rows
    pair: Rows
    token: Rows
    words: Words


class Balances(NamedTuple):
    """By pair of account and token: the scaled balance and the index it was last touched at (0: none is known).

    `fit` are those that logs may move, `vouched` those of accounts that were read from the chain.
    """

    scaled: Words
    last: Words
    fit: Flags
    vouched: Flags


class Reserves(NamedTuple):
    """By reserve: liquidity rate, debt rate, liquidity index, debt index and since when; `fit` as for balances."""

    rates: Words
    since: Rows
    fit: Flags
    touched: Flags


class Rounding(NamedTuple):
    """How a token rounds, as `scaled.Rounding` has it."""

    is_debt: bool
    directional: bool


class Tokens(NamedTuple):
    """By token: its scaled supply, whether that is known, how the token rounds; `fit` as for balances."""

    total: Words
    counted: Flags
    directional: Flags
    fit: Flags
    touched: Flags


@compiled
def number(keys: Rows, takes: Flags, numbers: Rows, found: Rows) -> int:
    """Number the keys of the rows taken by their first appearance, and list them in `found`; how many there are.

    Any other row has the number of its key too, or -1.
    """
    size = 8
    while size < 2 * len(keys):
        size *= 2
    slots = np.full(size, -1, np.int64)
    count = 0
    for is_taken in (True, False):
        for row in range(len(keys)):
            if takes[row] != is_taken:
                continue
            slot = (keys[row] * _SPREAD >> 20) & (size - 1)
            while slots[slot] >= 0 and found[slots[slot]] != keys[row]:
                slot = (slot + 1) & (size - 1)
            if is_taken and slots[slot] < 0:
                found[count], slots[slot] = keys[row], count
                count += 1
            numbers[row] = slots[slot]
    return count


@compiled
def fold(logs: Logs, balances: Balances, reserves: Reserves, tokens: Tokens, limit: int) -> int:  # noqa: C901 - one loop
    """Take in the first `limit` logs; the first row of the block that has to be judged by itself, or `limit`.

    With less than `limit` the arrays are spoilt: they hold part of that block.
    """
    moved = np.full(len(balances.scaled), _NEVER)
    due, updated = np.full(len(reserves.since), _NEVER), np.full(len(reserves.since), _NEVER)
    begin, block = 0, _NEVER
    for row in range(limit):
        if logs.blocks[row] != block:
            if not _is_complete(block, due, updated):
                return begin
            begin, block = row, logs.blocks[row]
        code, token, pair = logs.code[row], logs.token[row], logs.pair[row]
        if code == OTHER:
            return begin
        if token < 0 or code in (IGNORED, BESIDE):
            continue
        reserve = token >> 1
        if not reserves.fit[reserve]:
            return begin
        if code == UPDATE:
            _update(row, reserve, logs, reserves)
            updated[reserve] = block
        elif code in (MINT, BURN):
            grows, fits = _move(row, logs, balances, reserves, tokens)
            if not fits:
                return begin
            moved[pair] = block
            if token & 1 or not grows:
                due[reserve] = block
        else:
            if pair < 0 or moved[pair] != block:
                return begin
            moved[pair] = _NEVER
            due[reserve] = block
    return limit if _is_complete(block, due, updated) else begin


@compiled
def _is_complete(block: int, due: Rows, updated: Rows) -> bool:
    """Whether every reserve whose rates must have changed in the block said so."""
    for reserve in range(len(due)):
        if due[reserve] == block and updated[reserve] != block and block != _NEVER:
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
def _move(row: int, logs: Logs, balances: Balances, reserves: Reserves, tokens: Tokens) -> tuple[bool, bool]:
    """A Mint or Burn: whether the balance grew, and whether all is proved; a move of nothing is half a transfer."""
    pair, token = logs.pair[row], logs.token[row]
    value, increase, index = _at(logs.words, row, 0), _at(logs.words, row, 1), _at(logs.words, row, 2)
    rounding = Rounding(bool(token & 1), bool(tokens.directional[token]))
    grows, net, fits = _net_of(value, increase, logs.code[row] == MINT)
    is_current = logs.at[row] == reserves.since[token >> 1]
    if not (fits and is_current and _equal(index, _at(reserves.rates, token >> 1, 3 if rounding.is_debt else 2))):
        return grows, False
    if not balances.fit[pair] or not _is_interest(increase, pair, index, balances, rounding):
        return grows, False
    held = _at(balances.scaled, pair, 0)
    if rounding.directional:
        scaled, fits = _directional_after(held, net, grows, index, rounding)
    else:
        scaled, fits = _rounded_after(held, net, grows, index)
    if fits and tokens.counted[token]:
        fits = _count(tokens, token, held, scaled)
    for half in range(2):
        balances.scaled[pair, 0, half] = scaled[half]
        balances.last[pair, 0, half] = index[half]
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
def _is_interest(increase: Wide, pair: int, index: Wide, balances: Balances, rounding: Rounding) -> bool:
    """Whether that is the interest since the account's last touch."""
    held, last = _at(balances.scaled, pair, 0), _at(balances.last, pair, 0)
    if _equal(last, index) or _equal(held, _NOTHING):
        return _equal(increase, _NOTHING)
    if _equal(last, _NOTHING):
        return bool(balances.vouched[pair])
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
    without, fits = subtract(_at(tokens.total, token, 0), held)
    if not fits:
        return False
    total, fits = add(without, scaled)
    for half in range(2):
        tokens.total[token, 0, half] = total[half]
    tokens.touched[token] = True
    return fits


@compiled
def _at(words: Words, row: int, place: int) -> Wide:
    return Wide(words[row, place, 0], words[row, place, 1])


@compiled
def _equal(a: Wide, b: Wide) -> bool:
    return bool(a.high == b.high and a.low == b.low)


@compiled
def _is_below(a: Wide, b: Wide) -> bool:
    return bool(a.high < b.high or (a.high == b.high and a.low < b.low))
