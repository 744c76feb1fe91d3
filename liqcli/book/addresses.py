"""Lists of borrowers as files: CSV or JSON lines, in and out."""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from liqcli.errors import InputError
from liqcli.model import Address
from liqcli.text import safe, without_keys

_COLUMNS = ("borrower", "address", "account", "user", "id")
_ADDRESS = re.compile(r"0[xX][0-9a-fA-F]{40}")
_WORST_SHOWN = 60


def read_addresses(path: Path) -> list[Address]:
    """The addresses of a CSV or JSON-lines file, lower-case, each once; InputError names the first bad line.

    A CSV may have a header with a column borrower, address, account, user or id, or be one column without a header;
    a JSON line is an object with one of these keys. Empty lines and those that begin with # are passed over.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as err:
        raise InputError(f"cannot read {path}: {err}", hint="a CSV or JSON-lines file of addresses is needed") from err
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if not _is_passed_over(line)]
    is_json = bool(lines) and lines[0][1].lstrip().startswith("{")
    found = dict.fromkeys(_checked(cell, line, path) for line, cell in (_from_json if is_json else _from_csv)(lines))
    if not found:
        raise InputError(f"{path} names nobody", hint="a CSV or JSON-lines file of addresses is needed")
    return list(found)


def _is_passed_over(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


def write_addresses(borrowers: Iterable[Address], *, as_json: bool) -> Iterator[str]:
    """The lines of a file that `read_addresses` reads."""
    if not as_json:
        yield _COLUMNS[0]
    for borrower in borrowers:
        yield json.dumps({_COLUMNS[0]: borrower}) if as_json else borrower


def _from_csv(lines: Sequence[tuple[int, str]]) -> Iterator[tuple[int, object]]:
    rows = [(number, _cells(line)) for number, line in lines]
    names = [cell.lower() for cell in rows[0][1]] if rows else []
    column = next((names.index(name) for name in _COLUMNS if name in names), None)
    place = column or 0
    for number, row in rows if column is None else rows[1:]:
        yield number, row[place] if place < len(row) else ""


def _cells(line: str) -> list[str]:
    """A line's cells; the whole line as it stands where it has a cell too long for CSV."""
    try:
        return [cell.strip() for cell in next(csv.reader([line]))]
    except csv.Error:
        return [line]


def _from_json(lines: Sequence[tuple[int, str]]) -> Iterator[tuple[int, object]]:
    return ((number, _borrower_in(line)) for number, line in lines)


def _borrower_in(raw: str) -> object:
    try:
        item: Any = json.loads(raw)
    except (ValueError, RecursionError):
        return raw
    return next((item[name] for name in _COLUMNS if name in item), raw) if isinstance(item, dict) else raw


def _checked(cell: object, line: int, path: Path) -> Address:
    text = str(cell).strip()
    if not _ADDRESS.fullmatch(text):
        shown = safe(without_keys(text), limit=_WORST_SHOWN)
        raise InputError(
            f"{path}, line {line}: {shown!r} is no address", hint="0x and 40 hexadecimal digits, one a line"
        )
    return text.lower()
