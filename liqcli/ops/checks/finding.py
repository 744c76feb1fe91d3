"""What a check found, and what there is to examine."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from liqcli.config import ExchangeSettings, Settings
from liqcli.errors import LiqError
from liqcli.layers import Key
from liqcli.model import Address


class Status(StrEnum):
    """How a check ended; only `fail` keeps a bot from starting."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: `what` is so, `fix` is what to type or set; `error` is what would have stopped a run."""

    name: str
    status: Status
    what: str
    fix: str = ""
    error: LiqError | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Scope:
    """What is examined: the settings with their origins, and the chain, market, Redis and key they come to.

    `signer` is an address, `keystore` the file it was named by; `redis_url` is None where an embedded server would be
    started; `signer_note` says why there is no signer.
    """

    settings: Settings
    origins: Mapping[Key, str]
    files: tuple[Path, ...]
    key_directories: tuple[Path, ...]
    rpc_urls: tuple[str, ...]
    market: str
    provider: Address | None
    chain_id: int | None
    exchange: ExchangeSettings
    is_sandbox: bool = False
    redis_url: str | None = None
    signer: Address | None = None
    signer_note: str = ""


def ok(name: str, what: str, fix: str = "") -> Check:
    """All is well."""
    return Check(name, Status.OK, what, fix)


def warn(name: str, what: str, fix: str = "") -> Check:
    """It works, but somebody should know."""
    return Check(name, Status.WARN, what, fix)


def fail(name: str, what: str, fix: str = "") -> Check:
    """A bot should not start like this."""
    return Check(name, Status.FAIL, what, fix)


def skip(name: str, what: str, fix: str = "") -> Check:
    """There is nothing to examine."""
    return Check(name, Status.SKIP, what, fix)


def failed(name: str, err: LiqError) -> Check:
    """What an error says, kept for whoever wants to raise it."""
    return Check(name, Status.FAIL, err.message, err.hint, err)
