"""The mirror: the exact book, its columns and its triggers, moved together along the chain."""

import math
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from liqcli.book.audit import AuditReport, Rota, compare
from liqcli.book.columns import Columns
from liqcli.book.events import Acted, Liquidated, of_kinds
from liqcli.book.follow import Follower, Step
from liqcli.book.moment import Moment, moment_at
from liqcli.book.positions import Book, Unknown
from liqcli.book.reads import read_truth
from liqcli.book.shock import Triggers
from liqcli.book.state import Changes
from liqcli.model import Address, Reading

_HEALED_AT_ONCE = 200
_FLOAT_ROOM = 1e-6
"""A column's health factor is at most the exact one; this is a thousand times what float division may add to it."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What one page of logs brought: who did what, and whose state changed; `market` when the rules did."""

    block: int
    acted: tuple[Acted | Liquidated, ...]
    changed: frozenset[Address]
    market: bool


@dataclass(frozen=True, slots=True)
class Prices:
    """What a look at the oracle brought: its block and timestamp, and whether a price moved."""

    block: int
    at: int
    moved: bool


class Mirror:
    """One market's positions, exact as of the book's cursor; floats only find whom the integers must look at."""

    def __init__(self, follower: Follower) -> None:
        self.follower = follower
        self.book: Book = follower.book
        self.columns = Columns()
        self.now = 0
        self._triggers = Triggers(self.columns)
        self._rota = Rota()

    def __len__(self) -> int:
        """Everybody with a debt, and everybody unknown."""
        return len(self.columns) + len(self.book.unknown)

    async def open(self) -> None:
        """Take everybody in the book into the columns, and value them by the oracle's prices."""
        self._put(self.book.borrowers)
        async for _ in self.look(audited=0):
            pass
        self.revalue()

    async def advance(self, to: int) -> AsyncIterator[Turn]:
        """Follow the chain to block `to`, page by page; the columns hold each page's changes before it is yielded."""
        async for step in self.follower.follow(to):
            yield self._turn(step)

    async def look(self, audited: int) -> AsyncIterator[Prices | Turn | AuditReport]:
        """The oracle's prices, the way to their block, and there a few accounts held against the book, read with them.

        Prices come first: whom they bring down must not wait for the logs, and is read on the chain in any case.
        """
        borrowers = self._rota.next(self.book, audited)
        truth = await read_truth(
            self.follower.market, borrowers, sources=self.book.price_sources, categories=self.book.categories
        )
        self.now = truth.at
        moved = self.book.set_prices(truth.prices)
        if moved:
            self.revalue()
        yield Prices(truth.block, truth.at, bool(moved))
        async for turn in self.advance(truth.block):
            yield turn
        if self.book.cursor == truth.block:
            yield compare(self.book, truth)

    async def heal(self) -> int:
        """Read some of the unknown from the chain; how many were taken."""
        if not self.book.unknown and not self.book.unknown_reserves:
            return 0
        unknown = list(self.book.unknown)[:_HEALED_AT_ONCE]
        taken = await self.follower.heal(_HEALED_AT_ONCE)
        self._put(unknown)
        return taken

    def surely_above(self, borrowers: Sequence[Address], health: float) -> set[Address]:
        """Those for whom the columns alone vouch as of the last look; nobody whom they do not know."""
        is_above = self.columns.healths_of(borrowers) > health * (1.0 + _FLOAT_ROOM)
        return {borrowers[place] for place in np.flatnonzero(is_above).tolist()}

    def candidates(self) -> list[Address]:
        """Everybody who may be below one by the last prices, and everybody unknown."""
        found = self._triggers.candidates(self._moment())
        return [*found, *self.book.unknown]

    def reading(self, borrower: Address) -> Reading | None:
        """The pool's answer at the last look's block, to the wei; None where the book does not know it exactly."""
        try:
            account = self.book.exact(borrower, self.now)
        except Unknown:
            return None
        return Reading(
            borrower, account.collateral_base, account.debt_base, account.health_factor, self.book.cursor, self.now
        )

    def revalue(self) -> None:
        """Bring all columns to the last look."""
        self.columns.revalue(self._moment())

    def between(self, low: float, high: float) -> list[Address]:
        """Borrowers by the columns from `low` up to below `high`; those whose health is unknown count as lowest."""
        health = np.nan_to_num(self.columns.health, nan=-math.inf)
        rows = np.flatnonzero((health >= low) & (health < high))
        found = (self.columns.borrowers[row] for row in rows)
        return [borrower for borrower in found if borrower is not None]

    def closest(self, count: int = 16) -> list[Address]:
        """The borrowers with the lowest health factors from one on, by the columns."""
        health = np.where(self.columns.health >= 1.0, self.columns.health, math.inf)
        found = (self.columns.borrowers[row] for row in np.argsort(health)[:count])
        return [borrower for borrower in found if borrower is not None]

    def _moment(self) -> Moment:
        return moment_at(self.book.version, self.book.reserves, self.book.emodes, self.now)

    def _turn(self, step: Step) -> Turn:
        changes = step.outcome.changes
        everyone = changes.everyone()
        if changes.market:
            self._put(self.book.accounts)
            self.revalue()
        else:
            self._move(changes)
        self._rota.changed(everyone)
        acted = tuple(of_kinds(step.outcome.events, Acted, Liquidated))
        return Turn(step.page.last, acted, everyone, changes.market)

    def _move(self, changes: Changes) -> None:
        """Into the columns, whoever changed: balances alone where nothing else did and their entries are there."""
        whole = set(changes.accounts)
        for moves in changes.moves:
            whole.update(self.columns.move(moves))
        self._put(whole)

    def _put(self, borrowers: Iterable[Address]) -> None:
        """Into the columns, valued as of the last look; who is unknown has no place there."""
        known, everyone = [], list(borrowers)
        self.book.ledger.bring_some_home(everyone)
        for borrower in everyone:
            try:
                known.append(self.book.glance(borrower))
            except Unknown:
                self.columns.drop(borrower)
        self.columns.put(*known)
        self.columns.value_new(self._moment())
