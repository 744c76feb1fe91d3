"""A world describes itself, hides its key, plays by itself, and leaves nothing behind however it ends."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from liqcli.chain.rpc import Rpc
from liqcli.errors import Unreachable
from liqcli.sandbox.node import BASE_FEE
from liqcli.sandbox.world import World, open_world

OWNER = """
import asyncio, sys
from pathlib import Path
from liqcli.sandbox.world import open_world

async def main():
    async with open_world(Path(sys.argv[1]), borrowers=20, scenario=True):
        print("up", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def test_the_key_is_not_shown(world: World):
    """Neither the facts, the node nor the world show the liquidator's key in their repr."""
    assert world.facts.liquidator_key.removeprefix("0x") not in repr(world)
    assert world.facts.liquidator_key.removeprefix("0x") not in repr(world.facts)


def test_the_key_is_not_left_on_the_disk(world: World):
    """The file in which the node hands its keys over is gone once it is up."""
    directory = world.node.process.log.parent
    key = world.facts.liquidator_key.removeprefix("0x").encode()
    assert not [path for path in directory.rglob("*") if path.is_file() and key in path.read_bytes()]


async def test_the_key_signs_for_the_liquidator(world: World):
    """The key belongs to the liquidator's address, and that account has gas money."""
    from eth_account import Account

    assert Account.from_key(world.facts.liquidator_key).address.lower() == world.facts.liquidator
    assert int(await world.rpc.call("eth_getBalance", world.facts.liquidator, "latest"), 16) > 10**18


async def test_the_liquidator_can_pay_every_debt(world: World):
    """It holds millions of every asset, and the pool may take them."""
    for asset in world.deployment.assets:
        holder, pool = (part[2:].rjust(64, "0") for part in (world.facts.liquidator, world.facts.pool))
        balance = await world.rpc.call("eth_call", {"to": asset.token, "data": f"0x70a08231{holder}"}, "latest")
        allowance = await world.rpc.call("eth_call", {"to": asset.token, "data": f"0xdd62ed3e{holder}{pool}"}, "latest")
        assert int(balance, 16) >= asset.listing.amount(10_000_000), asset.listing.symbol
        assert int(allowance, 16) >= int(balance, 16), asset.listing.symbol


async def test_a_world_plays_by_itself_and_ends_whole(tmp_path: Path):
    """With a scenario blocks and acts go on without us; after the block neither node nor server answers."""
    said: list[str] = []
    async with open_world(tmp_path, borrowers=20, speed=20.0, progress=said.append) as world:
        await asyncio.sleep(1.0)
        assert world.scenario.done.total() > 10
        assert await world.rpc.block_number() > 10
        children = {child.name() for child in psutil.Process().children()}
        assert {"anvil", "valkey-server"} <= children
        pid = world.node.process.pid
    assert any("Aave" in line for line in said)
    assert not psutil.pid_exists(pid)
    assert not sockets_under(tmp_path)
    async with Rpc(world.facts.rpc_url, timeout_s=1.0) as rpc:
        with pytest.raises(Unreachable):
            await rpc.block_number()


def sockets_under(directory: Path) -> list[Path]:
    return list(directory.rglob("*.sock"))


async def test_two_worlds_never_meet(tmp_path: Path):
    """Two sandboxes at once differ in port, market name, addresses and key."""
    async with (
        open_world(tmp_path / "a", borrowers=5, scenario=False, redis=False) as first,
        open_world(tmp_path / "b", borrowers=5, scenario=False, redis=False) as second,
    ):
        for name in ("rpc_url", "market", "provider", "pool", "liquidator", "liquidator_key"):
            assert getattr(first.facts, name) != getattr(second.facts, name), name
        assert [plan.borrower for plan in first.plans] == [plan.borrower for plan in second.plans]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills children with their parent")
def test_children_die_with_a_killed_parent(tmp_path: Path):
    """Kill -9 of the owner takes anvil and Valkey along, and the directory can be used again."""
    owner = psutil.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=-1)
    assert owner.stdout.readline() == b"up\n"
    children = owner.children(recursive=True)
    assert sorted(child.name() for child in children) == ["anvil", "valkey-server"]
    os.kill(owner.pid, signal.SIGKILL)
    owner.communicate(timeout=10)
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive


async def test_blocks_come_by_themselves_at_the_usual_base_fee(tmp_path: Path):
    """Without a scenario there is still a block every `block_time`, and its base fee stays at 0.1 gwei."""
    async with open_world(tmp_path, borrowers=5, scenario=False, redis=False, block_time=0.1) as world:
        before = await world.rpc.block_number()
        await asyncio.sleep(1.0)
        assert 5 <= await world.rpc.block_number() - before <= 10
        history = await world.rpc.call("eth_feeHistory", "0x4", "latest", [])
    assert {int(fee, 16) for fee in history["baseFeePerGas"][:4]} == {BASE_FEE}


async def test_ready_in_under_five_seconds(tmp_path: Path):
    """From nothing to 200 borrowers, Redis included."""
    started = time.perf_counter()
    async with open_world(tmp_path, borrowers=200, scenario=False) as world:
        spent = time.perf_counter() - started
        assert len(world.plans) == 200
    assert spent < 5.0
