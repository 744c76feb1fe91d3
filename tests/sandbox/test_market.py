"""The deployed market is the one that the listings describe, on a chain like HyperEVM."""

import pytest

from liqcli.chain.abi import (
    GET_ASSET_PRICE,
    POOL_REVISION,
    encode_call,
    pack_aggregate3,
    unhex,
    unpack_aggregate3,
    words,
)
from liqcli.chain.aggregate import AGGREGATOR
from liqcli.chain.artifacts import own_artifact
from liqcli.sandbox.calls import set_price
from liqcli.sandbox.market import Asset
from liqcli.sandbox.reserves import HYPE_EMODE, LISTINGS
from liqcli.sandbox.transactions import send_all
from liqcli.sandbox.world import World

GET_CONFIGURATION = bytes.fromhex("c44b11f7")
GET_EMODE_CATEGORY_DATA = bytes.fromhex("6c6f6ae1")
GET_ADDRESSES = {
    "pool": "026b1d5f",
    "oracle": "fca513a8",
    "configurator": "631adfca",
    "data_provider": "e860accb",
}


async def read(world: World, to: str, data: bytes) -> bytes:
    return unhex(await world.rpc.call("eth_call", {"to": to, "data": "0x" + data.hex()}, "latest"))


def bits(word: int, first: int, last: int) -> int:
    return word >> first & (1 << last - first + 1) - 1


async def test_the_chain_calls_itself_999(world: World):
    """The sandbox has HyperEVM's chain id, so that nothing needs to know it is none."""
    assert await world.rpc.chain_id() == 999


async def test_the_pool_is_of_the_3_0_2_generation(world: World):
    """POOL_REVISION 1 means Aave 3.0.1 or 3.0.2."""
    assert words(await read(world, world.facts.pool, POOL_REVISION), 1) == [1]


async def test_the_provider_names_every_contract(world: World):
    """Whoever knows the PoolAddressesProvider finds the pool, the oracle, the configurator and the data provider."""
    for name, selector in GET_ADDRESSES.items():
        (found,) = words(await read(world, world.facts.provider, bytes.fromhex(selector)), 1)
        assert f"0x{found:040x}" == getattr(world.deployment, name), name


@pytest.mark.parametrize("at", range(len(LISTINGS)), ids=[listing.symbol for listing in LISTINGS])
async def test_a_reserve_is_configured_as_listed(world: World, at: int):
    """Limits, bonus, fees, decimals and e-mode category read back from the pool are those of the listing."""
    asset = world.deployment.assets[at]
    listing = asset.listing
    (configuration,) = words(await read(world, world.facts.pool, encode_call(GET_CONFIGURATION, asset.token)), 1)
    assert bits(configuration, 0, 15) == listing.ltv
    assert bits(configuration, 16, 31) == listing.liquidation_threshold
    assert bits(configuration, 32, 47) == listing.liquidation_bonus
    assert bits(configuration, 48, 55) == listing.decimals
    assert bits(configuration, 56, 60) == 0b00101  # active, not frozen, borrowable, no stable rate, not paused
    assert bits(configuration, 63, 63) == 1  # flash loans
    assert bits(configuration, 64, 79) == listing.reserve_factor
    assert bits(configuration, 152, 167) == listing.protocol_fee
    assert bits(configuration, 168, 175) == listing.emode


async def test_the_listings_differ_where_liquidators_trip():
    """Decimals 6, 8 and 18 occur, and limits, bonuses and protocol fees are not all alike."""
    assert {listing.decimals for listing in LISTINGS} == {6, 8, 18}
    for field in ("ltv", "liquidation_threshold", "liquidation_bonus", "protocol_fee"):
        assert len({getattr(listing, field) for listing in LISTINGS}) >= 4, field


async def test_the_emode_category_is_on_the_chain(world: World):
    """Category 1 has its own LTV, threshold and bonus, and no price source of its own."""
    answer = await read(world, world.facts.pool, encode_call(GET_EMODE_CATEGORY_DATA, HYPE_EMODE.id))
    expected = [HYPE_EMODE.ltv, HYPE_EMODE.liquidation_threshold, HYPE_EMODE.liquidation_bonus, 0]
    assert words(answer[32:], 4) == expected


async def test_the_oracle_reads_the_feeds(chain: World):
    """A feed that is set moves the oracle's price of its asset and of no other."""
    first, second = chain.deployment.assets[:2]
    before = await price(chain, second)
    await send_all(chain.rpc, [set_price(chain.deployment.deployer, first, 42_00000001)])
    assert await price(chain, first) == 42_00000001
    assert await price(chain, second) == before


async def price(world: World, asset: Asset) -> int:
    return words(await read(world, world.deployment.oracle, encode_call(GET_ASSET_PRICE, asset.token)), 1)[0]


async def test_a_set_feed_logs_answer_updated(chain: World):
    """The event that watchers of Chainlink feeds follow carries the price and the round."""
    asset = chain.deployment.assets[0]
    (outcome,) = await send_all(chain.rpc, [set_price(chain.deployment.deployer, asset, 31_00000000)])
    (log,) = (await chain.rpc.call("eth_getTransactionReceipt", outcome.hash))["logs"]
    assert log["topics"][0] == "0x0559884fd3a460db3073b7fc896cc77986f16e378210ded43186175bf646fc5f"
    assert int(log["topics"][1], 16) == 31_00000000


async def test_our_aggregator_stands_in_for_multicall3(world: World):
    """At Multicall3's address, aggregate3 answers reads that worked and marks the one that did not."""
    token = world.deployment.assets[2].token
    decimals, nonsense, block = bytes.fromhex("313ce567"), bytes.fromhex("deadbeef"), bytes.fromhex("42cbb15c")
    data = pack_aggregate3([(token, decimals), (token, nonsense), (AGGREGATOR, block)])
    good, bad, number = unpack_aggregate3(await read(world, AGGREGATOR, data), 3)
    assert words(good or b"", 1) == [8]
    assert bad is None
    assert words(number or b"", 1) == [await world.rpc.block_number()]


async def test_the_aggregator_reverts_when_a_call_must_not_fail(world: World):
    """Without allowFailure one failed call fails the whole, naming its index."""
    token = world.deployment.assets[0].token
    data = bytearray(pack_aggregate3([(token, bytes.fromhex("deadbeef"))]))
    data[4 + 32 * 4 + 31] = 0  # the word after offset, count, item offset and target: allowFailure
    answer = (await world.rpc.batch([("eth_call", ({"to": AGGREGATOR, "data": "0x" + data.hex()}, "latest"))]))[0]
    assert "refused" in str(answer)


async def test_the_node_runs_the_committed_code(world: World):
    """The code at the aggregator's address is the committed artifact's, byte for byte."""
    code = await world.rpc.call("eth_getCode", AGGREGATOR, "latest")
    assert code == own_artifact("Aggregator").deployed_bytecode
