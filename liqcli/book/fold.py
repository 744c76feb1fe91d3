"""Many logs into the ledger at once: accounts are kept in columns, in which machine code follows what logs tell.

Reserves and tokens are gathered for each page and written back; accounts stay in the columns until somebody looks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from liqcli.book import balances as kernel
from liqcli.book import holdings as columns
from liqcli.book.balances import Logs, Reserves, Tokens
from liqcli.book.decode import KNOWN, Scanned
from liqcli.book.events import BookEvent, ReserveUpdated
from liqcli.book.holdings import Flags, Rows, Words
from liqcli.book.keeper import Keeper, fits, numbers_of, words_of
from liqcli.book.ledger import Ledger
from liqcli.book.scan import TOPICS, WORDS
from liqcli.book.state import Doubt, Moves, ReserveState, Token
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
    topics.COLLATERAL_ENABLED: kernel.ENABLE,
    topics.COLLATERAL_DISABLED: kernel.DISABLE,
    topics.EMODE_SET: kernel.ENTER,
}
_CODE_OF = np.array([*(_CODES.get(topic, kernel.OTHER) for topic in KNOWN), kernel.IGNORED])
_MOST_STOPS = 8
"""Where a page makes the loop stop more often, judging the rest of it event by event costs less."""


@dataclass(frozen=True, slots=True)
class _Market:
    """Reserves and tokens as objects of the ledger and, in the same order, as numbers."""

    states: list[ReserveState]
    tokens: list[Token | None]
    numbers: kernel.Market


def fold(ledger: Ledger, scanned: Sequence[BookEvent], *, after: int) -> bool:
    """Apply scanned events with the same result as `Ledger.take_block` block by block, without what undoes them.

    False, and nothing is applied, where they do not all lie behind block `after`, each behind the one before it.
    """
    if not isinstance(scanned, Scanned):
        return False
    if not kernel.are_in_order(scanned.fields.blocks, scanned.fields.indexes, after):
        return False
    code, blocks = _CODE_OF[scanned.topic], scanned.fields.blocks
    row = stops = 0
    while row < len(code):
        if stops < _MOST_STOPS:
            others = np.flatnonzero(code[row:] == kernel.OTHER)
            end = int(np.searchsorted(blocks, blocks[row + others[0]])) if len(others) else len(code)
            row = _fold_rows(ledger, scanned, code, slice(row, end))
        if row < len(code):
            stops += 1
            following = int(np.searchsorted(blocks, blocks[row], side="right"))
            _keeper_of(ledger, scanned).give_back_numbers(
                scanned.named[row : following if stops < _MOST_STOPS else None]
            )
            ledger.take_block(scanned.made(np.arange(row, following)), record=False)
            row = following
    return True


def warm() -> None:
    """Load the machine code ahead of the first page."""
    keeper, none = Keeper(None), np.zeros(0, np.int64)
    keeper.take_new(none)
    keeper.give_back([])
    keeper.make_room(1)
    market, numbers = _market([], 0, {}), np.zeros((0, TOPICS), np.int32)
    logs = Logs(none, none, none, numbers, np.zeros((0, WORDS, 2), np.uint64))
    kernel.are_in_order(none, none, 0)
    kernel.list_contracts(logs, keeper.places, none)
    kernel.list_strangers(logs, keeper.places, keeper.holdings, none)
    kernel.fold(logs, keeper.places, keeper.holdings, market.numbers)


def _is_regular(ledger: Ledger) -> bool:
    """Whether each reserve has its two tokens, and a number that the contracts give."""
    has_tokens = len(ledger.tokens) == 2 * len(ledger.reserves)
    return has_tokens and 2 * max(ledger.reserves, default=0) < columns.MOST_SIDES


def _keeper_of(ledger: Ledger, scanned: Scanned) -> Keeper:
    """The ledger's keeper; addresses numbered otherwise are none of its own."""
    if ledger.keeper is None or ledger.keeper.numbering is not scanned.numbering:
        ledger.bring_home()
        ledger.keeper = Keeper(scanned.numbering)
    ledger.keeper.make_room(len(scanned.addresses))
    return ledger.keeper


def _fold_rows(ledger: Ledger, scanned: Scanned, code: Rows, rows: slice) -> int:
    """Take in whole blocks of logs; where a block begins that has to be judged event by event."""
    if rows.start == rows.stop or not _is_regular(ledger):
        return int(rows.start)
    fields, keeper = scanned.fields, _keeper_of(ledger, scanned)
    logs = Logs(fields.blocks[rows], scanned.at[rows], code[rows], scanned.named[rows], scanned.words[rows])
    market = _market(list(ledger.reserves.values()), int(logs.blocks[0]), ledger.tokens)
    _place(keeper, scanned, logs, market)
    newcomers = _admit(ledger, keeper, scanned, logs)
    keeper.begin(len(logs.code))
    stop = kernel.fold(logs, keeper.places, keeper.holdings, market.numbers)
    if stop < len(logs.code):
        columns.undo(keeper.holdings)
        keeper.forget(newcomers)
        return _fold_rows(ledger, scanned, code, slice(rows.start, rows.start + stop))
    ledger.accounts.update(zip(scanned.addresses[newcomers].tolist(), keeper.new(newcomers), strict=True))
    _tell(ledger, keeper, scanned, logs)
    _write_back(ledger, market)
    return int(rows.stop)


def _place(keeper: Keeper, scanned: Scanned, logs: Logs, market: _Market) -> None:
    """Write down which tokens and assets the contracts are that the logs name."""
    found = np.empty(len(logs.code), np.int64)
    found = found[: kernel.list_contracts(logs, keeper.places, found)]
    addresses: list[Address] = scanned.addresses[found].tolist()
    tokens = {token.address: place for place, token in enumerate(market.tokens) if token is not None}
    reserves = {state.tokens.asset: place for place, state in enumerate(market.states)}
    keeper.places.asked[found] = False
    keeper.places.token[found] = [tokens.get(address, -1) for address in addresses]
    keeper.places.reserve[found] = [reserves.get(address, -1) for address in addresses]


def _admit(ledger: Ledger, keeper: Keeper, scanned: Scanned, logs: Logs) -> Rows:
    """Have all accounts kept that the logs change, but those that are unknown; returns those that nobody has met."""
    found = np.empty(len(logs.code), np.int64)
    found = found[: kernel.list_strangers(logs, keeper.places, keeper.holdings, found)]
    keeper.forget(found)
    met = list(map(ledger.accounts.get, scanned.addresses[found].tolist()))
    keeper.take((number, account) for number, account in zip(found.tolist(), met, strict=True) if account is not None)
    newcomers = found[[account is None and ledger.complete for account in met]]
    keeper.take_new(newcomers)
    return newcomers


def _market(states: list[ReserveState], block: int, by_address: Mapping[Address, Token]) -> _Market:
    names = [name for state in states for name in (state.tokens.a_token, state.tokens.debt_token)]
    tokens = [by_address.get(name) for name in names]
    totals = _totals(tokens)
    return _Market(states, tokens, kernel.Market(_reserves(states, totals, block), totals))


def _reserves(states: list[ReserveState], tokens: Tokens, block: int) -> Reserves:
    rates, are_fit = _words([state.indexes[place] for state in states for place in (1, 3, 0, 2)])
    facts = np.array([(state.tokens.id, state.indexes[4]) for state in states], np.int64).reshape(-1, 2)
    is_known = np.array([Doubt.RATES not in state.doubts and state.as_of < block for state in states], np.bool_)
    return Reserves(
        facts[:, 0].copy(),
        rates.reshape(-1, 4, 2),
        facts[:, 1].copy(),
        are_fit.reshape(-1, 4).all(axis=1) & is_known & tokens.fit.reshape(-1, 2).all(axis=1),
        np.zeros(len(states), np.bool_),
        np.full(len(states), kernel.NEVER),
        np.full(len(states), kernel.NEVER),
    )


def _totals(tokens: list[Token | None]) -> Tokens:
    totals, are_fit = _words([0 if token is None else token.total or 0 for token in tokens])
    return Tokens(
        totals,
        np.array([token is not None and token.total is not None for token in tokens], np.bool_),
        np.array([token is not None and token.directional for token in tokens], np.bool_),
        are_fit & np.array([token is not None for token in tokens], np.bool_),
        np.zeros(len(tokens), np.bool_),
    )


def _words(numbers: Sequence[int]) -> tuple[Words, Flags]:
    """Each number's two words, and whether it has no more; nothing of those that have."""
    try:
        return words_of(numbers), np.ones(len(numbers), np.bool_)
    except OverflowError:
        are_fit = np.array([fits(number) for number in numbers], np.bool_)
        return words_of([number if fits(number) else 0 for number in numbers]), are_fit


def _tell(ledger: Ledger, keeper: Keeper, scanned: Scanned, logs: Logs) -> None:
    """What has changed, and which e-modes somebody is in now."""
    held, names = keeper.holdings, scanned.addresses
    accounts = held.touched_accounts[: held.counts[columns.TOUCHED_ACCOUNTS]]
    ledger.changes.accounts.update(names[accounts].tolist())
    for category in set(logs.words[np.flatnonzero(logs.code == kernel.ENTER), 0, 1].tolist()):
        ledger.meet_emode(category)
    pairs = held.touched_pairs[: held.counts[columns.TOUCHED_PAIRS]]
    words = held.words[pairs]
    keys = words[:, columns.KEY].astype(np.int64)
    owners, sides = keys // columns.MOST_SIDES, keys % columns.MOST_SIDES
    scaled = words[:, columns.SCALED : columns.SCALED + 2]
    ledger.changes.moves.append(Moves(names, owners, held.accounts[owners, columns.EMODE], sides, scaled))


def _write_back(ledger: Ledger, market: _Market) -> None:
    reserves, tokens = market.numbers
    totals = numbers_of(tokens.total)
    rates, since = numbers_of(reserves.rates.reshape(-1, 2)), reserves.since.tolist()
    for place in np.flatnonzero(reserves.touched).tolist():
        state, asset = market.states[place], market.states[place].tokens.asset
        told = rates[4 * place : 4 * place + 4]
        state.update(ReserveUpdated(-1, -1, since[place], asset, *told))
        ledger.changes.reserves.add(state.tokens.id)
    for place in np.flatnonzero(tokens.touched).tolist():
        if (token := market.tokens[place]) is not None:
            token.total = totals[place]
