"""`liq diagnose live` and `liq status`: what a running bot says of itself."""

import os
import time

from liqcli.lock import hold
from tests.ops.statuses import status


def test_a_bot_without_a_websocket_has_no_lag(running):
    """Its channels wait, they do not overwrite: verdict none, nothing lost."""
    finished = running.liq("diagnose", "live", "--json")
    assert finished.code == 0, finished.err
    document = finished.json
    assert (document["verdict"]["level"], document["lost"]["total"]) == ("none", 0)
    assert "event channel: most" in finished.err


def test_nobody_to_diagnose(place):
    """Without a running bot: exit 7."""
    assert place.liq("diagnose", "live").code == 7


def test_status_tells_how_the_bot_stands(running):
    """Ready, a young head, every tier with its pacing, channels with their capacity; exit 0."""
    finished = running.liq("status", "--json")
    for _ in range(10):
        if finished.code == 0:
            break
        time.sleep(1)  # a status is told every two seconds, the first one before READY
        finished = running.liq("status", "--json")
    assert finished.code == 0, finished.out
    document = finished.json
    assert document["ready"]
    assert document["problems"] == []
    assert document["head"]["age_s"] < 30
    assert list(document["pacing"]) == ["critical", "high_risk", "medium_risk", "low_risk", "safe"]
    assert document["channels"]["event"]["capacity"] == 4096
    assert document["events"]["lost"] == 0


def test_status_shows_the_cache_by_pace(place):
    """Hits, misses and the calls they saved, a row for each pace."""
    with hold(place.directory / "data", "run", {"started": "then", "status": status()}):
        rows = [line.split("\t") for line in place.liq("status").out.splitlines()]
    assert ["pace", "cache hits", "misses", "saved calls"] in rows
    assert ["stable", "3", "1", "2"] in rows


def test_status_says_what_is_paused(place):
    """By the operator, so it is no problem: exit 0."""
    with hold(place.directory / "data", "run", {"started": "then", "status": {**status(), "signing_paused": True}}):
        finished = place.liq("status")
    assert (finished.code, "signing is paused: liq resume\n" in finished.out) == (0, True)


def test_a_bot_that_fell_silent_is_not_healthy(place):
    """Its last word was that all is well, but that was a minute ago: exit 1, and it is said."""
    with hold(place.directory / "data", "run", {"started": "then", "status": status()}):
        assert place.liq("status").code == 0
        told = place.directory / "data" / "run.json"
        os.utime(told, (time.time() - 60, time.time() - 60))
        finished = place.liq("status")
    assert finished.code == 1
    assert "problem: it has told nothing for 6" in finished.out


def test_the_counters_of_lag_become_the_same_diagnosis_as_a_log():
    """A spinning source that the websocket's intake counted is named as in a log."""
    from liqcli.cli.diagnose import answer_live
    from liqcli.lag.contract import to_json

    at_us = [1_747_233_585_999_162 + 7 * step for step in range(40)]
    lags = [{"at_us": at, "lost": 1_333_363 if at == at_us[0] else 49} for at in at_us]
    status = {"websocket": {"lags": lags}, "channels": {"event": {"capacity": 512}}}
    diagnosis = answer_live(status)
    assert diagnosis.verdict.cause == "spinning_producer"
    assert to_json(diagnosis)["lost"]["total"] == 1_333_363 + 39 * 49
