"""The watchlist: who is known, who is due, and who may have fallen since the last reading."""

from hypothesis import given
from hypothesis import strategies as st

from liqcli.bot.watchlist import Watchlist
from liqcli.model import NO_DEBT, WAD, Reading

BORROWER, OTHER = "0x" + "11" * 20, "0x" + "22" * 20


def reading(borrower: str = BORROWER, *, health_factor: int = 2 * WAD, block: int = 1) -> Reading:
    return Reading(borrower, 10, 5, health_factor, block, 0)


def test_a_watched_borrower_is_unknown_due_and_exposed_until_read():
    """Unknown is not healthy."""
    watchlist = Watchlist()
    watchlist.watch([BORROWER])
    assert watchlist.reading(BORROWER) is None
    assert watchlist.due(0.0) == watchlist.exposed(1.1) == [BORROWER]


def test_a_reading_holds_until_it_is_due():
    """Before its time a borrower is not due, from then on it is."""
    watchlist = Watchlist()
    watchlist.record(reading(), due_at=5.0)
    assert (watchlist.due(4.9), watchlist.due(5.0)) == ([], [BORROWER])


def test_an_older_block_never_replaces_a_newer_one():
    """A provider that lags behind does not turn the clock back."""
    watchlist = Watchlist()
    watchlist.record(reading(block=7, health_factor=WAD), due_at=5.0)
    watchlist.record(reading(block=6, health_factor=3 * WAD), due_at=5.0)
    assert watchlist.reading(BORROWER).health_factor == WAD


def test_a_failed_read_forgets_the_old_reading():
    """After a failure nothing is known, however good the last reading was."""
    watchlist = Watchlist()
    watchlist.record(reading(), due_at=5.0)
    watchlist.unknown(BORROWER)
    assert watchlist.reading(BORROWER) is None
    assert watchlist.due(0.0) == [BORROWER]


def test_only_those_near_enough_are_exposed_to_a_price_move():
    """A fall of 10 % brings 1.15 under 1.1, and leaves 2.0 alone."""
    watchlist = Watchlist()
    watchlist.record(reading(health_factor=WAD * 115 // 100), due_at=5.0)
    watchlist.record(reading(OTHER), due_at=5.0)
    assert watchlist.exposed(1.1) == []
    watchlist.prices_moved(0.9)
    assert watchlist.exposed(1.1) == [BORROWER]


def test_moves_before_a_reading_are_in_the_reading():
    """Only what happened since the reading counts."""
    watchlist = Watchlist()
    watchlist.prices_moved(0.5)
    watchlist.record(reading(health_factor=WAD * 115 // 100), due_at=5.0)
    assert watchlist.exposed(1.1) == []


def test_a_move_without_bound_exposes_everyone_until_read_again():
    """When a price vanished nobody with debt is taken for healthy; a new reading ends that."""
    watchlist = Watchlist()
    watchlist.record(reading(), due_at=5.0)
    watchlist.prices_moved(0.0)
    assert watchlist.exposed(1.1) == [BORROWER]
    watchlist.record(reading(block=2), due_at=5.0)
    assert watchlist.exposed(1.1) == []


def test_no_debt_is_never_exposed():
    """Whoever owes nothing cannot fall."""
    watchlist = Watchlist()
    watchlist.record(reading(health_factor=NO_DEBT), due_at=5.0)
    watchlist.prices_moved(0.1)
    assert watchlist.exposed(1.1) == []


@given(st.lists(st.floats(0.5, 1.0), max_size=2000))
def test_many_moves_multiply(factors):
    """The bound is the product of the moves, also of so many that the product itself would vanish."""
    watchlist = Watchlist()
    watchlist.record(reading(health_factor=WAD * 12 // 10), due_at=5.0)
    product = 1.2
    for factor in factors:
        watchlist.prices_moved(factor)
        product *= factor
    if abs(product - 1.1) > 1e-6:
        assert (watchlist.exposed(1.1) == [BORROWER]) == (product < 1.1)
