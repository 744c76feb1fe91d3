import pytest

from liqcli.aave.account import AccountData, account_data
from liqcli.aave.liquidation import liquidate
from liqcli.errors import Reverted
from tests.aave import vectors

POSITIONS = list(vectors.read_positions())
LIQUIDATIONS = [
    (f"{name}-{index}", vector, row) for name, vector in POSITIONS for index, row in enumerate(vector["liquidations"])
]


def outcome_of(vector, row):
    """Our seizure, or the reason it would revert, in the words of the vectors."""
    reserves, emodes, position = vectors.reserves_of(vector), vectors.emodes_of(vector), vectors.position_of(vector)
    pair = {"collateral_id": row["collateralId"], "debt_id": row["debtId"], "debt_to_cover": int(row["debtToCover"])}
    try:
        seizure = liquidate(vectors.version_of(vector["version"]), reserves, emodes, position, vector["now"], **pair)
    except Reverted as error:
        return {"revert": error.reason}
    return {
        "LiquidationCall.debtToCover": seizure.debt_covered,
        "LiquidationCall.liquidatedCollateralAmount": seizure.collateral_received,
        "ReserveUsedAsCollateralDisabled": seizure.collateral_disabled,
        "DeficitCreated": seizure.deficit,
    }


@pytest.mark.parametrize("vector", [vector for _, vector in POSITIONS], ids=[name for name, _ in POSITIONS])
def test_account_data_equals_the_compiled_contracts(vector):
    """Collateral, debt, LTV, threshold, health factor and borrowing power are the contract's, to the wei."""
    expected = vector["account"]
    account = account_data(
        vectors.version_of(vector["version"]),
        vectors.reserves_of(vector),
        vectors.emodes_of(vector),
        vectors.position_of(vector),
        vector["now"],
    )
    assert account == AccountData(
        int(expected["totalCollateralBase"]),
        int(expected["totalDebtBase"]),
        int(expected["availableBorrowsBase"]),
        expected["liquidationThreshold"],
        expected["ltv"],
        int(expected["healthFactor"]),
    )


@pytest.mark.parametrize(
    ("vector", "row"), [(vector, row) for _, vector, row in LIQUIDATIONS], ids=[name for name, _, _ in LIQUIDATIONS]
)
def test_liquidation_equals_the_compiled_contracts(vector, row):
    """Amounts, the cleared collateral flag, the deficit, or the reason of the revert are the contract's."""
    expected = {key: value if key == "revert" else int(value) for key, value in row["result"].items()}
    assert outcome_of(vector, row) == expected
