"""What the book keeps in memory: accounts, tokens and reserves, each able to become again what it was."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from liqcli.aave.account import EMode, Reserve, debt_index_at, liquidity_index_at
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


class Doubt(StrEnum):
    """What about a reserve is in doubt: its indexes and rates, or whether all its balances are known."""

    RATES = "rates"
    SUPPLY = "supply"
    DEBT = "debt"


class Token:
    """An aToken or a variable debt token: whose reserve it is, how its implementation rounds, its scaled total supply.

    `total` is None until the chain has told it; `short` counts the comparisons in a row that found it wrong.
    """

    __slots__ = ("address", "directional", "is_debt", "reserve_id", "short", "total")

    def __init__(self, address: Address, reserve_id: int, version: Version, *, is_debt: bool) -> None:
        self.address = address
        self.reserve_id = reserve_id
        self.is_debt = is_debt
        self.directional = rounds_directionally(version)
        self.total: int | None = None
        self.short = 0

    @property
    def doubt(self) -> Doubt:
        """What of the reserve is in doubt when this token's total is."""
        return Doubt.DEBT if self.is_debt else Doubt.SUPPLY

    def copy(self) -> "Token":
        """A twin that a later upgrade leaves alone."""
        return copy(self)


@lru_cache(maxsize=65_536)
def shared(reserve_ids: frozenset[int]) -> frozenset[int]:
    """The one copy of a set: most accounts have one of a few, and each copy would take 216 bytes."""
    return reserve_ids


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

    __slots__ = ("_view", "as_of", "config", "doubts", "indexes", "tokens")

    def __init__(self, tokens: ReserveTokens) -> None:
        self.tokens = tokens
        self.config: dict[str, int] = dict.fromkeys(_CONFIGURED, 0) | {"active": 1}
        self.indexes = (RAY, 0, RAY, 0, 0)
        self.as_of = -1
        self.doubts: dict[Doubt, str] = {}
        self._view: Reserve | None = None

    @property
    def why_unknown(self) -> str | None:
        """The evidence that the reserve, or somebody's share in it, is not exact."""
        return next(iter(self.doubts.values()), None)

    def agrees_with(self, real: "ReserveState") -> bool:
        """Whether the chain's own description is the same; it says nothing of a grace period."""
        ours, theirs = self.config | {"grace_until": 0}, real.config | {"grace_until": 0}
        return Doubt.RATES not in self.doubts and self.indexes == real.indexes and ours == theirs

    def update(self, event: ReserveUpdated) -> None:
        """Take the indexes and rates of a log; its block's timestamp is when they were set."""
        self.indexes = (
            event.liquidity_index,
            event.liquidity_rate,
            event.variable_borrow_index,
            event.variable_borrow_rate,
            event.at,
        )
        self._view = None

    def accrue(self, version: Version, at: int, *, has_debt: bool) -> None:
        """Bring the indexes to a timestamp at the rates there are; without any debt, that index stands still."""
        index, rate, debt_index, debt_rate, _ = self.indexes
        view = self.view(0)
        self.indexes = (
            liquidity_index_at(view, at) if rate else index,
            rate,
            debt_index_at(version, view, at) if has_debt else debt_index,
            debt_rate,
            at,
        )
        self._view = None

    def configure(self, changes: Mapping[str, int]) -> None:
        """Take what the configurator changed, by the names of `aave.Reserve`."""
        self.config |= changes
        self._view = None

    def view(self, price: int) -> Reserve:
        """The reserve for the mathematics, at a price; the same object until something changes."""
        if self._view is None or self._view.price != price:
            self._view = self._seen(price)
        return self._view

    def _seen(self, price: int) -> Reserve:
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
        return (self.tokens, dict(self.config), self.indexes, self.as_of, dict(self.doubts))

    def restore(self, image: Image) -> None:
        """Become what the image shows."""
        self.tokens, config, self.indexes, self.as_of, doubts = image
        self.config, self.doubts, self._view = dict(config), dict(doubts), None


def state_of(tokens: ReserveTokens, reserve: Reserve, *, as_of: int) -> ReserveState:
    """A reserve as the chain itself described it at a block."""
    state = ReserveState(tokens)
    state.config = {name: int(getattr(reserve, name)) for name in _CONFIGURED}
    state.indexes = tuple(getattr(reserve, name) for name in _INDEXES)
    state.as_of = as_of
    return state


EModes = dict[int, tuple[EMode, Address | None]]
"""Each category, and the asset that prices it (up to 3.1, usually none)."""


@dataclass(slots=True)
class Before:
    """What one block changed, as it was before; None stands for something the block brought into being."""

    accounts: dict[Address, Image | None] = field(default_factory=dict)
    reserves: dict[int, Image | None] = field(default_factory=dict)
    totals: dict[Address, int | None] = field(default_factory=dict)
    tokens: dict[Address, Token] | None = None
    emodes: EModes | None = None
    version: Version | None = None


class Moves(NamedTuple):
    """Scaled balances as they are now, one a place: whose, of which e-mode, in which reserve, on which side."""

    addresses: Sequence[Address]
    emodes: Sequence[int]
    reserve_ids: Sequence[int]
    are_debts: Sequence[bool]
    scaled: Sequence[int]


@dataclass(slots=True)
class Changes:
    """Whose state changed; with `market` set, listings, e-modes or the version did, and everyone may stand anew.

    Of who is named in `moves` alone nothing else has changed.
    """

    accounts: set[Address] = field(default_factory=set)
    moves: list[Moves] = field(default_factory=list)
    reserves: set[int] = field(default_factory=set)
    market: bool = False

    def everyone(self) -> frozenset[Address]:
        """All whose state changed in whatever way."""
        return frozenset(self.accounts.union(*(moves.addresses for moves in self.moves)))
