"""The watchlist: when each borrower is to be read on the chain again, and whose last read failed."""

from collections.abc import Collection, Iterable

from liqcli.model import Address, Pace, Reading


class Watchlist:
    """The chain's last word on each borrower; without one, or after a failed read, a borrower is due at once."""

    def __init__(self) -> None:
        self._readings: dict[Address, tuple[Reading, float, Pace]] = {}
        self.failed: set[Address] = set()

    def record(self, reading: Reading, *, due_at: float, pace: Pace = Pace.MODERATE) -> None:
        """Keep a reading until the monotonic second `due_at`; one older than the one kept changes nothing."""
        kept = self.reading(reading.borrower)
        if kept is None or kept.block <= reading.block:
            self._readings[reading.borrower] = (reading, due_at, pace)
            self.failed.discard(reading.borrower)

    def fail(self, borrower: Address) -> None:
        """A read failed: nothing counts as known of this borrower until the next one succeeds."""
        self._readings.pop(borrower, None)
        self.failed.add(borrower)

    def forget(self, borrower: Address) -> None:
        """Stop watching a borrower that the chain proved debt-free."""
        self._readings.pop(borrower, None)
        self.failed.discard(borrower)

    def keep(self, borrowers: Collection[Address]) -> None:
        """Stop watching everybody else."""
        for borrower in self._readings.keys() - borrowers:
            del self._readings[borrower]
        self.failed.intersection_update(borrowers)

    def reading(self, borrower: Address) -> Reading | None:
        """The chain's last word, None where there is none."""
        kept = self._readings.get(borrower)
        return None if kept is None else kept[0]

    def pace(self, borrower: Address) -> Pace:
        """How fast it moved when it was last read; who was not read counts as moderate."""
        kept = self._readings.get(borrower)
        return Pace.MODERATE if kept is None else kept[2]

    def due(self, borrowers: Iterable[Address], now: float) -> list[Address]:
        """Those of the borrowers who are to be read again at the monotonic second `now`."""
        readings = self._readings
        return [borrower for borrower in borrowers if borrower not in readings or readings[borrower][1] <= now]
