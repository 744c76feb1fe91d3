"""Tuning follows what was measured, slowly, and never past the operator's bounds."""

from hypothesis import given
from hypothesis import strategies as st

from liqcli.bot.tune import Measured, Tuner
from liqcli.config import TierSettings, TuningSettings
from liqcli.model import Tier

TIERS = TierSettings()
CALM = Measured(latency_ms=200, error_rate=0.0, oldest_s=3.0, budget_left=0.5)


def tuner(**settings):
    return Tuner(TIERS, TuningSettings(**settings))


def rounds(tuned, measured, count=2):
    """So many rounds with the same facts; the changes of the last one."""
    return [tuned.tune({Tier.CRITICAL: measured}) for _ in range(count)][-1]


def facts(**changed):
    return Measured(**{**{name: getattr(CALM, name) for name in CALM.__slots__}, **changed})


def test_calm_moves_nothing():
    """Inside the band every setting stays."""
    tuned = tuner()
    assert rounds(tuned, CALM, 10) == []
    assert tuned.pacing[Tier.CRITICAL].batch == TIERS.critical.batch


def test_one_bad_round_moves_nothing_two_do():
    """A single slow batch is noise; the second in a row shrinks the batch, and says why."""
    tuned = tuner()
    assert rounds(tuned, facts(latency_ms=900), 1) == []
    (change,) = rounds(tuned, facts(latency_ms=900), 1)
    assert (change.setting, change.before, change.after) == ("batch", 50, 33)
    assert str(change) == "critical batch 50 > 33: a batch takes 900 ms"


def test_alternating_rounds_move_nothing():
    """Slow, fast, slow, fast: no direction is asked for twice."""
    tuned = tuner()
    for _ in range(10):
        assert rounds(tuned, facts(latency_ms=900), 1) == []
        assert rounds(tuned, facts(latency_ms=10), 1) == []


def test_a_fast_batch_grows_only_while_something_waits():
    """Nobody needs larger batches of an empty queue; with a queue that waits they help."""
    assert rounds(tuner(), facts(latency_ms=5)) == []
    settings = {change.setting for change in rounds(tuner(), facts(latency_ms=5, oldest_s=60))}
    assert settings == {"batch", "workers"}


def test_failing_reads_shrink_the_batch():
    """Errors count before speed."""
    (change,) = rounds(tuner(), facts(error_rate=0.5, latency_ms=1))
    assert (change.setting, change.after < change.before) == ("batch", True)


def test_a_waiting_queue_adds_workers_and_calm_takes_them_back():
    """Workers grow while entries wait longer than the interval, and return to the configured number."""
    tuned = tuner()
    rounds(tuned, facts(oldest_s=60), 6)
    assert tuned.pacing[Tier.CRITICAL].workers == 3 * 4
    rounds(tuned, facts(oldest_s=None), 12)
    assert tuned.pacing[Tier.CRITICAL].workers == 3


def test_a_spent_budget_stretches_the_interval():
    """With little left the tier is swept less often, never more than the factor; with plenty it returns."""
    tuned = tuner()
    rounds(tuned, facts(budget_left=0.05), 12)
    assert tuned.pacing[Tier.CRITICAL].interval_s == 20
    rounds(tuned, facts(budget_left=1.0), 12)
    assert tuned.pacing[Tier.CRITICAL].interval_s == 5


def test_disabled_tuning_is_frozen():
    """[tuning] enabled = false leaves everything at the operator's settings."""
    tuned = tuner(enabled=False)
    assert rounds(tuned, facts(latency_ms=9000, oldest_s=900, budget_left=0), 10) == []


def test_every_change_is_kept_to_be_shown():
    """The last changes can be told in order."""
    tuned = tuner()
    rounds(tuned, facts(oldest_s=60), 3)
    assert [change.setting for change in tuned.changes] == ["workers", "workers"]


measured = st.builds(
    Measured,
    latency_ms=st.none() | st.floats(0, 1e5),
    error_rate=st.none() | st.floats(0, 1),
    oldest_s=st.none() | st.floats(0, 1e5),
    budget_left=st.floats(0, 1),
)


@given(st.lists(measured, max_size=60), st.floats(1, 10))
def test_no_history_leaves_the_bounds(history, stretch):
    """Whatever is measured, every setting stays within the factor of its own, intervals and workers never below."""
    tuned = tuner(stretch=stretch)
    for round_facts in history:
        tuned.tune(dict.fromkeys(Tier, round_facts))
    for tier in Tier:
        pacing, policy = tuned.pacing[tier], TIERS.policy(tier)
        assert policy.interval_s <= pacing.interval_s <= policy.interval_s * stretch + 0.001
        assert policy.workers <= pacing.workers <= policy.workers * stretch + 0.5
        assert policy.batch / stretch - 0.5 <= pacing.batch <= policy.batch * stretch + 0.5
