"""From the wallet options to a key, and from a key to an executor: its lock, its journal, its policy."""

import getpass
import os
import platform
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from liqcli.cli.completion import accounts, offering
from liqcli.cli.connect import now_iso
from liqcli.cli.render import say
from liqcli.config import Settings, credentials_directory, pause_file
from liqcli.errors import ConfigError, SecretError, UsageError
from liqcli.lock import hold
from liqcli.model import BASE_UNIT, Address

if TYPE_CHECKING:
    from liqcli.bot.execute import Executor
    from liqcli.chain.market import Market
    from liqcli.cli.connect import Target
    from liqcli.wallet.journal import Journal
    from liqcli.wallet.keys import Key, Secret
    from liqcli.wallet.policy import Policy
    from liqcli.wallet.sender import Sender

_PANEL = "Wallet"
_GWEI = 10**9
KEYS = "keys"
_CREDENTIAL = "liq-password"
_READABLE_BY_ALL = 0o007
"""systemd shows its access list as group bits, so only the bits of everybody else count there."""

Account = Annotated[
    str | None,
    typer.Option(
        "--account",
        help="A key by its name: see liq keys list.",
        rich_help_panel=_PANEL,
        autocompletion=offering(accounts),
    ),
]
Keystore = Annotated[Path | None, typer.Option("--keystore", help="A keystore file.", rich_help_panel=_PANEL)]
PasswordFile = Annotated[
    Path | None,
    typer.Option(
        "--password-file", help="File with the keystore's password; else it is asked.", rich_help_panel=_PANEL
    ),
]


def key_directories(settings: Settings) -> tuple[Path, Path]:
    """Where keys by name are: liq's own directory, then Foundry's."""
    return settings.data_dir / KEYS, foundry_keys()


def foundry_keys() -> Path:
    """Where Foundry keeps its keystores."""
    return Path.home() / ".foundry" / "keystores"


def keystore_path(settings: Settings, *, account: str | None, keystore: Path | None) -> Path:
    """The one keystore that the options name."""
    from liqcli.wallet.keystore import find_account

    if account is not None and keystore is not None:
        raise UsageError("--account and --keystore name two keys", hint="give one of them")
    if keystore is not None:
        return keystore
    if account is None:
        raise SecretError(
            "--live needs a key and none is configured",
            hint="liq keys import bot, then liq run --live --account bot; a dry run needs none",
        )
    return find_account(account, key_directories(settings))


def load_key(settings: Settings, *, account: str | None, keystore: Path | None, password_file: Path | None) -> "Key":
    """The key that the options name, its keystore opened with the password from file, systemd or prompt."""
    from liqcli.wallet.keys import keep_memory_private
    from liqcli.wallet.keystore import open_keystore, read_private

    path = keystore_path(settings, account=account, keystore=keystore)
    read_private(path, what="keystore")  # what is wrong with the file is said before a password is asked for
    keep_memory_private()
    return open_keystore(path, password(password_file, prompt=f"password of {path.name}"))


def take_key(
    stack: AsyncExitStack, settings: Settings, *, account: str | None, keystore: Path | None, password_file: Path | None
) -> "Key":
    """The key that the options name; no other process may take it from the same file until the stack ends."""
    from liqcli.wallet.keystore import sole_use

    key = load_key(settings, account=account, keystore=keystore, password_file=password_file)
    stack.enter_context(sole_use(keystore_path(settings, account=account, keystore=keystore)))
    return key


def key_at(
    stack: AsyncExitStack,
    target: "Target",
    settings: Settings,
    *,
    account: str | None,
    keystore: Path | None,
    password_file: Path | None,
) -> "Key":
    """A sandbox's own throw-away key, whatever the options name; anywhere else the one that they name."""
    from liqcli.wallet.keys import Key

    if target.sandbox_key is None:
        return take_key(stack, settings, account=account, keystore=keystore, password_file=password_file)
    say_unused(account, keystore)
    return Key(target.sandbox_key)


def say_unused(account: str | None, keystore: Path | None) -> None:
    """In a sandbox the options that name a key have no effect; what they name may be a secret by mistake."""
    for option, value in (("--account", account), ("--keystore", keystore)):
        if value is not None:
            say(f"{option} is not used: the sandbox signs with a throw-away key of its own")


def password(file: Path | None, *, prompt: str) -> "Secret":
    """A password: from the file named, else from systemd's credentials, else from the terminal."""
    from liqcli.wallet.keys import Secret
    from liqcli.wallet.keystore import read_private

    if file is not None:
        return _as_password(read_private(file, what="password file"))
    directory = credentials_directory()
    if directory is not None and (directory / _CREDENTIAL).exists():
        return _as_password(read_private(directory / _CREDENTIAL, what="credential", others=_READABLE_BY_ALL))
    return Secret(ask(prompt, hint="--password-file FILE, or systemd's LoadCredential=liq-password:FILE"))


def ask(prompt: str, *, hint: str) -> str:
    """A line typed at the terminal without echo, also when stdin is a pipe; SecretError without a terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        raise SecretError(f"no terminal to ask for the {prompt}", hint=hint) from None
    with _ctrl_c_ends():
        return getpass.getpass(f"{prompt}: ", stream=sys.stderr)


@contextmanager
def _ctrl_c_ends() -> Iterator[None]:
    """While a question waits for its answer Ctrl-C is the answer, whatever a run does with it otherwise."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _as_password(content: bytes) -> "Secret":
    from liqcli.wallet.keys import Secret

    try:
        text = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        text = ""
    if not text:
        raise SecretError("the password file holds no password", hint="one line of text")
    return Secret(text)


def confirm(settings: Settings, *, confirmed: bool) -> None:
    """Sending must be allowed by the settings, and meant by the one who starts it."""
    if not settings.policy.live:
        hint = "check the limits under [policy] in liq.toml, and put  live = true  there"
        raise ConfigError("sending is not allowed: policy.live is false", hint=hint)
    if confirmed:
        return
    if not sys.stdin.isatty():
        raise UsageError("sending asks for a confirmation, and there is no terminal", hint="--yes")
    with _ctrl_c_ends():
        answer = typer.prompt(f"this sends real transactions; type {settings.network} to go on")
    if answer != settings.network:
        raise UsageError("not confirmed: nothing was sent", hint=f"type {settings.network}")


async def open_executor(
    stack: AsyncExitStack,
    settings: Settings,
    market: "Market",
    key: "Key",
    *,
    contracts: tuple[Address, ...],
    sandbox: bool,
    redis_url: str,
    tell: Callable[[str], None],
) -> "Executor":
    """An executor that alone may use the key here and on this Redis; its journal and its locks end with the stack."""
    from liqcli.bot.execute import Executor

    policy = policy_of(settings, market, contracts)
    sender = await open_sender(stack, settings, market, key, policy, sandbox=sandbox, redis_url=redis_url, tell=tell)
    return Executor(market, sender)


async def open_sender(
    stack: AsyncExitStack,
    settings: Settings,
    market: "Market",
    key: "Key",
    policy: "Policy",
    *,
    sandbox: bool,
    redis_url: str,
    tell: Callable[[str], None],
) -> "Sender":
    """The key's one way to the chain, within the policy."""
    from liqcli.bot.execute import loss_of
    from liqcli.store.connection import open_redis
    from liqcli.store.ownership import owning
    from liqcli.wallet.journal import Journal
    from liqcli.wallet.policy import Signer
    from liqcli.wallet.sender import Sender

    directory = (settings.data_dir / "sandbox" if sandbox else settings.data_dir) / "wallet"
    name = f"{market.chain_id}-{key.address}"
    held = stack.enter_context(hold(directory, name, {"started": now_iso()}))
    redis = await open_redis(redis_url, timeout_s=settings.redis.timeout_s)
    stack.push_async_callback(redis.aclose)
    owner = f"{platform.node()}:{held.path.absolute()}"
    lease = owning(redis, chain_id=market.chain_id, address=key.address, owner=owner)
    ownership = await stack.enter_async_context(lease)
    if sandbox:
        _forget_other_chains(directory, name)
    journal = Journal(directory / f"{name}.journal")
    stack.callback(journal.close)
    _tell_how_found(journal, tell, sandbox=sandbox)
    return Sender(
        market.rpc,
        Signer(key, policy),
        journal,
        loss_of=loss_of,
        tell=tell,
        hindrance=lambda: "" if ownership.is_held else "the lease on the key is not ours",
        epoch=lambda: ownership.epoch,
    )


def _tell_how_found(journal: "Journal", tell: Callable[[str], None], *, sandbox: bool) -> None:
    """An operator who knows that there was a journal must hear that there is none; a sandbox's key is always new."""
    if journal.is_new and not sandbox:
        tell(f"a new journal begins at {journal.path}: what this key sent before counts in no limit")
    if journal.was_cut:
        tell(f"the last line of {journal.path} was cut, as by a crash while it was written: what it held was not sent")


def policy_of(settings: Settings, market: "Market", contracts: tuple[Address, ...]) -> "Policy":
    """The settings' limits for one market, with the calls that these contracts take."""
    from liqcli.chain.abi import LIQUIDATE, LIQUIDATION_CALL
    from liqcli.wallet.policy import Policy

    if not contracts:
        pool = market.addresses.pool
        raise ConfigError(
            "no contract may be called",
            hint=f'put the pool, or your liquidator contract, under [policy] of liq.toml: contracts = ["{pool}"]',
        )
    limits, pool = settings.policy, market.addresses.pool
    return Policy(
        chain_id=market.chain_id,
        allowed=frozenset((contract, LIQUIDATION_CALL if contract == pool else LIQUIDATE) for contract in contracts),
        max_gas=limits.max_gas,
        max_fee_per_gas=round(limits.max_gas_price_gwei * _GWEI),
        max_loss_base=round(limits.max_loss_usd * BASE_UNIT),
        max_day_loss_base=round(limits.max_day_loss_usd * BASE_UNIT),
        max_per_hour=limits.max_per_hour,
        pause_file=pause_file(settings),
    )


def _forget_other_chains(directory: Path, name: str) -> None:
    """Each sandbox has a key of its own: the journals of earlier ones tell of chains that are gone."""
    for path in directory.glob("*-0x*"):
        if path.name.split(".")[0] != name:
            path.unlink(missing_ok=True)
