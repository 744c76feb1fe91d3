"""The request budget: never above its rate, and never spent by the patient before the urgent."""

import asyncio
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqcli.chain.budget import Bucket, Budget, spending_as
from liqcli.chain.endpoints import Endpoint
from liqcli.chain.rpc import Rpc
from liqcli.model import Tier
from tests.chain.servers import good, node

MINUTE_NS = 60 * 10**9
MOMENTS = st.integers(0, 20 * 10**9)
ASKED = st.lists(st.tuples(MOMENTS, st.sampled_from(Tier), st.integers(1, 4)), max_size=120)


@given(per_minute=st.integers(20, 300), asked=ASKED)
def test_no_minute_sees_more_than_the_limit(per_minute, asked):
    """Whoever asks whenever: in each window of 60 seconds at most the limit goes through."""
    bucket, now, taken = Bucket(per_minute, now_ns=0), 0, []
    for pause, tier, tokens in asked:
        now += pause
        if bucket.take(tokens, tier, now_ns=now) == 0:
            taken.append((now, tokens))
    for start, _ in taken:
        assert sum(tokens for at, tokens in taken if start <= at <= start + MINUTE_NS) <= per_minute


@given(per_minute=st.integers(10, 300), tier=st.sampled_from(Tier))
def test_a_greedy_caller_gets_its_rate_and_no_more(per_minute, tier):
    """Asked again exactly when it said, the bucket gives a minute's worth in each minute after the first burst."""
    bucket, now, taken = Bucket(per_minute, now_ns=0), 0, []
    while now <= 3 * MINUTE_NS:
        wait = bucket.take(1, tier, now_ns=now)
        taken += [now] if wait == 0 else []
        now += wait
    per_window = [sum(start <= at <= start + MINUTE_NS for at in taken) for start in taken]
    assert max(per_window) <= per_minute
    assert len(taken) >= 3 * (per_minute - bucket.capacity)


@given(per_minute=st.integers(10, 300), asked=ASKED)
def test_what_the_patient_spend_is_never_what_the_urgent_need(per_minute, asked):
    """However the lower tiers spend, critical finds its reserve untouched."""
    bucket, now = Bucket(per_minute, now_ns=0), 0
    for pause, tier, tokens in asked:
        now += pause
        if tier is not Tier.CRITICAL:
            bucket.take(tokens, tier, now_ns=now)
    reserve = bucket.reserve(Tier.HIGH_RISK)
    assert reserve == 0 or bucket.take(reserve, Tier.CRITICAL, now_ns=now) == 0


@given(per_minute=st.integers(10, 300), tier=st.sampled_from(Tier))
def test_every_tier_can_spend_something(per_minute, tier):
    """No limit is so small that a tier would wait for ever."""
    bucket = Bucket(per_minute, now_ns=0)
    assert bucket.left(tier, now_ns=0) == 1.0
    assert bucket.take(1, tier, now_ns=0) == 0
    assert bucket.left(tier, now_ns=0) < 1.0


async def test_a_critical_request_overtakes_safe_ones_that_wait():
    """Safe requests queue for tokens; a critical one that comes later goes through at once."""
    budget, order = Budget(600), []

    async def spend(tier, name):
        with spending_as(tier):
            await budget.spend(1)
        order.append(name)

    safe = [asyncio.create_task(spend(Tier.SAFE, "safe")) for _ in range(30)]
    await asyncio.sleep(0.05)
    waiting = sum(not task.done() for task in safe)
    assert waiting > 0
    started = monotonic()
    await spend(Tier.CRITICAL, "critical")
    assert monotonic() - started < 0.05
    assert sum(not task.done() for task in safe) >= waiting - 1
    assert (budget.left(Tier.SAFE), budget.left(Tier.CRITICAL) > 0.5) == (0.0, True)
    for task in safe:
        task.cancel()


@pytest.mark.parametrize("calls", [1, 60])
async def test_every_call_of_a_batch_is_paid_for(calls):
    """A batch counts as many requests as it holds, and is split into what the budget can pay at once."""
    async with (
        node(good("0x1")) as (url, requests),
        Rpc([Endpoint(url, requests_per_minute=3000)]) as rpc,
    ):
        with spending_as(Tier.SAFE):
            assert await rpc.batch([("eth_getBalance", [])] * calls) == ["0x1"] * calls
        assert rpc.budget_left(Tier.SAFE) < 1.0
    assert sum(map(len, requests)) == calls
    assert max(map(len, requests)) <= 120


async def test_waiting_for_the_budget_is_not_a_timeout():
    """A request that waits for tokens longer than its deadline still has the whole deadline once it goes."""
    async with node(good("0x1")) as (url, _), Rpc([Endpoint(url, requests_per_minute=100)], timeout_s=0.5) as rpc:
        started = monotonic()
        for _ in range(21):
            assert await rpc.block_number() == 1
        assert 0.6 < monotonic() - started < 3.0
        assert rpc.errors == 0
