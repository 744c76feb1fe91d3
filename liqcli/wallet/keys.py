"""Keys: the only objects that hold a secret; they sign, and show nothing but their address."""

from collections.abc import Mapping
from typing import Any, NoReturn

from liqcli.errors import SecretError
from liqcli.model import Address


class Key:
    """A private key that can sign transactions; its repr and pickle give nothing away."""

    __slots__ = ("__account", "address")

    def __init__(self, secret: str) -> None:
        from eth_account import Account

        try:
            self.__account = Account.from_key(secret)
        except ValueError:
            raise SecretError("the key is not 32 bytes of hex", hint="0x and 64 hex digits") from None
        self.address: Address = self.__account.address.lower()

    def __repr__(self) -> str:
        return f"Key({self.address})"

    def __reduce__(self) -> NoReturn:
        raise SecretError("a key is never pickled or copied", hint="pass its address instead")

    def sign(self, transaction: Mapping[str, Any]) -> tuple[str, str]:
        """Sign a transaction locally; returns the raw bytes and the hash, both as 0x hex."""
        from eth_utils.address import to_checksum_address

        checked = {**transaction, "to": to_checksum_address(transaction["to"])}
        signed = self.__account.sign_transaction(checked)
        return "0x" + bytes(signed.raw_transaction).hex(), "0x" + bytes(signed.hash).hex()
