from dataclasses import replace

import pytest
from eth_abi import encode
from hypothesis import given
from hypothesis import strategies as st

from liqcli.chain import topics
from liqcli.chain.abi import LIQUIDATE, LIQUIDATION_CALL
from liqcli.chain.artifacts import own_artifact
from liqcli.chain.logs import decode_liquidation
from liqcli.chain.transactions import call_of, encode_liquidation_call, liquidator_creation, receipt_of
from liqcli.errors import Unreachable
from liqcli.model import Exit, Liquidation, ProfitLine
from liqcli.sandbox.transactions import encode_create

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


ROUTE = "0x" + COLLATERAL[2:] + "000bb8" + DEBT[2:]
EXIT = Exit(
    contract="0x" + "aa" * 20,
    router="0x" + "bb" * 20,
    path=ROUTE,
    flash_loan=True,
    premium=4,
    proceeds=1250,
    profit=246,
    min_profit=100,
    debt_price=10**8,
    debt_unit=10**6,
)
LINES = (
    ProfitLine("seized collateral", 50_000),
    ProfitLine("repaid debt", -40_000),
    ProfitLine("flash-loan premium", -400),
    ProfitLine("swap", 15_000),
    ProfitLine("gas", -100),
)
SOLD = replace(PLAN, exit=EXIT, profit=LINES)


def liquidated_log(profit, *, contract=EXIT.contract):
    """The log our Liquidator writes."""
    names = [topics.LIQUIDATED, topic(BORROWER), topic(COLLATERAL), topic(DEBT)]
    return {"address": contract, "topics": names, "data": "0x" + encode(["uint256"], [profit]).hex()}


@given(UINTS, st.binary(min_size=43, max_size=90), st.booleans())
def test_the_contracts_calldata_equals_eth_abi(least, path, flash_loan):
    """A plan with an exit calls our Liquidator, with the plan as one tuple."""
    changed = replace(EXIT, min_profit=least, path="0x" + path.hex(), flash_loan=flash_loan)
    values = (COLLATERAL, DEBT, BORROWER, PLAN.call_amount, least, flash_loan, EXIT.router, path)
    expected = encode(["(address,address,address,uint256,uint256,bool,address,bytes)"], [values])
    assert call_of(replace(SOLD, exit=changed), "0x" + "99" * 20) == (
        EXIT.contract,
        "0x" + (LIQUIDATE + expected).hex(),
    )
    assert call_of(PLAN, "0x" + "99" * 20) == ("0x" + "99" * 20, encode_liquidation_call(PLAN))


@pytest.mark.parametrize(("first", "second"), [([], []), (["0x" + "01" * 20], []), ([], ["0x" + "02" * 20] * 3)])
def test_creation_equals_the_compilers_encoding(first, second):
    """The creation's arguments are the pool and the two lists of routers."""
    pool = "0x" + "99" * 20
    assert liquidator_creation(pool, first, second) == encode_create(own_artifact("Liquidator"), [pool, first, second])


def test_receipt_of_a_sale_is_what_the_contract_paid():
    """The lines add up to the profit the contract told of, less gas."""
    made = receipt_of(receipt(liquidation_log(1000, 2000), liquidated_log(246), gas=1, price=1), SOLD)
    assert made.profit_base == EXIT.value(246) - 1
    assert [line.what for line in made.profit] == [line.what for line in LINES]


def test_failed_sale_costs_only_gas():
    """A reverted transaction lends, sells and pays nothing."""
    made = receipt_of(receipt(liquidation_log(1000, 2000), liquidated_log(246), status=0, gas=1, price=1), SOLD)
    assert [line.base for line in made.profit] == [0, 0, 0, 0, -1]


def test_another_contracts_profit_is_not_ours():
    """Only our own contract is asked what it paid."""
    with pytest.raises(Unreachable, match="no profit from"):
        receipt_of(receipt(liquidation_log(1000, 2000), liquidated_log(246, contract="0x" + "66" * 20)), SOLD)
