"""What a change of prices can have done to a health factor at worst."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqcli.bot.collect import worst_factor_of


@pytest.mark.parametrize(
    ("before", "after", "worst"),
    [
        ({"a": 100}, {"a": 100}, 1.0),
        ({"a": 100}, {"a": 90}, 0.9),
        ({"a": 100}, {"a": 125}, 0.8),
        ({"a": 100, "b": 100}, {"a": 90, "b": 125}, 0.72),
        ({"a": 100, "b": 100}, {"a": 100}, 0.0),
        ({}, {"a": 1}, 1.0),
    ],
)
def test_worst_case_is_all_collateral_falling_and_all_debt_rising(before, after, worst):
    """Falls bound the collateral, rises the debt; a price that vanished bounds nothing."""
    assert worst_factor_of(before, after) == pytest.approx(worst)


@given(
    st.lists(st.tuples(st.integers(1, 10**12), st.integers(1, 10**12), st.floats(0, 1), st.floats(0, 1)), min_size=1)
)
def test_no_portfolio_falls_below_the_bound(assets):
    """Whatever is held and owed, its ratio after the move is at least the bound times the ratio before."""
    before = {str(number): price for number, (price, *_) in enumerate(assets)}
    after = {str(number): price for number, (_, price, *_) in enumerate(assets)}

    def ratio(prices):
        collateral = sum(held * prices[str(number)] for number, (_, _, held, _) in enumerate(assets))
        debt = sum(owed * prices[str(number)] for number, (_, _, _, owed) in enumerate(assets))
        return collateral / debt if debt > 1e-9 else None

    if ratio(before) is not None and ratio(after) is not None:
        assert ratio(after) >= ratio(before) * worst_factor_of(before, after) * (1 - 1e-9)
