"""Hold reserves, supplies and e-modes against the chain's own word, and mend what a lost log left wrong."""

from liqcli.book.ledger import Ledger
from liqcli.book.state import Doubt, EModes, ReserveState, Token
from liqcli.model import Address

_PATIENCE = 3
"""Comparisons that a supply may fail before its holders are read again: late logs come with the next pages."""


def check_reserve(ledger: Ledger, real: ReserveState) -> bool:
    """Whether the reserve is what the chain says it is at the cursor; if not, it is from now on."""
    state = ledger.reserves.get(real.tokens.id)
    if state is not None and state.agrees_with(real):
        return True
    if state is not None:
        ledger.gaps += Doubt.RATES not in state.doubts
        real.config["grace_until"] = state.config["grace_until"]
        real.doubts = {doubt: why for doubt, why in state.doubts.items() if doubt is not Doubt.RATES}
    ledger.put_reserve(real)
    return False


def check_total(ledger: Ledger, address: Address, total: int) -> bool:
    """Whether a token's scaled supply is as its logs left it; while it is not, nobody in the reserve is known.

    Late logs may still bring the difference. After some comparisons each holder has to be read again, and whoever was
    never seen may hold something after all.
    """
    token = ledger.tokens.get(address)
    if token is None:
        return True
    if token.total is None or token.total == total:
        token.total, token.short = total, 0
        _settle(ledger, token)
        return True
    token.short += 1
    ledger.gaps += token.short == 1
    if token.short <= _PATIENCE:
        ledger.doubt_reserve(ledger.reserves[token.reserve_id], "its balances do not add up to its supply", token.doubt)
        return False
    token.total, token.short, ledger.complete = total, 0, False
    for holder in ledger.holders(token):
        ledger.doubt(holder, "a log of a token it holds was lost")
    _settle(ledger, token)
    return False


def check_emodes(ledger: Ledger, real: EModes) -> bool:
    """Whether these categories are defined as the chain says at the cursor; if not, they are from now on."""
    wrong = {number: facts for number, facts in real.items() if ledger.emodes.get(number) != facts}
    if wrong:
        ledger.gaps += 1
        ledger.emodes |= wrong
        ledger.changes.market = True
    ledger.entered -= real.keys()
    return not wrong


def _settle(ledger: Ledger, token: Token) -> None:
    if ledger.reserves[token.reserve_id].doubts.pop(token.doubt, None) is not None:
        ledger.changes.reserves.add(token.reserve_id)
