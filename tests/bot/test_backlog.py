"""The backlog holds what Redis does not take: one entry a borrower, the most urgent first."""

from liqcli.bot.backlog import Backlog
from liqcli.model import Tier
from liqcli.store.queue import Entry


def entry(number: int, score: float = 0.5, tier: Tier = Tier.HIGH_RISK) -> Entry:
    return Entry(f"0x{number:040x}", score, tier, None, "borrow")


def test_a_borrower_is_held_once_with_its_most_urgent_entry():
    """A hundred thousand events of one borrower are one entry."""
    backlog = Backlog()
    for score in (0.9, 0.2, 0.7):
        backlog.push([entry(1, score)])
    assert len(backlog) == 1
    assert [held.score for held in backlog.take(9, at_most=Tier.SAFE)] == [0.2]
    assert len(backlog) == 0


def test_tiers_come_before_scores():
    """A critical borrower is given out before a higher score of a lower tier."""
    backlog = Backlog()
    backlog.push([entry(1, 0.1, Tier.SAFE), entry(2, 0.9, Tier.CRITICAL), entry(3, 0.5, Tier.HIGH_RISK)])
    assert [held.tier for held in backlog.take(2, at_most=Tier.SAFE)] == [Tier.CRITICAL, Tier.HIGH_RISK]


def test_a_worker_of_a_tier_takes_nothing_below_it():
    """What a critical worker leaves stays for the others."""
    backlog = Backlog()
    backlog.push([entry(1, tier=Tier.SAFE), entry(2, tier=Tier.CRITICAL)])
    assert [held.tier for held in backlog.take(9, at_most=Tier.CRITICAL)] == [Tier.CRITICAL]
    assert len(backlog) == 1


def test_what_is_being_pushed_can_still_be_taken():
    """While Redis is asked everything waits on; once it answered, only what was pushed is dropped."""
    backlog = Backlog()
    backlog.push([entry(1), entry(2), entry(3)])
    pushed = backlog.waiting()
    backlog.push([entry(1, 0.1)])
    assert [held.borrower for held in backlog.take(1, at_most=Tier.SAFE)] == [entry(1).borrower]
    backlog.push([entry(1, 0.1)])
    backlog.drop(pushed)
    assert backlog.waiting() == [entry(1, 0.1)]
