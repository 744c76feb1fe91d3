from dataclasses import replace

import pytest
from eth_abi import encode
from hypothesis import given
from hypothesis import strategies as st

from liqcli.chain import topics
from liqcli.chain.abi import LIQUIDATION_CALL
from liqcli.chain.logs import decode_liquidation
from liqcli.chain.transactions import encode_liquidation_call, receipt_of
from liqcli.errors import Unreachable
from liqcli.model import Liquidation, ProfitLine

BORROWER, DEBT, COLLATERAL, LIQUIDATOR = ("0x" + byte * 20 for byte in ("b0", "de", "c0", "11"))
PLAN = Liquidation(
    borrower=BORROWER,
    debt_asset=DEBT,
    collateral_asset=COLLATERAL,
    debt_to_cover=1000,
    call_amount=1010,
    expected_collateral=2000,
    gas_fee_wei=10**6,
    block=7,
    health_factor=9 * 10**17,
    profit=(ProfitLine("seized collateral", 50_000), ProfitLine("repaid debt", -40_000), ProfitLine("gas", -100)),
)
UINTS = st.integers(0, 2**256 - 1)


def topic(address):
    """An address as an indexed topic."""
    return "0x" + address[2:].rjust(64, "0")


def liquidation_log(covered, received, *, borrower=BORROWER):
    """The log a pool writes."""
    data = encode(["uint256", "uint256", "address", "bool"], [covered, received, LIQUIDATOR, False])
    names = [topics.LIQUIDATION_CALL, topic(COLLATERAL), topic(DEBT), topic(borrower)]
    return {"address": "0x" + "00" * 20, "topics": names, "data": "0x" + data.hex()}


def receipt(*logs, status=1, gas=500_000, price=4):
    """A receipt as nodes give it."""
    return {
        "transactionHash": "0x" + "ab" * 32,
        "blockNumber": "0x9",
        "status": hex(status),
        "gasUsed": hex(gas),
        "effectiveGasPrice": hex(price),
        "logs": list(logs),
    }


@given(UINTS)
def test_calldata_equals_eth_abi(amount):
    """The call's arguments are collateral, debt, borrower, the asked amount, and no aTokens."""
    expected = encode(["address", "address", "address", "uint256", "bool"], [COLLATERAL, DEBT, BORROWER, amount, False])
    assert encode_liquidation_call(replace(PLAN, call_amount=amount)) == "0x" + (LIQUIDATION_CALL + expected).hex()


@given(UINTS, UINTS)
def test_liquidation_log_reads_as_written(covered, received):
    """Every field of a LiquidationCall comes back exactly."""
    log = decode_liquidation(liquidation_log(covered, received))
    assert (log.debt_covered, log.collateral_received) == (covered, received)
    assert (log.collateral_asset, log.debt_asset, log.borrower) == (COLLATERAL, DEBT, BORROWER)
    assert log.liquidator == LIQUIDATOR


def test_receipt_as_planned_brings_the_planned_profit():
    """Amounts as expected give the plan's lines; gas is what was really paid."""
    made = receipt_of(receipt(liquidation_log(1000, 2000)), PLAN)
    assert made.succeeded
    assert [line.base for line in made.profit] == [50_000, -40_000, -200]
    assert (made.block, made.gas_used, made.gas_price) == (9, 500_000, 4)


def test_receipt_of_less_is_valued_at_the_plans_prices():
    """Half of the amounts are worth half, rounded against us."""
    made = receipt_of(receipt(liquidation_log(501, 999), gas=1, price=1), PLAN)
    assert [line.base for line in made.profit] == [24_975, -20_040, -1]


def test_failed_receipt_costs_only_gas():
    """A failed transaction covers nothing, whatever logs a node attaches."""
    made = receipt_of(receipt(liquidation_log(1000, 2000), status=0), PLAN)
    assert (made.succeeded, made.debt_covered, made.collateral_received) == (False, 0, 0)
    assert [line.base for line in made.profit] == [0, 0, -200]


def test_success_without_the_liquidation_is_not_believed():
    """A successful receipt that liquidates somebody else, or nobody, is an error, not a profit."""
    other = liquidation_log(1000, 2000, borrower="0x" + "ee" * 20)
    for logs in ((), (other,)):
        with pytest.raises(Unreachable, match="tells of no liquidation"):
            receipt_of(receipt(*logs), PLAN)
