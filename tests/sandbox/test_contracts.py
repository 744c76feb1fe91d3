"""The committed artifacts of our contracts are what their committed sources compile to."""

import subprocess
from pathlib import Path

import pytest

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"


def test_compiling_again_gives_the_same_bytes(tmp_path: Path):
    """`npm run contracts` changes nothing: each artifact equals its recompilation, and none is left over."""
    subprocess.run(["node", str(CONTRACTS / "build.js"), str(tmp_path)], check=True, timeout=100)
    committed = {path.name: path.read_bytes() for path in (CONTRACTS / "out").iterdir()}
    assert committed == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


@pytest.mark.parametrize("source", sorted(CONTRACTS.glob("*.sol")), ids=lambda path: path.name)
def test_every_source_has_its_artifact(source: Path):
    """A contract that was added but not compiled is noticed."""
    assert (CONTRACTS / "out" / f"{source.stem}.json").exists()
