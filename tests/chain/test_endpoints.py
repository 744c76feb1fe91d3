"""Several endpoints: the first healthy one is asked, a faulty one rests, one of another chain is never asked again."""

import asyncio
import json
from time import monotonic

import pytest

from liqcli.chain.answers import Fault
from liqcli.chain.endpoints import Endpoint
from liqcli.chain.rpc import NoAnswer, Rpc
from liqcli.errors import WrongTarget
from tests.chain.servers import good, http, in_turn, node, rpc


def chain(chain_id, *, fails=()):
    """A node of this chain; every other method is answered with the chain's id, or fails while it is in `fails`."""

    def respond(request):
        if request["method"] in fails:
            return http("<html>", status="502 Bad Gateway")
        return http(json.dumps(rpc(id=request["id"], result=hex(chain_id))))

    return respond


def names(requests):
    """The methods that a node was asked with."""
    return [request["method"] for request in requests]


async def until(condition):
    """Wait for a fact that the background brings about."""
    async with asyncio.timeout(3):
        while not condition():
            await asyncio.sleep(0.01)


async def test_the_first_endpoint_is_preferred():
    """While the first one answers nobody else is asked."""
    async with (
        node(good("0x1")) as (first, _),
        node(good("0x2")) as (second, others),
        Rpc([Endpoint(first), Endpoint(second)]) as client,
    ):
        assert [await client.block_number() for _ in range(3)] == [1, 1, 1]
        assert client.shown_url == first
    assert others == []


async def test_a_fault_moves_on_at_once_and_a_proof_brings_back():
    """A failing node is left without a pause; it is asked again only once it has answered in the background."""
    fails = {"eth_blockNumber", "eth_chainId"}
    async with (
        node(chain(999, fails=fails)) as (first, asked),
        node(chain(999)) as (second, _),
        Rpc([Endpoint(first), Endpoint(second)]) as client,
    ):
        client.require_chain(999)
        started = monotonic()
        assert await client.block_number() == 999
        assert monotonic() - started < 0.5
        assert client.shown_url == second
        before = len(asked)
        for _ in range(20):
            assert await client.block_number() == 999
        assert names(asked[before:]) == []
        fails.clear()
        await asyncio.sleep(0.5)
        await client.block_number()
        await until(lambda: client.health()[0].state == "ready")
        assert names(asked[before:]) == ["eth_chainId"]
        await client.block_number()
        assert client.shown_url == first


async def test_each_fault_in_a_row_makes_the_rest_longer():
    """The bench doubles with every fault after it ended, with jitter, up to its limit; an answer resets it."""
    endpoint, rests = Endpoint("http://127.0.0.1:9"), []
    for _ in range(9):
        endpoint.benched_until = 0.0
        endpoint.bench(Fault("broken"))
        rests.append(endpoint.benched_until - monotonic())
    assert all(0.5 * 0.5 * 2**n <= rest + 0.01 <= 0.51 * 2**n + 0.01 for n, rest in enumerate(rests[:6]))
    assert 14 < rests[-1] <= 30


async def test_all_benched_is_not_given_up():
    """When every endpoint rests, the one that is due first is tried all the same, and one that healed is found."""
    broken = http("<html>", status="502 Bad Gateway")
    async with (
        node(in_turn(broken, broken, good("0x7"))) as (first, _),
        node(lambda _: broken) as (second, _),
        Rpc([Endpoint(first), Endpoint(second)], timeout_s=3) as client,
    ):
        assert await client.block_number() == 7


async def test_a_silent_node_costs_its_share_only():
    """With a fallback a node that says nothing costs a part of the deadline, not the whole of it."""
    async with (
        node(lambda _: None) as (first, _),
        node(good("0x5")) as (second, _),
        Rpc([Endpoint(first), Endpoint(second)], timeout_s=1.0) as client,
    ):
        started = monotonic()
        assert await client.block_number() == 5
        assert 0.4 < monotonic() - started < 0.9
        started = monotonic()
        assert await client.block_number() == 5
        assert monotonic() - started < 0.3


async def test_retry_after_is_kept_also_by_the_next_call():
    """A node that asked to be left alone is not asked until then; the caller hears so at once."""
    busy = http("slow down", status="429 Too Many Requests", headers=["Retry-After: 1"])
    async with node(in_turn(busy, good("0x1"))) as (url, requests), Rpc(url, timeout_s=0.3) as client:
        for _ in range(3):
            with pytest.raises(NoAnswer, match="429") as caught:
                await client.block_number()
            assert caught.value.status == 429
        assert (len(requests), client.health()[0].state) == (1, "limited")
        await asyncio.sleep(1.0)
        assert await client.block_number() == 1


async def test_a_limit_in_an_error_object_moves_on():
    """A node that says -32005 to a plain read is benched, and the fallback answers."""

    def limited(request):
        return http(json.dumps(rpc(id=request["id"], error={"code": -32005, "message": "limit exceeded"})))

    async with (
        node(limited) as (first, asked),
        node(good("0x3")) as (second, _),
        Rpc([Endpoint(first), Endpoint(second)]) as client,
    ):
        assert [await client.block_number() for _ in range(3)] == [3, 3, 3]
    assert len(asked) == 1


async def test_a_range_that_is_too_wide_is_the_callers_business():
    """The same code for eth_getLogs may mean too many blocks: no other node is bothered with them."""

    def wide(request):
        error = {"code": -32005, "message": "query returned more than 10000 results"}
        return http(json.dumps(rpc(id=request["id"], error=error)))

    async with (
        node(wide) as (first, _),
        node(good([])) as (second, others),
        Rpc([Endpoint(first), Endpoint(second)]) as client,
    ):
        with pytest.raises(Exception, match="more than 10000") as caught:
            await client.call("eth_getLogs", {})
        assert not caught.value.is_rate_limit
    assert others == []


async def test_a_fallback_of_another_chain_is_found_out_before_it_is_needed():
    """As soon as the chain is known every endpoint is asked for its own, in the background."""
    async with (
        node(chain(999)) as (first, _),
        node(chain(1)) as (second, asked),
        Rpc([Endpoint(first), Endpoint(second)]) as client,
    ):
        client.require_chain(999)
        await until(lambda: client.health()[1].state == "quarantined")
        assert await client.block_number() == 999
    assert names(asked) == ["eth_chainId"]


async def test_no_endpoint_of_the_right_chain_is_the_wrong_target():
    """When all follow another chain the error names each of them, and nothing more is asked."""
    async with (
        node(chain(1)) as (first, asked),
        node(chain(5)) as (second, others),
        Rpc([Endpoint(first), Endpoint(second)]) as client,
    ):
        client.require_chain(999)
        for _ in range(3):
            with pytest.raises(WrongTarget, match=r"is chain 1, not 999.*is chain 5, not 999"):
                await client.block_number()
    assert names(asked) + names(others) == ["eth_chainId", "eth_chainId"]


async def test_a_distrusted_node_rests_only_while_another_can_be_asked():
    """What a node says may be wrong without a fault: it is benched, unless it is the only one."""
    async with (
        node(good("0x1")) as (first, _),
        node(good("0x2")) as (second, _),
        Rpc([Endpoint(first), Endpoint(second)]) as client,
    ):
        assert await client.block_number() == 1
        client.distrust("its head stands still")
        assert client.health()[0].why == "its head stands still"
        assert await client.block_number() == 2
        client.distrust("its head stands still")
        assert await client.block_number() == 2


async def test_keys_of_no_endpoint_are_shown():
    """An error of one node never carries the key of another."""

    def echo(request):
        return http(json.dumps(rpc(id=request["id"], error={"code": -1, "message": "first5ecret second5ecret"})))

    async with (
        node(echo) as (url, _),
        Rpc([Endpoint(f"{url}/first5ecret"), Endpoint(f"{url}/second5ecret")]) as client,
    ):
        with pytest.raises(Exception, match=r"\*\*\* \*\*\*") as caught:
            await client.block_number()
        shown = f"{caught.value!r} {client!r} {client.health()} {client.endpoints.all}"
    assert "5ecret" not in shown
