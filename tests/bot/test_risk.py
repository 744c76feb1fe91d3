"""Risk: tiers, urgency, pace and time to live."""

from hypothesis import given
from hypothesis import strategies as st

from liqcli.bot.risk import ceiling_wad, pace_of, score, tier_of, ttl_for
from liqcli.config import PaceSettings, TierSettings
from liqcli.model import BASE_UNIT, NO_DEBT, WAD, EventKind, Pace, Reading, Tier

TIERS, PACES = TierSettings(), PaceSettings()
BORROWER = "0x" + "11" * 20


def reading(health_factor: int, *, at: int = 0, debt_usd: int = 1000) -> Reading:
    return Reading(BORROWER, 2 * debt_usd * BASE_UNIT, debt_usd * BASE_UNIT, health_factor, 1, at)


def test_ceilings_are_exclusive_to_the_wei():
    """A health factor of exactly 1.0 is not critical, one wei less is."""
    assert tier_of(WAD, TIERS) is Tier.HIGH_RISK
    assert tier_of(WAD - 1, TIERS) is Tier.CRITICAL
    assert tier_of(WAD * 105 // 100, TIERS) is Tier.MEDIUM_RISK
    assert tier_of(WAD * 105 // 100 - 1, TIERS) is Tier.HIGH_RISK
    assert tier_of(NO_DEBT, TIERS) is Tier.SAFE


def test_an_unknown_borrower_is_critical():
    """Unknown is not healthy: it is first in line to be read."""
    assert tier_of(None, TIERS) is Tier.CRITICAL


def test_ceilings_rise_from_tier_to_tier():
    """The tiers leave no gap and do not overlap."""
    ceilings = [ceiling_wad(tier, TIERS) for tier in Tier]
    assert ceilings == sorted(ceilings)


def test_kinds_are_ordered_by_what_they_can_have_hurt():
    """Borrow before withdraw and its like, before price, sweep, supply and repay, for the same borrower."""
    order = [
        EventKind.BORROW,
        EventKind.WITHDRAW,
        EventKind.PRICE,
        EventKind.SWEEP,
        EventKind.SUPPLY,
        EventKind.REPAY,
    ]
    scores = [score(kind, reading(WAD)) for kind in order]
    assert scores == sorted(scores)
    assert len(set(scores)) == len(scores)
    alike = {EventKind.COLLATERAL_OFF, EventKind.EMODE, EventKind.TRANSFER}
    assert {score(kind, reading(WAD)) for kind in alike} == {scores[1]}


@given(st.sampled_from(EventKind), st.integers(0, NO_DEBT), st.integers(0, NO_DEBT))
def test_closer_to_liquidation_is_never_less_urgent(kind, one, other):
    """Of two borrowers alike, the one with the lower health factor does not wait behind."""
    lower, higher = sorted((one, other))
    assert score(kind, reading(lower)) <= score(kind, reading(higher))
    assert 0 < score(kind, reading(lower)) <= 1


def test_a_larger_debt_is_more_urgent():
    """Size counts, slowly."""
    assert score(EventKind.PRICE, reading(WAD, debt_usd=10**6)) < score(EventKind.PRICE, reading(WAD, debt_usd=10))


def test_an_unread_borrower_counts_as_at_the_threshold():
    """No reading is as urgent as a health factor of one."""
    assert score(EventKind.SWEEP, None) == score(EventKind.SWEEP, reading(WAD, debt_usd=0))


def test_pace_follows_the_relative_change_in_an_hour():
    """10 %, 1 % and 0.1 % an hour are the bounds of rapid, moderate and slow."""
    start = reading(2 * WAD, at=0)
    assert pace_of(start, reading(2 * WAD * 90 // 100, at=3600), PACES) is Pace.RAPID
    assert pace_of(start, reading(2 * WAD * 95 // 100, at=3600), PACES) is Pace.MODERATE
    assert pace_of(start, reading(2 * WAD * 995 // 1000, at=3600), PACES) is Pace.SLOW
    assert pace_of(start, reading(2 * WAD, at=3600), PACES) is Pace.STABLE


def test_half_an_hour_counts_double():
    """The same change in half the time is twice the pace."""
    assert pace_of(reading(WAD), reading(WAD * 94 // 100, at=1800), PACES) is Pace.RAPID


def test_a_first_reading_says_nothing_of_the_pace():
    """Without an earlier reading the pace is taken as moderate, not as stable."""
    assert pace_of(None, reading(WAD), PACES) is Pace.MODERATE


def test_a_debt_that_appears_is_rapid():
    """From no debt to some debt no rate is defined; the reading must not live long."""
    assert pace_of(reading(NO_DEBT), reading(2 * WAD, at=60), PACES) is Pace.RAPID


def test_faster_paces_live_shorter():
    """Rapid 30 s, moderate 120 s, slow 600 s, stable 1,800 s."""
    assert [ttl_for(pace, PACES) for pace in Pace] == [30, 120, 600, 1800]
