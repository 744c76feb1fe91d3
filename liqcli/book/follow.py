"""Keep a book at the head of its chain: pages of logs, upgrades and listings on the way, reorganisations undone."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from liqcli.book.events import ReserveListed, Upgraded, blocks_without_time, decode_logs, of_kinds
from liqcli.book.positions import UNDO_BLOCKS, Book, BrokenPage, Identity, Outcome, Page, TooDeep
from liqcli.book.reads import read_accounts, read_market
from liqcli.book.rounding import probe_rounding
from liqcli.chain.logs import RawLog, Window, follow_windows, read_headers, read_logs
from liqcli.chain.market import Market

if TYPE_CHECKING:
    from liqcli.book.decode import Decoder

OVERLAP_BLOCKS = 4
"""Each page near the head reads so many blocks again: a log that a node left out once is found the next time."""


MOST_AGAIN = 2_000
"""Events that are read again at most: in a storm, reading everything five times over would be what loses the race."""
_HERALDS = (Upgraded, ReserveListed)
"""Events after which the market itself may have to be read again."""


@dataclass(frozen=True, slots=True)
class Step:
    """A page that the book took in.

    After a reorganisation `undone_to` is the last block kept, and the page is empty.
    """

    page: Page
    outcome: Outcome
    undone_to: int | None = None


class Follower:
    """Moves one book along one market; not to be used by two tasks at once."""

    def __init__(self, market: Market, book: Book, *, window_blocks: int, overlap_blocks: int = OVERLAP_BLOCKS) -> None:
        self.market = market
        self.book = book
        self._window_blocks = window_blocks
        self._overlap_blocks = overlap_blocks

    @cached_property
    def _scanner(self) -> "Decoder":
        """Made for the first long list of logs: the scanner takes half a second to load."""
        from liqcli.book.decode import Decoder

        return Decoder()

    async def follow(self, to: int) -> AsyncIterator[Step]:
        """Bring the book to block `to`, page by page; ends early where the node's own chain ends.

        A reorganisation is undone and read anew within the same call; after one that is deeper than the book keeps,
        everyone is unknown until `heal` has read them.
        """
        settled = to - UNDO_BLOCKS
        if self.book.cursor < settled:
            windows = follow_windows(
                self.market, self.book.cursor + 1, settled, widest=self._window_blocks, undecoded=True
            )
            async for window in windows:
                yield await self._take(window, await self._page(window))
        while self.book.cursor < to:
            before = self.book.cursor
            step = await self._near_head(to)
            yield step
            if self.book.cursor == before and step.undone_to is None:
                return

    def warm(self) -> None:
        """Load the scanner's machine code ahead of the first long list of logs; may run beside everything else."""
        from liqcli.book import decode, fold

        decode.Decoder().decode(b'{"result":[]}')
        fold.warm()

    async def catch_up(self, to: int) -> None:
        """`follow`, for who only wants the book."""
        async for _ in self.follow(to):
            pass

    async def heal(self, at_most: int = 500) -> int:
        """Read unknown reserves and up to so many unknown accounts from the chain; how many accounts were taken.

        They stay unknown until the book has come to the block they were read at.
        """
        if self.book.unknown_reserves:
            state = await read_market(self.market)
            self.book.put_market(state.reserves, state.emodes, block=state.block)
        unknown = sorted(self.book.unknown)[:at_most]
        taken = 0
        for group in await read_accounts(self.market, unknown):
            taken += sum(self.book.put_account(position, block=group.block) for position in group.positions)
        return taken

    async def _near_head(self, to: int) -> Step:
        """One page with its overlap and the headers that tie it to what was applied."""
        book = self.book
        overlap = book.calm_from(self._overlap_blocks, at_most=MOST_AGAIN)
        first = max(min(book.hashes, default=book.cursor + 1), overlap)
        window = await read_logs(self.market, first, to, headers=[book.cursor, to], undecoded=True)
        if window.last < first:
            return Step(_nothing(book.cursor, window.head), book.rollback(book.cursor))
        page = self._scanned(window)
        if page is None:
            window = window.decoded()
            page = await self._judged(window)
        if self._removed(window) or self._contradicts(page.hashes):
            return await self._go_back(window)
        return await self._take(window, page)

    async def _take(self, window: Window, page: Page) -> Step:
        heralds = of_kinds(page.events, *_HERALDS)
        if not any(map(self._needs_reload, heralds)):
            return Step(page, self.book.apply(page))
        await self.market.reload()
        self.book.learn(self.market.reserves, self.market.version)
        window = await read_logs(self.market, window.first, window.last)
        page = await self._page(window)
        outcome = self.book.apply(page)
        await probe_rounding(self.market, self.book.ledger)
        return Step(page, outcome)

    async def _page(self, window: Window) -> Page:
        """A window's events; many plain ones are scanned, all else is judged log by log."""
        return self._scanned(window) or await self._judged(window.decoded())

    def _scanned(self, window: Window) -> Page | None:
        """The page of a long list of plain logs; None for a short one, and where a log is to be judged by itself."""
        plain = self._scanner.decode_plain(window.undecoded, last=window.last) if window.undecoded else None
        if plain is None:
            return None
        hashes = {block: header.hash for block, header in window.headers.items()} | plain.hashes
        return Page(window.first, window.last, window.head, plain.events, hashes)

    async def _judged(self, window: Window) -> Page:
        missing = blocks_without_time(window.logs) - window.headers.keys()
        headers = {**window.headers, **(await read_headers(self.market, missing) if missing else {})}
        times = {block: header.timestamp for block, header in headers.items()}
        hashes = {block: header.hash for block, header in headers.items()} | _hashes(window.logs)
        events = decode_logs((log for log in window.logs if not log.get("removed")), times=times)
        return Page(window.first, window.last, window.head, events, hashes)

    def _needs_reload(self, event: Upgraded | ReserveListed) -> bool:
        ledger = self.book.ledger
        if isinstance(event, Upgraded):
            is_ours = event.contract == ledger.pool or event.contract in ledger.tokens
            return is_ours and event.block > max(ledger.probed_at, self.book.cursor)
        if event.a_token is None:
            return False
        known = ledger.listable.get(event.asset)
        return known is None or known.a_token != event.a_token

    def _contradicts(self, seen: Mapping[int, str]) -> bool:
        """Whether a block that was applied has another hash now."""
        known = self.book.hashes
        return any(known.get(block, seen[block]) != seen[block] for block in seen)

    def _removed(self, window: Window) -> list[int]:
        """Applied blocks of which the node says that they left the chain."""
        known = self.book.hashes
        gone = (log for log in window.logs if log.get("removed"))
        return [block for log in gone if known.get(block := int(log["blockNumber"], 16)) == log.get("blockHash")]

    async def _go_back(self, window: Window) -> Step:
        common = await self._common_blocks(window)
        try:
            undone_to = max(common, default=-1)
            outcome = self.book.rollback(undone_to)
        except TooDeep:
            state = await read_market(self.market)
            undone_to = state.block
            outcome = self.book.restart(state.reserves, state.emodes, block=state.block)
        return Step(_nothing(undone_to, window.head), outcome, undone_to)

    async def _common_blocks(self, window: Window) -> list[int]:
        """Blocks that the book and the chain have in common, before any whose logs were removed."""
        known, removed = self.book.hashes, self._removed(window)
        headers = await read_headers(self.market, known)
        common = [block for block, header in headers.items() if known[block] == header.hash]
        if removed:
            return [block for block in [*common, min(removed) - 1] if block < min(removed)]
        return common


def _hashes(logs: Sequence[RawLog]) -> dict[int, str]:
    """Block hashes as the logs tell them; BrokenPage when one answer tells two of one block."""
    hashes: dict[int, str] = {}
    for log in logs:
        if log.get("removed"):
            continue
        block = int(log["blockNumber"], 16)
        if hashes.setdefault(block, str(log.get("blockHash"))) != str(log.get("blockHash")):
            raise BrokenPage(f"the node told two versions of block {block:,}", hint="the page is read again")
    return hashes


def _nothing(block: int, head: int) -> Page:
    return Page(block + 1, block, head, (), {})


async def begin_at_head(market: Market) -> Book:
    """A book of the newest block without accounts: `watch` them, or meet them in the logs, then `heal`."""
    state = await read_market(market)
    identity = Identity(market.chain_id, market.name, market.addresses.pool)
    book = Book(identity, market.reserves, market.version, cursor=state.block, complete=False)
    book.ledger.probed_at = state.block
    book.put_market(state.reserves, state.emodes, block=state.block)
    return book


async def begin_at_first_block(market: Market, first: int) -> Book:
    """An empty book before the market's first block: the logs alone make it exact. Block 0 has no logs."""
    identity = Identity(market.chain_id, market.name, market.addresses.pool)
    book = Book(identity, market.reserves, market.version, cursor=max(first, 1) - 1, complete=True)
    book.ledger.probed_at, _ = await market.head()
    return book
