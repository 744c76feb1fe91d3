"""Decisions on synthetic snapshots of every release, and on the real contracts."""

from dataclasses import replace

import pytest

from liqcli.aave.account import account_data
from liqcli.aave.liquidation import DUST_BASE, liquidate
from liqcli.bot.decide import Skip, best_liquidation
from liqcli.chain.reserves import ReserveTokens
from liqcli.chain.snapshot import Snapshot
from liqcli.chain.transactions import encode_liquidation_call, receipt_of
from liqcli.errors import Reverted
from liqcli.model import BASE_UNIT, WAD, Liquidation
from liqcli.sandbox.transactions import Transaction, try_all
from tests.aave import vectors
from tests.aave.test_worked_rows import EMODES, RESERVES, Position
from tests.chain.sandbox import borrowers_of, configure, crash, open_sandbox, words_of

POSITIONS = list(vectors.read_positions())
ANY_PROFIT = -(10**30)
GRID = (1, 10, 100, 1000, 2, 3, 7)
BALANCE_OF = bytes.fromhex("70a08231")
VERSIONS = [(3, 0, 2), (3, 1), (3, 2), (3, 3), (3, 4), (3, 5), (3, 6), (3, 7)]
ON = True


def asset_of(number):
    """A made-up token address for a reserve id."""
    return f"0x{number + 1:040x}"


def snapshot_of(version, reserves, emodes, position, now, *, sentinel_allows=True):
    """A snapshot of made-up tokens; the account is what our own mathematics says."""
    tokens = {
        number: ReserveTokens(number, asset_of(number), "WHYPE" if number == 0 else "X", reserve.decimals, "", "")
        for number, reserve in reserves.items()
    }
    account = account_data(version, reserves, emodes, position, now)
    return Snapshot(7, now, version, tokens, reserves, emodes, position, sentinel_allows, account)


def snapshot_of_vector(vector):
    """The snapshot of a golden vector."""
    return snapshot_of(
        vectors.version_of(vector["version"]),
        vectors.reserves_of(vector),
        vectors.emodes_of(vector),
        vectors.position_of(vector),
        vector["now"],
    )


def case(version, collateral, debt, *, emode=0, reserves=RESERVES, **options):
    """A position over the reserves of the worked rows."""
    position = Position(vectors.BORROWER, collateral, debt, frozenset(collateral), emode)
    return snapshot_of(version, reserves, EMODES, position, 1000, **options)


def outcome(snapshot, collateral_id, debt_id, amount):
    """What a call of this pair and amount would bring, and its profit in base currency; None when it is refused."""
    pair = {"collateral_id": collateral_id, "debt_id": debt_id, "debt_to_cover": amount}
    try:
        seizure = liquidate(
            snapshot.version, snapshot.reserves, snapshot.emodes, snapshot.position, snapshot.at, **pair
        )
    except Reverted:
        return None
    collateral, debt = snapshot.reserves[collateral_id], snapshot.reserves[debt_id]
    received = seizure.collateral_received * collateral.price // collateral.unit
    return seizure, received + -seizure.debt_covered * debt.price // debt.unit


def every_outcome(snapshot):
    """The outcomes of every pair with amounts on a grid, the whole debt among them."""
    for collateral_id in snapshot.reserves:
        for debt_id, scaled in snapshot.position.scaled_debt.items():
            for part in GRID:
                found = outcome(snapshot, collateral_id, debt_id, 2 * scaled // part)
                if found:
                    yield found


@pytest.mark.parametrize("vector", [vector for _, vector in POSITIONS], ids=[name for name, _ in POSITIONS])
def test_no_pair_and_amount_earns_more(vector):
    """In every release no profit the pool allows beats the decision by more than the margin left above dust."""
    snapshot = snapshot_of_vector(vector)
    decision = best_liquidation(snapshot, min_profit_base=ANY_PROFIT, gas_price=0)
    best = max((profit for _, profit in every_outcome(snapshot)), default=None)
    if isinstance(decision, Skip):
        assert best is None
    elif best is not None and best > 0:
        assert decision.profit_base >= best - DUST_BASE // 100


@pytest.mark.parametrize("vector", [vector for _, vector in POSITIONS], ids=[name for name, _ in POSITIONS])
def test_the_pool_accepts_every_decision(vector):
    """The call of a decision brings exactly the amounts and the profit the decision names."""
    snapshot = snapshot_of_vector(vector)
    decision = best_liquidation(snapshot, min_profit_base=ANY_PROFIT, gas_price=0)
    if isinstance(decision, Skip):
        return
    numbers = {token.asset: number for number, token in snapshot.tokens.items()}
    seizure, profit = outcome(
        snapshot, numbers[decision.collateral_asset], numbers[decision.debt_asset], decision.call_amount
    )
    assert (seizure.debt_covered, seizure.collateral_received) == (
        decision.debt_to_cover,
        decision.expected_collateral,
    )
    assert profit == decision.profit_base


def test_vectors_hold_decisions_of_every_release():
    """The two tests above see liquidations and skips of each release."""
    decided = {
        (
            vector["version"],
            isinstance(best_liquidation(snapshot_of_vector(vector), min_profit_base=ANY_PROFIT, gas_price=0), Skip),
        )
        for _, vector in POSITIONS
    }
    assert len(decided) == 2 * len(VERSIONS)


@pytest.mark.parametrize(("version", "share"), [((3, 0, 2), 2), ((3, 2), 2), ((3, 3), 1), ((3, 7), 1)])
def test_small_position_is_closed_by_the_versions_factor(version, share):
    """At 0.97 a small debt is halved up to 3.2 and repaid whole from 3.3."""
    snapshot = case(version, {0: 50 * 10**18}, {1: 1_040_000_000})
    decision = best_liquidation(snapshot, min_profit_base=0, gas_price=0)
    assert decision.debt_to_cover == -(-1_099_060_573 // share)


@pytest.mark.parametrize("version", [(3, 3), (3, 5), (3, 7)])
def test_limit_that_would_leave_dust_is_undercut(version):
    """Where half of all debt would leave less than 1,000 USD of one, less is repaid and both sides keep enough."""
    debts = {1: 2_000_000_000, 2: 55 * 10**18}
    snapshot = case(version, {0: 192 * 10**18}, debts)
    assert 95 * WAD // 100 < snapshot.account.health_factor < WAD
    refused = [outcome(snapshot, 0, number, 2**256 - 1) is None for number in debts]
    decision = best_liquidation(snapshot, min_profit_base=0, gas_price=0)
    assert any(refused)
    assert isinstance(decision, Liquidation)
    debt = snapshot.reserves[1 if decision.debt_asset == asset_of(1) else 2]
    left = snapshot.account.debt_base - decision.debt_to_cover * debt.price // debt.unit
    assert left >= DUST_BASE


@pytest.mark.parametrize("version", [(3, 3), (3, 5), (3, 7)])
def test_collateral_that_would_be_left_as_dust_is_undercut(version):
    """Where half of the debt would leave less than 1,000 USD of the better collateral, less of it is taken."""
    reserves = RESERVES | {3: replace(RESERVES[3], liquidation_bonus=10100)}
    snapshot = case(version, {0: 585 * 10**17, 3: 3_160_000}, {1: 2_835_000_000}, reserves=reserves)
    assert 95 * WAD // 100 < snapshot.account.health_factor < WAD
    assert outcome(snapshot, 0, 1, 2**256 - 1) is None
    decision = best_liquidation(snapshot, min_profit_base=0, gas_price=0)
    assert decision.collateral_asset == asset_of(0)
    whole = 585 * 10**17 * RESERVES[0].liquidity_index // 10**27
    left = (whole - decision.expected_collateral) * RESERVES[0].price // 10**18
    assert DUST_BASE <= left < DUST_BASE + DUST_BASE // 20


def test_call_asks_for_a_little_more_than_the_limit():
    """The call's amount leaves room for interest until the block; the pool takes its own limit."""
    decision = best_liquidation(case((3, 0, 2), {0: 500 * 10**18}, {1: 10_400_000_000}), min_profit_base=0, gas_price=0)
    assert decision.debt_to_cover == 5_495_302_864
    assert decision.debt_to_cover < decision.call_amount <= decision.debt_to_cover * 102 // 100


def test_profit_is_told_line_by_line():
    """Collateral seized, debt repaid and gas add up to the profit, in integers of base currency."""
    snapshot = case((3, 0, 2), {0: 500 * 10**18}, {1: 10_400_000_000})
    decision = best_liquidation(snapshot, min_profit_base=0, gas_price=10**9)
    seized, repaid, gas = decision.profit
    assert (seized.what, repaid.what, gas.what) == ("seized collateral", "repaid debt", "gas")
    assert seized.base == 170516832915218759694 * 3512345678 // 10**18
    assert repaid.base == -(-(-5495302864 * 99987654) // 10**6) - 1
    assert gas.base == -(6 * 10**14 * 3512345678 // 10**18) - 1
    assert decision.profit_base == seized.base + repaid.base + gas.base
    assert decision.gas_fee_wei == 6 * 10**14


def test_same_asset_may_be_both_sides():
    """A borrower whose collateral and debt are one asset is liquidated in it."""
    snapshot = case((3, 0, 2), {0: 500 * 10**18}, {0: 320 * 10**18})
    decision = best_liquidation(snapshot, min_profit_base=0, gas_price=0)
    assert decision.debt_asset == decision.collateral_asset == asset_of(0)


def test_better_bonus_wins():
    """Of two collaterals of like size the one with the larger bonus net of fees is seized."""
    reserves = RESERVES | {3: replace(RESERVES[3], liquidation_bonus=10300)}
    snapshot = case((3, 0, 2), {0: 200 * 10**18, 3: 8_000_000}, {1: 10_000_000_000}, reserves=reserves)
    assert best_liquidation(snapshot, min_profit_base=0, gas_price=0).collateral_asset == asset_of(0)


@pytest.mark.parametrize(
    ("snapshot", "reason", "text"),
    [
        (case((3, 0, 2), {0: 500 * 10**18}, {}), "no debt", "no debt"),
        (case((3, 0, 2), {0: 500 * 10**18}, {1: 10**9}), "healthy", "healthy: health factor 10."),
        (case((3, 0, 2), {}, {1: 10**9}), "no collateral", "nothing is left to seize"),
        (
            case((3, 0, 2), {0: 5 * 10**17}, {1: 15_000_000}),
            "profit below min_profit",
            "profit 1.43 below min_profit 5.00",
        ),
        (
            case(
                (3, 7),
                {0: 500 * 10**18},
                {1: 11_000_000_000},
                reserves=RESERVES | {0: replace(RESERVES[0], paused=True)},
            ),
            "reserve paused",
            "reserve paused",
        ),
        (
            case(
                (3, 1),
                {0: 500 * 10**18},
                {1: 11_000_000_000},
                reserves=RESERVES | {1: replace(RESERVES[1], grace_until=1000)},
            ),
            "grace period",
            "grace period",
        ),
        (
            case((3, 0, 2), {0: 500 * 10**18}, {1: 10_400_000_000}, sentinel_allows=False),
            "price oracle sentinel",
            "price oracle sentinel",
        ),
        (
            case((3, 5), {1: 10**9}, {2: 10**18}),
            "no liquidatable collateral",
            "no liquidatable collateral",
        ),
    ],
)
def test_skip_names_its_reason(snapshot, reason, text):
    """Whoever is left alone is left for a named reason, with its numbers."""
    decision = best_liquidation(snapshot, min_profit_base=5 * BASE_UNIT, gas_price=0)
    assert isinstance(decision, Skip)
    assert decision.reason == reason
    assert decision.text.startswith(text)


def test_gas_without_a_price_is_not_free():
    """Where gas money has no price the profit is unknown, and nothing is decided."""
    snapshot = case((3, 0, 2), {0: 500 * 10**18}, {1: 10_400_000_000})
    nameless = {number: replace(token, symbol="X") for number, token in snapshot.tokens.items()}
    decision = best_liquidation(replace(snapshot, tokens=nameless), min_profit_base=0, gas_price=1)
    assert decision.reason == "gas money has no price"


async def execute(world, plan, at):
    """Send the plan as the liquidator in a block of timestamp `at`; returns the raw receipt."""
    liquidator = world.facts.liquidator
    await world.rpc.call("evm_setNextBlockTimestamp", at)
    data = bytes.fromhex(encode_liquidation_call(plan)[2:])
    (done,) = await try_all(world.rpc, [Transaction(liquidator, world.facts.pool, data, "liquidate")])
    return await world.rpc.call("eth_getTransactionReceipt", done.hash)


async def decided(market, borrower):
    """The decision about a borrower as it will be exact in the next block, and that block's timestamp."""
    snapshot = await market.snapshot(borrower)
    at = snapshot.at + 3
    return best_liquidation(replace(snapshot, at=at), min_profit_base=ANY_PROFIT, gas_price=10**8), at


async def test_executed_decision_pays_what_was_expected(chain):
    """Every liquidatable borrower of the real pool, liquidated as decided, brings the decided amounts to the wei."""
    await crash(chain, 22)
    market = await open_sandbox(chain)
    batch = await market.readings(borrowers_of(chain))
    liquidatable = [reading.borrower for reading in batch.readings.values() if reading.is_liquidatable]
    assert len(liquidatable) > 10
    for borrower in liquidatable:
        plan, at = await decided(market, borrower)
        receipt = receipt_of(await execute(chain, plan, at), plan)
        assert receipt.succeeded
        assert (receipt.debt_covered, receipt.collateral_received) == (plan.debt_to_cover, plan.expected_collateral)
        assert receipt.profit[:2] == plan.profit[:2]
        assert receipt.gas_used < 600_000


async def test_liquidators_balances_move_by_the_plan(chain):
    """The liquidator's own tokens go down by the debt covered and up by the collateral expected."""
    await crash(chain, 22)
    market = await open_sandbox(chain)
    batch = await market.readings(borrowers_of(chain))
    borrower = min(batch.readings.values(), key=lambda reading: reading.health_factor).borrower
    plan, at = await decided(market, borrower)
    assert plan.debt_asset != plan.collateral_asset

    async def balances():
        me = chain.facts.liquidator
        return [(await words_of(chain, asset, BALANCE_OF, me))[0] for asset in (plan.debt_asset, plan.collateral_asset)]

    debt_before, collateral_before = await balances()
    await execute(chain, plan, at)
    debt_after, collateral_after = await balances()
    assert debt_before - debt_after == plan.debt_to_cover
    assert collateral_after - collateral_before == plan.expected_collateral


async def test_late_liquidation_fails_and_costs_its_gas(chain):
    """A plan that came too late makes a failed receipt: nothing covered, nothing received, gas paid."""
    market = await open_sandbox(chain)
    before = await market.readings(borrowers_of(chain))
    await crash(chain, 22)
    after = await market.readings(borrowers_of(chain))
    borrower = next(
        who
        for who in before.readings
        if before.readings[who].health_factor > WAD * 11 // 10 and after.readings[who].is_liquidatable
    )
    plan, at = await decided(market, borrower)
    await crash(chain, 0)
    receipt = receipt_of(await execute(chain, plan, at + 100), plan)
    assert (receipt.succeeded, receipt.debt_covered, receipt.collateral_received) == (False, 0, 0)
    assert receipt.profit_base == receipt.profit[2].base < 0


async def test_paused_collateral_is_skipped_on_the_real_pool(chain):
    """A pause set by the pool's admin turns a decision into a skip."""
    await crash(chain, 22)
    market = await open_sandbox(chain)
    batch = await market.readings(borrowers_of(chain))
    borrower = min(batch.readings.values(), key=lambda reading: reading.health_factor).borrower
    for asset in chain.deployment.assets:
        await configure(chain, "setReservePause", asset.token, ON)
    decision, _ = await decided(market, borrower)
    assert decision == Skip("reserve paused", "reserve paused")
