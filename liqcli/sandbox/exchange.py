"""The sandbox's two exchanges: the real Uniswap V2 and V3 from their npm artifacts, with pools of finite depth."""

import json
import math
from dataclasses import dataclass
from functools import cache

from liqcli.chain.artifacts import Artifact, own_artifact, read_artifact
from liqcli.chain.rpc import Rpc
from liqcli.model import BASE_UNIT, Address
from liqcli.sandbox.build import Build
from liqcli.sandbox.calls import EVERYTHING, approve, mint
from liqcli.sandbox.market import Asset, Deployment
from liqcli.sandbox.npm import find_package
from liqcli.sandbox.transactions import send_all

V2_FEE = 3000
"""Hundredths of a basis point, as V3 counts them; V2 knows no other."""
TICK_SPACING = {100: 1, 500: 10, 3000: 60}
WIDE_TICKS, NARROW_TICKS = 16_080, 1_020
"""Half the width of the two positions in a V3 pool: a factor of five, and 11 %."""
POOL_GAS = 7_000_000
SWAP_STOCK_USD = 10.0**9
Q96 = 2**96


@dataclass(frozen=True, slots=True)
class PoolListing:
    """A pool to be: its exchange, pair and fee, and how many dollars of each side are in it."""

    version: int
    first: str
    second: str
    fee: int
    depth_usd: float


POOLS = (
    PoolListing(3, "WHYPE", "USDC", 3000, 4e6),
    PoolListing(3, "WHYPE", "USDT0", 3000, 2e6),
    PoolListing(3, "wstHYPE", "WHYPE", 500, 4e6),
    PoolListing(3, "UBTC", "USDC", 3000, 5e6),
    PoolListing(3, "UETH", "USDC", 500, 5e6),
    PoolListing(3, "USDC", "USDT0", 100, 2e7),
    PoolListing(2, "WHYPE", "USDC", V2_FEE, 3e6),
    PoolListing(2, "wstHYPE", "WHYPE", V2_FEE, 1e6),
    PoolListing(2, "UBTC", "WHYPE", V2_FEE, 2e6),
    PoolListing(2, "UETH", "USDT0", V2_FEE, 2e6),
    PoolListing(2, "UETH", "WHYPE", V2_FEE, 1e6),
)


@dataclass(frozen=True, slots=True)
class TradedPair:
    """One side of a pool per asset, in the pool's own order: the lower token address first."""

    listing: PoolListing
    token0: Asset
    token1: Asset


@dataclass(frozen=True, slots=True)
class Exchange:
    """Both exchanges' contracts, and the pairs they trade."""

    factory_v2: Address
    router_v2: Address
    factory_v3: Address
    router_v3: Address
    quoter: Address
    pairs: tuple[TradedPair, ...]


@cache
def artifact_v2(package: str, name: str) -> Artifact:
    """A contract of `@uniswap/v2-core` or `v2-periphery`, in the format of their own compiler run."""
    raw = json.loads((find_package(f"@uniswap/{package}") / "build" / f"{name}.json").read_bytes())
    deployed = raw["evm"]["deployedBytecode"]["object"]
    return Artifact(name, raw["abi"], f"0x{raw['bytecode']}", f"0x{deployed}", {})


@cache
def artifact_v3(package: str, path: str) -> Artifact:
    """A contract of `@uniswap/v3-core` or `v3-periphery`; `path` is its source below `contracts`, without `.sol`."""
    root = find_package(f"@uniswap/{package}") / "artifacts" / "contracts"
    return read_artifact(root / f"{path}.sol" / f"{path.rpartition('/')[2]}.json")


async def deploy_exchange(rpc: Rpc, market: Deployment) -> Exchange:
    """Deploy both exchanges and fill their pools at the listed prices."""
    deployer = market.deployer
    build = Build(deployer, int(await rpc.call("eth_getTransactionCount", deployer, "latest"), 16))
    pairs = tuple(_ordered(market, listing) for listing in POOLS)
    weth = market.asset("WHYPE").token
    factory_v2, router_v2 = _plan_v2(build, weth)
    factory_v3, router_v3, quoter, positions = _plan_v3(build, weth)
    build.transactions += [
        step
        for asset in market.assets
        for step in (
            mint(deployer, asset, asset.listing.amount(SWAP_STOCK_USD)),
            *(approve(deployer, asset, spender) for spender in (router_v2, router_v3, positions)),
        )
    ]
    for pair in pairs:
        if pair.listing.version == 2:
            _fill_v2(build, router_v2, pair)
        else:
            _fill_v3(build, positions, pair)
    await send_all(rpc, build.transactions)
    return Exchange(factory_v2, router_v2, factory_v3, router_v3, quoter, pairs)


async def deploy_liquidator(rpc: Rpc, market: Deployment, exchange: Exchange, owner: Address) -> Address:
    """Deploy our Liquidator for `owner`, with both routers allowed."""
    build = Build(owner, int(await rpc.call("eth_getTransactionCount", owner, "latest"), 16))
    routers = [exchange.router_v2], [exchange.router_v3]
    address = build.create(own_artifact("Liquidator"), market.pool, *routers)
    await send_all(rpc, build.transactions)
    return address


def sqrt_price(pair: TradedPair, prices: dict[str, int]) -> int:
    """The square root of token1 per token0 in units, as V3 keeps it: times 2**96."""
    first, second = pair.token0.listing, pair.token1.listing
    ratio = (prices[first.symbol] * second.unit << 192) // (prices[second.symbol] * first.unit)
    return math.isqrt(ratio)


def _ordered(market: Deployment, listing: PoolListing) -> TradedPair:
    assets = sorted((market.asset(listing.first), market.asset(listing.second)), key=lambda asset: asset.token)
    return TradedPair(listing, *assets)


def _plan_v2(build: Build, weth: Address) -> tuple[Address, Address]:
    factory = build.create(artifact_v2("v2-core", "UniswapV2Factory"), build.deployer)
    return factory, build.create(artifact_v2("v2-periphery", "UniswapV2Router02"), factory, weth)


def _plan_v3(build: Build, weth: Address) -> tuple[Address, Address, Address, Address]:
    source = artifact_v3("v3-core", "UniswapV3Factory")
    factory = build.create(source)
    build.call(factory, source, "enableFeeAmount", 100, TICK_SPACING[100], gas=POOL_GAS)
    router = build.create(artifact_v3("v3-periphery", "SwapRouter"), factory, weth)
    quoter = build.create(artifact_v3("v3-periphery", "lens/QuoterV2"), factory, weth)
    positions = build.create(artifact_v3("v3-periphery", "NonfungiblePositionManager"), factory, weth, weth)
    return factory, router, quoter, positions


def _fill_v2(build: Build, router: Address, pair: TradedPair) -> None:
    amounts = _depth(pair)
    build.call(
        *(router, artifact_v2("v2-periphery", "UniswapV2Router02"), "addLiquidity"),
        *(pair.token0.token, pair.token1.token, *amounts, 0, 0, build.deployer, EVERYTHING),
        gas=POOL_GAS,
    )


def _fill_v3(build: Build, positions: Address, pair: TradedPair) -> None:
    """A wide position that no crash leaves, and a narrow one that it does: swaps cross ticks."""
    source, fee = artifact_v3("v3-periphery", "NonfungiblePositionManager"), pair.listing.fee
    tokens = pair.token0.token, pair.token1.token
    start = sqrt_price(pair, {asset.listing.symbol: asset.listing.price for asset in (pair.token0, pair.token1)})
    build.call(positions, source, "createAndInitializePoolIfNecessary", *tokens, fee, start, gas=POOL_GAS)
    middle = round(2 * math.log(start / Q96, 1.0001) / 60) * 60
    for width in (WIDE_TICKS, NARROW_TICKS):
        halves = (amount // 2 for amount in _depth(pair))
        ticks = middle - width, middle + width
        position = (*tokens, fee, *ticks, *halves, 0, 0, build.deployer, EVERYTHING)
        build.call(positions, source, "mint", position, gas=POOL_GAS)


def _depth(pair: TradedPair) -> tuple[int, int]:
    """The dollars of each side in token units, worth the same at the listed prices."""
    base = int(pair.listing.depth_usd) * BASE_UNIT
    first, second = pair.token0.listing, pair.token1.listing
    return base * first.unit // first.price, base * second.unit // second.price
