"""Profit to the wei: what `decide` expects is what the real Aave and the real Uniswap pay, for every kind of pair."""

from dataclasses import replace

import pytest

from liqcli.bot.decide import Skip
from liqcli.chain.transactions import paid_out, receipt_of
from liqcli.model import BASE_UNIT
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


async def outcome_of(either, plan, at):
    """Execute on a copy of the chain; returns what went wrong, nothing if all was as expected."""
    copy = await either.rpc.call("evm_snapshot")
    before = await balance(either, plan.debt_asset, either.facts.liquidator)
    done, raw = await execute(either, plan, at)
    gained = await balance(either, plan.debt_asset, either.facts.liquidator) - before
    left = await left_in(either, either.facts.contract) if done.succeeded else {}
    await either.rpc.call("evm_revert", copy)
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


async def test_every_pair_and_amount_pays_what_was_expected(either):
    """Hundreds of liquidations, of all 36 pairs, in e-mode and in parts: no wei differs, and nothing stays behind."""
    everything = await borrow_of_all(either)
    seen, people, mistakes, profitable = set(), set(), [], 0
    in_emode = {plan.borrower for plan in either.plans if plan.emode}
    for percent, depeg in ((19, 0), (26, 9)):
        before_the_fall = await either.rpc.call("evm_snapshot")
        await fall(either, percent, depeg=depeg)
        market, exchange = await open_everything(either)
        for borrower in await below_one(either, market, everything):
            people.add(borrower)
            plans, at = await plans_of(market, exchange, borrower)
            for plan in plans:
                mistakes += [f"{symbols(either, plan)} {text}" for text in await outcome_of(either, plan, at)]
                seen.add(symbols(either, plan))
                profitable += plan.exit.profit >= 0
        await either.rpc.call("evm_revert", before_the_fall)
    assert mistakes == []
    assert people & in_emode
    assert len(seen) == len(either.deployment.assets) ** 2
    assert profitable >= LEAST


@pytest.mark.parametrize("flash_loan", [True, False])
async def test_the_best_plans_one_after_another(either, flash_loan):
    """Liquidating everyone as decided, by flash loan or with the owner's tokens, moves pools and still pays exactly."""
    await fall(either, 20)
    market, exchange = await open_everything(either, flash_loan=flash_loan)
    count = 0
    for borrower in await below_one(either, market):
        plan, at = await best_plan(market, exchange, borrower)
        if isinstance(plan, Skip):
            continue
        done, raw = await execute(either, plan, at)
        assert done.succeeded, done.why
        assert paid_out(raw, plan.exit) == plan.exit.profit
        assert receipt_of(raw, plan).profit[:-1] == plan.profit[:-1]
        count += 1
    assert count > 10


async def test_a_large_position_is_taken_in_parts(either):
    """Where the whole would sell too cheaply, the plan repays a part of it, earns more, and pays exactly that."""
    await take_up(either, LENDER, {"USDC": 5_000_000, "USDT0": 5_000_000}, {})
    await take_up(either, LARGE, {"WHYPE": 6_000_000}, {"USDC": 1_600_000, "USDT0": 1_600_000})
    await fall(either, 25)
    market, exchange = await open_everything(either)
    plans, _ = await plans_of(market, exchange, LARGE)
    best, at = await best_plan(market, exchange, LARGE)
    whole = max((plan for plan in plans if plan.debt_asset == best.debt_asset), key=lambda plan: plan.debt_to_cover)
    assert best.debt_to_cover < whole.debt_to_cover // 2
    assert best.profit_base == max(plan.profit_base for plan in plans) > whole.profit_base
    _, raw = await execute(either, best, at)
    assert paid_out(raw, best.exit) == best.exit.profit


async def test_exactly_the_least_profit_is_enough(either):
    """A plan whose least is what it pays succeeds; one wei more and it reverts."""
    await fall(either, 20)
    market, exchange = await open_everything(either)
    borrower = (await below_one(either, market))[0]
    plan, at = await best_plan(market, exchange, borrower)
    copy = await either.rpc.call("evm_snapshot")
    for extra, succeeds in ((1, False), (0, True)):
        done, _ = await execute(either, with_least(plan, plan.exit.profit + extra), at)
        assert done.succeeded is succeeds, done.why
        await either.rpc.call("evm_revert", copy)
        copy = await either.rpc.call("evm_snapshot")


def with_least(plan, least):
    """The plan with another least profit."""
    return replace(plan, exit=replace(plan.exit, min_profit=least))


async def test_the_least_profit_covers_gas_and_the_operators_minimum(either):
    """What the contract insists on is worth the minimum and the gas, and no dollar more."""
    await fall(either, 25)
    market, exchange = await open_everything(either)
    for borrower in await below_one(either, market):
        plan, _ = await best_plan(market, exchange, borrower, min_profit_base=5 * BASE_UNIT)
        if isinstance(plan, Skip):
            continue
        needed = 5 * BASE_UNIT - plan.profit[-1].base
        assert needed <= plan.exit.min_profit * plan.exit.debt_price / plan.exit.debt_unit <= needed + BASE_UNIT // 100
