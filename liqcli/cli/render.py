"""How results, logs and errors reach people and scripts: data on stdout, the rest on stderr."""

import codecs
import json
import locale
import sys
from collections.abc import Mapping, Sequence
from io import TextIOWrapper
from typing import Any, TextIO

from liqcli.errors import LiqError
from liqcli.model import BASE_UNIT, NO_DEBT, WAD, Address
from liqcli.text import safe, short_address

SCHEMA_VERSION = 1
_ALIKE = "liq-alike"


def print_json(document: Mapping[str, Any]) -> None:
    """One JSON document on stdout, with its schema version first."""
    print(json.dumps({"schema_version": SCHEMA_VERSION, **document}, ensure_ascii=False, allow_nan=False), flush=True)


def print_error(err: LiqError, *, as_json: bool) -> None:
    """`error:` and `hint:` lines on stderr, or the error document on stdout."""
    if as_json:
        print_json({"error": {"code": err.code, "message": safe_lines(err.message), "hint": safe(err.hint)}})
        return
    for line in err.message.splitlines() or [""]:
        say(f"error: {safe(line)}")
    if err.hint:
        say(f"hint: {safe(err.hint)}")


def safe_lines(text: str) -> str:
    """Foreign text with its line breaks kept."""
    return "\n".join(safe(line) for line in text.splitlines())


def is_ascii_only(out: TextIO) -> bool:
    """Python prints UTF-8 under LC_ALL=C too, but who sets that wants plain characters."""
    encoding = (out.encoding or "ascii").lower().replace("-", "")
    return encoding != "utf8" or locale.setlocale(locale.LC_CTYPE) in ("C", "POSIX")


def prepare(stream: TextIOWrapper) -> None:
    """Let the stream take any text: what its encoding lacks is replaced, on an ASCII terminal by what is like it."""
    if stream.isatty() and is_ascii_only(stream):
        codecs.register_error(_ALIKE, _alike)
        stream.reconfigure(encoding="ascii", errors=_ALIKE)
    else:
        stream.reconfigure(errors="replace")


def _alike(err: UnicodeError) -> tuple[str, int]:
    from liqcli.lag.glyphs import to_ascii

    assert isinstance(err, UnicodeEncodeError)
    return to_ascii(err.object[err.start : err.end]), err.end


def say(line: str) -> None:
    """A line for people, on stderr."""
    print(line, file=sys.stderr, flush=True)


def progress(line: str) -> None:
    """A passing line on stderr, only where somebody watches a terminal."""
    if sys.stderr.isatty():
        say(f"  {line}")


def usd(base: int | None) -> str:
    """An amount in base currency as dollars and cents; below a cent with as many places as the base has."""
    if base is None:
        return "-"
    places = 8 if 0 < abs(base) < BASE_UNIT // 100 else 2
    return f"{'-' if base < 0 else ''}${abs(base) / BASE_UNIT:,.{places}f}"


def health(health_factor: int | None) -> str:
    """A health factor to four places, cut rather than rounded so that 0.99999 never shows as 1."""
    if health_factor is None:
        return "unknown"
    if health_factor == NO_DEBT:
        return "no debt"
    scaled = health_factor * 10_000 // WAD
    return f"{scaled // 10_000:,}.{scaled % 10_000:04d}"


def address(full: Address) -> str:
    """Shortened in the middle for a terminal, whole for a pipe."""
    return short_address(full) if sys.stdout.isatty() else full


def print_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    left: int = 1,
    first_to_go: Sequence[str] = (),
    folds: Sequence[str] = (),
) -> None:
    """A table on stdout: tab-separated when piped, else as much of it as the terminal has room for.

    The first `left` columns are text. Where there is too little room whole columns go, those of `first_to_go` in their
    order and then from the right; text in a column of `folds` may go on in the next row.
    """
    if not sys.stdout.isatty():
        for row in [header, *rows]:
            print("\t".join(row))
        return
    from liqcli.cli.table import print_fitted

    hidden = print_fitted(header, rows, left=left, first_to_go=first_to_go, folds=folds)
    if hidden and rows:
        say(f"no room for {', '.join(filter(None, hidden))}: a wider terminal, --json or a pipe shows all")
