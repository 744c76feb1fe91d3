"""What the book keeps in memory: accounts, tokens and reserves, each able to become again what it was."""

from copy import copy
from dataclasses import fields
from typing import Any, TypeAlias

from liqcli.aave.account import Reserve
from liqcli.aave.ray import RAY, Version
from liqcli.book.events import ReserveUpdated
from liqcli.book.scaled import rounds_directionally
from liqcli.chain.reserves import ReserveTokens
from liqcli.model import Address

Image: TypeAlias = tuple[Any, ...]
"""What a thing was before a block changed it."""

_INDEXES = (
    "liquidity_index",
    "liquidity_rate",
    "variable_borrow_index",
    "variable_borrow_rate",
    "last_update",
)
_CONFIGURED = tuple(field.name for field in fields(Reserve) if field.name not in (*_INDEXES, "id", "decimals", "price"))


class Token:
    """An aToken or a variable debt token: whose reserve it is, and how its implementation rounds."""

    __slots__ = ("address", "directional", "is_debt", "reserve_id")

    def __init__(self, address: Address, reserve_id: int, version: Version, *, is_debt: bool) -> None:
        self.address = address
        self.reserve_id = reserve_id
        self.is_debt = is_debt
        self.directional = rounds_directionally(version)

    def copy(self) -> "Token":
        """A twin that a later upgrade leaves alone."""
        return copy(self)


class Account:
    """One account's scaled balances by reserve id, the index each was last touched at, its flags and its e-mode.

    `as_of` is the block of the chain's own answer it was taken from (-1: built from logs alone); `why_unknown` is the
    evidence that it is not exact, None while it is. An index is kept under `2 * id + 1` for a debt, `2 * id` else.
    """

    __slots__ = ("as_of", "collateral", "debt", "emode", "indexes", "used", "why_unknown")

    def __init__(self) -> None:
        self.collateral: dict[int, int] = {}
        self.debt: dict[int, int] = {}
        self.indexes: dict[int, int] = {}
        self.used: frozenset[int] = frozenset()
        self.emode = 0
        self.as_of = -1
        self.why_unknown: str | None = None

    def image(self) -> Image:
        """Enough to become this again."""
        balances = (dict(self.collateral), dict(self.debt), dict(self.indexes))
        return (*balances, self.used, self.emode, self.as_of, self.why_unknown)

    def restore(self, image: Image) -> None:
        """Become what the image shows."""
        self.collateral, self.debt, self.indexes = (dict(part) for part in image[:3])
        self.used, self.emode, self.as_of, self.why_unknown = image[3:]


class ReserveState:
    """A reserve as its logs left it; `view` adds the price that only the oracle knows."""

    __slots__ = ("as_of", "config", "indexes", "tokens", "why_unknown")

    def __init__(self, tokens: ReserveTokens) -> None:
        self.tokens = tokens
        self.config: dict[str, int] = dict.fromkeys(_CONFIGURED, 0) | {"active": 1}
        self.indexes = (RAY, 0, RAY, 0, 0)
        self.as_of = -1
        self.why_unknown: str | None = None

    def update(self, event: ReserveUpdated) -> None:
        """Take the indexes and rates of a log; its block's timestamp is when they were set."""
        self.indexes = (
            event.liquidity_index,
            event.liquidity_rate,
            event.variable_borrow_index,
            event.variable_borrow_rate,
            event.at,
        )

    def view(self, price: int) -> Reserve:
        """The reserve for the mathematics, at a price."""
        index, rate, debt_index, debt_rate, last_update = self.indexes
        config = self.config
        return Reserve(
            id=self.tokens.id,
            decimals=self.tokens.decimals,
            price=price,
            ltv=config["ltv"],
            liquidation_threshold=config["liquidation_threshold"],
            liquidation_bonus=config["liquidation_bonus"],
            protocol_fee=config["protocol_fee"],
            emode_category=config["emode_category"],
            liquidity_index=index,
            liquidity_rate=rate,
            variable_borrow_index=debt_index,
            variable_borrow_rate=debt_rate,
            last_update=last_update,
            active=bool(config["active"]),
            frozen=bool(config["frozen"]),
            paused=bool(config["paused"]),
            grace_until=config["grace_until"],
        )

    def image(self) -> Image:
        """Enough to become this again."""
        return (self.tokens, dict(self.config), self.indexes, self.as_of, self.why_unknown)

    def restore(self, image: Image) -> None:
        """Become what the image shows."""
        self.tokens, config, self.indexes, self.as_of, self.why_unknown = image
        self.config = dict(config)


def state_of(tokens: ReserveTokens, reserve: Reserve, *, as_of: int) -> ReserveState:
    """A reserve as the chain itself described it at a block."""
    state = ReserveState(tokens)
    state.config = {name: int(getattr(reserve, name)) for name in _CONFIGURED}
    state.indexes = tuple(getattr(reserve, name) for name in _INDEXES)
    state.as_of = as_of
    return state
