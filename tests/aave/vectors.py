"""The golden vectors, read into our own nouns."""

import json
from pathlib import Path

from liqcli.aave.account import EMode, Position, Reserve

HERE = Path(__file__).parents[1] / "data" / "vectors"
BORROWER = "0x" + "b0" * 20


def version_of(text):
    """'3.0.2' as (3, 0, 2)."""
    return tuple(map(int, text.split(".")))


def read_positions():
    """Every random position: (name, vector)."""
    for path in sorted(HERE.glob("positions-*.json")):
        for index, vector in enumerate(json.loads(path.read_text())):
            yield f"{vector['version']}-{index}", vector


def read_worked():
    """Every worked row: (name, row)."""
    for row in json.loads((HERE / "worked.json").read_text()):
        yield f"{row['version']}-{row['case'].split()[0]}", row


def reserves_of(vector):
    """The vector's reserves by id."""
    return {row["id"]: _reserve(row) for row in vector["reserves"]}


def _reserve(row):
    return Reserve(
        id=row["id"],
        decimals=row["decimals"],
        price=int(row["price"]),
        ltv=row["ltv"],
        liquidation_threshold=row["lt"],
        liquidation_bonus=row["bonus"],
        protocol_fee=row["fee"],
        emode_category=row["emode"],
        liquidity_index=int(row["liq_index"]),
        liquidity_rate=int(row["liq_rate"]),
        variable_borrow_index=int(row["var_index"]),
        variable_borrow_rate=int(row["var_rate"]),
        last_update=row["last"],
        active=row["active"],
        frozen=row["frozen"],
        paused=row["paused"],
        grace_until=row["grace_until"],
    )


def emodes_of(vector):
    """The vector's e-mode categories by number."""
    return {
        int(number): EMode(
            row["ltv"],
            row["lt"],
            row["bonus"],
            int(row["price"]),
            row["collateral"],
            row["ltvzero"],
            row["isolated"],
        )
        for number, row in vector["emodes"].items()
    }


def position_of(vector):
    """The vector's borrower."""
    user = vector["user"]
    return Position(
        BORROWER,
        {int(number): int(amount) for number, amount in user["scaledA"].items()},
        {int(number): int(amount) for number, amount in user["scaledD"].items()},
        frozenset(user["collateral"]),
        user["emode"],
    )
