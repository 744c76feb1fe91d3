"""What the bot asks of a node, one question each, through a client that may be behind faulty endpoints."""

from contextlib import asynccontextmanager

from eth_account import Account

from liqcli.chain.endpoints import Endpoint
from liqcli.chain.logs import read_logs
from liqcli.chain.rpc import Rpc
from tests.chain.sandbox import borrowers_of, open_sandbox

CHAIN_ID = 999
SENDER = Account.from_key("0x" + "5a" * 32)


@asynccontextmanager
async def market_behind(world, *urls, timeout_s=0.8):
    """The sandbox's market, opened on the real node but from then on read through these endpoints only."""
    async with Rpc([Endpoint(url) for url in urls], timeout_s=timeout_s) as rpc:
        market = await open_sandbox(world)
        market.rpc = market._aggregator._rpc = rpc
        rpc.require_chain(CHAIN_ID)
        yield market


async def head(_, market):
    return await market.head()


async def logs(world, market):
    return (await read_logs(market, 0, await world.rpc.block_number())).logs


async def aggregate3(world, market):
    batch = await market.readings(borrowers_of(world)[:4])
    assert not batch.failed
    return batch.readings


async def estimate(_, market):
    call = {"from": SENDER.address, "to": SENDER.address, "value": "0x0"}
    return await market.rpc.call("eth_estimateGas", call)


async def receipt(world, market):
    return await market.rpc.call("eth_getTransactionReceipt", await newest_transaction(world))


async def newest_transaction(world):
    """The hash of the newest transaction; a busy node may have made empty blocks after it."""
    for number in range(await world.rpc.block_number(), 0, -1):
        block = await world.rpc.call("eth_getBlockByNumber", hex(number), False)  # noqa: FBT003  the RPC's own
        if block["transactions"]:
            return block["transactions"][-1]
    raise AssertionError("a market without transactions")


READS = (head, logs, aggregate3, estimate, receipt)
METHODS = {
    head: "eth_getBlockByNumber",
    logs: "eth_getLogs",
    aggregate3: "eth_call",
    estimate: "eth_estimateGas",
    receipt: "eth_getTransactionReceipt",
}
"""What each question is asked with."""


def signed_transfer(nonce):
    """A transaction's bytes and its hash."""
    facts = {"to": SENDER.address, "value": 0, "gas": 21_000, "nonce": nonce, "chainId": CHAIN_ID}
    signed = SENDER.sign_transaction({**facts, "maxFeePerGas": 10**11, "maxPriorityFeePerGas": 0})
    return "0x" + signed.raw_transaction.hex(), "0x" + signed.hash.hex()
