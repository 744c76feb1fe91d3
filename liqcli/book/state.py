"""What the book keeps in memory: accounts, tokens and reserves, each able to become again what it was."""

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from liqcli.aave.account import EMode, Reserve, debt_index_at, liquidity_index_at
from liqcli.aave.ray import RAY, Version
from liqcli.book.events import ReserveUpdated
from liqcli.book.scaled import rounds_directionally
from liqcli.chain.reserves import ReserveTokens
from liqcli.model import Address

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

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


class Keeper(Protocol):
    """Whoever keeps accounts elsewhere, and fills them again."""

    def give_back(self, accounts: Sequence["Account"]) -> None:
        """Fill these accounts, which are kept there."""


class Account:
    """One account's scaled balances by reserve id, the index each was last touched at, its flags and its e-mode.

    `as_of` is the block of the chain's own answer it was taken from (-1: built from logs alone); `why_unknown` is the
    evidence that it is not exact, None while it is. An index is kept under `2 * id + 1` for a debt, `2 * id` else.
    While pages of logs are folded in, a keeper may hold all that under a number; a look at any of it brings it back.
    """

    __slots__ = ("as_of", "collateral", "debt", "emode", "indexes", "keeper", "number", "used", "why_unknown")

    def __init__(self) -> None:
        self.collateral: dict[int, int] = {}
        self.debt: dict[int, int] = {}
        self.indexes: dict[int, int] = {}
        self.used: frozenset[int] = frozenset()
        self.emode = 0
        self.as_of = -1
        self.why_unknown: str | None = None
        self.keeper: Keeper | None = None
        self.number = -1

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """What a keeper holds: Python asks here only for slots that are empty."""
            if name not in _KEPT or self.keeper is None:
                raise AttributeError(name)
            self.return_home()
            return getattr(self, name)

    @classmethod
    def kept_by(cls, keeper: Keeper, number: int) -> "Account":
        """A new one that is kept there under that number."""
        account = cls.__new__(cls)
        account.keeper, account.number = keeper, number
        return account

    def leave_to(self, keeper: Keeper, number: int) -> None:
        """Be kept there, exact, under that number."""
        self.keeper, self.number = keeper, number
        for name in _KEPT:
            delattr(self, name)

    def return_home(self) -> None:
        """Be kept nowhere else."""
        if self.keeper is not None:
            self.keeper.give_back([self])

    def come_back(self, rows: Iterable[tuple[int, int, int, bool]], *, as_of: int, emode: int) -> None:
        """Become what the keeper held: by `2 * id + is debt`, scaled balance and last index (0: none) and flag."""
        self.keeper = None
        collateral: dict[int, int] = {}
        debt: dict[int, int] = {}
        indexes: dict[int, int] = {}
        used: list[int] = []
        for side, scaled, last, is_used in rows:
            if scaled:
                (debt if side & 1 else collateral)[side >> 1] = scaled
            if last:
                indexes[side] = last
            if is_used:
                used.append(side >> 1)
        self.used = shared(frozenset(used))
        self.collateral, self.debt, self.indexes, self.emode = collateral, debt, indexes, emode
        self.as_of, self.why_unknown = as_of, None

    def image(self) -> Image:
        """Enough to become this again."""
        balances = (dict(self.collateral), dict(self.debt), dict(self.indexes))
        return (*balances, self.used, self.emode, self.as_of, self.why_unknown)

    def restore(self, image: Image) -> None:
        """Become what the image shows."""
        self.return_home()
        self.collateral, self.debt, self.indexes = (dict(part) for part in image[:3])
        self.used, self.emode, self.as_of, self.why_unknown = image[3:]


_KEPT = tuple(name for name in Account.__slots__ if name not in ("keeper", "number"))


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


@dataclass(frozen=True, slots=True)
class Moves:
    """Scaled balances as a page left them, one a place: whose, of which e-mode, on which side (`2 * id + is debt`).

    Owners are numbers of `names`, balances are two words each, high half first.
    """

    names: "npt.NDArray[np.object_]"
    owners: "npt.NDArray[np.int64]"
    emodes: "npt.NDArray[np.int64]"
    sides: "npt.NDArray[np.int64]"
    scaled: "npt.NDArray[np.uint64]"

    @property
    def addresses(self) -> list[Address]:
        """Whose balances they are."""
        found: list[Address] = self.names[self.owners].tolist()
        return found


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
