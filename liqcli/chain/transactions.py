"""A liquidation as calldata, and what its receipt says it brought."""

from collections.abc import Mapping
from typing import Any

from liqcli.aave.ray import div_ceil
from liqcli.chain.abi import LIQUIDATION_CALL, encode_call, quantity
from liqcli.chain.logs import LiquidationLog, decode_liquidation
from liqcli.errors import Unreachable
from liqcli.model import Liquidation, ProfitLine, Receipt

_RECEIVE_UNDERLYING = 0


def encode_liquidation_call(plan: Liquidation) -> str:
    """The 0x calldata of the planned `liquidationCall`; the seized collateral comes as the token itself."""
    arguments = (plan.collateral_asset, plan.debt_asset, plan.borrower, plan.call_amount, _RECEIVE_UNDERLYING)
    return "0x" + encode_call(LIQUIDATION_CALL, *arguments).hex()


def receipt_of(raw: Mapping[str, Any], plan: Liquidation) -> Receipt:
    """What the chain made of the plan, valued at the plan's prices; a failed transaction costs its gas only."""
    gas_used, gas_price = quantity(raw.get("gasUsed")), quantity(raw.get("effectiveGasPrice"))
    succeeded = quantity(raw.get("status")) == 1
    log = _liquidation_in(raw, plan) if succeeded else None
    return Receipt(
        tx_hash=str(raw["transactionHash"]),
        block=quantity(raw.get("blockNumber")),
        succeeded=succeeded,
        gas_used=gas_used,
        gas_price=gas_price,
        debt_covered=log.debt_covered if log else 0,
        collateral_received=log.collateral_received if log else 0,
        profit=_profit(plan, log, gas_used * gas_price),
    )


def _liquidation_in(raw: Mapping[str, Any], plan: Liquidation) -> LiquidationLog:
    for log in raw.get("logs", ()):
        liquidation = decode_liquidation(log)
        if liquidation is not None and liquidation.borrower == plan.borrower:
            return liquidation
    raise Unreachable(
        f"the receipt of {raw['transactionHash']} succeeded but tells of no liquidation of {plan.borrower}",
        hint="look the transaction up in an explorer",
    )


def _profit(plan: Liquidation, log: LiquidationLog | None, fee_wei: int) -> tuple[ProfitLine, ...]:
    collateral, debt, gas = plan.profit
    received = log.collateral_received if log else 0
    covered = log.debt_covered if log else 0
    return (
        ProfitLine(collateral.what, collateral.base * received // plan.expected_collateral),
        ProfitLine(debt.what, -div_ceil(-debt.base * covered, plan.debt_to_cover)),
        ProfitLine(gas.what, -div_ceil(-gas.base * fee_wei, plan.gas_fee_wei) if plan.gas_fee_wei else 0),
    )
