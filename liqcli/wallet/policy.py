"""Policy: the whole of what may be signed. What breaks one rule is never handed to the key.

Rules: nothing while the pause file exists; our chain only; no native coin is ever sent along; a call goes to an allowed
contract and selector, or is a creation of an allowed contract, or an empty self-transfer that cancels; caps on gas, on
the price of gas, on what one transaction and one day can lose, and on liquidations in an hour.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liqcli.aave.ray import div_ceil
from liqcli.chain.abi import LIQUIDATION_CALL
from liqcli.errors import LiqError
from liqcli.model import BASE_UNIT, WAD, Address
from liqcli.wallet.keys import Key

CANCEL_GAS = 21_000
DAY_S = 86_400
HOUR_S = 3_600
_SELECTOR_BYTES = 4
_LIQUIDATION_CALL_BYTES = 4 + 5 * 32
_GWEI = 10**9


class Denied(LiqError):
    """Nothing was signed, or nothing sent; `reason` is the short name to count by."""

    def __init__(self, message: str, *, reason: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Transaction:
    """What is to be signed: type 2, no tip, no native coin; without `to` it creates a contract."""

    chain_id: int
    nonce: int
    to: Address | None
    data: bytes
    gas: int
    max_fee_per_gas: int
    value: int = 0

    @property
    def worst_fee_wei(self) -> int:
        """The most it can cost: all its gas at the highest price it offers."""
        return self.gas * self.max_fee_per_gas

    def fields(self) -> dict[str, Any]:
        """As the signing library names them."""
        return {
            "type": 2,
            "chainId": self.chain_id,
            "nonce": self.nonce,
            "to": self.to,
            "data": self.data,
            "value": self.value,
            "gas": self.gas,
            "maxFeePerGas": self.max_fee_per_gas,
            "maxPriorityFeePerGas": 0,
        }


@dataclass(frozen=True, slots=True)
class Spent:
    """What the journal knows beside the nonce in question.

    `loss_base` is what the past 24 hours lost, with what is under way at its worst; `liquidations` were signed in the
    past hour.
    """

    loss_base: int = 0
    liquidations: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """The limits of one key on one chain; amounts in base currency, gas prices in wei."""

    chain_id: int
    allowed: frozenset[tuple[Address, bytes]]
    max_gas: int
    max_fee_per_gas: int
    max_loss_base: int
    max_day_loss_base: int
    max_per_hour: int
    pause_file: Path
    creations: frozenset[bytes] = frozenset()

    def check(self, transaction: Transaction, *, sender: Address, native_price: int, spent: Spent) -> None:
        """Raise Denied for the first rule broken; `native_price` is the base price of 1e18 wei."""
        self.check_not_paused()
        if transaction.chain_id != self.chain_id:
            raise _denied("wrong chain", f"chain {transaction.chain_id}, allowed is {self.chain_id}")
        if transaction.value != 0:
            raise _denied("sends native coin", f"value {transaction.value} wei, allowed is 0")
        self._check_what(transaction, sender)
        self._check_gas(transaction)
        self._check_loss(transaction, native_price, spent)
        if not _cancels(transaction, sender) and spent.liquidations >= self.max_per_hour:
            raise _denied("hourly limit", f"{spent.liquidations} in the past hour, allowed are {self.max_per_hour}")

    def check_not_paused(self) -> None:
        """Raise Denied while the pause file exists."""
        if self.pause_file.exists():
            raise Denied(f"paused by {self.pause_file}", reason="paused", hint="liq resume")

    def _check_what(self, transaction: Transaction, sender: Address) -> None:
        if _cancels(transaction, sender):
            return
        if transaction.to is None:
            if transaction.data not in self.creations:
                raise _denied("contract not allowed", "creates a contract that is not the one allowed")
            return
        selector = transaction.data[:_SELECTOR_BYTES]
        if (transaction.to, selector) not in self.allowed:
            raise Denied(
                f"the policy allows no call of 0x{selector.hex()} at {transaction.to}",
                reason="contract not allowed",
                hint=f'if you trust it: contracts = ["{transaction.to}"] under [policy] in liq.toml',
            )
        if selector == LIQUIDATION_CALL and len(transaction.data) != _LIQUIDATION_CALL_BYTES:
            raise _denied("malformed call", f"a liquidationCall of {len(transaction.data)} bytes")

    def _check_gas(self, transaction: Transaction) -> None:
        if not 0 < transaction.gas <= self.max_gas:
            raise _denied("gas over max_gas", f"gas {transaction.gas:,}, allowed are {self.max_gas:,}")
        if not 0 <= transaction.max_fee_per_gas <= self.max_fee_per_gas:
            offered, allowed = (price / _GWEI for price in (transaction.max_fee_per_gas, self.max_fee_per_gas))
            raise _denied("gas price over max_gas_price", f"gas price {offered:g} gwei, allowed are {allowed:g}")

    def _check_loss(self, transaction: Transaction, native_price: int, spent: Spent) -> None:
        if native_price <= 0:
            raise _denied("gas money has no price", "the fee cannot be weighed against the limits")
        worst = div_ceil(transaction.worst_fee_wei * native_price, WAD)
        if worst > self.max_loss_base:
            raise _denied("loss over max_loss", f"may lose {_usd(worst)}, allowed are {_usd(self.max_loss_base)}")
        if spent.loss_base + worst > self.max_day_loss_base:
            raise _denied(
                "daily loss limit",
                f"{_usd(spent.loss_base)} lost or at risk in 24 hours and {_usd(worst)} more,"
                f" allowed are {_usd(self.max_day_loss_base)}",
            )


class Signer:
    """A key behind its policy: the one way to a signature."""

    __slots__ = ("__key", "address", "policy")

    def __init__(self, key: Key, policy: Policy) -> None:
        self.__key = key
        self.policy = policy
        self.address: Address = key.address

    def __repr__(self) -> str:
        return f"Signer({self.address})"

    def sign(self, transaction: Transaction, *, native_price: int, spent: Spent) -> tuple[str, str]:
        """The raw bytes and the hash, both as 0x hex; Denied when the policy does not allow it."""
        self.policy.check(transaction, sender=self.address, native_price=native_price, spent=spent)
        return self.__key.sign(transaction.fields())


def _cancels(transaction: Transaction, sender: Address) -> bool:
    return transaction.to == sender and transaction.data == b"" and transaction.gas == CANCEL_GAS


def _denied(reason: str, text: str) -> Denied:
    return Denied(f"the policy forbids it: {text}", reason=reason, hint="the limits are under [policy] in liq.toml")


def _usd(base: int) -> str:
    return f"{base / BASE_UNIT:,.2f} USD"
