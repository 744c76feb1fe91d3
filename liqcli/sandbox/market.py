"""Deploy the real Aave V3.0.2 on a fresh node, from the artifacts of its npm package.

Every address is computed before anything is sent (they follow from the sender and its nonce), so that the whole
market is one stream of transactions and no step waits for another's receipt.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from liqcli.chain.abi import GET_RESERVE_DATA, ZERO_ADDRESS, address_of, encode_call, unhex, words
from liqcli.chain.aggregate import AGGREGATOR
from liqcli.chain.artifacts import Artifact, own_artifact, read_artifact
from liqcli.chain.rpc import Rpc
from liqcli.model import BASE_UNIT, Address
from liqcli.sandbox.build import Build
from liqcli.sandbox.npm import find_package
from liqcli.sandbox.reserves import HYPE_EMODE, LISTINGS, Listing
from liqcli.sandbox.transactions import answers, create_address, send_all

AAVE = "@aave/core-v3"
TREASURY: Address = "0x7ea5000000000000000000000000000000007ea5"
RAY = 10**27
FLASH_LOAN_PREMIUM = 4
"""Basis points, as on HyperLend."""
ENABLED = True
HEADER_ONLY = False
LIBRARIES = (
    "BorrowLogic", "BridgeLogic", "ConfiguratorLogic", "EModeLogic", "FlashLoanLogic", "LiquidationLogic",
    "PoolLogic", "SupplyLogic",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asset:
    """A listed token with its feed and the two tokens Aave keeps its books in."""

    listing: Listing
    token: Address
    feed: Address
    a_token: Address
    debt_token: Address


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployed market; `block_hash` is a block of the deployment, unlike that of any other sandbox."""

    provider: Address
    pool: Address
    configurator: Address
    oracle: Address
    data_provider: Address
    deployer: Address
    assets: tuple[Asset, ...]
    block_hash: str

    def asset(self, symbol: str) -> Asset:
        """The asset of a symbol that the sandbox lists."""
        return next(asset for asset in self.assets if asset.listing.symbol == symbol)


@cache
def aave_artifact(name: str) -> Artifact:
    """A contract of the installed Aave package."""
    root = find_package(AAVE) / "artifacts" / "contracts"
    return read_artifact(next(_candidates(root, name)))


def _candidates(root: Path, name: str) -> Iterator[Path]:
    return (path for path in root.rglob(f"{name}.sol/{name}.json") if "interfaces" not in path.parts)


async def deploy_market(rpc: Rpc, deployer: Address) -> Deployment:
    """Deploy the contracts, list every reserve, and put our aggregator where Multicall3 is on live chains."""
    build = Build(deployer, int(await rpc.call("eth_getTransactionCount", deployer, "latest"), 16))
    for name in LIBRARIES:
        build.libraries[name] = build.create(aave_artifact(name))
    provider, pool, configurator, data_provider = _plan_core(build)
    tokens, feeds, oracle = plan_oracle(build, provider, aave_artifact("AaveOracle"))
    _plan_listings(build, provider, pool, configurator, tokens)
    return await finish(rpc, build, (provider, pool, configurator, oracle, data_provider), tokens, feeds)


async def finish(
    rpc: Rpc,
    build: Build,
    core: tuple[Address, Address, Address, Address, Address],
    tokens: Sequence[Address],
    feeds: Sequence[Address],
) -> Deployment:
    """Send what is planned; `core` are provider, pool, configurator, oracle and data provider, of any release."""
    outcomes = await send_all(rpc, build.transactions)
    await rpc.call("anvil_setCode", AGGREGATOR, own_artifact("Aggregator").deployed_bytecode)
    block = await rpc.call("eth_getBlockByNumber", hex(outcomes[-1].block or 0), HEADER_ONLY)
    assets = await _read_assets(rpc, core[1], tokens, feeds)
    return Deployment(*core, build.deployer, assets, block["hash"])


def _plan_core(build: Build) -> tuple[Address, Address, Address, Address]:
    registry = aave_artifact("PoolAddressesProvider")
    provider = build.create(registry, "sandbox", build.deployer)
    build.call(provider, registry, "setACLAdmin", build.deployer)
    roles = build.create(aave_artifact("ACLManager"), provider)
    build.call(provider, registry, "setACLManager", roles)
    build.call(roles, aave_artifact("ACLManager"), "addPoolAdmin", build.deployer)
    # The provider itself creates the two proxies: its first and second contract.
    build.call(provider, registry, "setPoolImpl", build.create(aave_artifact("Pool"), provider))
    build.call(provider, registry, "setPoolConfiguratorImpl", build.create(aave_artifact("PoolConfigurator")))
    data_provider = build.create(aave_artifact("AaveProtocolDataProvider"), provider)
    build.call(provider, registry, "setPoolDataProvider", data_provider)
    return provider, create_address(provider, 1), create_address(provider, 2), data_provider


def plan_oracle(build: Build, provider: Address, artifact: Artifact) -> tuple[list[Address], list[Address], Address]:
    """Mintable tokens, settable feeds, and an oracle of the given release that reads them."""
    token = aave_artifact("MintableERC20")
    tokens = [build.create(token, listing.name, listing.symbol, listing.decimals) for listing in LISTINGS]
    feeds = [build.create(own_artifact("PriceFeed"), 8, listing.price) for listing in LISTINGS]
    oracle = build.create(artifact, provider, tokens, feeds, ZERO_ADDRESS, ZERO_ADDRESS, BASE_UNIT)
    build.call(provider, aave_artifact("PoolAddressesProvider"), "setPriceOracle", oracle)
    return tokens, feeds, oracle


def _plan_listings(
    build: Build, provider: Address, pool: Address, configurator: Address, tokens: list[Address]
) -> None:
    inputs = _reserve_inputs(build, provider, pool, tokens)
    admin = aave_artifact("PoolConfigurator")
    build.call(configurator, admin, "initReserves", inputs)
    build.call(configurator, admin, "updateFlashloanPremiumTotal", FLASH_LOAN_PREMIUM)
    category = (HYPE_EMODE.id, HYPE_EMODE.ltv, HYPE_EMODE.liquidation_threshold, HYPE_EMODE.liquidation_bonus)
    for listing, token in zip(LISTINGS, tokens, strict=True):
        limits = (listing.ltv, listing.liquidation_threshold, listing.liquidation_bonus)
        build.call(configurator, admin, "setReserveBorrowing", token, ENABLED)
        build.call(configurator, admin, "configureReserveAsCollateral", token, *limits)
        build.call(configurator, admin, "setReserveFactor", token, listing.reserve_factor)
        build.call(configurator, admin, "setReserveFlashLoaning", token, ENABLED)
        build.call(configurator, admin, "setLiquidationProtocolFee", token, listing.protocol_fee)
    build.call(configurator, admin, "setEModeCategory", *category, ZERO_ADDRESS, HYPE_EMODE.label)
    for listing, token in zip(LISTINGS, tokens, strict=True):
        if listing.emode:
            build.call(configurator, admin, "setAssetEModeCategory", token, listing.emode)


def _reserve_inputs(build: Build, provider: Address, pool: Address, tokens: Sequence[Address]) -> list[tuple[Any, ...]]:
    a_token, stable, variable = (
        build.create(aave_artifact(name), pool) for name in ("AToken", "StableDebtToken", "VariableDebtToken")
    )
    calm = _rate_strategy(build, provider, optimal=90, slope=4, steep=60)
    volatile = _rate_strategy(build, provider, optimal=45, slope=7, steep=300)
    return [
        (
            a_token, stable, variable, listing.decimals, volatile if listing.volatility else calm, token, TREASURY,
            ZERO_ADDRESS, f"Sandbox {listing.symbol}", f"a{listing.symbol}", f"Sandbox Variable Debt {listing.symbol}",
            f"variableDebt{listing.symbol}", f"Sandbox Stable Debt {listing.symbol}", f"stableDebt{listing.symbol}",
            b"",
        )
        for listing, token in zip(LISTINGS, tokens, strict=True)
    ]  # fmt: skip


def _rate_strategy(build: Build, provider: Address, *, optimal: int, slope: int, steep: int) -> Address:
    """Interest that rises by `slope` per cent up to `optimal` per cent of usage, and by `steep` beyond it."""
    variable = (optimal * RAY // 100, 0, slope * RAY // 100, steep * RAY // 100)
    stable = (slope * RAY // 200, steep * RAY // 100, RAY // 100, RAY // 20, RAY // 5)
    return build.create(aave_artifact("DefaultReserveInterestRateStrategy"), provider, *variable, *stable)


async def _read_assets(
    rpc: Rpc, pool: Address, tokens: Sequence[Address], feeds: Sequence[Address]
) -> tuple[Asset, ...]:
    reads = [
        ("eth_call", ({"to": pool, "data": "0x" + encode_call(GET_RESERVE_DATA, token).hex()}, "latest"))
        for token in tokens
    ]
    reserves = [words(unhex(answer), 15) for answer in await answers(rpc, reads)]
    return tuple(
        Asset(listing, token, feed, address_of(reserve[8]), address_of(reserve[10]))
        for listing, token, feed, reserve in zip(LISTINGS, tokens, feeds, reserves, strict=True)
    )
