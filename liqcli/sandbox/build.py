"""Contracts that depend on each other, deployed in one stream: no step waits for another's receipt."""

from dataclasses import dataclass, field
from typing import Any

from liqcli.chain.artifacts import Artifact
from liqcli.model import Address
from liqcli.sandbox.transactions import Transaction, create_address, encode_create, encode_function

DEPLOY_GAS = 12_000_000


@dataclass(slots=True)
class Build:
    """A deployer's transactions in order, with the address of each contract known before it exists."""

    deployer: Address
    nonce: int
    transactions: list[Transaction] = field(default_factory=list)
    libraries: dict[str, Address] = field(default_factory=dict)

    def create(self, artifact: Artifact, *args: Any) -> Address:
        """Deploy a contract; returns where it will be."""
        address = create_address(self.deployer, self.nonce + len(self.transactions))
        data = encode_create(artifact, args, self.libraries)
        self._add(Transaction(self.deployer, None, data, f"deploy {artifact.name}", DEPLOY_GAS))
        return address

    def call(self, to: Address, artifact: Artifact, function: str, *args: Any, gas: int = 3 * DEPLOY_GAS) -> None:
        """Call a function of a contract, there already or planned."""
        data = encode_function(artifact, function, args)
        self._add(Transaction(self.deployer, to, data, f"call {artifact.name}.{function}", gas))

    def _add(self, transaction: Transaction) -> None:
        self.transactions.append(transaction)
