"""`liq keys`: make, import and look at keystores."""

import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from liqcli.cli import options, wallet
from liqcli.cli.render import print_json, print_table, say
from liqcli.errors import SecretError
from liqcli.text import safe

if TYPE_CHECKING:
    from liqcli.wallet.keys import Secret

_MOST_CHARS = 256

app = typer.Typer(help="Keys in encrypted files; no option ever takes a key.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The key's name.", show_default=False)]


@app.command("import")
def import_key(name: Name, *, password_file: wallet.PasswordFile = None, config: options.ConfigFile = None) -> None:
    """Encrypt a key that is typed at a prompt, or piped to stdin, into a new keystore.

    Example: liq keys import hot-wallet
    """
    path = _new_path(name, config)
    secret = _read_key()
    _write(path, secret, password_file)


@app.command()
def new(name: Name, *, password_file: wallet.PasswordFile = None, config: options.ConfigFile = None) -> None:
    """Make a new key in a new keystore.

    Example: liq keys new hot-wallet
    """
    from liqcli.wallet.keys import Secret

    path = _new_path(name, config)
    _write(path, Secret("0x" + secrets.token_bytes(32).hex()), password_file)


@app.command("list")
def list_keys(*, as_json: options.Json = False, config: options.ConfigFile = None) -> None:
    """Keystores by name, liq's own and Foundry's, with what is wrong with them.

    Example: liq keys list
    """
    from liqcli.wallet.keystore import described

    directories = wallet.key_directories(options.settings_from(config=config))
    paths = [path for directory in directories if directory.is_dir() for path in sorted(directory.iterdir())]
    found = [(path, *described(path)) for path in paths if not path.name.startswith(".")]
    if as_json:
        keys = [
            {"name": path.name, "address": named, "path": str(path), "problem": problem or None}
            for path, named, problem in found
        ]
        print_json({"keys": keys})
        return
    rows = [[safe(path.name), named or "(locked)", str(path), safe(problem)] for path, named, problem in found]
    print_table(["name", "address", "keystore", "problem"], rows, left=4, first_to_go=["keystore"], folds=["problem"])
    if not rows:
        say(f"no keys in {', '.join(map(str, directories))}; make one: liq keys new NAME")


@app.command()
def check(
    name: Annotated[str | None, typer.Argument(help="The key's name.")] = None,
    *,
    keystore: wallet.Keystore = None,
    password_file: wallet.PasswordFile = None,
    as_json: options.Json = False,
    config: options.ConfigFile = None,
) -> None:
    """Open a keystore with its password, say whose it is, and forget it.

    Example: liq keys check hot-wallet
    """
    settings = options.settings_from(config=config)
    key = wallet.load_key(settings, account=name, keystore=keystore, password_file=password_file)
    if as_json:
        print_json({"address": key.address, "opens": True})
    else:
        print(key.address)


def _new_path(name: str, config: Path | None) -> Path:
    from liqcli.wallet.keystore import check_name

    check_name(name)
    settings = options.settings_from(config=config)
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    directory, _ = wallet.key_directories(settings)
    return directory / name


def _read_key() -> "Secret":
    """The key from the pipe, else typed without echo."""
    from liqcli.wallet.keys import Key, Secret

    if sys.stdin.isatty():
        secret = Secret(wallet.ask("key (64 hex digits)", hint="pipe it: liq keys import NAME < FILE").strip())
    else:
        secret = Secret(sys.stdin.read(_MOST_CHARS).strip())
    Key(secret)  # what is no key is refused before a password is asked for
    return secret


def _write(path: Path, secret: "Secret", password_file: Path | None) -> None:
    from liqcli.wallet.keys import keep_memory_private
    from liqcli.wallet.keystore import write_keystore

    keep_memory_private()
    prompt = f"new password for {path.name}"
    password = wallet.password(password_file, prompt=prompt)
    if password_file is None and wallet.password(None, prompt=f"{prompt}, again").reveal() != password.reveal():
        raise SecretError("the two passwords differ", hint="nothing was written; try again")
    if not password.reveal():
        raise SecretError("an empty password protects nothing", hint="nothing was written; try again")
    print(write_keystore(path, secret, password))
    say(f"written to {path}; use it with  --account {path.name}")
