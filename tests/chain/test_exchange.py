"""Pools are found, routes go straight or over a hub, and quotes are what the exchanges' own contracts say."""

from dataclasses import replace
from itertools import permutations

import pytest
from eth_abi import decode
from hypothesis import given
from hypothesis import strategies as st

from liqcli.chain.exchange import open_exchange
from liqcli.chain.routes import Route, Sale, Venue, routes_between
from liqcli.errors import WrongTarget
from liqcli.sandbox.exchange import POOLS
from tests.chain.sandbox import configure, open_sandbox
from tests.contracts.stage import balance, open_everything, settings_of

A, B, C, D = (f"0x{number:040x}" for number in (0xA, 0xB, 0xC, 0xD))
ROUTER, QUOTER = "0x" + "40" * 20, "0x" + "41" * 20
OFF = False
ADDRESSES = st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())


def venue(pools, *, is_v3=True):
    """An exchange with these pools."""
    return Venue(ROUTER, QUOTER, is_v3, {frozenset(pair): fees for pair, fees in pools.items()})


def test_routes_are_every_way_with_every_fee():
    """One straight route a pool, and one over a hub for each combination of its two pools."""
    found = routes_between([venue({(A, B): (500, 3000), (A, C): (100,), (C, B): (500, 3000)})], A, B)
    assert {(route.tokens, route.fees) for route in found} == {
        ((A, B), (500,)),
        ((A, B), (3000,)),
        ((A, C, B), (100, 500)),
        ((A, C, B), (100, 3000)),
    }


def test_routes_stay_on_one_exchange():
    """Our contract swaps once, so a way over two exchanges is none."""
    assert routes_between([venue({(A, C): (0,)}, is_v3=False), venue({(C, B): (500,)})], A, B) == ()


def test_no_pool_is_no_route():
    """A token nobody trades cannot be sold."""
    assert routes_between([venue({(A, B): (500,)})], A, D) == ()
    assert routes_between([], A, B) == ()


@given(st.lists(st.tuples(ADDRESSES, st.integers(1, 2**24 - 1)), min_size=2, max_size=5), st.integers(0, 2**255))
def test_a_v3_question_is_what_the_quoter_takes(steps, amount):
    """Path and question are packed as Uniswap's own: token, three bytes of fee, token, and so on."""
    tokens = tuple(token for token, _ in steps)
    fees = tuple(fee for _, fee in steps[1:])
    to, data = Route(ROUTER, QUOTER, tokens, fees).asking(amount)
    path, asked = decode(["bytes", "uint256"], data[4:])
    assert (to, asked) == (QUOTER, amount)
    expected = bytes.fromhex(tokens[0][2:])
    for fee, token in zip(fees, tokens[1:], strict=True):
        expected += fee.to_bytes(3) + bytes.fromhex(token[2:])
    assert path == expected


@given(st.lists(ADDRESSES, min_size=2, max_size=5), st.integers(0, 2**256 - 1))
def test_a_v2_question_is_what_the_router_takes(tokens, amount):
    """The router is asked for its own amounts along the tokens."""
    route = Route(ROUTER, ROUTER, tuple(tokens), ())
    to, data = route.asking(amount)
    assert (to, decode(["uint256", "address[]"], data[4:])) == (ROUTER, (amount, tuple(tokens)))
    assert route.path == "0x" + "".join(token[2:] for token in tokens)


async def test_every_pool_of_the_sandbox_is_found(world):
    """Each listed pool gives a straight route with its fee, and every pair of assets has some route."""
    _, exchange = await open_everything(world)
    token = {asset.listing.symbol: asset.token for asset in world.deployment.assets}
    for pool in POOLS:
        straight = [route for route in exchange.routes(token[pool.first], token[pool.second]) if route.swaps == 1]
        fees = () if pool.version == 2 else (pool.fee,)
        assert fees in [route.fees for route in straight]
    assert all(exchange.routes(*pair) for pair in permutations(token.values(), 2))


async def test_a_quote_that_cannot_be_had_is_left_out(world):
    """More than a V2 pool could ever take has quotes of other routes only; nothing of nothing has none."""
    _, exchange = await open_everything(world)
    whype, usdc = (world.deployment.asset(symbol).token for symbol in ("WHYPE", "USDC"))
    none, much = Sale(whype, usdc, 0), Sale(whype, usdc, 2**250)
    offers = await exchange.offers([none, much], [])
    assert none not in offers.quotes
    assert all(quote.route.fees for quote in offers.quotes.get(much, ()))


async def test_what_can_be_lent_is_what_the_pool_holds(chain):
    """The loan's limit is the aToken's balance, and nothing where the pool's admin has switched flash loans off."""
    market, exchange = await open_everything(chain)
    usdc, ueth = chain.deployment.asset("USDC"), chain.deployment.asset("UETH")
    await configure(chain, "setReserveFlashLoaning", ueth.token, OFF)
    offers = await exchange.offers([], [usdc.token, ueth.token])
    assert offers.lendable == {usdc.token: await balance(chain, usdc.token, usdc.a_token), ueth.token: 0}
    assert (offers.premium_bps, offers.contract) == (4, chain.facts.contract)
    assert offers.gas_limit == int((await market.rpc.call("eth_getBlockByNumber", "latest", OFF))["gasLimit"], 16)


async def test_pools_that_open_later_are_seen_by_a_reload(chain):
    """Routes are those of the last look."""
    market = await open_sandbox(chain)
    exchange = await open_exchange(market, settings_of(chain, fees_v3=(10_000,)))
    tokens = [chain.deployment.asset(symbol).token for symbol in ("USDC", "USDT0")]
    assert not [route for route in exchange.routes(*tokens) if route.fees]
    exchange._settings = settings_of(chain)
    await exchange.reload()
    assert [route for route in exchange.routes(*tokens) if route.fees]


async def test_a_router_that_is_none_is_refused(chain):
    """An address without a router behind it is a wrong target, told by its address."""
    market = await open_sandbox(chain)
    exchange = await open_exchange(market, settings_of(chain))
    exchange._settings = settings_of(chain, routers_v2=(chain.facts.liquidator,))
    with pytest.raises(WrongTarget, match="names no factory"):
        await exchange.reload()


def test_a_route_knows_its_swaps():
    """Gas is counted by the pools on the way."""
    route = Route(ROUTER, QUOTER, (A, C, B), (100, 500))
    assert (route.swaps, replace(route, tokens=(A, B), fees=(100,)).swaps) == (2, 1)
