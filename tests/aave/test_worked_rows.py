"""The worked positions of the protocol notes, each through the real libraries (rates 0)."""

from dataclasses import replace

import pytest

from liqcli.aave.account import EMode, Position, Reserve, account_data
from liqcli.aave.liquidation import liquidate, max_debt_to_cover, stake_of
from liqcli.aave.ray import RAY
from liqcli.errors import Reverted
from tests.aave import vectors

WORKED = list(vectors.read_worked())
EVERYTHING = 2**256 - 1


def reserve(number, decimals, price, **rest):
    """One of the four reserves of the notes."""
    facts = {"ltv": 0, "liquidation_threshold": 0, "liquidation_bonus": 0, "protocol_fee": 0, "emode_category": 0}
    facts |= {"liquidity_index": RAY, "liquidity_rate": 0, "variable_borrow_index": RAY, "variable_borrow_rate": 0}
    facts |= {"last_update": 1, "active": True, "frozen": False, "paused": False, "grace_until": 0}
    return Reserve(id=number, decimals=decimals, price=price, **(facts | rest))


RESERVES = {
    0: reserve(
        0,
        18,
        3512345678,
        ltv=5000,
        liquidation_threshold=6000,
        liquidation_bonus=11000,
        protocol_fee=1000,
        emode_category=1,
        liquidity_index=1012345678901234567890123456,
    ),
    1: reserve(1, 6, 99987654, variable_borrow_index=1056789012345678901234567890),
    2: reserve(
        2,
        18,
        3498765432,
        liquidation_threshold=4000,
        liquidation_bonus=11500,
        protocol_fee=1000,
        liquidity_index=1005 * 10**24,
        variable_borrow_index=1034567890123456789012345678,
    ),
    3: reserve(
        3,
        8,
        9512345678901,
        ltv=4500,
        liquidation_threshold=5500,
        liquidation_bonus=11200,
        liquidity_index=10003 * 10**23,
    ),
}
EMODES = {1: EMode(ltv=9000, liquidation_threshold=9300, liquidation_bonus=10100, collateral_bitmap=0b1)}
CASES = {
    "B": ({0: 500 * 10**18}, {1: 10_400_000_000}, 0, 0, 1, EVERYTHING),
    "C": ({0: 50 * 10**18}, {1: 1_040_000_000}, 0, 0, 1, EVERYTHING),
    "C2": ({0: 50 * 10**18}, {1: 1_040_000_000}, 0, 0, 1, 549_000_000),
    "D": ({0: 100 * 10**18}, {1: 5 * 10**9}, 0, 0, 1, EVERYTHING),
    "E": ({0: 500 * 10**18}, {1: 5_200_000_000, 2: 1566 * 10**17}, 0, 0, 1, EVERYTHING),
    "F": ({0: 500 * 10**18}, {2: 452 * 10**18}, 1, 0, 2, EVERYTHING),
    "G": ({0: 200 * 10**18, 2: 300 * 10**18}, {1: 8_200_000_000}, 0, 2, 1, 10**9),
    "H": ({3: 12_345_678}, {1: 6_300_000_000}, 0, 3, 1, 2 * 10**9),
}


def case_of(row):
    """The row's version, position, and what is asked of it."""
    collateral, debt, emode, collateral_id, debt_id, cover = CASES[row["case"].split()[0]]
    position = Position(vectors.BORROWER, collateral, debt, frozenset(collateral), emode)
    return vectors.version_of(row["version"]), position, collateral_id, debt_id, cover


@pytest.mark.parametrize("row", [row for _, row in WORKED], ids=[name for name, _ in WORKED])
def test_worked_account_is_exact(row):
    """The account of every worked row equals the real library's."""
    version, position, *_ = case_of(row)
    account = account_data(version, RESERVES, EMODES, position, 1)
    shown = {
        "totalCollateralBase": str(account.collateral_base),
        "totalDebtBase": str(account.debt_base),
        "ltv": account.ltv,
        "liquidationThreshold": account.liquidation_threshold,
        "healthFactor": str(account.health_factor),
        "availableBorrowsBase": str(account.available_borrows_base),
    }
    assert shown == row["account"]


@pytest.mark.parametrize("row", [row for _, row in WORKED], ids=[name for name, _ in WORKED])
def test_worked_liquidation_is_exact(row):
    """Debt, net collateral, protocol fee, the cleared flag and the deficit, or the revert, equal the real library's."""
    assert outcome_of(row) == (row["liquidation"], row["fee"])


def outcome_of(row):
    """Our seizure, or the reason it would revert, in the words of the rows."""
    version, position, collateral_id, debt_id, cover = case_of(row)
    pair = {"collateral_id": collateral_id, "debt_id": debt_id, "debt_to_cover": cover}
    try:
        seizure = liquidate(version, RESERVES, EMODES, position, 1, **pair)
    except Reverted as error:
        return {"revert": error.reason}, "None"
    shown = {"debt": str(seizure.debt_covered), "collateral": str(seizure.collateral_received)}
    shown |= {"off": True} if seizure.collateral_disabled else {}
    shown |= {"deficit": str(seizure.deficit)} if seizure.deficit else {}
    return shown, str(seizure.protocol_fee)


@pytest.mark.parametrize("row", [row for _, row in WORKED], ids=[name for name, _ in WORKED])
def test_worked_close_limit_is_exact(row):
    """The most one call may repay follows the version's close factor."""
    if row["close_limit"] == "None":
        return
    version, position, collateral_id, debt_id, _ = case_of(row)
    account = account_data(version, RESERVES, EMODES, position, 1)
    stake = stake_of(version, RESERVES[collateral_id], RESERVES[debt_id], EMODES, position, now=1, account=account)
    assert str(max_debt_to_cover(version, stake)) == row["close_limit"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"price": 0}, "Panic(0x12)"), ({"liquidation_bonus": 0}, "no reason given")],
    ids=["no-price", "no-bonus"],
)
def test_what_the_pool_would_divide_by_is_never_zero(changes, reason):
    """Without a price the division panics; without a bonus the percentage refuses to find the fee, in silence."""
    position = Position(vectors.BORROWER, {0: 10**18, 2: 10**18}, {1: 10**9}, frozenset((0, 2)), 0)
    reserves = RESERVES | {0: replace(RESERVES[0], **changes)}
    with pytest.raises(Reverted) as refused:
        liquidate((3, 7), reserves, {}, position, 1, collateral_id=0, debt_id=1, debt_to_cover=10**6)
    assert refused.value.reason == reason
