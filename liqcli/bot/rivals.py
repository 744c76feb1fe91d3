"""Rivals: who liquidated a borrower that we had planned for, looked up beside the bot's own work."""

import asyncio
from collections.abc import Callable

from liqcli.bot.ledger import Ledger, Rival
from liqcli.bot.notes import Note
from liqcli.chain.abi import quantity
from liqcli.chain.logs import decode_liquidation
from liqcli.chain.market import Market
from liqcli.chain.topics import LIQUIDATION_CALL
from liqcli.errors import LiqError
from liqcli.model import Liquidation

_MOST_AT_ONCE = 16
_MOST_BLOCKS = 50
"""HyperEVM's own node reads no more in one eth_getLogs."""


class Rivals:
    """Looks up each plan that came to nothing; more than a few at once are left to `liq audit missed`."""

    def __init__(self, market: Market, ledger: Ledger, *, tell: Callable[[Note], None]) -> None:
        self._market = market
        self._ledger = ledger
        self._tell = tell
        self._planned: dict[str, Liquidation] = {}
        self._looking: set[asyncio.Task[None]] = set()

    def note(self, note: Note) -> None:
        """Remember plans; where one failed or was refused, look for the one who was faster."""
        if note.plan is not None and note.kind in ("plan", "sent"):
            self._planned[note.plan.borrower] = note.plan
        borrower = note.plan.borrower if note.plan else note.reading.borrower if note.reading else ""
        if note.kind == "won":
            self._planned.pop(borrower, None)
        elif note.kind in ("failed", "skip") and borrower in self._planned and len(self._looking) < _MOST_AT_ONCE:
            looking = asyncio.create_task(self._look(note, self._planned.pop(borrower)))
            self._looking.add(looking)
            looking.add_done_callback(self._looking.discard)

    async def close(self) -> None:
        """Finish the look-ups under way."""
        await asyncio.gather(*self._looking)

    async def _look(self, note: Note, plan: Liquidation) -> None:
        try:
            rival = await rival_of(self._market, plan)
        except LiqError:
            return  # the audit will find it
        if rival is not None:
            self._ledger.lost(note, rival)
            text = f"to {rival.liquidator} in block {rival.block:,}, {rival.blocks_later} blocks after the plan"
            self._tell(Note("lost", text, reading=note.reading, tx_hash=rival.tx_hash))


async def rival_of(market: Market, plan: Liquidation) -> Rival | None:
    """The first liquidation of the plan's borrower after the block it was planned at, None when there is none."""
    query = {
        "fromBlock": hex(plan.block + 1),
        "toBlock": hex(plan.block + _MOST_BLOCKS),
        "address": market.addresses.pool,
        "topics": [LIQUIDATION_CALL, None, None, "0x" + plan.borrower[2:].rjust(64, "0")],
    }
    for log in await market.rpc.call("eth_getLogs", query):
        liquidation = decode_liquidation(log)
        if liquidation is not None:
            block = quantity(log.get("blockNumber"))
            return Rival(str(log["transactionHash"]), liquidation.liquidator, block, block - plan.block)
    return None
