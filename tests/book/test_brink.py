"""The price at which a position falls is exact to the base unit."""

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from liqcli.book.brink import liquidation_price
from liqcli.book.moment import account_at, repriced
from liqcli.model import WAD
from tests.book.markets import moments, positions
from tests.book.test_columns import borrower, market


def is_below(moment, position, reserve_id, price):
    """Whether the contract would let this account be liquidated at that price."""
    return account_at(repriced(moment, {reserve_id: price}), position).health_factor < WAD


@given(st.data())
@settings(max_examples=100)
def test_one_base_unit_decides(data):
    """At the price found the account is below one, and one base unit beside it it is not."""
    moment = data.draw(moments(most_reserves=3))
    position = data.draw(positions(moment))
    prices = {number: liquidation_price(moment, position, number) for number in sorted(moment.reserves)}
    deciding = [number for number, price in prices.items() if price is not None]
    assume(deciding)
    reserve_id = data.draw(st.sampled_from(deciding))
    price = prices[reserve_id]
    assert is_below(moment, position, reserve_id, price)
    assert not all(is_below(moment, position, reserve_id, beside) for beside in (price - 1, price + 1) if beside)


def test_a_collateral_falls_and_a_debt_rises():
    """With 80 %, 1,000 dollars of collateral carry 400 of debt down to half the price, or up to twice the debt's."""
    moment, position = market(3), borrower(1, {0: 1000}, {1: 400})
    assert liquidation_price(moment, position, 0) == 10**8 // 2 - 1
    assert liquidation_price(moment, position, 1) == 2 * 10**8 + 1


def test_a_price_that_does_not_matter():
    """An asset the account does not use, or that cannot bring it down alone, has no such price."""
    moment = market(4)
    assert liquidation_price(moment, borrower(1, {0: 1000}, {1: 400}), 2) is None
    assert liquidation_price(moment, borrower(1, {0: 1000, 3: 1000}, {1: 400}), 0) is None
    assert liquidation_price(moment, borrower(1, {0: 1000}, {}), 0) is None


def test_who_is_below_one_already():
    """The price is then the last one that still is too low."""
    moment, position = market(2), borrower(1, {0: 1000}, {1: 1000})
    assert liquidation_price(moment, position, 0) == 125 * 10**6 - 1
