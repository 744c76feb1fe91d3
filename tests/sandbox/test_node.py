"""The node starts on a port of its own, and what keeps it from starting is said in words."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from liqcli.chain.rpc import Rpc
from liqcli.errors import Unreachable
from liqcli.sandbox import node, npm
from liqcli.sandbox.world import World

GLIBC = "anvil: /lib/x86_64-linux-gnu/libc.so.6: version 'GLIBC_2.35' not found (required by anvil)"


def program(directory: Path, script: str) -> Path:
    path = directory / "anvil"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


async def test_an_old_c_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """On a system whose glibc is too old the hint says which systems will do."""
    binary = program(tmp_path, f'echo "{GLIBC}" >&2; exit 1')
    monkeypatch.setattr(node, "find_anvil", lambda: binary)
    with pytest.raises(Unreachable, match="newer C library") as caught:
        await node.start_anvil(tmp_path, automine=True)
    assert "2.35" in caught.value.hint


async def test_a_node_that_dies_at_once_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its last words are in the error, and its log in the hint."""
    binary = program(tmp_path, "echo no space left >&2; exit 3")
    monkeypatch.setattr(node, "find_anvil", lambda: binary)
    with pytest.raises(Unreachable, match="ended with code 3: no space left") as caught:
        await node.start_anvil(tmp_path, automine=True)
    assert "anvil.log" in caught.value.hint


async def test_a_taken_port_is_tried_no_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """When somebody binds the port between our look and our start, the next free one is taken."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = iter((taken.getsockname()[1], node.free_port()))
        monkeypatch.setattr(node, "free_port", lambda: next(ports))
        started = await node.start_anvil(tmp_path, automine=True)
    async with Rpc(started.url) as rpc:
        assert await rpc.chain_id() == 999
    await started.stop()
    assert not started.process.is_alive


async def test_another_node_is_never_mistaken_for_ours(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A foreign anvil that answers on the port is not taken for the child that could not bind it."""
    port = int(world.node.url.rpartition(":")[2])
    monkeypatch.setattr(node, "free_port", lambda: port)
    with pytest.raises(node.PortTaken):
        await node.start_anvil(tmp_path, automine=True)
    assert await world.rpc.chain_id() == 999


@pytest.fixture
def no_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine on which npm has installed nothing, with an empty PATH."""
    monkeypatch.setattr(npm, "search_path", lambda: (tmp_path / "nowhere",))
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_an_anvil_on_path_will_do(no_packages: Path):
    """Without the npm package the anvil that Foundry installed is used."""
    binary = program(no_packages, "true")
    assert node.find_anvil() == binary


@pytest.mark.usefixtures("no_packages")
def test_without_any_anvil_the_install_command_is_named():
    """No package and none on PATH: the error is the missing package's, with the command that fetches it."""
    with pytest.raises(npm.PartsMissing, match="@foundry-rs/anvil-") as caught:
        node.find_anvil()
    assert "liq sandbox install" in caught.value.hint
