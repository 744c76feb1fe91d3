"""The backlog: what waits in this process while Redis does not answer; one entry a borrower, so its size is bounded."""

from collections.abc import Iterable

from liqcli.model import Tier
from liqcli.store.queue import Entry

_RANK = {tier: rank for rank, tier in enumerate(Tier)}


class Backlog:
    """Entries by borrower, the most urgent kept; given out by tier and score."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def push(self, entries: Iterable[Entry]) -> None:
        """Merge entries in."""
        for entry in entries:
            kept = self._entries.get(entry.borrower)
            if kept is None or _order(entry) < _order(kept):
                self._entries[entry.borrower] = entry

    def waiting(self) -> list[Entry]:
        """Everything that waits; it goes on waiting until it is taken or dropped."""
        return list(self._entries.values())

    def drop(self, entries: Iterable[Entry]) -> None:
        """Forget these, but not what has become more urgent since."""
        for entry in entries:
            if self._entries.get(entry.borrower) is entry:
                del self._entries[entry.borrower]

    def take(self, count: int, *, at_most: Tier) -> list[Entry]:
        """Up to so many of the most urgent, of tiers at least as urgent as `at_most`."""
        fitting = (entry for entry in self._entries.values() if _RANK[entry.tier] <= _RANK[at_most])
        chosen = sorted(fitting, key=_order)[:count]
        for entry in chosen:
            del self._entries[entry.borrower]
        return chosen


def _order(entry: Entry) -> tuple[int, float]:
    return _RANK[entry.tier], entry.score
