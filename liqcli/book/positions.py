"""The book: every position of a market exact as of one block, kept by the market's logs alone.

A page of logs moves the cursor; a page that overlaps the last one brings late logs home; `rollback` undoes blocks that
the chain gave up. What is not exact is unknown and says why: the book never guesses a health factor.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from liqcli.aave.account import AccountData, EMode, Position, Reserve, account_data
from liqcli.aave.ray import Version
from liqcli.book.events import BookEvent, Unmade
from liqcli.book.ledger import Ledger
from liqcli.book.state import Account, Before, Changes, ReserveState, shared
from liqcli.chain.reserves import ReserveTokens
from liqcli.errors import LiqError, Unreachable
from liqcli.model import Address

UNDO_BLOCKS = 64
"""How deep a reorganisation, or how late a log, can be taken in without reading the chain again."""


class Unknown(LiqError):
    """The book does not know this account exactly; the message says why."""


class BrokenPage(Unreachable):
    """A page does not follow the book: a gap before it, or two different logs in one place; to be read again."""


class TooDeep(LiqError):
    """A rollback below what the book can undo: it has to be built again."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Which market a book is of; a checkpoint of another one is refused."""

    chain_id: int
    market: str
    pool: Address


@dataclass(frozen=True, slots=True)
class Page:
    """The events of the blocks `first` to `last`, as one node answered; `head` is the newest block it knew.

    `hashes` are the block hashes that came along; events may be out of order and doubled.
    """

    first: int
    last: int
    head: int
    events: Sequence[BookEvent]
    hashes: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a page or a rollback changed, and the events that were new; `late` of them an earlier page had lacked."""

    changes: Changes
    events: Sequence[BookEvent] = ()
    late: int = 0


@dataclass(frozen=True, slots=True)
class _Step:
    """One applied block that can be undone."""

    block: int
    events: tuple[BookEvent, ...]
    before: Before


class Book:
    """All positions of a market as of block `cursor`; prices come from outside, health factors are exact integers.

    With `complete`, the logs reach back to the market's first block and an account never seen has nothing; else it is
    unknown until `put_account` brings it. `drift` counts accounts that an audit found wrong.
    """

    def __init__(
        self,
        identity: Identity,
        listable: Iterable[ReserveTokens],
        version: Version,
        *,
        cursor: int,
        complete: bool,
        undo_blocks: int = UNDO_BLOCKS,
    ) -> None:
        self.identity = identity
        self.cursor = cursor
        self.drift = 0
        self.hashes: dict[int, str] = {}
        self.ledger = Ledger(listable, identity.pool, version, complete=complete)
        self._prices: dict[Address, int] = {}
        self._steps: deque[_Step] = deque()
        self._ahead: dict[Address, int] = {}
        self._floor = cursor
        self._undo_blocks = undo_blocks

    def __len__(self) -> int:
        return len(self.ledger.accounts)

    def __contains__(self, borrower: object) -> bool:
        return borrower in self.ledger.accounts

    @property
    def version(self) -> Version:
        """The pool's release as of the cursor."""
        return self.ledger.version

    @property
    def accounts(self) -> Iterator[Address]:
        """Everyone ever seen, the treasury among them."""
        return iter(list(self.ledger.accounts))

    @property
    def borrowers(self) -> Iterator[Address]:
        """Everyone with a debt, and everyone unknown: unknown is not healthy."""
        accounts = self.ledger.bring_home()
        return (address for address, held in list(accounts.items()) if held.debt or held.why_unknown is not None)

    @property
    def unknown(self) -> dict[Address, str]:
        """Accounts that have to be read from the chain, and the evidence against each."""
        accounts = self.ledger.accounts
        return {address: accounts[address].why_unknown or "" for address in self.ledger.unknown}

    @property
    def unknown_reserves(self) -> dict[int, str]:
        """Reserves whose indexes or rates are in doubt; all who use one are unknown meanwhile."""
        reserves = self.ledger.reserves.items()
        return {number: why for number, state in reserves if (why := state.why_unknown) is not None}

    @property
    def gaps(self) -> int:
        """How many signs of lost logs the logs themselves have shown."""
        return self.ledger.gaps

    @property
    def prices(self) -> Mapping[Address, int]:
        """The oracle's prices as last set, by asset."""
        return self._prices

    @property
    def reserves(self) -> dict[int, Reserve]:
        """Every exact reserve that has a price, by id."""
        return {number: view for number in self.ledger.reserves if (view := self._view(number)) is not None}

    @property
    def emodes(self) -> dict[int, EMode]:
        """Every e-mode category; one priced by a source of its own only while that price is known."""
        return {number: emode for number in self.ledger.emodes if (emode := self._emode(number)) is not None}

    @property
    def categories(self) -> list[int]:
        """The e-modes to be held against the chain: all defined, and any that somebody is in without a definition."""
        return sorted(self.ledger.emodes.keys() | self.ledger.entered)

    @property
    def price_sources(self) -> frozenset[Address]:
        """Assets beside the listed ones whose prices e-mode categories need (up to 3.1)."""
        return frozenset(source for _, source in self.ledger.emodes.values() if source) - self.ledger.ids.keys()

    def set_prices(self, by_asset: Mapping[Address, int]) -> set[Address]:
        """Take the oracle's prices; the assets whose price changed. A price that is missing or zero is unknown."""
        fresh = {asset: price for asset, price in by_asset.items() if price > 0}
        moved = {asset for asset in fresh.keys() | self._prices.keys() if fresh.get(asset) != self._prices.get(asset)}
        self._prices = fresh
        return moved

    def position(self, borrower: Address) -> Position:
        """The borrower's scaled balances, flags and e-mode as of the cursor; Unknown when they are not exact."""
        account = self._exact_account(borrower)
        collateral, debt = dict(account.collateral), dict(account.debt)
        return Position(borrower, collateral, debt, account.used, account.emode)

    def glance(self, borrower: Address) -> Position:
        """The same with the book's own mappings: to be read at once, not kept."""
        account = self._exact_account(borrower)
        return Position(borrower, account.collateral, account.debt, account.used, account.emode)

    def exact(self, borrower: Address, now: int) -> AccountData:
        """What `getUserAccountData` answers in a block of timestamp `now`, to the wei; Unknown when it cannot be told.

        Holds as long as no later log touches the borrower or its reserves, and prices are those of that block.
        """
        position = self.glance(borrower)
        reserves, emodes = self._parts(position)
        return account_data(self.version, reserves, emodes, position, now)

    def why_unknown(self, borrower: Address) -> str | None:
        """Why `exact` would refuse, or None."""
        try:
            self._parts(self.glance(borrower))
        except Unknown as err:
            return err.message
        return None

    def apply(self, page: Page) -> Outcome:
        """Take a page in: strictly by (block, log index), doubled events once, late ones in their place.

        BrokenPage when blocks are missing before it, or when one place holds two different events.
        """
        if page.first > self.cursor + 1:
            raise BrokenPage(f"blocks {self.cursor + 1:,} to {page.first - 1:,} are missing before the page")
        if self._fold(page):
            self._advance(page)
            return Outcome(self._changes(), page.events)
        events = _in_order(page.events)
        late = self._late(events)
        fresh = [event for event in events if event[0] > self.cursor]
        new = [*late, *fresh]
        if late:
            fresh = _in_order([*self._take_back(late[0][0] - 1), *late, *fresh])
        for block, group in groupby(fresh, key=lambda event: event[0]):
            self._apply_block(block, tuple(group), head=page.head)
        self._advance(page)
        return Outcome(self._changes(), new, len(late))

    def rollback(self, block: int) -> Outcome:
        """Undo every block after this one; TooDeep when that is more than the book kept."""
        if block < self._floor:
            raise TooDeep(
                f"the book can go back to block {self._floor:,}, not to {block:,}",
                hint="it is built again from the chain",
            )
        self._undo_after(block)
        self.cursor = min(self.cursor, block)
        self.hashes = {number: known for number, known in self.hashes.items() if number <= block}
        return Outcome(self._changes())

    def calm_from(self, blocks: int, *, at_most: int) -> int:
        """The earliest of the last so many blocks from which on few events were applied; the next one in a storm."""
        events = 0
        for step in reversed(self._steps):
            events += len(step.events)
            if events > at_most or step.block <= self.cursor - blocks:
                return max(step.block + 1, self.cursor + 1 - blocks)
        return self.cursor + 1 - blocks

    def put_account(self, position: Position, *, block: int, indexes: Mapping[int, int] | None = None) -> bool:
        """Take an account as the chain answered it at `block`; False when the book is past it: read again.

        Logs up to that block then change it no more, and it stays unknown until the book has come as far.
        """
        if block < self.cursor:
            return False
        account = Account()
        account.collateral, account.debt = dict(position.scaled_collateral), dict(position.scaled_debt)
        account.indexes, account.used = dict(indexes or {}), shared(position.collateral_ids)
        account.emode = position.emode
        account.as_of = block
        self.ledger.put_account(position.borrower, account)
        if block > self.cursor:
            self._ahead[position.borrower] = block
        return True

    def put_market(
        self, reserves: Iterable[ReserveState], emodes: Mapping[int, tuple[EMode, Address | None]], *, block: int
    ) -> bool:
        """Take reserves and e-modes as the chain answered them at `block`; False when the book is past it."""
        if block < self.cursor:
            return False
        for state in reserves:
            self.ledger.put_reserve(state)
        self.ledger.emodes, self.ledger.emodes_as_of = dict(emodes), block
        self.ledger.changes.market = True
        return True

    def restart(
        self, reserves: Iterable[ReserveState], emodes: Mapping[int, tuple[EMode, Address | None]], *, block: int
    ) -> Outcome:
        """Begin anew at a block that the chain answered for: the market is known, every account is to be read again."""
        self.cursor = self._floor = block
        self.hashes, self._ahead, self.ledger.complete = {}, {}, False
        self._steps.clear()
        for token in self.ledger.tokens.values():
            token.total = None
        for state in self.ledger.reserves.values():
            state.doubts.clear()
        self.put_market(reserves, emodes, block=block)
        for borrower in self.ledger.bring_home():
            self.ledger.doubt(borrower, "the chain changed deeper than the book could undo")
        return Outcome(self._changes())

    def quarantine(self, borrower: Address, why: str) -> None:
        """The chain contradicts the book: the account is unknown until it is read again."""
        self.drift += 1
        self.ledger.doubt(borrower, why)

    def watch(self, borrowers: Iterable[Address]) -> None:
        """Know these accounts; in a book that is not complete, new ones are unknown until read."""
        for borrower in borrowers:
            if borrower not in self.ledger.accounts:
                self.ledger.meet(borrower)

    def learn(self, listable: Iterable[ReserveTokens], version: Version) -> None:
        """Know the tokens of reserves that logs are about to list, and the release that upgrades lead to."""
        self.ledger.listable |= {tokens.asset: tokens for tokens in listable}
        self.ledger.newest = version

    def _exact_account(self, borrower: Address) -> Account:
        account = self.ledger.accounts.get(borrower)
        if account is None:
            if self.ledger.complete:
                return Account()
            raise Unknown(f"{borrower} is not in the book", hint="`liq book import` makes it known")
        if account.why_unknown is not None:
            raise Unknown(f"{borrower} is unknown: {account.why_unknown}")
        if account.as_of > self.cursor:
            raise Unknown(f"{borrower} was read at block {account.as_of:,}, the book is at {self.cursor:,}")
        return account

    def _parts(self, position: Position) -> tuple[dict[int, Reserve], dict[int, EMode]]:
        reserves = {number: self._used(number) for number in position.collateral_ids | position.scaled_debt.keys()}
        return reserves, {position.emode: self._entered(position.emode)} if position.emode else {}

    def _used(self, number: int) -> Reserve:
        view = self._view(number)
        if view is not None:
            return view
        state = self.ledger.reserves.get(number)
        if state is None:
            raise Unknown(f"reserve {number} is not listed")
        why = state.why_unknown or ("it is ahead of the book" if state.as_of > self.cursor else "it has no price")
        raise Unknown(f"reserve {number} ({state.tokens.asset}) is unknown: {why}")

    def _view(self, number: int) -> Reserve | None:
        state = self.ledger.reserves.get(number)
        if state is None or state.why_unknown is not None or state.as_of > self.cursor:
            return None
        price = self._prices.get(state.tokens.asset)
        return None if price is None else state.view(price)

    def _entered(self, number: int) -> EMode:
        emode = self._emode(number)
        if emode is None:
            raise Unknown(f"e-mode {number} is unknown: its definition or its price was never seen")
        return emode

    def _emode(self, number: int) -> EMode | None:
        emode, source = self.ledger.emodes.get(number, (None, None))
        if emode is None or source is None:
            return emode
        price = self._prices.get(source)
        return None if price is None else replace(emode, price=price)

    def _fold(self, page: Page) -> bool:
        """Take a scanned page in at once, if all in it is new, in order, and too old to be ever undone."""
        if (
            not isinstance(page.events, Unmade)
            or page.first <= self.cursor
            or page.last > page.head - self._undo_blocks
        ):
            return False
        from liqcli.book.fold import fold  # with the machine code that scanned the page

        return fold(self.ledger, page.events, after=self.cursor)

    def _late(self, events: Sequence[BookEvent]) -> list[BookEvent]:
        """Events of blocks that were applied without them, as far back as the book can undo."""
        if not events or events[0][0] > self.cursor:
            return []
        applied = {event[:2] for step in self._steps for event in step.events}
        return [event for event in events if self._floor < event[0] <= self.cursor and event[:2] not in applied]

    def _take_back(self, block: int) -> list[BookEvent]:
        """Undo the blocks after this one, and hand their events out to be applied again."""
        taken = [event for step in self._steps if step.block > block for event in step.events]
        self._undo_after(block)
        return taken

    def _undo_after(self, block: int) -> None:
        """Take the steps back; what was read from a block that is undone may never have been."""
        ledger = self.ledger
        while self._steps and self._steps[-1].block > block:
            ledger.undo(self._steps.pop().before)
        for address, account in ledger.bring_home().items():
            if block < account.as_of:
                ledger.doubt(address, f"it was read at block {account.as_of:,}, which was undone")
        for state in ledger.reserves.values():
            if block < state.as_of:
                ledger.doubt_reserve(state, f"it was read at block {state.as_of:,}, which was undone")

    def _apply_block(self, block: int, events: tuple[BookEvent, ...], *, head: int) -> None:
        before = self.ledger.take_block(events, record=block > head - self._undo_blocks)
        if before is not None:
            self._steps.append(_Step(block, events, before))

    def _advance(self, page: Page) -> None:
        self.cursor = max(self.cursor, page.last)
        reached = [borrower for borrower, block in self._ahead.items() if block <= self.cursor]
        for borrower in reached:
            del self._ahead[borrower]
            self.ledger.changes.accounts.add(borrower)
        self._floor = max(self._floor, min(self.cursor, page.head - self._undo_blocks))
        while self._steps and self._steps[0].block <= self._floor:
            self._steps.popleft()
        self.hashes |= page.hashes
        self.hashes = {block: known for block, known in self.hashes.items() if self._floor <= block <= self.cursor}

    def _changes(self) -> Changes:
        changes, self.ledger.changes = self.ledger.changes, Changes()
        return changes


def _in_order(events: Iterable[BookEvent]) -> list[BookEvent]:
    """By (block, log index), each place once; BrokenPage when a place holds two different events."""
    ordered: list[BookEvent] = []
    for event in sorted(events, key=lambda event: event[:2]):
        if not ordered or ordered[-1][:2] != event[:2]:
            ordered.append(event)
        elif ordered[-1] != event:
            raise BrokenPage(f"block {event[0]:,} has two different logs {event[1]}", hint="the page is read again")
    return ordered
