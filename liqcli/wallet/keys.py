"""Keys: the only objects that hold a secret; they sign, and show nothing but their address."""

import ctypes
import resource
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

from liqcli.errors import SecretError
from liqcli.model import Address

_PR_SET_DUMPABLE = 4


class Secret:
    """A text that is never shown, compared or pickled; `reveal` is for the one who needs it."""

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        self.__text = text

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> NoReturn:
        raise SecretError("a secret is never pickled or copied", hint="pass the object itself")

    def reveal(self) -> str:
        """The text itself."""
        return self.__text


class Key:
    """A private key that can sign transactions; its repr and pickle give nothing away."""

    __slots__ = ("__account", "address")

    def __init__(self, secret: str | Secret) -> None:
        self.address: Address = ""
        account = _account(secret.reveal() if isinstance(secret, Secret) else secret)
        del secret  # a traceback that shows local variables must not find it here
        if account is None:
            raise SecretError("the key is not 32 bytes of hex", hint="0x and 64 hex digits")
        self.__account = account
        self.address = account.address.lower()

    def __repr__(self) -> str:
        return f"Key({self.address})"

    def __reduce__(self) -> NoReturn:
        raise SecretError("a key is never pickled or copied", hint="pass its address instead")

    def sign(self, transaction: Mapping[str, Any]) -> tuple[str, str]:
        """Sign a transaction locally; returns the raw bytes and the hash, both as 0x hex. Only the policy calls it."""
        signed = _signed(self.__account, transaction)
        if signed is None:
            raise SecretError("the transaction cannot be signed", hint="a field is missing or has no value of its kind")
        return signed


@contextmanager
def own_recursion_limit() -> Iterator[None]:
    """Keep Python's bound while py_ecc is imported, which raises it to where a deep JSON overflows the stack."""
    limit = sys.getrecursionlimit()
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def keep_memory_private() -> None:
    """No core file of this process, and no other process of the same user may read its memory (Linux)."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _account(secret: str) -> Any | None:
    """The library's account, None for what is no key; its own error would carry the text."""
    with own_recursion_limit():
        from eth_account import Account

    try:
        return Account.from_key(secret)
    except ValueError:
        return None


def _signed(account: Any, transaction: Mapping[str, Any]) -> tuple[str, str] | None:
    """The raw bytes and the hash, None for a malformed transaction; the library's frames hold the key."""
    from eth_utils.address import to_checksum_address

    try:
        to = transaction["to"]
        signed = account.sign_transaction({**transaction, "to": b"" if to is None else to_checksum_address(to)})
    except (KeyError, TypeError, ValueError):
        return None
    return "0x" + bytes(signed.raw_transaction).hex(), "0x" + bytes(signed.hash).hex()
