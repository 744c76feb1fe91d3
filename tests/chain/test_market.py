import json

import pytest

from liqcli.chain.abi import GET_ASSET_PRICE, GET_USER_ACCOUNT_DATA
from liqcli.chain.market import AGGREGATOR, open_market
from liqcli.chain.rpc import Rpc
from liqcli.errors import Unreachable, WrongTarget
from liqcli.model import NO_DEBT
from tests.chain.sandbox import (
    borrowers_of,
    crash,
    open_sandbox,
    sandbox_behind,
    set_price,
    words_of,
)
from tests.chain.servers import http, node, relay, rpc

STRANGER = "0x" + "5e" * 20


async def test_market_is_found_from_its_provider(world):
    """Pool, oracle, configurator, version and reserves all follow from the PoolAddressesProvider."""
    market = await open_sandbox(world)
    there = world.deployment
    assert (market.addresses.pool, market.addresses.oracle) == (there.pool, there.oracle)
    assert (market.addresses.configurator, market.addresses.data_provider) == (there.configurator, there.data_provider)
    assert (market.version, market.chain_id) == ((3, 0, 2), 999)
    listed = [(reserve.asset, reserve.symbol, reserve.decimals) for reserve in market.reserves]
    assert listed == [(asset.token, asset.listing.symbol, asset.listing.decimals) for asset in there.assets]
    assert [reserve.a_token for reserve in market.reserves] == [asset.a_token for asset in there.assets]


async def test_mixed_case_provider_is_the_same_address(world):
    """Addresses are compared in lower case, however the operator typed them."""
    shouted = "0x" + world.facts.provider[2:].upper()
    market = await open_market(world.rpc, name="sandbox", provider=shouted, chain_id=999)
    assert market.addresses.provider == world.facts.provider


async def test_readings_equal_single_calls(world):
    """A batch read says of each borrower exactly what its own eth_call says, at one block."""
    market = await open_sandbox(world)
    batch = await market.readings(borrowers_of(world))
    assert (batch.block, batch.at) == await market.head()
    assert not batch.failed
    for borrower, reading in batch.readings.items():
        collateral, debt, _, _, _, health_factor = await words_of(
            world, world.facts.pool, GET_USER_ACCOUNT_DATA, borrower
        )
        assert (reading.collateral_base, reading.debt_base, reading.health_factor) == (collateral, debt, health_factor)
        assert (reading.block, reading.at) == (batch.block, batch.at)


async def test_stranger_has_no_debt(world):
    """An address the pool never saw reads as debt-free, which is knowledge, not failure."""
    market = await open_sandbox(world)
    batch = await market.readings([STRANGER])
    assert batch.readings[STRANGER].health_factor == NO_DEBT


async def test_nobody_is_read_with_no_call(world):
    """An empty list costs nothing and finds nobody."""
    market = await open_sandbox(world)
    before = market.rpc.requests
    batch = await market.readings([])
    assert (batch.readings, batch.failed, market.rpc.requests) == ({}, frozenset(), before)


async def test_borrower_whose_read_reverts_is_unknown(chain):
    """Without a price for one asset its users are failed, all others are read; nobody seems healthy by accident."""
    market = await open_sandbox(chain)
    borrowers = borrowers_of(chain)
    users = {plan.borrower for plan in chain.plans if "UETH" in dict(plan.collateral) | dict(plan.debt)}
    await set_price(chain, "UETH", 0)
    batch = await market.readings(borrowers)
    assert users
    assert batch.failed == users
    assert batch.readings.keys() == set(borrowers) - users


async def test_prices_equal_the_oracle(world):
    """Every reserve's price is the oracle's answer."""
    market = await open_sandbox(world)
    prices = await market.prices()
    for reserve in market.reserves:
        assert [prices.by_asset[reserve.asset]] == await words_of(
            world, world.deployment.oracle, GET_ASSET_PRICE, reserve.asset
        )


async def test_missing_price_is_absent(chain):
    """A feed without an answer leaves its asset out; it is never worth 0."""
    market = await open_sandbox(chain)
    await set_price(chain, "UETH", 0)
    prices = await market.prices()
    assert len(prices.by_asset) == len(market.reserves) - 1
    assert chain.deployment.asset("UETH").token not in prices.by_asset


async def test_market_without_multicall3_is_read_all_the_same(chain):
    """Where nobody deployed Multicall3 our own code is lent to the call, and reads the same."""
    expected = await (await open_sandbox(chain)).readings(borrowers_of(chain))
    await chain.rpc.call("anvil_setCode", AGGREGATOR, "0x")
    market = await open_sandbox(chain)
    assert (await market.readings(borrowers_of(chain))).readings == expected.readings


async def test_early_and_hostile_symbols_are_kept_as_text(chain):
    """A bytes32 symbol reads as text, and hostile characters stay in the raw text for the border to remove."""
    symbol = b"\x1b[31mMKR".ljust(32, b"\0")
    returns_it = "0x7f" + symbol.hex() + "5f5260205ff3"
    await chain.rpc.call("anvil_setCode", chain.deployment.asset("UBTC").token, returns_it)
    market = await open_sandbox(chain)
    assert market.reserves[2].symbol == "\x1b[31mMKR"


async def test_token_without_a_symbol_is_named_by_its_address(chain):
    """A token that has no symbol() does not stop the market from opening."""
    token = chain.deployment.asset("UBTC").token
    await chain.rpc.call("anvil_setCode", token, "0x5f5ffd")
    market = await open_sandbox(chain)
    assert market.reserves[2].symbol == f"{token[:6]}…{token[-4:]}"


def refusing_more_than(count):
    """A gateway that answers 413 to calls that carry more than `count` account reads."""
    selector = GET_USER_ACCOUNT_DATA.hex()

    def refuse(request):
        too_many = json.dumps(request).count(selector) > count
        return http("", status="413 Request Entity Too Large") if too_many else None

    return refuse


@pytest.mark.parametrize("most", [25, 1])
async def test_batch_the_node_cannot_take_is_halved(world, most):
    """A batch too large for the node is read in halves, down to one borrower a call, and nobody is lost."""
    async with relay(world.node.url, refusing_more_than(most)) as (url, _), sandbox_behind(world, url) as market:
        batch = await market.readings(borrowers_of(world))
    assert batch.readings.keys() == set(borrowers_of(world))
    assert not batch.failed


async def test_borrower_that_alone_cannot_be_read_is_unknown(world):
    """What fails even alone, on a node that answers other questions, is failed; the rest are read."""
    bad = borrowers_of(world)[7]

    def refuse(request):
        return http("", status="413 Request Entity Too Large") if bad[2:] in json.dumps(request) else None

    async with relay(world.node.url, refuse) as (url, _), sandbox_behind(world, url) as market:
        batch = await market.readings(borrowers_of(world))
    assert batch.failed == {bad}
    assert len(batch.readings) == len(world.plans) - 1


async def test_batch_that_runs_out_of_gas_is_halved(chain):
    """A batch beyond the node's gas limit is read in halves, to the same readings."""
    market = await open_sandbox(chain)
    whole = await market.readings(borrowers_of(chain))

    def with_gas(request):
        for item in request if isinstance(request, list) else [request]:
            if item["method"] == "eth_call":
                item["params"][0]["gas"] = hex(1_500_000)

    async with relay(chain.node.url, with_gas) as (url, requests), sandbox_behind(chain, url) as limited:
        batch = await limited.readings(borrowers_of(chain))
    assert len(requests) > 2
    assert batch.readings == whole.readings


async def test_node_that_is_gone_is_said_to_be_gone(world):
    """A node that refuses connections is unreachable: nobody is marked unknown one by one."""
    async with sandbox_behind(world, "http://127.0.0.1:9", timeout_s=1.0) as market:
        with pytest.raises(Unreachable, match="connection refused"):
            await market.readings(borrowers_of(world))


async def test_silent_node_costs_two_deadlines(world):
    """When a batch timed out and the node does not answer a small question either, it is unreachable."""
    async with node(lambda _: None) as (url, requests), sandbox_behind(world, url, timeout_s=0.2) as market:
        with pytest.raises(Unreachable, match="timed out"):
            await market.readings(borrowers_of(world))
    assert len(requests) == 2


async def test_rate_limit_is_not_answered_with_more_requests(world):
    """A limited node is not pressed with halves."""
    limited = http(json.dumps(rpc(id=None, error={"code": -32005, "message": "limit exceeded"})))
    async with node(lambda _: limited) as (url, requests), sandbox_behind(world, url) as market:
        with pytest.raises(Unreachable, match="limit exceeded"):
            await market.readings(borrowers_of(world))
    assert len(requests) == 1


async def test_wrong_chain_is_refused(world):
    """Another chain than the network's is refused with both names, before anything else is asked."""
    with pytest.raises(WrongTarget) as caught:
        await open_market(world.rpc, name="hyperlend", provider=world.facts.provider, chain_id=998)
    assert str(caught.value) == ("the RPC is chain 999 (hyperevm), but --network is hyperevm-testnet (998)")
    assert caught.value.hint == "use --network hyperevm, or another URL. Nothing was sent."
    assert caught.value.exit_code == 5


async def test_unknown_chain_is_refused_by_number(world):
    """A chain without a preset is shown by its number; `local` takes any."""

    def chain_1337(request):
        return http(json.dumps(rpc(id=request["id"], result="0x539")))

    async with node(chain_1337) as (url, _), Rpc(url) as client:
        with pytest.raises(WrongTarget) as caught:
            await open_market(client, name="hyperlend", provider=world.facts.provider, chain_id=999)
    assert str(caught.value) == "the RPC is chain 1337, but --network is hyperevm (999)"
    assert "--network local" in caught.value.hint


async def test_address_without_a_contract_is_refused(world):
    """A provider that is no contract is said to be none, with the market and the chain."""
    with pytest.raises(WrongTarget) as caught:
        await open_market(world.rpc, name="hyperlend", provider=STRANGER, chain_id=999)
    assert str(caught.value) == f"no contract at {STRANGER} (market hyperlend) on chain 999"
    assert "--pool-addresses-provider 0x" in caught.value.hint


@pytest.mark.parametrize("which", ["token", "pool"])
async def test_contract_of_another_kind_is_refused(world, which):
    """A contract that is not a PoolAddressesProvider is refused as that, not opened as an empty market."""
    other = world.facts.pool if which == "pool" else world.deployment.assets[0].token
    with pytest.raises(WrongTarget, match="not a PoolAddressesProvider"):
        await open_market(world.rpc, name="mine", provider=other, chain_id=999)


async def test_crash_shows_in_the_next_reading(chain):
    """After a fall of all volatile prices more borrowers are below one than before."""
    market = await open_sandbox(chain)
    before = await market.readings(borrowers_of(chain))
    await crash(chain, 30)
    after = await market.readings(borrowers_of(chain))
    assert sum(r.is_liquidatable for r in after.readings.values()) > sum(
        r.is_liquidatable for r in before.readings.values()
    )


async def test_more_than_one_call_can_carry_is_split(world):
    """Above 500 borrowers the read takes several calls, and everyone is read once."""
    market = await open_sandbox(world)
    before = market.rpc.requests
    strangers = [f"0x{number:040x}" for number in range(1, 1102)]
    batch = await market.readings([*borrowers_of(world), *strangers])
    assert len(batch.readings) == 1101 + len(world.plans)
    assert market.rpc.requests - before == 3
