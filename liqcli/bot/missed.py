"""Missed: liquidations by others, held against what our ledger says we knew and did."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from liqcli.bot.ledger import ENDED, STARTED, Decision
from liqcli.chain.abi import GET_ASSET_PRICE, encode_call, quantity, unhex, words
from liqcli.chain.logs import LiquidationLog, decode_liquidation
from liqcli.chain.market import Market
from liqcli.chain.topics import LIQUIDATION_CALL
from liqcli.errors import Reverted, Unreachable
from liqcli.model import Address

_WINDOW_BLOCKS = 50
_SLACK_S = 2.0
"""How far a block's time and ours may differ."""
_HINDRANCES = {
    "skip": "left alone: {why}",
    "dry run": "planned in a dry run, so not sent",
    "plan": "planned and not sent in time",
    "sent": "sent, and the other was mined first",
    "failed": "sent, and it failed: {why}",
    "lost": "sent, and the other was mined first",
    "won": "liquidated by us before; this was a later one",
    "recovered": "sent by an earlier run: {why}",
}


@dataclass(frozen=True, slots=True)
class Taken:
    """A liquidation on the chain: its log, where it stands, and its block's time by our own clock (Unix second)."""

    tx_hash: str
    block: int
    at: float
    log: LiquidationLog


@dataclass(frozen=True, slots=True)
class Missed:
    """A liquidation by somebody else and why it was not ours; money in base currency at `prices_at` its block or now.

    `last` is our last decision about the borrower before it, `known` what we knew when its log arrived.
    """

    taken: Taken
    last: Decision | None
    known: Decision | None
    reason: str
    debt_base: int | None
    profit_base: int | None

    @property
    def in_book(self) -> bool:
        """Whether our bot had a reading of the borrower."""
        seen = self.known or self.last
        return seen is not None and seen.health_factor is not None


async def liquidations(market: Market, first: int, last: int) -> list[Taken]:
    """Every LiquidationCall of the market's pool in these blocks; a head that has just come tells the chain's clock."""
    _, head_at = await market.head()
    ahead = time.time() - head_at
    found = []
    for start in range(first, last + 1, _WINDOW_BLOCKS):
        query = {
            "fromBlock": hex(start),
            "toBlock": hex(min(start + _WINDOW_BLOCKS - 1, last)),
            "address": market.addresses.pool,
            "topics": [LIQUIDATION_CALL],
        }
        for raw in await market.rpc.call("eth_getLogs", query):
            log = decode_liquidation(raw)
            if log is not None:
                block = quantity(raw.get("blockNumber"))
                header = await market.rpc.call("eth_getBlockByNumber", hex(block), False)  # noqa: FBT003  the RPC's own
                found.append(Taken(str(raw["transactionHash"]), block, ahead + quantity(header.get("timestamp")), log))
    return found


async def missed_among(market: Market, taken: Iterable[Taken], decisions: Sequence[Decision]) -> list[Missed]:
    """Those that are not ours, each with the reason our ledger gives."""
    ours = {decision.tx_hash for decision in decisions if decision.tx_hash and decision.kind != "lost"}
    found = []
    for one in taken:
        if one.tx_hash in ours:
            continue
        about = [decision for decision in decisions if decision.borrower == one.log.borrower]
        before = [
            decision for decision in about if decision.kind != "liquidated" and (decision.block or 0) <= one.block
        ]
        known = next((seen for seen in about if seen.kind == "liquidated" and seen.at >= one.at - _SLACK_S), None)
        last = before[-1] if before else None
        debt_base, profit_base = await _worth(market, one)
        reason = _reason(last, known, was_running=known is not None or _was_running(decisions, one.at))
        found.append(Missed(one, last, known, reason, debt_base, profit_base))
    return found


def _reason(last: Decision | None, known: Decision | None, *, was_running: bool) -> str:
    if not was_running:
        return "liq was not running"
    if last is not None and last.kind in _HINDRANCES:
        return _HINDRANCES[last.kind].format(why=last.why or "no reason given")
    if known is None or known.health_factor is None:
        return "not in our book"
    return "never read below one before it happened"


def _was_running(decisions: Sequence[Decision], at: float) -> bool:
    """Whether a run had begun and not ended; one that was killed counts until the next one begins."""
    marks = [
        decision.kind for decision in decisions if decision.kind in (STARTED, ENDED) and decision.at <= at + _SLACK_S
    ]
    return bool(marks) and marks[-1] == STARTED


async def _worth(market: Market, one: Taken) -> tuple[int | None, int | None]:
    """The debt covered and what it gained before gas, at the prices of its block where the node still has them."""
    units = {reserve.asset: 10**reserve.decimals for reserve in market.reserves}
    collateral, debt = one.log.collateral_asset, one.log.debt_asset
    if not {collateral, debt} <= units.keys():
        return None, None
    seized = one.log.collateral_received * await _price(market, collateral, one.block) // units[collateral]
    covered = one.log.debt_covered * await _price(market, debt, one.block) // units[debt]
    return covered, seized - covered


async def _price(market: Market, asset: Address, block: int) -> int:
    call = {"to": market.addresses.oracle, "data": "0x" + encode_call(GET_ASSET_PRICE, asset).hex()}
    try:
        answer = await market.rpc.call("eth_call", call, hex(block))
    except (Unreachable, Reverted):  # HyperEVM's own node keeps no old states
        answer = await market.rpc.call("eth_call", call, "latest")
    return words(unhex(answer), 1)[0]
