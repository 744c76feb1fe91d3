"""A table that fits its terminal: no number is ever cut, whole columns go instead, the least important first."""

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

_GAP = 2
_NARROWEST_FOLD = 16


def print_fitted(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    left: int,
    first_to_go: Sequence[str] = (),
    folds: Sequence[str] = (),
) -> list[str]:
    """Print what fits the terminal's width and return the names of the columns that did not.

    The first `left` columns are text; `folds` names those whose text may go on in the next row.
    """
    console = Console()
    shown = fitting(header, rows, width=console.width, first_to_go=first_to_go, folds=folds)
    table = Table(box=None, pad_edge=False, header_style="bold")
    fits = len(shown) > 1
    for number in shown:
        is_whole = fits and header[number] not in folds
        justify: JustifyMethod = "left" if number < left else "right"
        table.add_column(header[number], justify=justify, no_wrap=is_whole, overflow="fold")
    for row in rows:
        table.add_row(*(Text(row[number]) for number in shown))
    console.print(table)
    return [name for number, name in enumerate(header) if number not in shown]


def fitting(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    width: int,
    first_to_go: Sequence[str],
    folds: Sequence[str],
) -> list[int]:
    """The numbers of the columns that fit: the empty go first, `first_to_go`, then from the right."""
    shown = list(range(len(header)))
    needed = [_needed(name, [row[number] for row in rows], folds=name in folds) for number, name in enumerate(header)]
    doomed = [number for number in shown[1:] if rows and not any(row[number] for row in rows)]
    doomed += [number for name in first_to_go if (number := header.index(name)) not in doomed]
    doomed += [number for number in reversed(shown[1:]) if number not in doomed]
    while sum(needed[number] + _GAP for number in shown) - _GAP > width and len(shown) > 1:
        shown.remove(doomed.pop(0))
    return shown


def _needed(name: str, cells: Sequence[str], *, folds: bool) -> int:
    widest = max(map(cell_len, [name, *cells]))
    return min(widest, max(_NARROWEST_FOLD, cell_len(name))) if folds else widest
