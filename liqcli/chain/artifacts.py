"""Compiled contracts: what a build artifact holds, and where our own are."""

import json
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from liqcli.errors import LiqError

CHECKOUT = Path(__file__).resolve().parents[2]
"""The repository, when this module runs from one; an installed wheel carries the files inside the package."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """One contract as its compiler left it; `links` are library name -> byte offsets in `bytecode`."""

    name: str
    abi: list[dict[str, Any]] = field(repr=False)
    bytecode: str = field(repr=False)
    deployed_bytecode: str = field(repr=False)
    links: dict[str, tuple[int, ...]]


@cache
def own_artifact(name: str) -> Artifact:
    """The artifact of a contract in `contracts/`: `Aggregator`, `PriceFeed`."""
    checkout = CHECKOUT / "contracts" / "out" / f"{name}.json"
    return read_artifact(checkout if checkout.exists() else Path(str(files("liqcli") / "sandbox/out" / f"{name}.json")))


def read_artifact(path: Path) -> Artifact:
    """Read a JSON artifact in Hardhat's format, which ours share."""
    try:
        raw = json.loads(path.read_bytes())
    except OSError as err:
        raise LiqError(f"no compiled contract at {path}", hint="reinstall liq, or run `npm run contracts`") from err
    return Artifact(
        raw["contractName"], raw["abi"], raw["bytecode"], raw["deployedBytecode"], _links(raw.get("linkReferences", {}))
    )


def _links(references: dict[str, dict[str, list[dict[str, int]]]]) -> dict[str, tuple[int, ...]]:
    return {
        library: tuple(place["start"] for place in places)
        for libraries in references.values()
        for library, places in libraries.items()
    }
