"""The watchlist: who is due for another look on the chain."""

from liqcli.bot.watchlist import Watchlist
from liqcli.model import WAD, Reading

BORROWER = "0x" + "11" * 20


def reading(*, health_factor: int = 2 * WAD, block: int = 1) -> Reading:
    return Reading(BORROWER, 10, 5, health_factor, block, 0)


def test_a_borrower_never_read_is_due():
    """No word of the chain is no reason to wait."""
    assert Watchlist().due([BORROWER], 0.0) == [BORROWER]


def test_a_reading_holds_until_it_is_due():
    """Before its time a borrower is not due, from then on it is."""
    watchlist = Watchlist()
    watchlist.record(reading(), due_at=5.0)
    assert (watchlist.due([BORROWER], 4.9), watchlist.due([BORROWER], 5.0)) == ([], [BORROWER])


def test_an_older_block_never_replaces_a_newer_one():
    """A provider that lags behind does not turn the clock back."""
    watchlist = Watchlist()
    watchlist.record(reading(block=7, health_factor=WAD), due_at=5.0)
    watchlist.record(reading(block=6, health_factor=3 * WAD), due_at=5.0)
    assert watchlist.reading(BORROWER).health_factor == WAD


def test_a_failed_read_forgets_the_old_reading_until_one_succeeds():
    """After a failure nothing is known, however good the last reading was."""
    watchlist = Watchlist()
    watchlist.record(reading(), due_at=5.0)
    watchlist.fail(BORROWER)
    assert watchlist.reading(BORROWER) is None
    assert watchlist.failed == {BORROWER}
    assert watchlist.due([BORROWER], 0.0) == [BORROWER]
    watchlist.record(reading(), due_at=5.0)
    assert watchlist.failed == set()
