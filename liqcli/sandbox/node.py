"""The EVM node: anvil, on a free loopback port, gone when we are gone."""

import asyncio
import json
import platform
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from liqcli.errors import Unreachable
from liqcli.model import Address
from liqcli.sandbox.npm import PartsMissing, find_package
from liqcli.sandbox.process import Child, free_port, spawn

if TYPE_CHECKING:
    from liqcli.chain.rpc import Rpc

CHAIN_ID = 999
BASE_FEE = 10**8
"""0.1 gwei, HyperEVM's usual base fee."""
GAS_LIMIT = 200_000_000
"""Room for a hundred seeding transactions in one block."""
KEPT_STATES = 16
"""A read of `latest` fails when a block is mined under it and no older state is kept; each kept one costs memory."""
READY_S = 20.0
PORT_TRIES = 3
ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True, slots=True)
class Account:
    """An account the node was started with; its key was made for this node alone."""

    address: Address
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Node:
    """A running anvil; `deployer` and `liquidator` are funded."""

    url: str
    process: Child
    deployer: Account
    liquidator: Account

    async def stop(self) -> None:
        """End it; nothing of it is kept."""
        await self.process.stop(grace_s=2.0)


def find_anvil() -> Path:
    """The native anvil binary: the pinned npm package's, else the one on PATH."""
    try:
        return find_package(anvil_package(platform.system(), platform.machine())) / "bin" / "anvil"
    except PartsMissing:
        on_path = shutil.which("anvil")
        if on_path is None:
            raise
        return Path(on_path)


def anvil_package(system: str, machine: str) -> str:
    """The npm package of a platform's binary; raises PartsMissing where there is none."""
    architecture = ARCHITECTURES.get(machine.lower())
    if system not in ("Linux", "Darwin") or architecture is None:
        raise PartsMissing(
            f"npm has no anvil for {system} on {machine}", hint="install Foundry's anvil and put it on PATH"
        )
    return f"@foundry-rs/anvil-{system.lower()}-{architecture}"


async def start_anvil(directory: Path, *, automine: bool) -> Node:
    """Start a node with accounts of its own; `automine` makes a block of each transaction, else only `evm_mine` does.

    Anvil's own block clock is not used: it keeps a state per block whatever `--prune-history` says (0.4 MB a block).
    """
    binary = find_anvil()
    for attempt in range(PORT_TRIES):
        try:
            return await _start(binary, directory, free_port(), automine=automine)
        except PortTaken:
            if attempt == PORT_TRIES - 1:
                raise
    raise AssertionError


async def mine_every(seconds: float, rpc: "Rpc") -> None:
    """Make a block every so many seconds until cancelled, or until the node is gone."""
    while True:
        await asyncio.sleep(seconds)
        await restore_base_fee(rpc)
        await rpc.call("evm_mine")


async def restore_base_fee(rpc: "Rpc") -> None:
    """Make the next block's base fee the usual one: empty blocks let it sink to nothing, where HyperEVM's stays."""
    await rpc.call("anvil_setNextBlockBaseFeePerGas", hex(BASE_FEE))


class PortTaken(Unreachable):
    """Another process bound the port between our look and our start."""


async def _start(binary: Path, directory: Path, port: int, *, automine: bool) -> Node:
    config = directory / "anvil.json"
    config.unlink(missing_ok=True)
    child = spawn(_argv(binary, port, config, automine=automine), log=directory / "anvil.log")
    url = f"http://127.0.0.1:{port}"
    try:
        await child.wait_ready(lambda: _is_ours(url, config), READY_S)
        accounts = _accounts(config)
    except BaseException as err:
        child.kill()
        _explain(child, err)
        raise
    finally:
        config.unlink(missing_ok=True)
    return Node(url, child, *accounts)


def _argv(binary: Path, port: int, config: Path, *, automine: bool) -> list[str]:
    mining = [] if automine else ["--no-mining"]
    return [
        str(binary), "--quiet", "--host", "127.0.0.1", "--port", str(port), "--no-request-size-limit",
        "--chain-id", str(CHAIN_ID), "--hardfork", "cancun", "--auto-impersonate",
        "--gas-limit", str(GAS_LIMIT), "--base-fee", str(BASE_FEE), "--no-priority-fee",
        "--accounts", "2", "--balance", "1000000", "--mnemonic-random", "--config-out", str(config),
        "--prune-history", str(KEPT_STATES), *mining,
    ]  # fmt: skip


async def _is_ours(url: str, config: Path) -> bool:
    """Whether the answering node is the child: its accounts are random, so no other node has them."""
    from liqcli.chain.rpc import Rpc  # finding the binary needs no client

    async with Rpc(url, timeout_s=2.0) as rpc:
        answering = await rpc.call("eth_accounts")
    return _is_written(config) and _addresses(config) == answering


def _is_written(config: Path) -> bool:
    """The node makes the file empty before it writes it."""
    return config.exists() and config.read_bytes().strip().endswith(b"}")


def _addresses(config: Path) -> list[str]:
    addresses: list[str] = json.loads(config.read_bytes())["available_accounts"]
    return addresses


def _accounts(config: Path) -> tuple[Account, Account]:
    raw = json.loads(config.read_bytes())
    first, second = (Account(a.lower(), k) for a, k in zip(raw["available_accounts"], raw["private_keys"], strict=True))
    return first, second


def _explain(child: Child, err: BaseException) -> None:
    """Turn what the binary printed before it ended into the error it means."""
    said = child.log.read_text(errors="replace")
    if "Address already in use" in said:
        raise PortTaken("the port for anvil was taken") from err
    if "GLIBC_" in said:
        raise Unreachable(
            f"anvil needs a newer C library than this system has: {said.strip().splitlines()[-1]}",
            hint="use a system with glibc 2.35 or later (Debian 12, Ubuntu 22.04), or put your own anvil on PATH",
        ) from err
