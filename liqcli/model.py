"""The nouns every floor shares: events, readings, tiers, paces, liquidations, receipts.

Amounts and health factors are exact integers in the chain's own units: `*_base` is the oracle's base
currency (1e8 = 1 USD), health factors are wads (1e18 = 1.0), token amounts are in the token's own decimals.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias

WAD = 10**18
BASE_UNIT = 10**8
NO_DEBT = 2**256 - 1
"""The health factor Aave reports for an account without debt."""

Address: TypeAlias = str
"""A lower-case, 0x-prefixed address; checksummed only when shown."""


class EventKind(StrEnum):
    """Why a borrower deserves a look."""

    BORROW = "borrow"
    WITHDRAW = "withdraw"
    COLLATERAL_OFF = "collateral_off"
    EMODE = "emode"
    TRANSFER = "transfer"
    PRICE = "price"
    SWEEP = "sweep"
    SUPPLY = "supply"
    REPAY = "repay"
    LIQUIDATION = "liquidation"


class Event(NamedTuple):
    """Something that may have moved one borrower's health factor.

    `log_index` is -1 for events that are not logs (sweeps, prices); `at` is the local monotonic second it was received.
    """

    kind: EventKind
    borrower: Address
    block: int
    log_index: int
    at: float


class Tier(StrEnum):
    """How close a borrower is to liquidation, most urgent first."""

    CRITICAL = "critical"
    HIGH_RISK = "high_risk"
    MEDIUM_RISK = "medium_risk"
    LOW_RISK = "low_risk"
    SAFE = "safe"


class Pace(StrEnum):
    """How fast a health factor moves, fastest first."""

    RAPID = "rapid"
    MODERATE = "moderate"
    SLOW = "slow"
    STABLE = "stable"


@dataclass(frozen=True, slots=True)
class Reading:
    """What the pool said about a borrower at one block; `at` is that block's timestamp in seconds."""

    borrower: Address
    collateral_base: int
    debt_base: int
    health_factor: int
    block: int
    at: int

    @property
    def is_liquidatable(self) -> bool:
        """Aave's own rule: strictly below one."""
        return self.health_factor < WAD


@dataclass(frozen=True, slots=True)
class ProfitLine:
    """One line of a profit statement in base currency; costs are negative."""

    what: str
    base: int


@dataclass(frozen=True, slots=True)
class Exit:
    """How our Liquidator turns what is seized back into the debt's token; amounts are in that token's units.

    `path` is 0x hex, packed as the contract takes it, `0x` where debt and collateral are one asset and nothing is sold.
    `profit` is what the contract should pay its owner, `min_profit` the least it accepts without reverting.
    """

    contract: Address
    router: Address
    path: str
    flash_loan: bool
    premium: int
    proceeds: int
    profit: int
    min_profit: int
    debt_price: int
    debt_unit: int

    def value(self, amount: int) -> int:
        """An amount of the debt's token in base currency."""
        return amount * self.debt_price // self.debt_unit


@dataclass(frozen=True, slots=True)
class Liquidation:
    """A planned liquidation: what to repay, what it should seize, and the profit line by line.

    `call_amount` is the call's own argument: where the pool's limit decides, a little more than `debt_to_cover`,
    because interest accrues until the block; the pool takes no more than its limit. `gas_fee_wei` is the fee expected.
    Without an `exit` it is a plain `liquidationCall` with the sender's own tokens, and what is seized is kept.
    """

    borrower: Address
    debt_asset: Address
    collateral_asset: Address
    debt_to_cover: int
    call_amount: int
    expected_collateral: int
    gas_fee_wei: int
    block: int
    health_factor: int
    profit: tuple[ProfitLine, ...]
    exit: Exit | None = None

    @property
    def profit_base(self) -> int:
        """Net profit expected, in base currency."""
        return sum(line.base for line in self.profit)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the chain made of a sent liquidation; amounts are those of the LiquidationCall log."""

    tx_hash: str
    block: int
    succeeded: bool
    gas_used: int
    gas_price: int
    debt_covered: int
    collateral_received: int
    profit: tuple[ProfitLine, ...]

    @property
    def profit_base(self) -> int:
        """Net profit made, in base currency."""
        return sum(line.base for line in self.profit)
