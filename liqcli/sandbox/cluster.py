"""A Redis Cluster of embedded servers on loopback ports, for tests and benchmarks."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from liqcli.sandbox.process import Child, free_port, spawn
from liqcli.sandbox.valkey import find_valkey

SLOTS = 16384
READY_S = 20.0
NODE_TIMEOUT_MS = 1000


@dataclass(frozen=True, slots=True)
class Node:
    """One server of the cluster; `bus` is the port on which the nodes talk to each other."""

    port: int
    bus: int
    process: Child


@dataclass(frozen=True, slots=True)
class Cluster:
    """Running nodes; `url` names all of them."""

    nodes: tuple[Node, ...]

    @property
    def url(self) -> str:
        """What `open_redis` takes."""
        return "redis://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    async def stop(self) -> None:
        """End every node."""
        await asyncio.gather(*(node.process.stop() for node in self.nodes))


async def start_cluster(directory: Path, *, primaries: int = 3, replicas: int = 0) -> Cluster:
    """Start primaries that share the slots evenly, and replicas of the first ones; returns once all agree."""
    nodes = tuple(_start(directory / f"node{number}") for number in range(primaries + replicas))
    try:
        for node in nodes:
            await _until(node, "PING", "PONG")
        await _join(nodes, primaries)
    except BaseException:
        for node in nodes:
            node.process.kill()
        raise
    return Cluster(nodes)


def _start(directory: Path) -> Node:
    directory.mkdir(parents=True)
    port, bus = free_port(), free_port()
    options = {
        "port": port,
        "cluster-port": bus,
        "bind": "127.0.0.1",
        "cluster-enabled": "yes",
        "cluster-node-timeout": NODE_TIMEOUT_MS,
        "cluster-require-full-coverage": "no",
        "dir": directory,
        "save": "",
        "appendonly": "no",
        "maxmemory-policy": "noeviction",
    }
    argv = [str(find_valkey()), *(str(part) for name, value in options.items() for part in (f"--{name}", value))]
    return Node(port, bus, spawn(argv, log=directory / "valkey.log"))


async def _join(nodes: Sequence[Node], primaries: int) -> None:
    for node, (first, last) in zip(nodes[:primaries], _shares(primaries), strict=True):
        await _ask(node, f"CLUSTER ADDSLOTSRANGE {first} {last}")
    for node in nodes[1:]:
        await _ask(node, f"CLUSTER MEET 127.0.0.1 {nodes[0].port} {nodes[0].bus}")
    for node in nodes:
        await _until(node, "CLUSTER INFO", "cluster_state:ok", f"cluster_known_nodes:{len(nodes)}")
    for primary, replica in zip(nodes, nodes[primaries:], strict=False):
        await _ask(replica, f"CLUSTER REPLICATE {await _ask(primary, 'CLUSTER MYID')}")
        await _until(replica, "INFO replication", "link_status:up")


def _shares(primaries: int) -> Iterator[tuple[int, int]]:
    edges = [SLOTS * number // primaries for number in range(primaries + 1)]
    return ((first, after - 1) for first, after in pairwise(edges))


async def _until(node: Node, command: str, *words: str) -> None:
    async def says() -> bool:
        told = await _ask(node, command)
        return all(word in told for word in words)

    await node.process.wait_ready(says, READY_S)


async def _ask(node: Node, command: str) -> str:
    """One inline command; the answer is a line, or a text of a given size."""
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    try:
        writer.write(f"{command}\r\n".encode())
        head = (await reader.readline()).decode().strip()
        return (await reader.readexactly(int(head[1:]))).decode() if head.startswith("$") else head
    finally:
        writer.close()
