"""The price at which a position falls, found on the integers the contract computes with."""

from collections.abc import Callable

from liqcli.aave.account import Position
from liqcli.book.moment import Moment, account_at, repriced
from liqcli.model import WAD

_FARTHEST = 2**40
"""No price is looked for beyond this many times what it is."""


def liquidation_price(moment: Moment, position: Position, reserve_id: int) -> int | None:
    """The nearest price of one reserve, all others unchanged, beside which the account's health crosses one.

    At it the account is liquidatable, one base unit further towards health it is not. None where no price does it.
    """
    now = moment.reserves[reserve_id].price

    def is_below(price: int) -> bool:
        return account_at(repriced(moment, {reserve_id: price}), position).health_factor < WAD

    found = [price for end in (1, now * _FARTHEST) if (price := _border(is_below, now, end)) is not None]
    return min(found, key=lambda price: max(price, now) / min(price, now), default=None)


def _border(is_below: Callable[[int], bool], start: int, end: int) -> int | None:
    """The last price on the side below one, found in ever wider steps from `start` towards `end`."""
    at_start, step = is_below(start), 1
    while start != end:
        reached = max(start - step, end) if end < start else min(start + step, end)
        if is_below(reached) != at_start:
            return _narrowed(is_below, start, reached)
        start, step = reached, step * 2
    return None


def _narrowed(is_below: Callable[[int], bool], left: int, right: int) -> int:
    """Halve between two prices on different sides until they are neighbours; the one below one."""
    left_below = is_below(left)
    while abs(right - left) > 1:
        middle = (left + right) // 2
        if is_below(middle) == left_below:
            left = middle
        else:
            right = middle
    return left if left_below else right
