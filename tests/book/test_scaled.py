"""Scaled balances from Mint and Burn: what the token did is recovered exactly, whatever it rounded."""

from dataclasses import dataclass

from hypothesis import assume, given
from hypothesis import strategies as st

from liqcli.aave.ray import RAY, ray_div, ray_div_ceil, ray_div_floor
from liqcli.book.scaled import balance_of, rounds_directionally, scaled_after


@dataclass(frozen=True)
class Token:
    """How a token rounds."""

    is_debt: bool
    directional: bool


tokens = st.builds(Token, is_debt=st.booleans(), directional=st.booleans())
amounts = st.one_of(st.integers(1, 10**3), st.integers(1, 10**12), st.integers(1, 10**27))
indexes = st.integers(0, 3 * RAY).map(lambda growth: RAY + growth)


def scaled_of(amount, index, token, *, comes):
    """The scaled amount that the token's own code makes of an amount (TokenMath from 3.5, rayDiv before)."""
    if not token.directional:
        return ray_div(amount, index)
    rounds_up = comes == token.is_debt
    return ray_div_ceil(amount, index) if rounds_up else ray_div_floor(amount, index)


def net_of(before, after, amount, index, token, *, comes):
    """What the logged numbers, value and interest, come to: the amount itself, or from 3.5 the balance's change."""
    if not token.directional:
        return amount if comes else -amount
    return balance_of(after, index, token) - balance_of(before, index, token)


@given(token=tokens, held=st.integers(0, 10**27), amount=amounts, index=indexes)
def test_a_mint_is_recovered(token, held, amount, index):
    """The scaled balance after a Mint is the one before plus exactly what the token added."""
    added = scaled_of(amount, index, token, comes=True)
    assume(added)
    net = net_of(held, held + added, amount, index, token, comes=True)
    assert scaled_after(held, net, index, token) == held + added


@given(token=tokens, held=st.integers(1, 10**27), amount=amounts, index=indexes)
def test_a_burn_is_recovered(token, held, amount, index):
    """The scaled balance after a Burn is the one before less exactly what the token took, down to nothing."""
    taken = min(scaled_of(amount, index, token, comes=False), held)
    assume(taken and (token.directional or taken == scaled_of(amount, index, token, comes=False)))
    net = net_of(held, held - taken, amount, index, token, comes=False)
    assert scaled_after(held, net, index, token) == held - taken


@given(token=tokens, held=st.integers(0, 10**27), index=indexes)
def test_pure_interest_moves_nothing(token, held, index):
    """A Mint of interest alone leaves the scaled balance as it is."""
    assert scaled_after(held, 0, index, token) == held


def test_directions_begin_with_3_5():
    """Up to 3.4 a token rounds half up."""
    assert not rounds_directionally((3, 4))
    assert rounds_directionally((3, 5))
