"""A market's book, from wherever it is soonest exact: the last checkpoint, or the market's own history of logs."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from liqcli.book.checkpoint import BadCheckpoint, load_checkpoint, save_checkpoint, set_aside
from liqcli.book.follow import Follower, begin_at_first_block, begin_at_head
from liqcli.book.positions import Book, Identity
from liqcli.book.rounding import probe_rounding
from liqcli.chain.logs import read_headers
from liqcli.chain.market import Market
from liqcli.errors import Unreachable
from liqcli.model import Address

_SAVE_EVERY_S = 30.0
_HEALED_AT_ONCE = 500
_HEALING_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a catch-up has come; the rate is that of this run, which may have begun half-way."""

    block: int
    first: int
    last: int
    accounts: int
    blocks_per_s: float

    @property
    def share(self) -> float:
        """Between 0 and 1."""
        return (self.block - self.first + 1) / max(self.last - self.first + 1, 1)

    @property
    def eta_s(self) -> float | None:
        """Seconds to go at this rate, None before there is one."""
        return (self.last - self.block) / self.blocks_per_s if self.blocks_per_s else None


def checkpoint_path(directory: Path, identity: Identity) -> Path:
    """Where a market's checkpoint lies."""
    name = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in identity.market)
    return directory / "book" / f"{identity.chain_id}-{name}.book"


def identity_of(market: Market) -> Identity:
    """Which market a book of it is of."""
    return Identity(market.chain_id, market.name, market.addresses.pool)


async def open_book(market: Market, path: Path, *, first_block: int, tell: Callable[[str], None]) -> Book:
    """The checkpoint's book, else an empty one before the market's first block; either has yet to be caught up."""
    book = await load_book(market, path, tell=tell)
    return book or await begin_at_first_block(market, first_block)


async def load_book(market: Market, path: Path, *, tell: Callable[[str], None]) -> Book | None:
    """The checkpoint's book if there is one that can be trusted; one that cannot is told of and set aside."""
    try:
        book = load_checkpoint(path, identity_of(market))
        if book is not None:
            await _require_same_chain(market, book)
    except BadCheckpoint as err:
        set_aside(path)
        tell(f"{err.message}; {err.hint}")
        return None
    return book


async def import_accounts(market: Market, book: Book | None, borrowers: list[Address]) -> Book:
    """A book that knows these accounts, read from the chain now; a new one begins at the head."""
    book = book or await begin_at_head(market)
    book.watch(borrowers)
    return book


async def catch_up(
    follower: Follower, to: int, *, path: Path | None = None, on_progress: Callable[[Progress], None] = lambda _: None
) -> None:
    """Follow the chain to block `to` and read what is unknown; with `path`, a kill on the way costs half a minute.

    Whoever is still unknown afterwards was unreadable, and stays unknown.
    """
    book, began, saved = follower.book, monotonic(), monotonic()
    first = book.cursor + 1
    try:
        async for _ in follower.follow(to):
            rate = (book.cursor - first + 1) / max(monotonic() - began, 1e-9)
            on_progress(Progress(book.cursor, first, to, len(book), rate))
            if path is not None and monotonic() - saved > _SAVE_EVERY_S:
                save_checkpoint(book, path)
                saved = monotonic()
        await probe_rounding(follower.market, book.ledger)
        await heal_all(follower)
    finally:
        if path is not None:
            save_checkpoint(book, path)


async def heal_all(follower: Follower) -> None:
    """Read everyone unknown from the chain, and bring the book to where they were read."""
    book = follower.book
    for _ in range(len(book.unknown) // _HEALED_AT_ONCE + _HEALING_ROUNDS):
        if not book.unknown and not book.unknown_reserves:
            return
        await follower.heal(_HEALED_AT_ONCE)
        block, _ = await follower.market.head()
        await follower.catch_up(block)


async def _require_same_chain(market: Market, book: Book) -> None:
    """BadCheckpoint when the chain has another block where the book's cursor is."""
    ours = book.hashes.get(book.cursor)
    header = (await read_headers(market, [book.cursor])).get(book.cursor)
    if header is None:
        raise Unreachable(
            f"the node does not have block {book.cursor:,}, where the book stands", hint="is it still syncing?"
        )
    if ours is not None and header.hash != ours:
        raise BadCheckpoint(
            f"the checkpoint stands on another block {book.cursor:,} than the chain",
            hint="it is set aside; the book is built again from the chain",
        )
