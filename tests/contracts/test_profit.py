"""Profit to the wei: what `decide` expects is what the real Aave and the real Uniswap pay, for every kind of pair."""

from dataclasses import replace

import pytest

from liqcli.bot.decide import Skip
from liqcli.chain.transactions import paid_out, receipt_of
from liqcli.model import BASE_UNIT
from liqcli.sandbox.calls import approve
from liqcli.sandbox.transactions import send_all
from tests.contracts.stage import (
    balance,
    below_one,
    best_plan,
    borrow_of_all,
    execute,
    fall,
    left_in,
    open_everything,
    plans_of,
    take_up,
)

LEAST = 200
LARGE, LENDER = "0x" + "1a" * 20, "0x" + "1e" * 20


def symbols(world, plan):
    """The pair by its symbols."""
    names = {asset.token: asset.listing.symbol for asset in world.deployment.assets}
    return names[plan.collateral_asset], names[plan.debt_asset]


async def outcome_of(chain, plan, at):
    """Execute on a copy of the chain; returns what went wrong, nothing if all was as expected."""
    copy = await chain.rpc.call("evm_snapshot")
    before = await balance(chain, plan.debt_asset, chain.facts.liquidator)
    done, raw = await execute(chain, plan, at)
    gained = await balance(chain, plan.debt_asset, chain.facts.liquidator) - before
    left = await left_in(chain, chain.facts.contract) if done.succeeded else {}
    await chain.rpc.call("evm_revert", copy)
    if plan.exit.profit < 0:
        return [] if done.why == "Unprofitable" or "ERC20" in done.why else [done.why]
    if not done.succeeded:
        return [done.why]
    receipt = receipt_of(raw, plan)
    facts = {
        "paid": (paid_out(raw, plan.exit), plan.exit.profit),
        "gained": (gained, plan.exit.profit),
        "covered": (receipt.debt_covered, plan.debt_to_cover),
        "seized": (receipt.collateral_received, plan.expected_collateral),
        "lines": (receipt.profit[:-1], plan.profit[:-1]),
        "left": (left, {}),
    }
    return [f"{what}: {made} for {planned}" for what, (made, planned) in facts.items() if made != planned]


async def test_every_pair_and_amount_pays_what_was_expected(chain):
    """In hundreds of liquidations, of all 36 pairs and a ladder of amounts, no wei differs and nothing stays behind."""
    everything = await borrow_of_all(chain)
    seen, mistakes, profitable = set(), [], 0
    for percent in (19, 26):
        before_the_fall = await chain.rpc.call("evm_snapshot")
        await fall(chain, percent)
        market, exchange = await open_everything(chain)
        for borrower in await below_one(chain, market, everything):
            plans, at = await plans_of(market, exchange, borrower)
            for plan in plans:
                mistakes += [f"{symbols(chain, plan)} {text}" for text in await outcome_of(chain, plan, at)]
                seen.add(symbols(chain, plan))
                profitable += plan.exit.profit >= 0
        await chain.rpc.call("evm_revert", before_the_fall)
    assert mistakes == []
    assert len(seen) == len(chain.deployment.assets) ** 2
    assert profitable >= LEAST


@pytest.mark.parametrize("flash_loan", [True, False])
async def test_the_best_plans_one_after_another(chain, flash_loan):
    """Liquidating everyone as decided, by flash loan or with the owner's tokens, moves pools and still pays exactly."""
    await fall(chain, 20)
    market, exchange = await open_everything(chain, flash_loan=flash_loan)
    await allow_contract(chain)
    count = 0
    for borrower in await below_one(chain, market):
        plan, at = await best_plan(market, exchange, borrower)
        if isinstance(plan, Skip):
            continue
        done, raw = await execute(chain, plan, at)
        assert done.succeeded, done.why
        assert paid_out(raw, plan.exit) == plan.exit.profit
        assert receipt_of(raw, plan).profit[:-1] == plan.profit[:-1]
        count += 1
    assert count > 10


async def allow_contract(chain):
    """The owner lets its contract take its tokens."""
    facts = chain.facts
    await send_all(chain.rpc, [approve(facts.liquidator, asset, facts.contract) for asset in chain.deployment.assets])


async def test_a_large_position_is_taken_in_parts(chain):
    """Where the whole would sell too cheaply, the plan repays a part of it, earns more, and pays exactly that."""
    await take_up(chain, LENDER, {"USDC": 5_000_000, "USDT0": 5_000_000}, {})
    await take_up(chain, LARGE, {"WHYPE": 6_000_000}, {"USDC": 1_600_000, "USDT0": 1_600_000})
    await fall(chain, 25)
    market, exchange = await open_everything(chain)
    plans, _ = await plans_of(market, exchange, LARGE)
    best, at = await best_plan(market, exchange, LARGE)
    whole = max((plan for plan in plans if plan.debt_asset == best.debt_asset), key=lambda plan: plan.debt_to_cover)
    assert best.debt_to_cover < whole.debt_to_cover // 2
    assert best.profit_base == max(plan.profit_base for plan in plans) > whole.profit_base
    _, raw = await execute(chain, best, at)
    assert paid_out(raw, best.exit) == best.exit.profit


async def test_exactly_the_least_profit_is_enough(chain):
    """A plan whose least is what it pays succeeds; one wei more and it reverts."""
    await fall(chain, 20)
    market, exchange = await open_everything(chain)
    borrower = (await below_one(chain, market))[0]
    plan, at = await best_plan(market, exchange, borrower)
    copy = await chain.rpc.call("evm_snapshot")
    for extra, succeeds in ((1, False), (0, True)):
        done, _ = await execute(chain, with_least(plan, plan.exit.profit + extra), at)
        assert done.succeeded is succeeds, done.why
        await chain.rpc.call("evm_revert", copy)
        copy = await chain.rpc.call("evm_snapshot")


def with_least(plan, least):
    """The plan with another least profit."""
    return replace(plan, exit=replace(plan.exit, min_profit=least))


async def test_the_least_profit_covers_gas_and_the_operators_minimum(chain):
    """What the contract insists on is worth the minimum and the gas, and no dollar more."""
    await fall(chain, 25)
    market, exchange = await open_everything(chain)
    for borrower in await below_one(chain, market):
        plan, _ = await best_plan(market, exchange, borrower, min_profit_base=5 * BASE_UNIT)
        if isinstance(plan, Skip):
            continue
        needed = 5 * BASE_UNIT - plan.profit[-1].base
        assert needed <= plan.exit.min_profit * plan.exit.debt_price / plan.exit.debt_unit <= needed + BASE_UNIT // 100
