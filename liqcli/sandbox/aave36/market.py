"""Deploy Aave V3.6 with the same reserves as 3.0.2's market, so that both generations can be compared."""

from collections.abc import Callable, Sequence
from typing import Any

from liqcli.chain.abi import ZERO_ADDRESS
from liqcli.chain.rpc import Rpc
from liqcli.model import Address
from liqcli.sandbox.aave36.build import artifact, ensure_compiled
from liqcli.sandbox.build import Build
from liqcli.sandbox.market import (
    ENABLED,
    FLASH_LOAN_PREMIUM,
    TREASURY,
    Deployment,
    finish,
    plan_oracle,
)
from liqcli.sandbox.reserves import HYPE_EMODE, LISTINGS, Listing
from liqcli.sandbox.transactions import create_address

_LIBRARIES = ("BorrowLogic", "FlashLoanLogic", "LiquidationLogic", "PoolLogic", "SupplyLogic", "ConfiguratorLogic")
_CALM = (9000, 0, 400, 6000)
_VOLATILE = (4500, 0, 700, 30000)
"""Optimal usage, base rate and the two slopes, in basis points, as 3.0.2's market has them."""


async def deploy_aave36(rpc: Rpc, deployer: Address, progress: Callable[[str], None]) -> Deployment:
    """Compile where needed, deploy the contracts, list every reserve."""
    await ensure_compiled(progress)
    build = Build(deployer, int(await rpc.call("eth_getTransactionCount", deployer, "latest"), 16))
    for name in _LIBRARIES:
        build.libraries[name] = build.create(artifact(name))
    provider, pool, configurator, data_provider = _plan_core(build)
    tokens, feeds, oracle = plan_oracle(build, provider, artifact("AaveOracle"))
    _plan_listings(build, pool, configurator, tokens)
    core = (provider, pool, configurator, oracle, data_provider)
    return await finish(rpc, build, core, tokens, feeds)


def _plan_core(build: Build) -> tuple[Address, Address, Address, Address]:
    registry = artifact("PoolAddressesProvider")
    provider = build.create(registry, "sandbox", build.deployer)
    build.call(provider, registry, "setACLAdmin", build.deployer)
    roles = build.create(artifact("ACLManager"), provider)
    build.call(provider, registry, "setACLManager", roles)
    build.call(roles, artifact("ACLManager"), "addPoolAdmin", build.deployer)
    strategy = build.create(artifact("DefaultReserveInterestRateStrategyV2"), provider)
    # The provider itself creates the two proxies: its first and second contract.
    build.call(provider, registry, "setPoolImpl", build.create(artifact("PoolInstance"), provider, strategy))
    build.call(provider, registry, "setPoolConfiguratorImpl", build.create(artifact("PoolConfiguratorInstance")))
    data_provider = build.create(artifact("AaveProtocolDataProvider"), provider)
    build.call(provider, registry, "setPoolDataProvider", data_provider)
    return provider, create_address(provider, 1), create_address(provider, 2), data_provider


def _plan_listings(build: Build, pool: Address, configurator: Address, tokens: Sequence[Address]) -> None:
    a_token = build.create(artifact("ATokenInstance"), pool, ZERO_ADDRESS, TREASURY)
    debt_token = build.create(artifact("VariableDebtTokenInstance"), pool, ZERO_ADDRESS)
    admin = artifact("PoolConfiguratorInstance")
    inputs = [
        _reserve_input(listing, token, a_token, debt_token) for listing, token in zip(LISTINGS, tokens, strict=True)
    ]
    build.call(configurator, admin, "initReserves", inputs)
    build.call(configurator, admin, "updateFlashloanPremium", FLASH_LOAN_PREMIUM)
    category = (HYPE_EMODE.id, HYPE_EMODE.ltv, HYPE_EMODE.liquidation_threshold, HYPE_EMODE.liquidation_bonus)
    build.call(configurator, admin, "setEModeCategory", *category, HYPE_EMODE.label)
    for listing, token in zip(LISTINGS, tokens, strict=True):
        limits = (listing.ltv, listing.liquidation_threshold, listing.liquidation_bonus)
        build.call(configurator, admin, "setReserveBorrowing", token, ENABLED)
        build.call(configurator, admin, "configureReserveAsCollateral", token, *limits)
        build.call(configurator, admin, "setReserveFactor", token, listing.reserve_factor)
        build.call(configurator, admin, "setReserveFlashLoaning", token, ENABLED)
        build.call(configurator, admin, "setLiquidationProtocolFee", token, listing.protocol_fee)
        if listing.emode:
            build.call(configurator, admin, "setAssetCollateralInEMode", token, listing.emode, ENABLED)
            build.call(configurator, admin, "setAssetBorrowableInEMode", token, listing.emode, ENABLED)


def _reserve_input(listing: Listing, token: Address, a_token: Address, debt_token: Address) -> tuple[Any, ...]:
    from eth_abi.abi import encode

    rates = encode(["uint16", "uint32", "uint32", "uint32"], _VOLATILE if listing.volatility else _CALM)
    names = (
        f"Sandbox {listing.symbol}",
        f"a{listing.symbol}",
        f"Sandbox Variable Debt {listing.symbol}",
        f"variableDebt{listing.symbol}",
    )
    return (a_token, debt_token, token, *names, b"", rates)
