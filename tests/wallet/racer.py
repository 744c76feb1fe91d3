"""One of two bots with one key: tries to become its only user, race after race, and says how each ended."""

import asyncio
import sys
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from types import SimpleNamespace

from liqcli.chain.rpc import Rpc
from liqcli.cli.wallet import open_sender
from liqcli.config import load_settings
from liqcli.errors import AlreadyRunning
from liqcli.store.connection import open_redis
from liqcli.wallet.keys import Key
from liqcli.wallet.keystore import sole_use
from tests.wallet.wallets import policy_on

KEY = Key("0x" + "77" * 32)


async def meet(redis, name):
    """Go on once both are here."""
    await redis.incr(name)
    while int(await redis.get(name)) < 2:
        await asyncio.sleep(0.001)


async def race(redis, redis_url, name, directory, keystore):
    """Try to use the key; whoever may holds it until the other has tried too."""
    settings = load_settings({"data_dir": str(directory)})
    async with AsyncExitStack() as stack, Rpc("http://127.0.0.1:9") as rpc:
        market = SimpleNamespace(rpc=rpc, chain_id=999)
        policy = policy_on("0x" + "11" * 20, directory)
        await meet(redis, f"{name}:start")
        try:
            stack.enter_context(sole_use(keystore) if keystore else ExitStack())
            await open_sender(
                stack, settings, market, KEY, policy, sandbox=False, redis_url=redis_url, tell=lambda _: None
            )
            sys.stdout.write("leader\n")
        except AlreadyRunning:
            sys.stdout.write("refused\n")
        await meet(redis, f"{name}:tried")


async def main(redis_url, races, directory, keystore=None):
    """So many races."""
    redis = await open_redis(redis_url, timeout_s=5.0)
    for number in range(int(races)):
        await race(redis, redis_url, f"race{number}", Path(directory), keystore and Path(keystore))
        await meet(redis, f"race{number}:over")
    await redis.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
