"""The positions on the chain are the planned ones, and a critical one can really be liquidated."""

import pytest

from liqcli.chain.abi import GET_USER_ACCOUNT_DATA, LIQUIDATION_CALL, encode_call, unhex, words
from liqcli.errors import Reverted
from liqcli.model import WAD
from liqcli.sandbox.calls import EVERYTHING
from liqcli.sandbox.plans import Plan
from liqcli.sandbox.transactions import Transaction, answers, send_all
from liqcli.sandbox.world import World


async def health_factors(world: World, plans: tuple[Plan, ...]) -> list[int]:
    reads = [
        (
            "eth_call",
            (
                {"to": world.facts.pool, "data": "0x" + encode_call(GET_USER_ACCOUNT_DATA, plan.borrower).hex()},
                "latest",
            ),
        )
        for plan in plans
    ]
    return [words(unhex(answer), 6)[5] for answer in await answers(world.rpc, reads)]


async def test_health_factors_are_the_planned_ones(world: World):
    """Every borrower's health factor is within a thousandth of its aim once prices have fallen to the listed ones."""
    actual = await health_factors(world, world.plans)
    assert [factor / WAD for factor in actual] == pytest.approx([plan.aim for plan in world.plans], rel=1e-3)


async def test_a_critical_borrower_can_be_liquidated(chain: World):
    """The liquidator repays half the debt of a borrower below 1, and the borrower's health factor rises."""
    plan = critical_plan(chain)
    (before,) = await health_factors(chain, (plan,))
    await send_all(chain.rpc, [liquidation(chain, plan)])
    (after,) = await health_factors(chain, (plan,))
    assert before < WAD < after


async def test_a_healthy_borrower_cannot_be_liquidated(chain: World):
    """Above 1 the pool itself refuses, with Aave's own reason."""
    plan = next(plan for plan in chain.plans if plan.aim > 1.5)
    transaction = liquidation(chain, plan)
    call = {"from": transaction.sender, "to": transaction.to, "data": "0x" + transaction.data.hex()}
    with pytest.raises(Reverted) as caught:
        await chain.rpc.call("eth_call", call, "latest")
    assert caught.value.reason == "HealthFactorNotBelowThreshold"


def critical_plan(world: World) -> Plan:
    """One whose liquidation cannot be cut short by a lack of collateral of the kind that is seized."""
    return next(plan for plan in world.plans if plan.aim < 0.999 and len(plan.collateral) == 1)


def liquidation(world: World, plan: Plan) -> Transaction:
    collateral, debt = (world.deployment.asset(symbol).token for symbol in (plan.collateral[0][0], plan.debt[0][0]))
    data = encode_call(LIQUIDATION_CALL, collateral, debt, plan.borrower, EVERYTHING, 0)
    return Transaction(world.facts.liquidator, world.facts.pool, data, "liquidate")
