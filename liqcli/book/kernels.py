"""The loops over a book's columns: sums of a borrower's entries, and the health factor that follows.

The three loops share a body that is written out in each: called, it runs at half the speed. Rows are unsigned because
numba checks signed indices for being negative.
"""

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from liqcli.book.jit import compiled

Floats: TypeAlias = npt.NDArray[np.float64]
Kinds: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
Rows: TypeAlias = npt.NDArray[np.uint32]

WIDTH = 5
"""Entries a row has room for; the few borrowers with more stand in the spill."""
_FUZZ = 1e-9
"""What float division may take from an average threshold that is whole, in basis points."""


class Table(NamedTuple):
    """What one scaled unit of each kind of entry weighs in base currency; nan where a price is unknown.

    `threshold` is weighed by basis points, and `debt` counts ten-thousandfold beside it. `blur`, in the unit of
    `threshold`, is the most that rounding to whole tokens and base units can move a row's sums.
    """

    collateral: Floats
    threshold: Floats
    debt: Floats
    truncates: bool
    blur: float


class Entries(NamedTuple):
    """Every row's kinds and scaled amounts."""

    kinds: Kinds
    amounts: Floats


class Spill(NamedTuple):
    """Borrowers with many entries: those of `rows[n]` stand at `starts[n]` to `starts[n + 1]`."""

    rows: Rows
    starts: Rows
    kinds: Kinds
    amounts: Floats


@compiled
def value_all(kinds: Kinds, amounts: Floats, table: Table, health: Floats) -> None:
    """Health factors of every row; up to 3.4 the average threshold is truncated to whole basis points first."""
    collateral_of, threshold_of, debt_of, truncates, blur = table
    for row in range(health.shape[0]):
        collateral = threshold = debt = 0.0
        for place in range(WIDTH):
            kind, amount = kinds[row, place], amounts[row, place]
            collateral += amount * collateral_of[kind]
            threshold += amount * threshold_of[kind]
            debt += amount * debt_of[kind]
        if truncates:
            threshold = collateral * np.floor(threshold / collateral + _FUZZ)
        health[row] = (threshold - blur) / (debt + blur)


@compiled
def value_rows(rows: Rows, kinds: Kinds, amounts: Floats, table: Table, health: Floats) -> None:
    """Health factors of these rows."""
    collateral_of, threshold_of, debt_of, truncates, blur = table
    for row in rows:
        collateral = threshold = debt = 0.0
        for place in range(WIDTH):
            kind, amount = kinds[row, place], amounts[row, place]
            collateral += amount * collateral_of[kind]
            threshold += amount * threshold_of[kind]
            debt += amount * debt_of[kind]
        if truncates:
            threshold = collateral * np.floor(threshold / collateral + _FUZZ)
        health[row] = (threshold - blur) / (debt + blur)


@compiled
def value_spilled(spill: Spill, table: Table, health: Floats) -> None:
    """Health factors of the rows in the spill."""
    collateral_of, threshold_of, debt_of, truncates, blur = table
    for number in range(spill.rows.shape[0]):
        collateral = threshold = debt = 0.0
        for place in range(spill.starts[number], spill.starts[number + 1]):
            kind, amount = spill.kinds[place], spill.amounts[place]
            collateral += amount * collateral_of[kind]
            threshold += amount * threshold_of[kind]
            debt += amount * debt_of[kind]
        if truncates:
            threshold = collateral * np.floor(threshold / collateral + _FUZZ)
        health[spill.rows[number]] = (threshold - blur) / (debt + blur)


@compiled
def count_holders(kinds: Kinds, reserve_of: Rows, counts: Rows) -> None:
    """How many entries each reserve has; `reserve_of` names the reserve of a kind."""
    for row in range(kinds.shape[0]):
        for place in range(WIDTH):
            counts[reserve_of[kinds[row, place]]] += np.uint32(1)


@compiled
def list_holders(kinds: Kinds, reserve_of: Rows, places: Rows, holders: Rows) -> None:
    """Write each reserve's rows in order, from its place on; padding (reserve 0) has none."""
    for row in range(kinds.shape[0]):
        for place in range(WIDTH):
            reserve = reserve_of[kinds[row, place]]
            if reserve:
                holders[places[reserve]] = np.uint32(row)
                places[reserve] += np.uint32(1)
