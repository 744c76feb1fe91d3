"""Warnings: said when something begins, seldom while it lasts, and once when Redis is back."""

from liqcli.bot import alarm
from liqcli.bot.alarm import Alarm


def told_by(monkeypatch, *steps):
    """What is said of so many steps, each at its second."""
    now, notes = [1000.0], []
    monkeypatch.setattr(alarm, "monotonic", lambda: now[0])
    ringing = Alarm(notes.append)
    for second, step in steps:
        now[0] = 1000.0 + second
        step(ringing)
    return [(note.kind, note.text) for note in notes]


def warning(text):
    return lambda ringing: ringing.warn(text)


def test_a_fault_that_lasts_is_said_every_ten_seconds(monkeypatch):
    """The first warning at once, the next no sooner than ten seconds after it."""
    steps = [(second, warning(str(second))) for second in (0, 1, 9, 10, 19, 21)]
    assert told_by(monkeypatch, *steps) == [("warn", "0"), ("warn", "10"), ("warn", "21")]


def test_redis_is_back_once(monkeypatch):
    """That it answers again is news only after it did not."""
    steps = [(0, Alarm.redis_answered), (1, Alarm.redis_failed), (2, Alarm.redis_failed)]
    steps += [(3, Alarm.redis_answered), (4, Alarm.redis_answered)]
    assert told_by(monkeypatch, *steps) == [("healed", "Redis answers again")]


def test_a_redis_that_comes_and_goes_does_not_fill_the_log(monkeypatch):
    """Of a hundred returns in ten seconds one is said, and the next after them."""
    steps = [(at / 10, step) for at in range(100) for step in (Alarm.redis_failed, Alarm.redis_answered)]
    steps += [(11, Alarm.redis_failed), (12, Alarm.redis_answered)]
    assert told_by(monkeypatch, *steps) == [("healed", "Redis answers again")] * 2
