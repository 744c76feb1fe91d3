"""The sandbox on both generations of Aave: the session's 3.0.2, and a 3.6 of these tests' own."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from liqcli.sandbox.world import World, open_world
from tests.conftest import BORROWERS


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def world36(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """The same borrowers on Aave V3.6."""
    options = {"scenario": False, "block_time": None, "redis": False, "aave": "3.6"}
    async with open_world(tmp_path_factory.mktemp("world36"), borrowers=BORROWERS, **options) as opened:
        yield opened


@pytest_asyncio.fixture(params=["3.0.2", "3.6"], loop_scope="session")
async def either(request: pytest.FixtureRequest, world: World, world36: World) -> AsyncIterator[World]:
    """Each of the two, whose chain is put back after the test as it was before."""
    chosen = world if request.param == "3.0.2" else world36
    snapshot = await chosen.rpc.call("evm_snapshot")
    yield chosen
    await chosen.rpc.call("evm_revert", snapshot)
