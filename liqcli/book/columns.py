"""Every indebted borrower's position as columns of numbers, from which all health factors follow in microseconds.

Floats find who may be liquidatable, never who is: a health factor here is not above the exact one by as much as the
confirm band is wide, so `candidates` misses nobody, and `moment.liquidatable` decides with integers.
"""

from collections.abc import Collection, Iterable
from itertools import starmap
from typing import Any

import numpy as np
import numpy.typing as npt

from liqcli.aave.account import Position
from liqcli.book.kernels import (
    WIDTH,
    Entries,
    Floats,
    Kinds,
    Rows,
    Spill,
    Table,
    count_holders,
    list_holders,
    value_all,
    value_rows,
    value_spilled,
)
from liqcli.book.moment import Moment
from liqcli.book.state import Moves
from liqcli.book.weights import CONFIRM_BELOW, Kind, table_of, weights_of
from liqcli.model import Address

_FIRST_ROWS = 1024
_MOST_UINT8 = 256


class Columns:
    """The borrowers' entries by row, and their health factors as of the last `revalue`; nan is unknown.

    Accounts without debt have no row; `borrowers` says who stands in which, None for a row that is free.
    """

    def __init__(self) -> None:
        self._row_of: dict[Address, int] = {}
        self.borrowers: list[Address | None] = []
        self._free: list[int] = []
        self._kind_of: dict[tuple[int, int, bool], int] = {}
        self._kinds: Kinds = np.zeros((_FIRST_ROWS, WIDTH), np.uint8)
        self._amounts: Floats = np.zeros((_FIRST_ROWS, WIDTH))
        self._health: Floats = np.full(_FIRST_ROWS, np.nan)
        self._weights: Floats = np.zeros((0, 3))
        self._wide: dict[int, tuple[list[int], list[float]]] = {}
        self._spill: Spill | None = None
        self._holders: dict[int, Rows] | None = None
        self._fresh: set[int] = set()
        self._unvalued: set[int] = set()
        self._written: set[int] | None = None

    def __len__(self) -> int:
        return len(self._row_of)

    @property
    def bytes_used(self) -> int:
        """What the columns take in memory, without the addresses."""
        lists = (self._holders or {}).values()
        return sum(column.nbytes for column in (self._kinds, self._amounts, self._health, *lists))

    @property
    def health(self) -> Floats:
        """The health factors by row as of the last `revalue`; nan is unknown, or a row that is free."""
        return self._health[: len(self.borrowers)]

    def put(self, *positions: Position) -> None:
        """Take in positions of different borrowers, new or changed; unknown health until the next `revalue`."""
        rows: list[int] = []
        kinds: list[int] = []
        amounts: list[float] = []
        for position in positions:
            if not any(position.scaled_debt.values()):
                self.drop(position.borrower)
                continue
            row = self._row_of.get(position.borrower)
            if row is None:
                row = self._new_row(position.borrower)
            own_kinds, own_amounts = self._entries(position)
            if len(own_kinds) > WIDTH or row in self._wide:
                self._spread(row, own_kinds, own_amounts)
                own_kinds, own_amounts = (own_kinds, own_amounts) if len(own_kinds) <= WIDTH else ([], [])
            padding = WIDTH - len(own_kinds)
            rows.append(row)
            kinds += own_kinds + [0] * padding
            amounts += own_amounts + [0.0] * padding
        self._write(rows, kinds, amounts)

    def move(self, moves: Moves) -> list[Address]:
        """Take in balances where their entries stand already; returns whose position has to be put instead."""
        row_of, kind_of, addresses = self._row_of, self._kind_of, moves.addresses
        rows = np.array([row_of.get(address, -1) for address in addresses], np.int64)
        entries = zip(moves.sides.tolist(), moves.emodes.tolist(), strict=True)
        kind = np.array([kind_of.get((side >> 1, emode, side & 1 > 0), 0) for side, emode in entries], np.int64)
        amounts = np.array([float(high << 64 | low) for high, low in moves.scaled.tolist()])
        stands_at = self._kinds[rows] == kind[:, None]
        fits = (rows >= 0) & (kind > 0) & (amounts > 0) & stands_at.any(axis=1)
        found = rows[fits]
        self._amounts[found, stands_at[fits].argmax(axis=1)] = amounts[fits]
        self._health[found] = np.nan
        self._note(found.tolist())
        return [addresses[place] for place in np.flatnonzero(~fits).tolist()]

    def drop(self, borrower: Address) -> None:
        """Forget a borrower, known or not."""
        row = self._row_of.pop(borrower, None)
        if row is not None:
            self._spread(row, [], [])
            self._write([row], [0] * WIDTH, [0.0] * WIDTH)
            self.borrowers[row] = None
            self._free.append(row)

    def revalue(self, moment: Moment, *, reserve_ids: Collection[int] | None = None) -> None:
        """Bring the health factors to a moment: all, or only those in these reserves and those put in since the last.

        Who is not among those keeps the health factor of an earlier moment.
        """
        table = self.weigh(moment, reserve_ids=reserve_ids)
        count = len(self.borrowers)
        if reserve_ids is None or self._holders is None:
            value_all(self._kinds[:count], self._amounts[:count], table, self._health[:count])
        else:
            for rows in self._rows_in(reserve_ids):
                value_rows(rows, self._kinds, self._amounts, table, self._health)
        if reserve_ids is not None and self._holders is None:
            self._list_holders()
        if self._wide:
            value_spilled(self._spilled(), table, self._health)
        self._unvalued.clear()

    def value_new(self, moment: Moment) -> None:
        """Value by a moment whoever was put in since the last time; all others keep what they have."""
        if not self._unvalued:
            return
        rows = np.fromiter(self._unvalued, np.uint32, len(self._unvalued))
        table = self.weigh(moment)
        value_rows(rows, self._kinds, self._amounts, table, self._health)
        if not self._wide.keys().isdisjoint(self._unvalued):
            value_spilled(self._spilled(), table, self._health)
        self._unvalued.clear()

    def weigh(self, moment: Moment, *, reserve_ids: Collection[int] | None = None) -> Table:
        """The weights of all kinds, or those of the last time with what these reserves changed."""
        kinds = [None, *starmap(Kind, self._kind_of)]
        if reserve_ids is None or len(self._weights) != len(kinds):
            self._weights = np.array([weights_of(moment, kind) for kind in kinds])
        else:
            for place, kind in enumerate(kinds):
                if kind is not None and kind.reserve_id in reserve_ids:
                    self._weights[place] = weights_of(moment, kind)
        return table_of(moment, self._weights, entries=self._most_entries())

    def entries(self) -> Entries:
        """Every row's kinds and scaled amounts; a borrower with more entries than a row has room for shows none."""
        return Entries(self._kinds[: len(self.borrowers)], self._amounts[: len(self.borrowers)])

    def follow(self) -> set[int]:
        """A set that collects the rows written from now on, for one follower, who empties it."""
        self._written = set()
        return self._written

    def health_of(self, borrower: Address) -> float | None:
        """The last health factor, nan where it is unknown, None for who has no debt here."""
        row = self._row_of.get(borrower)
        return None if row is None else float(self._health[row])

    def healths_of(self, borrowers: Iterable[Address]) -> Floats:
        """The same of many, nan also for who has no debt here."""
        row_of = self._row_of
        rows = np.array([row_of.get(borrower, -1) for borrower in borrowers], np.int64)
        return np.where(rows < 0, np.nan, self._health[rows])

    def candidates(self, *, below: float = CONFIRM_BELOW) -> list[Address]:
        """Who may be below one, and whose health factor is unknown: to be confirmed exactly."""
        rows = np.flatnonzero(~(self._health[: len(self.borrowers)] >= below))
        found = (self.borrowers[row] for row in rows)
        return [borrower for borrower in found if borrower is not None]

    def _entries(self, position: Position) -> tuple[list[int], list[float]]:
        """What counts in a position: flagged collaterals and debts, as kinds and scaled amounts."""
        kinds: list[int] = []
        amounts: list[float] = []
        kind_of, emode, held = self._kind_of, position.emode, position.scaled_collateral
        for number in position.collateral_ids:
            if scaled := held.get(number):
                kind = (number, emode, False)
                kinds.append(kind_of.get(kind) or self._new_kind(kind))
                amounts.append(float(scaled))
        for number, scaled in position.scaled_debt.items():
            if scaled:
                kind = (number, emode, True)
                kinds.append(kind_of.get(kind) or self._new_kind(kind))
                amounts.append(float(scaled))
        return kinds, amounts

    def _new_kind(self, kind: tuple[int, int, bool]) -> int:
        """A number for a kind not met before; 0 is nobody's."""
        number = self._kind_of[kind] = len(self._kind_of) + 1
        if number == _MOST_UINT8:
            self._kinds = self._kinds.astype(np.uint16)
        return number

    def _new_row(self, borrower: Address) -> int:
        if self._free:
            row = self._free.pop()
            self.borrowers[row] = borrower
        else:
            row = len(self.borrowers)
            self.borrowers.append(borrower)
            if row == len(self._health):
                self._grow(row + row // 4)
        self._row_of[borrower] = row
        return row

    def _grow(self, rows: int) -> None:
        self._kinds = _longer(self._kinds, rows)
        self._amounts = _longer(self._amounts, rows)
        self._health = _longer(self._health, rows)

    def _write(self, rows: list[int], kinds: list[int], amounts: list[float]) -> None:
        """Replace these rows: `WIDTH` kinds and amounts each, one row's behind the other's."""
        self._kinds[rows] = np.array(kinds, self._kinds.dtype).reshape(-1, WIDTH)
        self._amounts[rows] = np.array(amounts).reshape(-1, WIDTH)
        self._health[rows] = np.nan
        self._note(rows)

    def _spread(self, row: int, kinds: list[int], amounts: list[float]) -> None:
        """Keep in the spill what a row has no room for, and nothing of it else."""
        if self._wide.pop(row, None) is not None or len(kinds) > WIDTH:
            self._spill = None
        if len(kinds) > WIDTH:
            self._wide[row] = (kinds, amounts)

    def _note(self, rows: list[int]) -> None:
        """Tell the follower; and keep the lists of holders only while few rows have changed since they were made."""
        self._unvalued.update(rows)
        if self._written is not None:
            self._written.update(rows)
        if self._holders is not None:
            self._fresh.update(rows)
            if len(self._fresh) > _FIRST_ROWS + len(self.borrowers) // 8:
                self._holders = None
                self._fresh.clear()

    def _spilled(self) -> Spill:
        if self._spill is None:
            rows = np.array(list(self._wide), np.uint32)
            lengths = [len(kinds) for kinds, _ in self._wide.values()]
            kinds = np.concatenate([np.array(kinds, self._kinds.dtype) for kinds, _ in self._wide.values()])
            amounts = np.concatenate([np.array(amounts) for _, amounts in self._wide.values()])
            self._spill = Spill(rows, np.cumsum([0, *lengths]).astype(np.uint32), kinds, amounts)
        return self._spill

    def _rows_in(self, reserve_ids: Collection[int]) -> list[Rows]:
        """The rows these reserves may move: their holders when last listed, and every row written since."""
        holders = self._holders or {}
        fresh = np.array(sorted(self._fresh), np.uint32)
        return [fresh, *(holders[number] for number in reserve_ids if number in holders)]

    def _list_holders(self) -> None:
        kinds = self._kinds[: len(self.borrowers)]
        reserve_ids = [reserve_id for reserve_id, _, _ in self._kind_of]
        names = sorted(set(reserve_ids))
        places = {number: place for place, number in enumerate(names, start=1)}
        reserve_of = np.array([0, *(places[reserve_id] for reserve_id in reserve_ids)], np.uint32)
        counts = np.zeros(len(names) + 1, np.uint32)
        count_holders(kinds, reserve_of, counts)
        counts[0] = 0
        ends = np.cumsum(counts, dtype=np.uint32)
        rows = np.empty(int(ends[-1]), np.uint32)
        list_holders(kinds, reserve_of, ends - counts, rows)
        self._holders = {number: rows[ends[place - 1] : ends[place]] for number, place in places.items()}

    def _most_entries(self) -> int:
        return max((len(kinds) for kinds, _ in self._wide.values()), default=WIDTH)


def _longer(column: npt.NDArray[Any], rows: int) -> npt.NDArray[Any]:
    grown = np.zeros((rows, *column.shape[1:]), column.dtype)
    grown[: len(column)] = column
    return grown
