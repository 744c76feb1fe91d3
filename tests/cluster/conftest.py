"""A real three-node cluster, started once; each test gets it empty."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from redis.asyncio.cluster import RedisCluster

from liqcli.sandbox.cluster import Cluster, start_cluster
from liqcli.store.connection import open_redis

NAMESPACE = "liq:999:testmarket:v1"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def nodes(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """Three primaries."""
    cluster = await start_cluster(tmp_path_factory.mktemp("cluster"))
    yield cluster
    await cluster.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def cluster(nodes: Cluster) -> AsyncIterator[RedisCluster]:
    """A client of the emptied cluster."""
    client = await open_redis(nodes.url, timeout_s=5.0)
    assert isinstance(client, RedisCluster)
    await client.flushall()
    yield client
    await client.aclose()
