"""The Liquidator on the real Aave and Uniswap: who may call it, what it refuses, and that nothing stays behind."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from eth_utils import keccak

from liqcli.aave.reasons import OF_OUR_LIQUIDATOR
from liqcli.chain.abi import LIQUIDATE, encode_call, tail
from liqcli.chain.artifacts import own_artifact, read_artifact
from liqcli.chain.exchange import open_exchange
from liqcli.chain.topics import LIQUIDATED
from liqcli.chain.transactions import call_of, paid_out, receipt_of
from liqcli.errors import ConfigError, WrongTarget
from liqcli.sandbox.build import Build
from liqcli.sandbox.calls import mint
from liqcli.sandbox.transactions import Transaction, send_all, try_all
from tests.chain.sandbox import open_sandbox
from tests.contracts.stage import (
    balance,
    below_one,
    best_plan,
    execute,
    fall,
    left_in,
    open_everything,
    settings_of,
)

HERE = Path(__file__).parent
STRANGER = "0x" + "57" * 20
FLASH_LOAN = bytes.fromhex("42b0b77c")
APPROVE = bytes.fromhex("095ea7b3")
EXECUTE_OPERATION = bytes.fromhex("1b11d0ff")
ALLOW, RESCUE = (keccak(text=text)[:4] for text in ("allow(address,uint8)", "rescue(address)"))
ATTACK = keccak(text="attack((address,address,address,uint256,uint256,bool,address,bytes),address,bytes)")[:4]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Iterator[object]:
    """The compiled attacker."""
    out = tmp_path_factory.mktemp("hostile")
    build = HERE.parents[1] / "contracts" / "build.js"
    subprocess.run(["node", str(build), str(out), str(HERE)], check=True, timeout=100)
    return read_artifact(out / "Hostile.json")


async def first_plan(chain):
    """A profitable plan that sells something, and its block's timestamp."""
    await fall(chain, 20)
    market, exchange = await open_everything(chain)
    for borrower in await below_one(chain, market):
        plan, at = await best_plan(market, exchange, borrower)
        if getattr(plan, "exit", None) and plan.exit.path != "0x":
            return plan, at
    raise AssertionError("nobody can be liquidated at a profit")


async def send(world, sender, to, data):
    """One transaction; its outcome."""
    await world.rpc.call("anvil_setBalance", sender, hex(10**20))
    (outcome,) = await try_all(world.rpc, [Transaction(sender, to, data, "try")])
    return outcome


def asset_of(world, address):
    """The sandbox's asset of a token address."""
    return next(asset for asset in world.deployment.assets if asset.token == address)


async def test_a_profitable_plan_pays_the_owner(chain):
    """The owner has the profit, and the contract neither tokens nor debts nor allowances."""
    plan, at = await first_plan(chain)
    before = await balance(chain, plan.debt_asset, chain.facts.liquidator)
    _, raw = await execute(chain, plan, at)
    gained = await balance(chain, plan.debt_asset, chain.facts.liquidator) - before
    assert gained == paid_out(raw, plan.exit) == plan.exit.profit > 0
    assert await left_in(chain, chain.facts.contract) == {}


async def test_an_unprofitable_plan_costs_only_its_gas(chain):
    """It reverts in the block: the borrower keeps everything, the owner its tokens, and gas is all that is paid."""
    plan, at = await first_plan(chain)
    plan = replace(plan, exit=replace(plan.exit, min_profit=plan.exit.profit + 1))
    me = chain.facts.liquidator
    tokens = [await balance(chain, asset.token, me) for asset in chain.deployment.assets]
    native = int(await chain.rpc.call("eth_getBalance", me, "latest"), 16)
    done, raw = await execute(chain, plan, at)
    assert (done.succeeded, done.why) == (False, "Unprofitable")
    assert [await balance(chain, asset.token, me) for asset in chain.deployment.assets] == tokens
    fee = int(raw["gasUsed"], 16) * int(raw["effectiveGasPrice"], 16)
    assert native - int(await chain.rpc.call("eth_getBalance", me, "latest"), 16) == fee
    receipt = receipt_of(raw, plan)
    assert receipt.profit_base == receipt.profit[-1].base < 0


async def test_only_the_owner_may_call(chain):
    """Liquidating, allowing a router and rescuing tokens are refused to everyone else."""
    plan, _ = await first_plan(chain)
    contract = chain.facts.contract
    for data in (
        bytes.fromhex(call_of(plan, chain.facts.pool)[1][2:]),
        encode_call(ALLOW, STRANGER, 1),
        encode_call(RESCUE, plan.debt_asset),
    ):
        done = await send(chain, STRANGER, contract, data)
        assert (done.succeeded, done.why) == (False, "NotOwner")


async def test_the_callback_is_the_pools_alone(chain):
    """Nobody calls `executeOperation` directly, and a flash loan that somebody else sends here is refused."""
    plan, _ = await first_plan(chain)
    plan_data = bytes.fromhex(call_of(plan, chain.facts.pool)[1][2:])[4:]
    contract, pool, usdc = chain.facts.contract, chain.facts.pool, chain.deployment.asset("USDC").token
    for initiator in (STRANGER, contract):
        data = encode_call(EXECUTE_OPERATION, usdc, 10**6, 400, initiator, 160) + tail(plan_data)
        for sender in (STRANGER, chain.facts.liquidator):
            done = await send(chain, sender, contract, data)
            assert (done.succeeded, done.why) == (False, "NotOurFlashLoan")
    data = encode_call(FLASH_LOAN, contract, usdc, 10**6, 160, 0) + tail(plan_data)
    for sender in (STRANGER, chain.facts.liquidator):
        done = await send(chain, sender, pool, data)
        assert (done.succeeded, done.why) == (False, "NotOurFlashLoan")


async def test_the_pool_itself_is_not_believed_outside_a_call(chain):
    """Even from the pool and in our own name the callback works only while we are in a liquidation."""
    plan, _ = await first_plan(chain)
    data = encode_call(EXECUTE_OPERATION, plan.debt_asset, 10**6, 400, chain.facts.contract, 160)
    done = await send(chain, chain.facts.pool, chain.facts.contract, data + tail(b""))
    assert (done.succeeded, done.why) == (False, "NotOurFlashLoan")


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("liquidate", "Reentered"),
        ("allow", "Reentered"),
        ("rescue", "Reentered"),
        ("callback", "NotOurFlashLoan"),
        ("flash loan", "NotOurFlashLoan"),
    ],
)
async def test_reentrancy_is_refused(chain, hostile, where, reason):
    """A router that calls back in the middle of a sale gets nowhere, though it be the owner itself."""
    plan, at = await first_plan(chain)
    deployer, pool = chain.deployment.deployer, chain.facts.pool
    build = Build(deployer, int(await chain.rpc.call("eth_getTransactionCount", deployer, "latest"), 16))
    attacker = build.create(hostile, pool)
    await send_all(chain.rpc, build.transactions)
    answer = await chain.rpc.call("eth_call", {"to": attacker, "data": "0x" + keccak(text="liquidator()")[:4].hex()})
    contract = "0x" + answer[-40:]
    path = "0x" + plan.collateral_asset[2:] + plan.debt_asset[2:]
    plan = replace(plan, exit=replace(plan.exit, contract=contract, router=attacker, path=path, min_profit=0))
    again = bytes.fromhex(call_of(plan, pool)[1][2:])
    target, data = {
        "liquidate": (contract, again),
        "allow": (contract, encode_call(ALLOW, attacker, 2)),
        "rescue": (contract, encode_call(RESCUE, plan.debt_asset)),
        "callback": (contract, encode_call(EXECUTE_OPERATION, plan.debt_asset, 1, 0, contract, 160) + tail(again[36:])),
        "flash loan": (pool, encode_call(FLASH_LOAN, contract, plan.debt_asset, 10**6, 160, 0) + tail(again[36:])),
    }[where]
    await chain.rpc.call("evm_setNextBlockTimestamp", at)
    tuple_data = again[36:]
    call = encode_call(ATTACK, 96, target, 96 + len(tuple_data)) + tuple_data + tail(data)
    done = await send(chain, STRANGER, attacker, call)
    assert (done.succeeded, done.why) == (False, reason)


async def test_only_allowed_routers_are_paid(chain):
    """A router that was never allowed, or is no more, ends the call before anything moves."""
    plan, at = await first_plan(chain)
    foreign = replace(plan, exit=replace(plan.exit, router=STRANGER))
    done, _ = await execute(chain, foreign, at)
    assert (done.succeeded, done.why) == (False, "RouterNotAllowed")
    forbid = encode_call(ALLOW, plan.exit.router, 0)
    assert (await send(chain, chain.facts.liquidator, chain.facts.contract, forbid)).succeeded
    done, _ = await execute(chain, plan, at + 5)
    assert (done.succeeded, done.why) == (False, "RouterNotAllowed")


async def test_tokens_that_came_by_mistake_are_no_profit(chain):
    """What lies in the contract is neither spent nor paid out by a liquidation; the owner can rescue it."""
    plan, at = await first_plan(chain)
    contract, owner = chain.facts.contract, chain.facts.liquidator
    tokens = [asset_of(chain, address) for address in (plan.debt_asset, plan.collateral_asset)]
    await send_all(
        chain.rpc, [replace(mint(contract, asset, 12_345_678), sender=chain.deployment.deployer) for asset in tokens]
    )
    _, raw = await execute(chain, plan, at + 5)
    assert raw["status"] == "0x1"
    assert abs(paid_out(raw, plan.exit) - plan.exit.profit) < plan.exit.profit // 1000 + 10
    for asset in tokens:
        assert await balance(chain, asset.token, contract) == 12_345_678
        before = await balance(chain, asset.token, owner)
        assert (await send(chain, owner, contract, encode_call(RESCUE, asset.token))).succeeded
        assert await balance(chain, asset.token, owner) - before == 12_345_678
    assert await left_in(chain, contract) == {}


async def test_a_healthy_borrower_costs_only_gas(chain):
    """Whoever recovered before the block is left alone with the pool's own reason."""
    plan, at = await first_plan(chain)
    await fall(chain, 0)
    done, _ = await execute(chain, plan, at + 60)
    assert (done.succeeded, done.why) == (False, "HealthFactorNotBelowThreshold")


async def test_own_funds_need_the_owners_leave(chain):
    """Without a flash loan and without an allowance from the owner nothing happens."""
    plan, at = await first_plan(chain)
    plan = replace(plan, exit=replace(plan.exit, flash_loan=False, premium=0))
    nothing = encode_call(APPROVE, chain.facts.contract, 0)
    assert (await send(chain, chain.facts.liquidator, plan.debt_asset, nothing)).succeeded
    done, _ = await execute(chain, plan, at)
    assert (done.succeeded, done.why) == (False, "TokenRefused")


async def test_a_contract_of_another_pool_is_refused(chain):
    """The market opens no exchange over something else than its own Liquidator."""
    market = await open_sandbox(chain)
    owner = chain.deployment.deployer
    build = Build(owner, int(await chain.rpc.call("eth_getTransactionCount", owner, "latest"), 16))
    other = build.create(own_artifact("Liquidator"), STRANGER, [], [])
    bare = build.create(own_artifact("Liquidator"), chain.facts.pool, [], [])
    await send_all(chain.rpc, build.transactions)
    with pytest.raises(WrongTarget, match="works on the pool"):
        await open_exchange(market, settings_of(chain, liquidator=other))
    with pytest.raises(WrongTarget, match="no Liquidator at"):
        await open_exchange(market, settings_of(chain, liquidator=STRANGER))
    with pytest.raises(ConfigError, match="does not allow the router"):
        await open_exchange(market, settings_of(chain, liquidator=bare))
    assert await open_exchange(market, settings_of(chain, liquidator=None)) is None


def test_names_belong_to_the_contract():
    """Selectors, the event's topic and the names of its refusals are those of the compiled source."""
    items = own_artifact("Liquidator").abi
    errors = {item["name"]: [part["type"] for part in item["inputs"]] for item in items if item["type"] == "error"}
    by_selector = {keccak(text=f"{name}({','.join(types)})")[:4]: name for name, types in errors.items()}
    assert by_selector == OF_OUR_LIQUIDATOR
    event = next(item for item in items if item.get("name") == "Liquidated")
    types = ",".join(part["type"] for part in event["inputs"])
    assert keccak(text=f"Liquidated({types})").hex() == LIQUIDATED.removeprefix("0x")
    plan = next(item for item in items if item.get("name") == "liquidate")["inputs"][0]["components"]
    assert keccak(text=f"liquidate(({','.join(part['type'] for part in plan)}))")[:4] == LIQUIDATE
