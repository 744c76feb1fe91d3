"""What a run says is said, and every decision into the ledger."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from liqcli.config import Settings

if TYPE_CHECKING:
    from liqcli.bot.notes import Note, Tell
    from liqcli.chain.market import Market


def ledger_directory(settings: Settings) -> Path:
    """Where the ledger's files are, one a day."""
    return settings.data_dir / "ledger"


def open_record(stack: AsyncExitStack, settings: Settings, market: "Market", say: "Tell", *, mode: str) -> "Tell":
    """Say each note, write down each decision, and look for whoever was faster; ends with the stack."""
    from liqcli.bot.ledger import ENDED, STARTED, Ledger
    from liqcli.bot.rivals import Rivals

    ledger = Ledger(ledger_directory(settings), market=market.name, mode=mode)
    rivals = Rivals(market, ledger, tell=say)
    ledger.mark(STARTED)
    stack.callback(ledger.mark, ENDED)
    stack.push_async_callback(rivals.close)

    def tell(note: "Note") -> None:
        if note.kind != "liquidated":  # by whom is not known yet: `liq audit missed` tells
            say(note)
        ledger.note(note)
        rivals.note(note)

    return tell
