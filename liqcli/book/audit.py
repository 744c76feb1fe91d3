"""Hold the book against the chain, at one block and for exact equality: accounts, reserves, e-modes and supplies.

A reserve or an e-mode that differs is replaced by the chain's. A token whose balances do not add up to its supply makes
everyone in its reserve unknown; late logs may mend it, else its holders are read again. An account that differs is
quarantined.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields

from liqcli.aave.account import AccountData
from liqcli.book.follow import Follower
from liqcli.book.mend import check_emodes, check_reserve, check_total
from liqcli.book.positions import Book, Unknown
from liqcli.book.reads import Truth, read_truth
from liqcli.errors import Unreachable
from liqcli.model import Address

_AT_ONCE = 200
"""Accounts in one call: each costs the node up to 300,000 gas."""
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One field in which the book differs from the pool."""

    borrower: Address
    field: str
    book: int
    chain: int


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What was compared; `block` is the newest block of the comparison, `unknown` says why somebody could not be."""

    block: int
    checked: int
    mismatches: tuple[Mismatch, ...]
    unknown: dict[Address, str]

    @property
    def wrong(self) -> frozenset[Address]:
        """Everyone with a mismatch."""
        return frozenset(mismatch.borrower for mismatch in self.mismatches)


async def audit(follower: Follower, borrowers: Sequence[Address]) -> AuditReport:
    """Compare these accounts, each group of them at one block, and quarantine whoever differs.

    The book is brought to the block that the node answered for, and takes the prices of that block.
    """
    groups = [borrowers[start : start + _AT_ONCE] for start in range(0, len(borrowers), _AT_ONCE)]
    reports = [await _audit_group(follower, group) for group in groups]
    return AuditReport(
        block=max((report.block for report in reports), default=follower.book.cursor),
        checked=sum(report.checked for report in reports),
        mismatches=tuple(mismatch for report in reports for mismatch in report.mismatches),
        unknown={borrower: why for report in reports for borrower, why in report.unknown.items()},
    )


async def _audit_group(follower: Follower, borrowers: Sequence[Address]) -> AuditReport:
    book = follower.book
    for _ in range(_TRIES):
        truth = await read_truth(follower.market, borrowers, sources=book.price_sources, categories=book.categories)
        await follower.catch_up(truth.block)
        if book.cursor == truth.block:
            return compare(book, truth)
    raise Unreachable(
        f"the node answers for block {truth.block:,}, but its logs end at {book.cursor:,}",
        hint="behind a load balancer? another endpoint, or again later",
    )


def compare(book: Book, truth: Truth) -> AuditReport:
    """The book against what the chain answered; the book has to be at that very block and takes its prices."""
    book.set_prices(truth.prices)
    for real in truth.reserves:
        check_reserve(book.ledger, real)
    for address, total in truth.totals.items():
        check_total(book.ledger, address, total)
    mismatches: list[Mismatch] = []
    unknown: dict[Address, str] = {}
    check_emodes(book.ledger, truth.emodes)
    for borrower, chain in truth.accounts.items():
        try:
            ours = book.exact(borrower, truth.at)
        except Unknown as err:
            unknown[borrower] = err.message
            continue
        if ours != chain:
            mismatches += _differences(borrower, ours, chain)
            book.quarantine(borrower, f"the pool said otherwise at block {truth.block:,}")
    return AuditReport(truth.block, len(truth.accounts) - len(unknown), tuple(mismatches), unknown)


def _differences(borrower: Address, ours: AccountData, chain: AccountData) -> Iterator[Mismatch]:
    for field in fields(AccountData):
        book_value, chain_value = getattr(ours, field.name), getattr(chain, field.name)
        if book_value != chain_value:
            yield Mismatch(borrower, field.name, book_value, chain_value)


class Rota:
    """Whom to audit next: those whose logs just came, then everyone in turn."""

    def __init__(self) -> None:
        self._fresh: dict[Address, None] = {}
        self._round: list[Address] = []

    def changed(self, borrowers: Iterable[Address]) -> None:
        """Logs changed these: they go first, because what changed them may have been only half of it."""
        self._fresh |= dict.fromkeys(borrowers)

    def next(self, book: Book, count: int) -> list[Address]:
        """Up to so many, none twice."""
        chosen = dict.fromkeys(list(self._fresh)[:count])
        for borrower in chosen:
            del self._fresh[borrower]
        if not self._round:
            self._round = list(book.accounts)
        while len(chosen) < count and self._round:
            chosen[self._round.pop()] = None
        return list(chosen)
