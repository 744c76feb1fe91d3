"""A liquidation as calldata, and what its receipt says it brought."""

from collections.abc import Mapping, Sequence
from typing import Any

from liqcli.aave.ray import div_ceil
from liqcli.chain.abi import LIQUIDATE, LIQUIDATION_CALL, encode_call, quantity, tail, unhex, words
from liqcli.chain.artifacts import own_artifact
from liqcli.chain.logs import LiquidationLog, decode_liquidation
from liqcli.chain.topics import LIQUIDATED
from liqcli.errors import Unreachable
from liqcli.model import Address, Exit, Liquidation, ProfitLine, Receipt

_RECEIVE_UNDERLYING = 0
_OFFSET_OF_PLAN = 32
_OFFSET_OF_PATH = 8 * 32


def call_of(plan: Liquidation, pool: Address) -> tuple[Address, str]:
    """The contract to call, the pool or our Liquidator, and the 0x calldata."""
    if plan.exit is None:
        return pool, encode_liquidation_call(plan)
    return plan.exit.contract, encode_liquidate(plan, plan.exit)


def liquidator_creation(pool: Address, routers_v2: Sequence[Address], routers_v3: Sequence[Address]) -> bytes:
    """The data of the transaction that makes a Liquidator for its sender."""
    second = 3 * 32 + (1 + len(routers_v2)) * 32
    arguments: tuple[int | Address, ...] = (
        pool,
        3 * 32,
        second,
        len(routers_v2),
        *routers_v2,
        len(routers_v3),
        *routers_v3,
    )
    return unhex(own_artifact("Liquidator").bytecode) + encode_call(b"", *arguments)


def encode_liquidate(plan: Liquidation, through: Exit) -> str:
    """The 0x calldata of our Liquidator's `liquidate`."""
    arguments = (
        *(plan.collateral_asset, plan.debt_asset, plan.borrower, plan.call_amount, through.min_profit),
        *(int(through.flash_loan), through.router, _OFFSET_OF_PATH),
    )
    return "0x" + (encode_call(LIQUIDATE, _OFFSET_OF_PLAN, *arguments) + tail(unhex(through.path))).hex()


def encode_liquidation_call(plan: Liquidation) -> str:
    """The 0x calldata of the planned `liquidationCall`; the seized collateral comes as the token itself."""
    arguments = (plan.collateral_asset, plan.debt_asset, plan.borrower, plan.call_amount, _RECEIVE_UNDERLYING)
    return "0x" + encode_call(LIQUIDATION_CALL, *arguments).hex()


def receipt_of(raw: Mapping[str, Any], plan: Liquidation) -> Receipt:
    """What the chain made of the plan, valued at the plan's prices; a failed transaction costs its gas only."""
    gas_used, gas_price = quantity(raw.get("gasUsed")), quantity(raw.get("effectiveGasPrice"))
    succeeded = quantity(raw.get("status")) == 1
    fee_wei = gas_used * gas_price
    log = _liquidation_in(raw, plan) if succeeded else None
    return Receipt(
        tx_hash=str(raw["transactionHash"]),
        block=quantity(raw.get("blockNumber")),
        succeeded=succeeded,
        gas_used=gas_used,
        gas_price=gas_price,
        debt_covered=log.debt_covered if log else 0,
        collateral_received=log.collateral_received if log else 0,
        profit=_kept(plan, log, fee_wei) if plan.exit is None else _sold(raw, plan, plan.exit, log, fee_wei),
    )


def _liquidation_in(raw: Mapping[str, Any], plan: Liquidation) -> LiquidationLog:
    for log in raw.get("logs", ()):
        liquidation = decode_liquidation(log)
        if liquidation is not None and liquidation.borrower == plan.borrower:
            return liquidation
    raise _no_word(raw, f"no liquidation of {plan.borrower}")


def paid_out(raw: Mapping[str, Any], through: Exit) -> int:
    """What our Liquidator says it paid its owner on top of the outlay, in the debt's token."""
    for log in raw.get("logs", ()):
        if log["address"].lower() == through.contract and log["topics"][0] == LIQUIDATED:
            return words(unhex(log.get("data")), 1)[0]
    raise _no_word(raw, f"no profit from {through.contract}")


def _no_word(raw: Mapping[str, Any], of_what: str) -> Unreachable:
    message = f"the receipt of {raw['transactionHash']} succeeded but tells of {of_what}"
    return Unreachable(message, hint="look the transaction up in an explorer")


def _kept(plan: Liquidation, log: LiquidationLog | None, fee_wei: int) -> tuple[ProfitLine, ...]:
    """What was seized is the sender's; without a log only the gas is paid."""
    return (*_exchanged(plan, log), _gas(plan, fee_wei))


def _sold(
    raw: Mapping[str, Any], plan: Liquidation, through: Exit, log: LiquidationLog | None, fee_wei: int
) -> tuple[ProfitLine, ...]:
    """What was seized has been sold: the swap's line makes the sum what was paid out, less gas."""
    collateral, debt = _exchanged(plan, log)
    premium = ProfitLine(plan.profit[2].what, plan.profit[2].base if log else 0)
    paid = through.value(paid_out(raw, through)) if log else 0
    swap = ProfitLine(plan.profit[3].what, paid - collateral.base - debt.base - premium.base)
    return collateral, debt, premium, swap, _gas(plan, fee_wei)


def _exchanged(plan: Liquidation, log: LiquidationLog | None) -> tuple[ProfitLine, ProfitLine]:
    collateral, debt, *_ = plan.profit
    received = log.collateral_received if log else 0
    covered = log.debt_covered if log else 0
    return (
        ProfitLine(collateral.what, collateral.base * received // plan.expected_collateral),
        ProfitLine(debt.what, -div_ceil(-debt.base * covered, plan.debt_to_cover)),
    )


def _gas(plan: Liquidation, fee_wei: int) -> ProfitLine:
    gas = plan.profit[-1]
    return ProfitLine(gas.what, -div_ceil(-gas.base * fee_wei, plan.gas_fee_wei) if plan.gas_fee_wei else 0)
