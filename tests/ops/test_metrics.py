import re
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from liqcli.ops.metrics import NAMED, exposition, registry_of
from tests.ops.statuses import standing, status

ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")


def samples(told):
    """Every sample of a scrape by name and labels."""
    text = exposition(registry_of(told)).decode()
    families = text_string_to_metric_families(text)
    return {(each.name, *sorted(each.labels.items())): each.value for family in families for each in family.samples}


def test_every_named_metric_is_exposed_under_its_name_and_no_other():
    """What `liq metrics --names` lists is what a scrape of a running bot shows."""
    shown = {name for name, *_ in samples(standing())}
    assert {name for name in shown if name.startswith("liq_")} == {named.name for named in NAMED}
    assert "process_resident_memory_bytes" in shown


def test_names_follow_the_conventions():
    """Counters end with _total, nothing else does, each name is used once and says what it means."""
    assert len({named.name for named in NAMED}) == len(NAMED)
    for named in NAMED:
        assert re.fullmatch(r"liq_[a-z_]+", named.name)
        assert named.name.endswith("_total") == (named.kind == "counter"), named.name
        assert named.meaning


def test_values_are_those_of_the_status():
    """A gauge by tier, a counter, a channel, a quantile."""
    told, found = status(), samples(standing())
    assert found[("liq_borrowers", ("tier", "high_risk"))] == told["by_tier"]["high_risk"]
    assert found[("liq_events_received_total",)] == told["events"]["received"]
    assert found[("liq_channel_capacity", ("channel", "event"))] == told["channels"]["event"]["capacity"]
    p99 = ("liq_latency_seconds", ("quantile", "0.99"), ("stage", "event_to_queue"))
    assert found[p99] == pytest.approx(told["latency_ms"]["event_to_queue"]["p99"] / 1000)


def test_no_label_carries_an_address_and_reasons_are_bounded():
    """A skip's reason may name anything: its addresses are cut, and the reasons after twenty are one."""
    skipped = {f"case {number} at 0x{number:040x}": 1 for number in range(100)}
    found = samples(standing(liquidations={**status()["liquidations"], "skipped": skipped}))
    reasons = [labels for name, *labels in found if name == "liq_skips_total"]
    assert len(reasons) == 21
    assert sum(value for (name, *_), value in found.items() if name == "liq_skips_total") == 100
    assert not any(ADDRESS.search(str(labels)) for _, *labels in found)


def test_a_hostile_reason_stays_one_line():
    """Control characters never reach the exposition."""
    text = exposition(
        registry_of(standing(liquidations={**status()["liquidations"], "skipped": {"\x1b[2J\nliq_x 1": 1}}))
    )
    assert b"\x1b" not in text
    assert b"\nliq_x" not in text


def test_without_redis_the_queue_is_absent_not_zero():
    """Unknown is not empty."""
    found = samples(standing(queue=None))
    assert found[("liq_redis_up",)] == 0
    assert not any(name.startswith("liq_queue_") for name, *_ in found)


def test_a_scrape_costs_little():
    """Less than 20 ms of this process's time, so less than half a percent of a core at one in five seconds."""
    registry = registry_of(standing())
    exposition(registry)
    started = time.process_time()
    for _ in range(10):
        exposition(registry)
    assert (time.process_time() - started) / 10 < 0.02
