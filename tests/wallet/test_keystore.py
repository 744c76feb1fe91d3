"""Keystores: only private, plain, well-formed files are opened, and no error repeats what they hold."""

import json
import os
import pickle
import stat
import subprocess
import sys
import traceback

import pytest

from liqcli.errors import AlreadyRunning, InputError, SecretError, UsageError
from liqcli.wallet.keys import Key, Secret, keep_memory_private
from liqcli.wallet.keystore import (
    check_name,
    described,
    find_account,
    open_keystore,
    read_private,
    sole_use,
    write_keystore,
)
from tests.canary import CANARY

PASSWORD = Secret("hunter2-canary")
ADDRESS = Key(CANARY).address
NOBODY = 65534

FOUNDRY = {
    "crypto": {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": "6087dab2f9fdbbfaddc31a909735c1e6"},
        "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
        "kdf": "pbkdf2",
        "kdfparams": {
            "c": 262144,
            "dklen": 32,
            "prf": "hmac-sha256",
            "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd",
        },
        "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2",
    },
    "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
    "version": 3,
}
"""The test vector of the v3 format's own specification (PBKDF2); password `testpassword`."""


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A keystore with the canary key; scrypt takes seconds, so one for all."""
    path = tmp_path_factory.mktemp("keys") / "canary"
    write_keystore(path, Secret(CANARY), PASSWORD)
    return path


@pytest.fixture
def store(tmp_path):
    """A private file with this content."""

    def write(content, mode=0o600):
        path = tmp_path / "key"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        path.chmod(mode)
        return path

    return write


def refused(path, password=PASSWORD):
    """The error of a keystore that is not opened, checked to tell nothing of its content."""
    with pytest.raises(SecretError) as caught:
        open_keystore(path, password)
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert CANARY[2:] not in shown
    assert "hunter2" not in shown
    assert "SENTINEL" not in "".join(traceback.format_exception(caught.value))
    return f"{caught.value} {caught.value.hint}"


def test_what_was_written_opens_again(good):
    """The same address, in a file of mode 0600 that does not hold the key."""
    assert open_keystore(good, PASSWORD).address == ADDRESS
    assert stat.S_IMODE(good.stat().st_mode) == 0o600
    assert CANARY[2:] not in good.read_text()
    assert described(good) == (ADDRESS, "")


def test_the_formats_own_vector_opens(store):
    """A keystore of another program, without an address: PBKDF2, as the specification gives it."""
    path = store(FOUNDRY)
    assert described(path) == (None, "")
    assert open_keystore(path, Secret("testpassword")).address == "0x008aeeda4d805471df9b2a5b0f38a0c3bcba786b"


def test_a_wrong_password_is_said_and_not_repeated(store):
    """The commonest mistake has words of its own."""
    assert "the password is wrong" in refused(store(FOUNDRY))


def changed(**crypto):
    """The good keystore with another `crypto` part."""
    return {**FOUNDRY, "crypto": {**FOUNDRY["crypto"], **crypto}}


COSTLY = {"dklen": 32, "n": 2**30, "r": 8, "p": 1, "salt": "00" * 32}
BAD = {
    "empty": "",
    "no JSON": "SENTINEL {",
    "a list": '["SENTINEL"]',
    "version 1": {**FOUNDRY, "version": 1, "note": "SENTINEL"},
    "no crypto": {"version": 3, "id": "SENTINEL"},
    "crypto is text": {"version": 3, "crypto": "SENTINEL"},
    "unknown kdf": changed(kdf="SENTINEL"),
    "no kdfparams": changed(kdfparams=None),
    "cost is text": changed(kdfparams={**FOUNDRY["crypto"]["kdfparams"], "c": "SENTINEL"}),
    "scrypt that takes the memory": changed(kdf="scrypt", kdfparams=COSTLY),
    "rounds without end": changed(kdfparams={**FOUNDRY["crypto"]["kdfparams"], "c": 10**12}),
    "no hex": changed(ciphertext="SENTINEL"),
    "no cipher": changed(cipherparams={}),
    "an endless key": changed(kdfparams={**FOUNDRY["crypto"]["kdfparams"], "dklen": 2**31}),
    "another prf": changed(kdfparams={**FOUNDRY["crypto"]["kdfparams"], "prf": "SENTINEL"}),
    "another cipher": changed(cipher="SENTINEL"),
    "no prf": changed(kdfparams={"c": 1, "dklen": 32, "salt": "00"}),
    "another's address": {**FOUNDRY, "address": "11" * 20},
    "an abyss": "[" * 50_000,
    "too large": " " * 70_000,
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_a_bad_keystore_is_a_named_error(store, content):
    """Whatever is wrong, it is one line and tells nothing of the content."""
    message = refused(store(content), Secret("testpassword"))
    assert "key" in message
    assert len(message) < 400


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o644])
def test_a_file_that_others_can_read_is_refused(store, mode):
    """Group and everybody else have no business with a key; the hint is the command that mends it."""
    with pytest.raises(SecretError, match="others can read") as caught:
        read_private(store(FOUNDRY, mode), what="keystore")
    assert caught.value.hint.startswith("chmod 600")


def test_links_pipes_folders_and_strangers_files_are_refused(store, tmp_path):
    """Only a plain file of ours or root's, reached without a link at its end, in a folder that others cannot change."""
    path = store(FOUNDRY)
    (tmp_path / "link").symlink_to(path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    cases = {"link": "symbolic link", "pipe": "not a plain file", ".": "not a plain file", "gone": "No such file"}
    for name, word in cases.items():
        with pytest.raises(SecretError, match=word):
            read_private(tmp_path / name, what="keystore")
    open_folder = tmp_path / "open"
    open_folder.mkdir()
    open_folder.chmod(0o777)
    path.rename(open_folder / "key")
    with pytest.raises(SecretError, match="others can write"):
        read_private(open_folder / "key", what="keystore")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_another_users_file_is_refused(store):
    """Whoever owns the file could have put it there."""
    path = store(FOUNDRY)
    os.chown(path, NOBODY, NOBODY)
    with pytest.raises(SecretError, match="another user"):
        read_private(path, what="keystore")


def test_a_keystore_is_never_overwritten(good):
    """A second key of the same name is refused, and the first stays."""
    before = good.read_bytes()
    with pytest.raises(InputError, match="exists"):
        write_keystore(good, Secret("0x" + "11" * 32), PASSWORD)
    assert good.read_bytes() == before


@pytest.mark.parametrize("name", ["ab" * 32, "0x" + "AB" * 32])
def test_a_key_is_no_name(name):
    """Who types a key where its name belongs is told so, and the key is not repeated."""
    with pytest.raises(UsageError, match="that is a key") as caught:
        check_name(name)
    assert name not in caught.value.message + caught.value.hint


@pytest.mark.parametrize("name", ["../key", "a/b", "", ".hidden", "x" * 65, "a b", "-x", "a\n"])
def test_a_name_is_no_path(tmp_path, name):
    """An account's name cannot lead out of the directories of keys."""
    with pytest.raises(InputError):
        find_account(name, [tmp_path])


def test_an_unknown_name_says_where_was_looked(tmp_path):
    """And how to make it."""
    with pytest.raises(SecretError, match=str(tmp_path)) as caught:
        find_account("hot", [tmp_path])
    assert "liq keys new hot" in caught.value.hint


def test_one_process_uses_a_keystore(good):
    """While one holds it, another is refused, whatever its data directory; afterwards it is free."""
    lines = ("from pathlib import Path", "from liqcli.wallet.keystore import sole_use")
    code = "\n".join([*lines, f"with sole_use(Path({str(good)!r})): pass"])
    with sole_use(good):
        with pytest.raises(AlreadyRunning), sole_use(good):
            pass
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert "AlreadyRunning" in other.stderr
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_form_of_a_key_shows_it():
    """Neither repr nor str, format, vars, pickle, copy nor a traceback with its local variables."""
    import copy

    key, secret = Key(CANARY), Secret(CANARY)
    shown = f"{key} {key!r} {secret} {secret!r} {[key]} {dir(key)}"
    for thing in (key, secret):
        for take in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(SecretError) as caught:
                take(thing)
            shown += "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
        with pytest.raises(TypeError):
            vars(thing)
    number = int(CANARY, 16)
    for form in (CANARY[2:], CANARY[2:].upper(), str(number), bytes.fromhex(CANARY[2:]).decode("latin1")):
        assert form not in shown


def test_a_malformed_key_is_not_repeated():
    """What was nearly a key may be nearly somebody's key."""
    for secret in map(Secret, (CANARY[:-2], CANARY + "00", "canary " + CANARY, "0x", "")):
        with pytest.raises(SecretError) as caught:
            Key(secret)
        shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
        assert CANARY[2:20] not in shown


def test_a_failing_signature_does_not_show_the_key():
    """A transaction that cannot be signed raises without the library's frames, which hold the key."""
    key = Key(CANARY)
    for broken in ({}, {"to": 5}, {"to": None}, {"to": ADDRESS, "gas": "x"}):
        with pytest.raises(SecretError) as caught:
            key.sign(broken)
        assert caught.value.__context__ is None
        shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
        assert CANARY[2:] not in shown


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_the_process_leaves_no_core_and_no_readable_memory():
    """After a key was loaded the process is not dumpable and its core limit is nothing."""
    code = (
        "import ctypes, resource\n"
        "from liqcli.wallet.keys import keep_memory_private\n"
        "keep_memory_private()\n"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE))"
    )
    assert callable(keep_memory_private)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0 (0, 0)"


def test_signing_leaves_the_bound_on_nesting_alone(tmp_path):
    """What the libraries raise it to would let a deep answer of a node overflow the stack and end the process."""
    code = """
import sys
from pathlib import Path
from liqcli.wallet.keys import Key, Secret
from liqcli.wallet.keystore import open_keystore, write_keystore
key = Secret("0x" + "11" * 32)
write_keystore(Path("key"), key, Secret("pw"))
Key(key), open_keystore(Path("key"), Secret("pw"))
print(sys.getrecursionlimit())
"""
    (store := tmp_path / "keys").mkdir(mode=0o700)
    done = subprocess.run([sys.executable, "-c", code], cwd=store, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1000"
