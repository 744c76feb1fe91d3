"""Lists of borrowers as files: CSV or JSON lines, in and out."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from liqcli.errors import InputError
from liqcli.model import Address
from liqcli.text import safe

_COLUMNS = ("borrower", "address", "account", "user", "id")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_WORST_SHOWN = 60


def read_addresses(path: Path) -> list[Address]:
    """The addresses of a CSV or JSON-lines file, lower-case, each once; InputError names the first bad line.

    A CSV may have a header with a column borrower, address, account, user or id, or be one column without a header;
    a JSON line is an object with one of these keys.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as err:
        raise InputError(f"cannot read {path}: {err}", hint="a CSV or JSON-lines file of addresses is needed") from err
    found = _from_json(text) if text.lstrip().startswith("{") else _from_csv(text)
    return list(dict.fromkeys(_checked(cell, line, path) for line, cell in found))


def write_addresses(borrowers: Iterable[Address], *, as_json: bool) -> Iterator[str]:
    """The lines of a file that `read_addresses` reads."""
    if not as_json:
        yield _COLUMNS[0]
    for borrower in borrowers:
        yield json.dumps({_COLUMNS[0]: borrower}) if as_json else borrower


def _from_csv(text: str) -> Iterator[tuple[int, object]]:
    rows = list(csv.reader(io.StringIO(text)))
    names = [cell.strip().lower() for cell in rows[0]] if rows else []
    column = next((names.index(name) for name in _COLUMNS if name in names), None)
    for line, row in enumerate(rows, start=1):
        if any(row) and not (line == 1 and column is not None):
            place = column or 0
            yield line, row[place] if place < len(row) else ""


def _from_json(text: str) -> Iterator[tuple[int, object]]:
    for line, raw in enumerate(text.splitlines(), start=1):
        if raw.strip():
            yield line, _borrower_in(raw)


def _borrower_in(raw: str) -> object:
    try:
        item: Any = json.loads(raw)
    except ValueError:
        return raw
    return next((item[name] for name in _COLUMNS if name in item), raw) if isinstance(item, dict) else raw


def _checked(cell: object, line: int, path: Path) -> Address:
    text = str(cell).strip()
    if not _ADDRESS.fullmatch(text):
        shown = safe(text, limit=_WORST_SHOWN)
        raise InputError(
            f"{path}, line {line}: {shown!r} is no address", hint="0x and 40 hexadecimal digits, one a line"
        )
    return text.lower()
