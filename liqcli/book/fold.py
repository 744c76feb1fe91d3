"""Many logs into the ledger at once: gather what they touch, compute what they leave, and write that back.

Nothing is kept between two pages: accounts, tokens and reserves stay the only truth.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np

from liqcli.book import balances as kernel
from liqcli.book.balances import Balances, Flags, Logs, Reserves, Rows, Tokens, Words
from liqcli.book.decode import KNOWN, Scanned
from liqcli.book.events import BookEvent, ReserveUpdated
from liqcli.book.ledger import Ledger
from liqcli.book.scan import WORDS
from liqcli.book.state import Account, Doubt, Moves, ReserveState, Token
from liqcli.chain import topics
from liqcli.model import Address

_CODES = {
    topics.MINT: kernel.MINT,
    topics.BURN: kernel.BURN,
    topics.RESERVE_DATA_UPDATED: kernel.UPDATE,
    topics.SUPPLY: kernel.SUPPLY_ACT,
    topics.WITHDRAW: kernel.SUPPLY_ACT,
    topics.BORROW: kernel.DEBT_ACT,
    topics.REPAY: kernel.DEBT_ACT,
    topics.COLLATERAL_ENABLED: kernel.BESIDE,
    topics.COLLATERAL_DISABLED: kernel.BESIDE,
    topics.EMODE_SET: kernel.BESIDE,
}
"""Flags and e-modes stand beside the balances: neither is read where the other changes."""
_CODE_OF = np.array([*(_CODES.get(topic, kernel.OTHER) for topic in KNOWN), kernel.IGNORED])
_MOST_STOPS = 8
"""Where a page makes the loop stop more often, judging the rest of it event by event costs less."""
_BYTES = 16
"""Of a number here; larger ones are left to the ledger, the contracts' own balances and indexes are no larger."""


@dataclass(frozen=True, slots=True)
class _Pairs:
    """One side of one account each; `keys` is where the account keeps the index it was last touched at.

    The `fresh` accounts are not in the ledger.
    """

    addresses: list[Address]
    accounts: list[Account]
    sides: list[dict[int, int]]
    reserve_ids: list[int]
    are_debts: list[bool]
    keys: list[int]
    fresh: dict[Address, Account]


@dataclass(frozen=True, slots=True)
class _Gathered:
    """What a stretch of logs touches, as objects of the ledger and, in the same order, as numbers."""

    pairs: _Pairs
    balances: Balances
    states: list[ReserveState]
    reserves: Reserves
    tokens: list[Token | None]
    totals: Tokens


def fold(ledger: Ledger, scanned: Sequence[BookEvent], *, after: int) -> bool:
    """Apply scanned events with the same result as `Ledger.take_block` block by block, without what undoes them.

    False, and nothing is applied, where they do not all lie behind block `after`, each behind the one before it.
    """
    if not isinstance(scanned, Scanned) or not _is_in_order(scanned, after):
        return False
    code, blocks = _CODE_OF[scanned.topic], scanned.fields.blocks
    row = stops = 0
    while row < len(code):
        if stops < _MOST_STOPS:
            others = np.flatnonzero(code[row:] == kernel.OTHER)
            end = int(np.searchsorted(blocks, blocks[row + others[0]])) if len(others) else len(code)
            stop = _fold_rows(ledger, scanned, code, slice(row, end))
            ledger.take_block(scanned.made(row + np.flatnonzero(code[row:stop] == kernel.BESIDE)), record=False)
            row = stop
        if row < len(code):
            stops += 1
            following = int(np.searchsorted(blocks, blocks[row], side="right"))
            ledger.take_block(scanned.made(np.arange(row, following)), record=False)
            row = following
    return True


def warm() -> None:
    """Load the machine code ahead of the first page."""
    none: Rows = np.zeros(0, np.int64)
    gathered = _gathered([], [], _Pairs([], [], [], [], [], [], {}), 0)
    logs = Logs(none, none, none, none, none, np.zeros((0, WORDS, 2), np.uint64))
    _numbered(none, np.zeros(0, np.bool_))
    kernel.fold(logs, gathered.balances, gathered.reserves, gathered.totals, 0)


def _is_in_order(scanned: Scanned, after: int) -> bool:
    blocks, indexes = scanned.fields.blocks, scanned.fields.indexes
    later = blocks[1:] > blocks[:-1]
    in_order = np.all(later | ((blocks[1:] == blocks[:-1]) & (indexes[1:] > indexes[:-1])))
    return bool(in_order) and bool(np.all(blocks[:1] > after))


def _fold_rows(ledger: Ledger, scanned: Scanned, code: Rows, rows: slice) -> int:
    """Take in whole blocks of logs; where a block begins that has to be judged event by event."""
    if rows.start == rows.stop:
        return int(rows.stop)
    states = list(ledger.reserves.values())
    token = _token_of(ledger, scanned, code, rows, states)
    pair, keys = _pairs_of(scanned, code[rows], rows, token, width=2 * len(states))
    first_block = int(scanned.fields.blocks[rows.start])
    tokens = [ledger.tokens.get(name) for state in states for name in (state.tokens.a_token, state.tokens.debt_token)]
    gathered = _gathered(states, tokens, _pairs(ledger, scanned, keys, states), first_block)
    logs = Logs(scanned.fields.blocks[rows], scanned.at[rows], code[rows], pair, token, scanned.words[rows])
    count = len(pair)
    stop = kernel.fold(logs, gathered.balances, gathered.reserves, gathered.totals, count)
    if stop < count:  # what was gathered holds part of that block
        return _fold_rows(ledger, scanned, code, slice(rows.start, rows.start + stop))
    _write_back(ledger, gathered)
    return int(rows.stop)


def _token_of(ledger: Ledger, scanned: Scanned, code: Rows, rows: slice, states: list[ReserveState]) -> Rows:
    """Of which token each log is, by the numbers of `balances.Logs`."""
    code = code[rows]
    is_move = (code == kernel.MINT) | (code == kernel.BURN)
    named = np.where(is_move, scanned.emitter[rows], scanned.named[rows, 0])
    inverse, numbers = _numbered(named.astype(np.int64), np.ones(len(named), np.bool_))
    places = {state.tokens.id: place for place, state in enumerate(states)}
    addresses: list[Address] = scanned.addresses[numbers].tolist()
    tokens = np.array([_number_of(ledger.tokens.get(address), places) for address in addresses])[inverse]
    reserves = np.array([places.get(ledger.ids.get(address, -1), -1) for address in addresses])[inverse]
    of_reserve = np.where(reserves < 0, -1, 2 * reserves + (code == kernel.DEBT_ACT))
    return np.where(is_move, tokens, of_reserve)


def _number_of(token: Token | None, places: Mapping[int, int]) -> int:
    return -1 if token is None else 2 * places[token.reserve_id] + token.is_debt


def _pairs_of(scanned: Scanned, code: Rows, rows: slice, token: Rows, *, width: int) -> tuple[Rows, Rows]:
    """Which pair each log is of (-1: none that any Mint or Burn here moves), and what each pair is of."""
    account = np.where(code == kernel.BURN, scanned.named[rows, 0], scanned.named[rows, 1])
    key = np.where(token < 0, -1, account.astype(np.int64) * width + token)
    return _numbered(key, ((code == kernel.MINT) | (code == kernel.BURN)) & (token >= 0))


def _numbered(keys: Rows, takes: Flags) -> tuple[Rows, Rows]:
    """The numbers of the keys, and the keys by number; those not taken get no number of their own."""
    numbers, found = np.empty(len(keys), np.int64), np.empty(len(keys), np.int64)
    count = kernel.number(keys, takes, numbers, found)
    return numbers, found[:count]


def _gathered(states: list[ReserveState], tokens: list[Token | None], pairs: _Pairs, block: int) -> _Gathered:
    totals = _totals(tokens)
    return _Gathered(pairs, _balances(pairs, block), states, _reserves(states, totals, block), tokens, totals)


def _pairs(ledger: Ledger, scanned: Scanned, keys: Rows, states: list[ReserveState]) -> _Pairs:
    """The accounts behind the keys; one that nobody has met is not the ledger's before it is written back."""
    numbers, tokens = divmod(keys, max(2 * len(states), 1))
    addresses: list[Address] = scanned.addresses[numbers].tolist()
    met = list(map(ledger.accounts.get, addresses))
    fresh: dict[Address, Account] = {}
    accounts = [account or _newcomer(address, fresh, ledger) for account, address in zip(met, addresses, strict=True)]
    ids = np.array([state.tokens.id for state in states])[tokens >> 1]
    are_debts: list[bool] = (tokens & 1 > 0).tolist()
    sides = [account.debt if owes else account.collateral for account, owes in zip(accounts, are_debts, strict=True)]
    return _Pairs(addresses, accounts, sides, ids.tolist(), are_debts, (2 * ids + are_debts).tolist(), fresh)


def _newcomer(address: Address, fresh: dict[Address, Account], ledger: Ledger) -> Account:
    if address not in fresh:
        fresh[address] = account = Account()
        account.why_unknown = None if ledger.complete else "nobody has met it"
    return fresh[address]


def _balances(pairs: _Pairs, block: int) -> Balances:
    scaled, fits = _words(list(map(dict.get, pairs.sides, pairs.reserve_ids, repeat(0))))
    kept = [account.indexes for account in pairs.accounts]
    last, last_fits = _words(list(map(dict.get, kept, pairs.keys, repeat(0))))
    absent = np.flatnonzero(~last.any(axis=1))
    last_fits[absent] = [pairs.keys[place] not in kept[place] for place in absent.tolist()]
    is_known = np.array([account.why_unknown is None for account in pairs.accounts], np.bool_)
    as_of = np.array([account.as_of for account in pairs.accounts], np.int64)
    return Balances(
        scaled[:, None],
        last[:, None],
        fits & last_fits & is_known & (as_of < block),
        as_of >= 0,
    )


def _reserves(states: list[ReserveState], tokens: Tokens, block: int) -> Reserves:
    rates, fits = _words([state.indexes[place] for state in states for place in (1, 3, 0, 2)])
    is_known = np.array([Doubt.RATES not in state.doubts and state.as_of < block for state in states], np.bool_)
    return Reserves(
        rates.reshape(-1, 4, 2),
        np.array([state.indexes[4] for state in states], np.int64),
        fits.reshape(-1, 4).all(axis=1) & is_known & tokens.fit.reshape(-1, 2).all(axis=1),
        np.zeros(len(states), np.bool_),
    )


def _totals(tokens: list[Token | None]) -> Tokens:
    totals, fits = _words([0 if token is None or token.total is None else token.total for token in tokens])
    return Tokens(
        totals[:, None],
        np.array([token is not None and token.total is not None for token in tokens], np.bool_),
        np.array([token is not None and token.directional for token in tokens], np.bool_),
        fits & np.array([token is not None for token in tokens], np.bool_),
        np.zeros(len(tokens), np.bool_),
    )


def _words(numbers: Sequence[int]) -> tuple[Words, Flags]:
    """Each number's high and low word, and whether it has no more; nothing of those that have."""
    fits = np.ones(len(numbers), np.bool_)
    try:
        raw = b"".join([number.to_bytes(_BYTES) for number in numbers])
    except OverflowError:
        fits = np.array([0 <= number < 1 << 8 * _BYTES for number in numbers])
        raw = b"".join([(number if fine else 0).to_bytes(_BYTES) for number, fine in zip(numbers, fits, strict=True)])
    return np.frombuffer(raw, ">u8").astype(np.uint64).reshape(-1, 2), fits


def _numbers(words: Words) -> list[int]:
    """The numbers of rows of high and low words."""
    return [high << 64 | low for high, low in words.reshape(-1, 2).tolist()]


def _write_back(ledger: Ledger, gathered: _Gathered) -> None:
    _write_balances(ledger, gathered.pairs, gathered.balances)
    reserves, totals = gathered.reserves, _numbers(gathered.totals.total)
    for place in np.flatnonzero(reserves.touched).tolist():
        state, asset = gathered.states[place], gathered.states[place].tokens.asset
        state.update(ReserveUpdated(-1, -1, int(reserves.since[place]), asset, *_numbers(reserves.rates[place])))
        ledger.changes.reserves.add(state.tokens.id)
    for place in np.flatnonzero(gathered.totals.touched).tolist():
        if (token := gathered.tokens[place]) is not None:
            token.total = totals[place]


def _write_balances(ledger: Ledger, pairs: _Pairs, balances: Balances) -> None:
    """Every pair was touched, for each has a Mint or a Burn."""
    scaled = _numbers(balances.scaled)
    for side, reserve_id, balance in zip(pairs.sides, pairs.reserve_ids, scaled, strict=True):
        if balance:
            side[reserve_id] = balance
        else:
            side.pop(reserve_id, None)
    for account, key, last in zip(pairs.accounts, pairs.keys, _numbers(balances.last), strict=True):
        account.indexes[key] = last
    ledger.accounts.update(pairs.fresh)
    emodes = [account.emode for account in pairs.accounts]
    ledger.changes.moves.append(Moves(pairs.addresses, emodes, pairs.reserve_ids, pairs.are_debts, scaled))
