"""How Mint and Burn move a scaled balance, and what a balance is worth; both depend on the token's release."""

from typing import Protocol

from liqcli.aave.ray import (
    Version,
    ray_div,
    ray_div_ceil,
    ray_div_floor,
    ray_mul,
    ray_mul_ceil,
    ray_mul_floor,
)


class Rounding(Protocol):
    """What decides how a token rounds: `directional` from 3.5 on, then against the holder of a debt."""

    is_debt: bool
    directional: bool


def rounds_directionally(version: Version) -> bool:
    """From 3.5 every division favours the pool; before, all round half up."""
    return version >= (3, 5)


def balance_of(scaled: int, index: int, token: Rounding) -> int:
    """The token's `balanceOf` at an index."""
    if not token.directional:
        return ray_mul(scaled, index)
    return ray_mul_ceil(scaled, index) if token.is_debt else ray_mul_floor(scaled, index)


def scaled_after(scaled: int, net: int, index: int, token: Rounding) -> int:
    """The scaled balance after tokens worth `net` came (or, negative, went); below zero when logs are missing.

    `net` is a Mint's value less its interest, or minus the sum of a Burn's value and interest.
    """
    if not token.directional:
        return scaled + ray_div(net, index) if net >= 0 else scaled - ray_div(-net, index)
    balance = balance_of(scaled, index, token) + net
    return ray_div_floor(balance, index) if token.is_debt else ray_div_ceil(balance, index)
