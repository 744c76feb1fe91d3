"""Before and after a change."""

from liqcli.lag.compare import Outcome, compare, comparison_json, render_comparison
from tests.lag.diagnoses import GOLDEN, START_US, UNTIMED, bursts, diagnosis_of, diagnosis_of_columns

HOUR = 3_600_000_000


def hours_of_bursts(number, lost):
    """`number` incidents of about `lost` events over ten hours."""
    at_us, losses = [], []
    for incident in range(number + 1):
        began = START_US + incident * 10 * HOUR // number
        at_us += [began, began + 50_000, began + 110_000]
        losses += [lost // 2, lost // 4, lost // 4 + incident % 7]
    return diagnosis_of_columns(at_us, losses)


def test_a_tenth_of_the_loss_is_an_improvement():
    """Many incidents, each a tenth as large: more than chance."""
    comparison = compare(hours_of_bursts(60, 5_000), hours_of_bursts(60, 500))

    assert comparison.outcome is Outcome.IMPROVED
    assert comparison.change_high < 0
    assert comparison.text == "10.1% of the former loss an hour is left."


def test_more_loss_is_worse():
    """The other way round."""
    comparison = compare(hours_of_bursts(60, 500), hours_of_bursts(60, 5_000))

    assert comparison.outcome is Outcome.WORSE
    assert comparison.change_low > 0


def test_the_same_log_twice_is_no_evidence():
    """Nothing changed, nothing is claimed."""
    log = bursts(30)

    comparison = compare(log, log)

    assert comparison.outcome is Outcome.NO_EVIDENCE
    assert comparison.change_low <= 0 <= comparison.change_high


def test_one_incident_less_may_be_chance():
    """Two incidents, then one: too few to claim anything."""
    assert compare(hours_of_bursts(2, 900), hours_of_bursts(1, 900)).outcome is Outcome.NO_EVIDENCE


def test_a_log_without_times_is_compared_by_its_totals_only():
    """No rate is made up."""
    comparison = compare(diagnosis_of(UNTIMED), bursts(30))

    assert comparison.outcome is Outcome.NO_EVIDENCE
    assert comparison.before.lost_per_hour is None
    assert "less than a minute" in comparison.text


def test_a_log_of_microseconds_says_nothing_about_an_hour():
    """343 microseconds are not scaled up to 14 trillion events an hour."""
    comparison = compare(diagnosis_of(GOLDEN), bursts(30))

    assert comparison.before.lost_per_hour is None
    assert comparison.outcome is Outcome.NO_EVIDENCE


def test_a_comparison_is_a_document_and_a_table():
    """The same figures in both, the outcome first."""
    comparison = compare(hours_of_bursts(60, 5_000), hours_of_bursts(60, 500))

    document = comparison_json(comparison)
    lines = [line.text for line in render_comparison(comparison, width=80)]

    assert document["outcome"] == "improved"
    assert document["before"]["incidents"] == 61
    assert lines[0].startswith("IMPROVED  10.1%")
    assert any(line.split()[:2] == ["events", "lost"] for line in lines)
