"""The book on disk: cursor and positions in one file, written whole or not at all, and known for what it is.

A line of JSON each: which market it is of, that market, the accounts page by page, and the checksum of all before it.
"""

import asyncio
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, astuple
from itertools import chain
from pathlib import Path
from typing import IO, Any

from liqcli.aave.account import EMode
from liqcli.book.ledger import Ledger
from liqcli.book.positions import Book, Identity
from liqcli.book.state import Account, Doubt, Image, ReserveState, Token, shared
from liqcli.chain.reserves import ReserveTokens
from liqcli.errors import InputError
from liqcli.model import Address

_FORMAT = "liq-book 2"
_HINT = "it is set aside; the book is built again from the chain"
_PAGE = 200
"""Accounts a line: some two milliseconds of work, after which others get their turn."""


class BadCheckpoint(InputError):
    """A checkpoint that is torn, foreign or of another format: never loaded."""


def save_checkpoint(book: Book, path: Path) -> None:
    """Replace the file by the book as it is now; a crash leaves the old one."""
    with _fresh(path) as file:
        file.writelines(_lines(book))
        file.flush()
        os.fsync(file.fileno())
        _take_its_place(file, path)
    _sync_directory(path.parent)


async def save_in_turns(book: Book, path: Path) -> None:
    """The same beside other work: whatever the book becomes meanwhile is not in the file."""
    with _fresh(path) as file:
        for line in _lines(book):
            file.write(line)
            await asyncio.sleep(0)
        file.flush()
        await asyncio.to_thread(os.fsync, file.fileno())
        _take_its_place(file, path)
    await asyncio.to_thread(_sync_directory, path.parent)


def load_checkpoint(path: Path, identity: Identity) -> Book | None:
    """The book as it was saved, None when there is none; BadCheckpoint when it is damaged or not this market's."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    header = _header(path, raw.partition(b"\n")[0])
    if header.get("format") != _FORMAT:
        raise BadCheckpoint(f"{path.name} has the format {header.get('format')!r}, not {_FORMAT!r}", hint=_HINT)
    found = Identity(header.get("chain_id", 0), header.get("market", ""), header.get("pool", ""))
    if found != identity:
        raise BadCheckpoint(f"{path.name} is of {_shown(found)}, not of {_shown(identity)}", hint=_HINT)
    told, _, end = raw.rpartition(b"\n{")
    if b"{" + end != _last_line(hashlib.sha256(told + b"\n").hexdigest()):
        raise BadCheckpoint(f"{path.name} is torn: its checksum does not fit its {len(raw):,} bytes", hint=_HINT)
    market, *pages = map(json.loads, told.splitlines()[1:])
    return _book(identity, header, market, pages)


def set_aside(path: Path) -> Path:
    """Move a checkpoint that cannot be used out of the way, for whoever wants to look."""
    aside = path.with_suffix(".bad")
    path.replace(aside)
    return aside


def _header(path: Path, line: bytes) -> Mapping[str, Any]:
    try:
        header = json.loads(line)
    except ValueError:
        header = None
    if not isinstance(header, dict):
        raise BadCheckpoint(f"{path.name} is no checkpoint", hint=_HINT)
    return header


@contextmanager
def _fresh(path: Path) -> Iterator[IO[bytes]]:
    """A file beside the one to be replaced; gone afterwards, unless it took that one's place."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        with fresh.open("wb") as file:
            yield file
    finally:
        fresh.unlink(missing_ok=True)


def _take_its_place(file: IO[bytes], path: Path) -> None:
    Path(file.name).replace(path)


def _lines(book: Book) -> Iterator[bytes]:
    """The whole file; all of it is of the moment in which the first line is asked for."""
    first = [_encoded(_header_of(book)), _encoded(_market_of(book))]
    accounts = [(address, account.image()) for address, account in book.ledger.bring_home().items()]
    pages = (accounts[start : start + _PAGE] for start in range(0, len(accounts), _PAGE))
    checksum = hashlib.sha256()
    for line in chain(first, (_encoded([_account_row(*one) for one in page]) for page in pages)):
        checksum.update(line)
        yield line
    yield _last_line(checksum.hexdigest())


def _encoded(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _last_line(checksum: str) -> bytes:
    return _encoded({"sha256": checksum})


def _shown(identity: Identity) -> str:
    return f"market {identity.market} (pool {identity.pool}) on chain {identity.chain_id}"


def _header_of(book: Book) -> dict[str, Any]:
    place = {"cursor": book.cursor, "hash": book.hashes.get(book.cursor)}
    return {"format": _FORMAT, **asdict(book.identity), **place}


def _market_of(book: Book) -> dict[str, Any]:
    ledger = book.ledger
    return {
        "version": ledger.version,
        "newest": ledger.newest,
        "probed_at": ledger.probed_at,
        "complete": ledger.complete,
        "emodes_as_of": ledger.emodes_as_of,
        "gaps": ledger.gaps,
        "drift": book.drift,
        "listable": [astuple(tokens) for tokens in ledger.listable.values()],
        "reserves": [_reserve_row(state) for state in ledger.reserves.values()],
        "tokens": [_token_row(token) for token in ledger.tokens.values()],
        "emodes": [(number, astuple(emode), source) for number, (emode, source) in ledger.emodes.items()],
    }


def _token_row(token: Token) -> list[Any]:
    return [token.address, token.reserve_id, token.is_debt, token.directional, token.total, token.short]


def _reserve_row(state: ReserveState) -> list[Any]:
    return [astuple(state.tokens), state.config, state.indexes, state.as_of, state.doubts]


def _account_row(address: Address, image: Image) -> list[Any]:
    collateral, debt, indexes, used, *others = image
    return [address, *(list(part.items()) for part in (collateral, debt, indexes)), sorted(used), *others]


def _book(
    identity: Identity, header: Mapping[str, Any], body: Mapping[str, Any], pages: Sequence[Sequence[Any]]
) -> Book:
    listable = [ReserveTokens(*row) for row in body["listable"]]
    cursor = header["cursor"]
    book = Book(identity, listable, tuple(body["version"]), cursor=cursor, complete=body["complete"])
    book.drift = body["drift"]
    if header["hash"] is not None:
        book.hashes = {cursor: header["hash"]}
    _fill(book.ledger, body)
    for page in pages:
        _take_in(book.ledger, page)
    return book


def _fill(ledger: Ledger, body: Mapping[str, Any]) -> None:
    ledger.newest = tuple(body["newest"])
    ledger.probed_at, ledger.emodes_as_of, ledger.gaps = body["probed_at"], body["emodes_as_of"], body["gaps"]
    for tokens, config, indexes, as_of, doubts in body["reserves"]:
        state = ReserveState(ReserveTokens(*tokens))
        found = {Doubt(doubt): why for doubt, why in doubts.items()}
        state.restore((state.tokens, config, tuple(indexes), as_of, found))
        ledger.put_reserve(state)
    for address, reserve_id, is_debt, *state_of_token in body["tokens"]:
        ledger.tokens[address] = token = Token(address, reserve_id, ledger.version, is_debt=is_debt)
        token.directional, token.total, token.short = state_of_token
    ledger.emodes = {number: (EMode(*emode), source) for number, emode, source in body["emodes"]}


def _take_in(ledger: Ledger, page: Sequence[Any]) -> None:
    for address, *balances, used, emode, as_of, why_unknown in page:
        account = Account()
        account.restore((*balances, shared(frozenset(used)), emode, as_of, why_unknown))
        ledger.put_account(address, account)
        if why_unknown is not None:
            ledger.unknown.add(address)


def _sync_directory(directory: Path) -> None:
    """Make the rename itself survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
