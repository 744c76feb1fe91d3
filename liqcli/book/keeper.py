"""Keeps accounts in columns between pages of logs; whoever looks at an account has it back first."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from liqcli.book import holdings as columns
from liqcli.book.balances import Places
from liqcli.book.holdings import Holdings, Numbers, Rows, Words
from liqcli.book.state import Account

_FIRST_PAIRS = 1 << 12
_SPARSE = 2
"""There are at least this many slots for each pair."""
_BYTES = 16
"""Of a number here; an account with a larger one is left to the ledger, the contracts' own are no larger."""


class Keeper:
    """The accounts of one ledger by the numbers that one decoder gives to their addresses."""

    def __init__(self, numbering: object) -> None:
        self.numbering = numbering
        self.holdings = _holdings(_FIRST_PAIRS)
        self.places = Places(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.bool_))
        self._owners: list[Account | None] = []

    def make_room(self, addresses: int) -> None:
        """For so many addresses."""
        more = addresses - len(self._owners)
        if more <= 0:
            return
        token, reserve, asked = self.places
        self.places = Places(
            np.append(token, np.zeros(more, np.int32)),
            np.append(reserve, np.zeros(more, np.int32)),
            np.append(asked, np.zeros(more, np.bool_)),
        )
        facts = np.zeros((more, columns.FACTS), np.int64)
        facts[:, columns.FIRST] = -1
        self.holdings = self.holdings._replace(accounts=np.concatenate([self.holdings.accounts, facts]))
        self._owners += [None] * more

    def begin(self, logs: int) -> None:
        """Begin a pass over a page of so many logs: nothing is changed yet."""
        self._make_room_for_pairs(logs)
        if logs > len(self.holdings.touched_pairs):
            self.holdings = self.holdings._replace(
                touched_pairs=np.empty(logs, np.int64),
                old_pairs=np.empty((logs, columns.WIDTH), np.int64),
                touched_accounts=np.empty(logs, np.int64),
                old_emodes=np.empty(logs, np.int64),
            )
        self.holdings.counts[columns.TOUCHED_PAIRS] = self.holdings.counts[columns.TOUCHED_ACCOUNTS] = 0

    def take_new(self, numbers: Rows) -> None:
        """Hold accounts that nobody knows yet and that have nothing."""
        columns.hold(self.holdings, numbers, np.full(len(numbers), -1, np.int64), np.zeros(len(numbers), np.int64))

    def forget(self, numbers: Rows) -> None:
        """Hold these accounts no more, whatever was held of them."""
        self.holdings.accounts[numbers, columns.HELD] = 0

    def take(self, accounts: Iterable[tuple[int, Account]]) -> None:
        """Hold these accounts instead of themselves, but for those that are unknown or whose numbers are too large."""
        taken = [(number, account, rows) for number, account in accounts if (rows := _rows_of(account)) is not None]
        if not taken:
            return
        facts = [(number, account.as_of, account.emode) for number, account, _ in taken]
        columns.hold(self.holdings, *np.array(facts, np.int64).T.copy())
        keys = [number * columns.MOST_SIDES + row[0] for number, _, own in taken for row in own]
        rows = [row for _, _, own in taken for row in own]
        scaled, last = words_of([row[1] for row in rows]), words_of([row[2] for row in rows])
        self._make_room_for_pairs(len(rows))
        columns.fill(
            self.holdings, np.array(keys, np.int64), scaled, last, np.array([row[3] for row in rows], np.bool_)
        )
        for number, account, _ in taken:
            self._own(number, account).leave_to(self, number)

    def new(self, numbers: Rows) -> list[Account]:
        """Accounts of which all is held here already."""
        return [self._own(number, Account.kept_by(self, number)) for number in numbers.tolist()]

    def give_back(self, accounts: Sequence[Account]) -> None:
        """Fill these accounts, which are held here, and hold them no more."""
        numbers = np.array([account.number for account in accounts], np.int64)
        facts, pairs = self.holdings.accounts, self.holdings.pairs
        counts = np.empty(len(numbers), np.int64)
        columns.count_pairs(facts, pairs, numbers, counts)
        found = np.empty(counts.sum(), np.int64)
        columns.list_pairs(facts, pairs, numbers, found)
        rows = self._rows(found)
        as_of, emodes = facts[numbers, columns.AS_OF].tolist(), facts[numbers, columns.EMODE].tolist()
        for account, count, block, emode in zip(accounts, counts.tolist(), as_of, emodes, strict=True):
            account.come_back(islice(rows, count), as_of=block, emode=emode)
            self._owners[account.number] = None
        facts[numbers, columns.HELD] = 0

    def give_back_numbers(self, numbers: Numbers) -> None:
        """Fill those of these accounts that are held here."""
        self._give_back(np.unique(numbers[self.holdings.accounts[numbers, columns.HELD] > 0]))

    def give_all_back(self) -> None:
        """Fill all accounts that are held here."""
        self._give_back(np.flatnonzero(self.holdings.accounts[:, columns.HELD]))

    def _give_back(self, numbers: npt.NDArray[np.integer[Any]]) -> None:
        owners = map(self._owners.__getitem__, numbers.tolist())
        self.give_back([owner for owner in owners if owner is not None])

    def _own(self, number: int, account: Account) -> Account:
        self._owners[number] = account
        return account

    def _make_room_for_pairs(self, more: int) -> None:
        held = self.holdings
        count = int(held.counts[columns.PAIRS])
        if count + more <= len(held.pairs):
            return
        pairs = 1 << (count + more).bit_length()
        rows, slots = np.empty((pairs, columns.WIDTH), np.int64), np.full(_SPARSE * pairs, -1, np.int32)
        rows[:count] = held.pairs[:count]
        columns.place_again(slots, rows, count)
        self.holdings = held._replace(slots=slots, pairs=rows, words=rows.view(np.uint64))

    def _rows(self, pairs: Rows) -> Iterator[tuple[int, int, int, bool]]:
        """Each pair's side, scaled balance, last index and flag."""
        rows, words = self.holdings.pairs[pairs], self.holdings.words[pairs]
        scaled, last = (numbers_of(words[:, first : first + 2]) for first in (columns.SCALED, columns.LAST))
        sides = (rows[:, columns.KEY] % columns.MOST_SIDES).tolist()
        return zip(sides, scaled, last, (rows[:, columns.USED] > 0).tolist(), strict=True)


def words_of(numbers: Sequence[int]) -> Words:
    """Each number's high and low word; OverflowError for one that has more, or is below zero."""
    raw = b"".join([number.to_bytes(_BYTES) for number in numbers])
    return np.frombuffer(raw, ">u8").astype(np.uint64).reshape(-1, 2)


def numbers_of(words: Words) -> list[int]:
    """The numbers of rows of high and low words."""
    return [high << 64 | low for high, low in zip(words[:, 0].tolist(), words[:, 1].tolist(), strict=True)]


def fits(number: int) -> bool:
    """Whether a number has two words at most."""
    return 0 <= number < 1 << 8 * _BYTES


def _rows_of(account: Account) -> list[tuple[int, int, int, bool]] | None:
    """Each side, scaled balance, last index and flag of an account; None where the columns cannot hold it."""
    if account.why_unknown is not None or account.emode > columns.MOST_EMODE:
        return None
    scaled = {2 * number: held for number, held in account.collateral.items()}
    scaled |= {2 * number + 1: held for number, held in account.debt.items()}
    numbers = [*scaled.values(), *account.indexes.values()]
    sides = scaled.keys() | account.indexes.keys() | {2 * number for number in account.used}
    if not all(number > 0 and fits(number) for number in numbers) or max(sides, default=0) >= columns.MOST_SIDES:
        return None
    indexes, used = account.indexes, account.used
    return [(side, scaled.get(side, 0), indexes.get(side, 0), side & 1 == 0 and side >> 1 in used) for side in sides]


def _holdings(pairs: int) -> Holdings:
    rows = np.empty((pairs, columns.WIDTH), np.int64)
    return Holdings(
        slots=np.full(_SPARSE * pairs, -1, np.int32),
        pairs=rows,
        words=rows.view(np.uint64),
        accounts=np.empty((0, columns.FACTS), np.int64),
        touched_pairs=np.empty(0, np.int64),
        old_pairs=np.empty((0, columns.WIDTH), np.int64),
        touched_accounts=np.empty(0, np.int64),
        old_emodes=np.empty(0, np.int64),
        counts=np.zeros(3, np.int64),
    )
