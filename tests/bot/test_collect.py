"""What a page of logs becomes: one event for each deed, and one for each balance that moved without a word."""

from liqcli.book.events import Acted
from liqcli.book.mirror import Turn
from liqcli.bot.collect import events_of
from liqcli.model import EventKind

ANN, BOB = "0x" + "aa" * 20, "0x" + "bb" * 20
ASSET = "0x" + "11" * 20


def test_each_deed_is_an_event_of_its_kind():
    """Borrow and repay stay what they are, in the order of the logs."""
    deeds = (Acted(7, 1, 0, EventKind.BORROW, ASSET, ANN), Acted(7, 4, 0, EventKind.REPAY, ASSET, BOB))
    events = events_of(Turn(7, deeds, frozenset({ANN, BOB}), market=False), 5.0)
    assert [(event.kind, event.borrower, event.log_index) for event in events] == [
        (EventKind.BORROW, ANN, 1),
        (EventKind.REPAY, BOB, 4),
    ]
    assert {event.at for event in events} == {5.0}


def test_a_balance_that_moved_without_the_pools_word_is_a_transfer():
    """An account that no deed names, but whose state changed, is looked at as after a transfer."""
    (event,) = events_of(Turn(9, (), frozenset({BOB}), market=False), 1.0)
    assert (event.kind, event.borrower, event.block) == (EventKind.TRANSFER, BOB, 9)
