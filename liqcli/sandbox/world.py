"""A whole sandbox: node, market, borrowers, Redis and scenario, up together and gone together."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from liqcli.chain.rpc import Rpc
from liqcli.errors import Unreachable, UsageError
from liqcli.model import Address
from liqcli.sandbox.aave36.market import deploy_aave36
from liqcli.sandbox.borrowers import equip_liquidator, open_positions
from liqcli.sandbox.exchange import Exchange, deploy_exchange, deploy_liquidator
from liqcli.sandbox.market import Deployment, deploy_market
from liqcli.sandbox.node import CHAIN_ID, Node, mine_every, restore_base_fee, start_anvil
from liqcli.sandbox.plans import Plan, plan_borrowers
from liqcli.sandbox.scenario import Scenario
from liqcli.sandbox.valkey import start_valkey
from liqcli.tasks import end

Progress = Callable[[str], None]
RELEASES = ("3.0.2", "3.6")
"""The generations of Aave that the sandbox can deploy; the first needs no compiler."""


@dataclass(frozen=True, slots=True)
class WorldFacts:
    """What another process needs to attach: addresses, and the key that only this sandbox knows.

    `liquidator` is the account that owns the key, `contract` its deployed Liquidator.
    """

    rpc_url: str
    redis_url: str | None
    chain_id: int
    market: str
    provider: Address
    pool: Address
    liquidator: Address
    liquidator_key: str = field(repr=False)
    contract: Address
    router_v2: Address
    router_v3: Address
    quoter: Address
    pid: int
    started: float


@dataclass(frozen=True, slots=True)
class World:
    """A running sandbox; `rpc` is its own connection, `plans` are the borrowers it began with."""

    facts: WorldFacts
    node: Node
    deployment: Deployment
    exchange: Exchange
    plans: tuple[Plan, ...]
    rpc: Rpc
    scenario: Scenario


@asynccontextmanager
async def open_world(
    directory: Path,
    *,
    borrowers: int = 200,
    seed: int = 1,
    scenario: bool = True,
    block_time: float | None = 1.0,
    speed: float = 1.0,
    redis: bool = True,
    aave: str = "3.0.2",
    progress: Progress = lambda _: None,
) -> AsyncIterator[World]:
    """Start everything under `directory` and yield it once borrowers can be liquidated; `aave` is 3.0.2 or 3.6.

    Each `block_time` seconds there is a block; the scenario makes one with each of its steps, `speed` times as often.
    Without `block_time` every transaction is a block of its own. What was started ends with the `async with`, or with
    this process.
    """
    if aave not in RELEASES:
        raise UsageError(f'the sandbox has no Aave "{aave}"', hint=f"--aave {' or '.join(RELEASES)}")
    _make_private(directory)
    async with AsyncExitStack() as stack:
        progress("starting the node")
        node = await start_anvil(directory, automine=block_time is None)
        stack.push_async_callback(node.stop)
        redis_url = await _start_redis(stack, directory, progress) if redis else None
        rpc = await stack.enter_async_context(Rpc(node.url, timeout_s=60.0))
        deployment = await _deploy(aave, rpc, node.deployer.address, progress)
        progress(f"opening the positions of {borrowers} borrowers")
        plans = tuple(plan_borrowers(borrowers, seed=seed))
        await open_positions(rpc, deployment, plans)
        progress("opening the exchanges")
        exchange = await deploy_exchange(rpc, deployment)
        contract = await deploy_liquidator(rpc, deployment, exchange, node.liquidator.address)
        await equip_liquidator(rpc, deployment, node.liquidator.address, contract)
        await restore_base_fee(rpc)
        play = Scenario(rpc, deployment, plans, exchange=exchange, seed=seed, pause_s=(block_time or 1.0) / speed)
        if scenario:
            await stack.enter_async_context(running(play.play(progress)))
        elif block_time is not None:
            await stack.enter_async_context(running(mine_every(block_time, rpc)))
        facts = _facts(node, redis_url, deployment, exchange, contract)
        yield World(facts, node, deployment, exchange, plans, rpc, play)


async def _deploy(aave: str, rpc: Rpc, deployer: Address, progress: Progress) -> Deployment:
    progress(f"deploying Aave V{aave}")
    if aave == RELEASES[0]:
        return await deploy_market(rpc, deployer)
    return await deploy_aave36(rpc, deployer, progress)


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Let `work` go on in the background while the block lasts."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        await end([task])
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, Unreachable):
            raise error


def _make_private(directory: Path) -> None:
    """The node hands its keys over in a file there."""
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)


async def _start_redis(stack: AsyncExitStack, directory: Path, progress: Progress) -> str:
    progress("starting Valkey")
    valkey = await start_valkey(directory / "valkey", persist=False)
    stack.push_async_callback(valkey.stop)
    return valkey.url


def _facts(
    node: Node, redis_url: str | None, deployment: Deployment, exchange: Exchange, contract: Address
) -> WorldFacts:
    return WorldFacts(
        rpc_url=node.url,
        redis_url=redis_url,
        chain_id=CHAIN_ID,
        market=f"sandbox-{deployment.block_hash[2:10]}",
        provider=deployment.provider,
        pool=deployment.pool,
        liquidator=node.liquidator.address,
        liquidator_key=node.liquidator.key,
        contract=contract,
        router_v2=exchange.router_v2,
        router_v3=exchange.router_v3,
        quoter=exchange.quoter,
        pid=os.getpid(),
        started=time.time(),
    )
