"""Whom a change of prices may have moved below one: found by visiting those alone, in the order in which they fall."""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from liqcli.book.columns import Columns
from liqcli.book.jit import compiled
from liqcli.book.kernels import WIDTH, Entries, Floats, Rows, Table
from liqcli.book.moment import Moment
from liqcli.book.weights import CONFIRM_BELOW
from liqcli.model import Address

_FEW = 4096
_NEVER = np.uint32(2**32 - 1)
"""The generation of a row that is being looked at: no trigger is of it."""
_BLUR_ROOM = 2.0
"""How far the blur of rounding may grow before triggers that allowed for less are set anew."""


class _Marks(NamedTuple):
    """Triggers: the weight of a kind at which a row needs a look, valid while the row is in that generation."""

    kinds: Rows
    keys: Floats
    rows: Rows
    generations: Rows


class _Sorted(NamedTuple):
    """Triggers in order of kind and key; those from `starts` to `ends` are yet to be reached."""

    marks: _Marks
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]


class _Terms(NamedTuple):
    """What triggers are set by: their generation, what each kind adds to a margin, and what every margin lacks."""

    generation: int
    pull: Floats
    lacking: float


class Triggers:
    """For each kind of entry, borrowers ordered by the weight (price by index) at which they need another look.

    A borrower's margin is shared out to its entries: as long as no weight has moved against it by the part
    x = margin / (sum of its values), all of them together have not used the margin up. Interest counts like prices.
    """

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._written = columns.follow()
        self._sorted = _Sorted(_no_marks(0), np.zeros(0, np.int64), np.zeros(0, np.int64))
        self._later, self._count = _no_marks(0), 0
        self._generations: Rows = np.zeros(0, np.uint32)
        self._generation = 0
        self._due: Rows = np.zeros(0, np.uint32)
        self._rows: Rows = np.zeros(0, np.uint32)
        self._blur = -1.0
        self.visited = 0

    def candidates(self, moment: Moment, *, reserve_ids: Collection[int] | None = None) -> list[Address]:
        """Everybody who may be below one at this moment, to be confirmed exactly; `visited` counts who was looked at.

        With `reserve_ids`, only the weights of these reserves have changed since the last time.
        """
        table = self._columns.weigh(moment, reserve_ids=reserve_ids)
        entries, pull = self._columns.entries(), _pull(table)
        fits = table.blur <= self._blur and len(entries.kinds) <= len(self._rows)
        rows = self._touched(-pull) if fits else self._rows
        if fits and len(rows) * WIDTH <= len(self._later.keys) - self._count:
            self._generation += 1
            self._arm(rows, entries, pull, self._later)
        else:
            self._arm_all(entries, pull, table.blur)
        borrowers = self._columns.borrowers
        return [borrower for row in self._due.tolist() if (borrower := borrowers[row]) is not None]

    def _touched(self, reached: Floats) -> Rows:
        """The rows whose triggers the weights have reached, those due in any case, and those written since."""
        written = np.fromiter(self._written, np.uint32, len(self._written))
        self._generations[written] = _NEVER
        hits = _cross_sorted(self._sorted, reached, self._generations, self._rows)
        hits += _cross_later(self._later, self._count, reached, self._generations, self._rows[hits:])
        due = [row for row in self._due.tolist() if row not in self._written] if self._written else self._due
        self._written.clear()
        return np.concatenate([self._rows[:hits], written, np.asarray(due, np.uint32)])

    def _arm_all(self, entries: Entries, pull: Floats, blur: float) -> None:
        """Set every trigger anew, and sort them."""
        count = len(entries.kinds)
        self._generation, self._blur, self._count = 0, blur * _BLUR_ROOM, 0
        self._generations = np.zeros(count + count // 4, np.uint32)
        self._rows = np.empty(len(self._generations), np.uint32)
        self._written.clear()
        marks = _no_marks(entries.kinds.size)
        self._arm(np.arange(count, dtype=np.uint32), entries, pull, marks)
        self._sorted = _in_order(marks, self._count, kinds=len(pull))
        self._later, self._count = _no_marks(max(_FEW, self._count // 8)), 0

    def _arm(self, rows: Rows, entries: Entries, pull: Floats, marks: _Marks) -> None:
        """Set the triggers of these rows behind the marks there are; who has no sure margin is due every time."""
        terms = _Terms(self._generation, pull, (1.0 + CONFIRM_BELOW) * self._blur)
        due = np.empty(len(rows), np.uint32)
        self._generations[rows] = self._generation
        self._count, found = _arm(rows, entries, terms, (marks, self._count), due)
        self._due, self.visited = due[:found], len(rows)


def _pull(table: Table) -> Floats:
    """What a unit of each kind adds to the margin, from below: the truncation of thresholds taken off in full."""
    certain = table.threshold - table.collateral if table.truncates else table.threshold
    return certain - CONFIRM_BELOW * table.debt


def _in_order(marks: _Marks, count: int, *, kinds: int) -> _Sorted:
    order = np.lexsort((marks.keys[:count], marks.kinds[:count]))
    ordered = _Marks(marks.kinds[order], marks.keys[order], marks.rows[order], marks.generations[order])
    borders = np.searchsorted(ordered.kinds, np.arange(kinds + 1))
    return _Sorted(ordered, borders[:-1].copy(), borders[1:])


def _no_marks(count: int) -> _Marks:
    return _Marks(np.empty(count, np.uint32), np.empty(count), np.empty(count, np.uint32), np.empty(count, np.uint32))


@compiled
def _arm(rows: Rows, entries: Entries, terms: _Terms, behind: tuple[_Marks, int], due: Rows) -> tuple[int, int]:
    """Write the triggers of these rows behind the marks there are, and list the rows without a sure margin."""
    generation, pull, lacking = terms
    marks, count = behind
    found = 0
    for row in rows:
        margin, total = -lacking, 0.0
        for place in range(WIDTH):
            value = entries.amounts[row, place] * pull[entries.kinds[row, place]]
            margin += value
            total += abs(value)
        if not margin > 0.0:
            due[found] = row
            found += 1
            continue
        for place in range(WIDTH):
            kind = entries.kinds[row, place]
            if kind:
                marks.kinds[count] = kind
                marks.keys[count] = abs(pull[kind]) * margin / total - pull[kind]
                marks.rows[count] = row
                marks.generations[count] = generation
                count += 1
    return count, found


@compiled
def _cross_sorted(ordered: _Sorted, reached: Floats, generations: Rows, hits: Rows) -> int:
    """Move each kind's start past the triggers its weight has reached, and list their rows; nan reaches all."""
    marks, starts, ends = ordered
    count = 0
    for kind in range(starts.shape[0]):
        place = starts[kind]
        while place < ends[kind] and not marks.keys[place] > reached[kind]:
            row = marks.rows[place]
            if generations[row] == marks.generations[place]:
                hits[count] = row
                generations[row] = _NEVER
                count += 1
            place += 1
        starts[kind] = place
    return count


@compiled
def _cross_later(marks: _Marks, marked: int, reached: Floats, generations: Rows, hits: Rows) -> int:
    """List the rows among unsorted triggers as well."""
    count = 0
    for place in range(marked):
        row = marks.rows[place]
        if generations[row] == marks.generations[place] and not marks.keys[place] > reached[marks.kinds[place]]:
            hits[count] = row
            generations[row] = _NEVER
            count += 1
    return count
