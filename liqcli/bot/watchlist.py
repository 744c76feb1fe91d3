"""The watchlist: every borrower ever seen with debt, its last reading, and how far prices moved since."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from liqcli.model import NO_DEBT, WAD, Address, Reading


@dataclass(slots=True)
class _Entry:
    """`drift` is the watchlist's at the time of the reading: their difference is the log of the worst factor since."""

    reading: Reading | None
    due_at: float
    drift: float


class Watchlist:
    """What is known of each borrower; unknown ones (never read, or the read failed) are kept and always due."""

    def __init__(self) -> None:
        self._entries: dict[Address, _Entry] = {}
        self._drift = 0.0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, borrower: object) -> bool:
        return borrower in self._entries

    def __iter__(self) -> Iterator[Address]:
        return iter(list(self._entries))

    def watch(self, borrowers: Iterable[Address]) -> None:
        """Know these borrowers; those not yet known stay unknown until read."""
        for borrower in borrowers:
            self._entries.setdefault(borrower, _Entry(None, 0.0, self._drift))

    def record(self, reading: Reading, *, due_at: float) -> None:
        """Keep a reading until the monotonic second `due_at`; a reading older than the one kept changes nothing."""
        entry = self._entries.get(reading.borrower)
        if entry is not None and entry.reading is not None and entry.reading.block > reading.block:
            return
        self._entries[reading.borrower] = _Entry(reading, due_at, self._drift)

    def unknown(self, borrower: Address) -> None:
        """A read failed: nothing is known of this borrower until the next one succeeds."""
        self._entries[borrower] = _Entry(None, 0.0, self._drift)

    def forget(self, borrower: Address) -> None:
        """Stop watching a borrower that the chain proved debt-free."""
        self._entries.pop(borrower, None)

    def reading(self, borrower: Address) -> Reading | None:
        """The last reading, None while unknown."""
        entry = self._entries.get(borrower)
        return None if entry is None else entry.reading

    def readings(self) -> Iterator[Reading]:
        """Every reading there is."""
        return (entry.reading for entry in self._entries.values() if entry.reading is not None)

    def due(self, now: float) -> list[Address]:
        """Borrowers whose reading has expired at the monotonic second `now`, and the unknown ones."""
        return [borrower for borrower, entry in self._entries.items() if entry.due_at <= now]

    def prices_moved(self, worst_factor: float) -> None:
        """No health factor can have fallen below `worst_factor` of what it was; 0 means that nothing is known."""
        if worst_factor > 0.0:
            self._drift += math.log(worst_factor)
            return
        for entry in self._entries.values():
            entry.drift = math.inf

    def exposed(self, threshold: float) -> list[Address]:
        """Borrowers whose health factor may by now be below `threshold`, the unknown ones among them."""
        return [borrower for borrower, entry in self._entries.items() if self._lowest(entry) < threshold]

    def _lowest(self, entry: _Entry) -> float:
        if entry.reading is None:
            return 0.0
        if entry.reading.health_factor == NO_DEBT:
            return float("inf")
        return entry.reading.health_factor / WAD * math.exp(self._drift - entry.drift)
