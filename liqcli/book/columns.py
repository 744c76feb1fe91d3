"""Every indebted borrower's position as columns of numbers, from which all health factors follow in microseconds.

Floats find who may be liquidatable, never who is: a health factor here is not above the exact one by as much as the
confirm band is wide, so `candidates` misses nobody, and `moment.liquidatable` decides with integers.
"""

from collections.abc import Collection
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
        self._kind_of: dict[Kind, int] = {}
        self._kinds: Kinds = np.zeros((_FIRST_ROWS, WIDTH), np.uint8)
        self._amounts: Floats = np.zeros((_FIRST_ROWS, WIDTH))
        self._health: Floats = np.full(_FIRST_ROWS, np.nan)
        self._weights: Floats = np.zeros((0, 3))
        self._wide: dict[int, tuple[list[int], list[float]]] = {}
        self._spill: Spill | None = None
        self._holders: dict[int, Rows] | None = None
        self._fresh: set[int] = set()
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

    def put(self, position: Position) -> None:
        """Take in a position, new or changed; its health factor is unknown until the next `revalue`."""
        kinds, amounts = self._entries(position)
        if not any(position.scaled_debt.values()):
            self.drop(position.borrower)
            return
        row = self._row_of.get(position.borrower)
        if row is None:
            row = self._new_row(position.borrower)
        self._write(row, kinds, amounts)

    def drop(self, borrower: Address) -> None:
        """Forget a borrower, known or not."""
        row = self._row_of.pop(borrower, None)
        if row is not None:
            self._write(row, [], [])
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

    def weigh(self, moment: Moment, *, reserve_ids: Collection[int] | None = None) -> Table:
        """The weights of all kinds, or those of the last time with what these reserves changed."""
        kinds = [None, *self._kind_of]
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

    def candidates(self, *, below: float = CONFIRM_BELOW) -> list[Address]:
        """Who may be below one, and whose health factor is unknown: to be confirmed exactly."""
        rows = np.flatnonzero(~(self._health[: len(self.borrowers)] >= below))
        found = (self.borrowers[row] for row in rows)
        return [borrower for borrower in found if borrower is not None]

    def _entries(self, position: Position) -> tuple[list[int], list[float]]:
        """What counts in a position: flagged collaterals and debts, as kinds and scaled amounts."""
        held = [(False, number, position.scaled_collateral.get(number, 0)) for number in position.collateral_ids]
        owed = [(True, number, scaled) for number, scaled in position.scaled_debt.items()]
        found = [(Kind(number, position.emode, is_debt), scaled) for is_debt, number, scaled in held + owed if scaled]
        return [self._kind(kind) for kind, _ in found], [float(scaled) for _, scaled in found]

    def _kind(self, kind: Kind) -> int:
        """The number of a kind; 0 is nobody's."""
        number = self._kind_of.get(kind)
        if number is None:
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

    def _write(self, row: int, kinds: list[int], amounts: list[float]) -> None:
        """A row that takes all entries, or none when they go to the spill."""
        fits = len(kinds) <= WIDTH
        self._kinds[row], self._amounts[row] = 0, 0.0
        if fits:
            self._kinds[row, : len(kinds)], self._amounts[row, : len(kinds)] = kinds, amounts
        if not fits or row in self._wide:
            self._wide.pop(row, None)
            self._wide |= {} if fits else {row: (kinds, amounts)}
            self._spill = None
        self._health[row] = np.nan
        self._note(row)

    def _note(self, row: int) -> None:
        """Tell the follower; and keep the lists of holders only while few rows have changed since they were made."""
        if self._written is not None:
            self._written.add(row)
        if self._holders is not None:
            self._fresh.add(row)
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
        names = sorted({kind.reserve_id for kind in self._kind_of})
        places = {number: place for place, number in enumerate(names, start=1)}
        reserve_of = np.array([0, *(places[kind.reserve_id] for kind in self._kind_of)], np.uint32)
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
