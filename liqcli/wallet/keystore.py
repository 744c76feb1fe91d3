"""Keystores: keys in files of the v3 format, as geth and Foundry write them, opened with a password once at the start.

A file that others can read, that belongs to somebody else or that is not plainly a file is refused unread. No error
carries what a file holds.
"""

import fcntl
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from liqcli.errors import AlreadyRunning, InputError, SecretError, UsageError
from liqcli.model import Address
from liqcli.text import holds_key
from liqcli.wallet.keys import Key, Secret, own_recursion_limit

_MOST_BYTES = 64 * 1024
_OTHERS = 0o077
_WRITABLE_BY_OTHERS = 0o022
_MOST_SCRYPT_BYTES = 2**30
_MOST_ROUNDS = 10_000_000
_KEY_BYTES = 32
_PRF = "hmac-sha256"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_ADDRESS = re.compile(r"(?:0x)?[0-9a-fA-F]{40}")


def read_private(path: Path, *, what: str, others: int = _OTHERS) -> bytes:
    """The content of a file that only we (or root) can read; SecretError says what is wrong with it otherwise."""
    fd = _open(path, what)
    try:
        _check(os.fstat(fd), path, what, others)
        _check_directory(path)
        return os.read(fd, _MOST_BYTES + 1)
    finally:
        os.close(fd)


def open_keystore(path: Path, password: Secret) -> Key:
    """The key in a keystore; SecretError when file, format or password are wrong."""
    document = _parsed(path, read_private(path, what="keystore"))
    secret, fault = _decrypted(document, password)
    if secret is None:
        raise _bad(path, fault)
    key = Key(secret)
    named = address_in(document)
    if named is not None and named != key.address:
        raise _bad(path, f"it names {named}, but holds the key of {key.address}")
    return key


def write_keystore(path: Path, secret: Secret, password: Secret) -> Address:
    """Encrypt a key into a new file of mode 0600; an existing file is never replaced."""
    with own_recursion_limit():
        from eth_keyfile.keyfile import create_keyfile_json

    address = Key(secret).address
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise InputError(f"{path} exists", hint="choose another name; a keystore is never overwritten") from None
    complete = False
    try:
        raw = bytes.fromhex(secret.reveal().removeprefix("0x"))
        document = create_keyfile_json(raw, password.reveal().encode(), version=3, kdf="scrypt")
        os.write(fd, json.dumps(document).encode())
        os.fsync(fd)
        complete = True
    finally:
        os.close(fd)
        if not complete:
            path.unlink()
    return address


@contextmanager
def sole_use(path: Path) -> Iterator[None]:
    """Hold a keystore so that no other process, whatever its data directory, uses it meanwhile."""
    fd = _open(path, "keystore")
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise AlreadyRunning(
            f"another process uses the key in {path}", hint="one key, one bot: stop that one"
        ) from None
    try:
        yield
    finally:
        os.close(fd)


def find_account(name: str, directories: Sequence[Path]) -> Path:
    """The keystore of that name, in the first of the directories that has it."""
    check_name(name)
    for directory in directories:
        if (directory / name).exists() or (directory / name).is_symlink():
            return directory / name
    places = ", ".join(map(str, directories))
    raise SecretError(f'no key "{name}" in {places}', hint=f"liq keys list; make one with  liq keys new {name}")


def check_name(name: str) -> None:
    """Raise InputError for what is no plain name of a key, UsageError for a key itself; neither repeats it."""
    if holds_key(name):
        raise UsageError("that is a key, not the name of one", hint="it was seen: use another; liq keys import NAME")
    if _NAME.fullmatch(name) is None:
        raise InputError("that is no name for a key", hint="letters, digits, dot, dash and underscore, up to 64")


def described(path: Path) -> tuple[Address | None, str]:
    """The address a keystore names, if it does, and what is wrong with the file, if anything; the key stays locked."""
    try:
        document = _parsed(path, read_private(path, what="keystore"))
    except SecretError as err:
        return None, err.message
    return address_in(document), ""


def address_in(document: Mapping[str, Any]) -> Address | None:
    """The address a keystore names; Foundry's name none."""
    named = document.get("address")
    if not isinstance(named, str) or _ADDRESS.fullmatch(named) is None:
        return None
    return "0x" + named.lower().removeprefix("0x")


def _open(path: Path, what: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as err:
        if path.is_symlink():
            raise SecretError(f"the {what} {path} is a symbolic link", hint="give the file itself") from None
        raise SecretError(f"cannot open the {what} {path} ({os.strerror(err.errno or 0)})", hint="") from None


def _check(facts: os.stat_result, path: Path, what: str, others: int) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise SecretError(f"the {what} {path} is not a plain file", hint="give a file")
    if facts.st_uid not in (os.geteuid(), 0):
        raise SecretError(f"the {what} {path} belongs to another user", hint=f"chown it to yourself: {path}")
    if facts.st_mode & others:
        mode = stat.S_IMODE(facts.st_mode)
        raise SecretError(f"others can read the {what} {path} (mode {mode:04o})", hint=f"chmod 600 {path}")
    if facts.st_size > _MOST_BYTES:
        raise SecretError(f"the {what} {path} has {facts.st_size:,} bytes", hint="is it the right file?")


def _check_directory(path: Path) -> None:
    """Whoever may write to the directory may put another file in our file's place."""
    facts = path.absolute().parent.stat()
    sticky = facts.st_mode & stat.S_ISVTX
    if facts.st_uid not in (os.geteuid(), 0) or (facts.st_mode & _WRITABLE_BY_OTHERS and not sticky):
        raise SecretError(f"others can write to {path.absolute().parent}", hint="chmod 700 the directory")


def _parsed(path: Path, content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise _bad(path, "it is not JSON")
    lowered = {str(name).lower(): value for name, value in document.items()}
    if lowered.get("version") != 3:
        raise _bad(path, "it is not of version 3")
    if not isinstance(lowered.get("crypto"), dict):
        raise _bad(path, "it has no `crypto` part")
    return lowered


def _decrypted(document: Mapping[str, Any], password: Secret) -> tuple[Secret | None, str]:
    """The key, or what is wrong; the library's own errors may carry what the file holds."""
    with own_recursion_limit():
        from eth_keyfile.keyfile import decode_keyfile_json

    if fault := _fault_in(document["crypto"]):
        return None, fault
    try:
        raw: bytes = decode_keyfile_json(dict(document), password.reveal().encode())
    except ValueError as err:
        mismatch = "mac mismatch" in str(err).lower()
        return None, "the password is wrong" if mismatch else "its `crypto` part is malformed"
    except (KeyError, TypeError, AttributeError, NotImplementedError):
        return None, "its `crypto` part is malformed"
    return Secret("0x" + raw.hex()), ""


def _fault_in(crypto: Mapping[str, Any]) -> str:
    """What is no v3 keystore, or would have the key derivation take the machine down."""
    if crypto.get("cipher") != "aes-128-ctr":
        return "its cipher is not aes-128-ctr"
    parameters = crypto.get("kdfparams")
    if not isinstance(parameters, Mapping):
        return "its `crypto` part is malformed"
    names = {"scrypt": ("n", "r", "p"), "pbkdf2": ("c",)}.get(str(crypto.get("kdf")))
    if names is None:
        return "its key derivation is neither scrypt nor pbkdf2"
    costs = [parameters.get(name) for name in names]
    is_known = parameters.get("dklen") == _KEY_BYTES and parameters.get("prf", _PRF) == _PRF
    if not (is_known and all(isinstance(cost, int) and cost > 0 for cost in costs)):
        return "its `crypto` part is malformed"
    cost = 128
    for factor in costs:
        cost *= factor or 1
    most = _MOST_SCRYPT_BYTES if len(costs) > 1 else 128 * _MOST_ROUNDS
    return "its key derivation asks for more than this machine should give" if cost > most else ""


def _bad(path: Path, why: str) -> SecretError:
    return SecretError(f"cannot use the keystore {path}: {why}", hint="liq keys check NAME  tries it without sending")
