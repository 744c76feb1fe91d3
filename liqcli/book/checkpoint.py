"""The book on disk: cursor and positions in one file, written whole or not at all, and known for what it is.

The first line says which market it is of and carries the checksum of the second, which is the book itself.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

from liqcli.aave.account import EMode
from liqcli.book.positions import Book, Identity
from liqcli.book.state import Account, Doubt, ReserveState, Token, shared
from liqcli.chain.reserves import ReserveTokens
from liqcli.errors import InputError

_FORMAT = "liq-book 1"
_HINT = "it is set aside; the book is built again from the chain"


class BadCheckpoint(InputError):
    """A checkpoint that is torn, foreign or of another format: never loaded."""


def save_checkpoint(book: Book, path: Path) -> None:
    """Replace the file by the book as it is now; a crash leaves the old one."""
    body = json.dumps(_body(book), separators=(",", ":")).encode()
    header = {
        "format": _FORMAT,
        **asdict(book.identity),
        "cursor": book.cursor,
        "hash": book.hashes.get(book.cursor),
    }
    header["sha256"] = _checksum(header, body)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_suffix(f".{os.getpid()}.tmp")
    with fresh.open("wb") as file:
        file.write(json.dumps(header).encode() + b"\n" + body)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    _sync_directory(path.parent)


def load_checkpoint(path: Path, identity: Identity) -> Book | None:
    """The book as it was saved, None when there is none; BadCheckpoint when it is damaged or not this market's."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    first, _, body = raw.partition(b"\n")
    header = _header(path, first)
    if header.get("format") != _FORMAT:
        raise BadCheckpoint(f"{path.name} has the format {header.get('format')!r}, not {_FORMAT!r}", hint=_HINT)
    found = Identity(header.get("chain_id", 0), header.get("market", ""), header.get("pool", ""))
    if found != identity:
        raise BadCheckpoint(f"{path.name} is of {_shown(found)}, not of {_shown(identity)}", hint=_HINT)
    if _checksum(header, body) != header.get("sha256"):
        raise BadCheckpoint(f"{path.name} is torn: its checksum does not fit its {len(body):,} bytes", hint=_HINT)
    return _book(identity, header, json.loads(body))


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


def _checksum(header: Mapping[str, Any], body: bytes) -> str:
    facts = {name: value for name, value in header.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode() + body).hexdigest()


def _shown(identity: Identity) -> str:
    return f"market {identity.market} (pool {identity.pool}) on chain {identity.chain_id}"


def _body(book: Book) -> dict[str, Any]:
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
        "accounts": [_account_row(address, account) for address, account in ledger.bring_home().items()],
    }


def _token_row(token: Token) -> list[Any]:
    return [token.address, token.reserve_id, token.is_debt, token.directional, token.total, token.short]


def _reserve_row(state: ReserveState) -> list[Any]:
    return [astuple(state.tokens), state.config, state.indexes, state.as_of, state.doubts]


def _account_row(address: str, account: Account) -> list[Any]:
    balances = [list(part.items()) for part in (account.collateral, account.debt, account.indexes)]
    return [address, *balances, sorted(account.used), account.emode, account.as_of, account.why_unknown]


def _book(identity: Identity, header: Mapping[str, Any], body: Mapping[str, Any]) -> Book:
    listable = [ReserveTokens(*row) for row in body["listable"]]
    cursor = header["cursor"]
    book = Book(identity, listable, tuple(body["version"]), cursor=cursor, complete=body["complete"])
    book.drift = body["drift"]
    if header["hash"] is not None:
        book.hashes = {cursor: header["hash"]}
    _fill(book, body)
    return book


def _fill(book: Book, body: Mapping[str, Any]) -> None:
    ledger = book.ledger
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
    for address, collateral, debt, indexes, used, emode, as_of, why_unknown in body["accounts"]:
        account = Account()
        account.restore((collateral, debt, indexes, shared(frozenset(used)), emode, as_of, why_unknown))
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
