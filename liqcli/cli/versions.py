"""What `liq --version` shows: liq itself and the parts that decide how it behaves."""

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from liqcli.errors import LiqError

_ANSWERS_S = 5.0
_NUMBER = re.compile(r"\d+(?:\.\d+)+")


def versions() -> str:
    """One line: liq, Python, web3, the Redis client, the embedded server, and the sandbox's node."""
    from liqcli.sandbox.node import find_anvil
    from liqcli.sandbox.valkey import find_valkey

    packages = [f"{name} {version(name)}" for name in ("web3", "redis")]
    server = f"valkey-server {_told_by(find_valkey())}"
    try:
        node = f"anvil {_told_by(find_anvil())}"
    except LiqError:
        node = "no anvil (liq sandbox install)"
    return " · ".join([f"liq {version('liqcli')}", f"python {sys.version.split()[0]}", *packages, server, node])


def _told_by(program: Path) -> str:
    """The version that a program says it is; `?` when it cannot be run."""
    try:
        told = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=_ANSWERS_S, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return "?"
    found = _NUMBER.search(told)
    return found[0] if found else "?"
