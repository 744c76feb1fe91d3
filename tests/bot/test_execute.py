"""Plans become transactions: tried first, kept within the block and the policy, read back from their receipts."""

import json
from dataclasses import asdict, replace

import pytest

from liqcli.bot.execute import Executor, plan_of
from liqcli.chain.market import open_market
from liqcli.errors import Reverted
from liqcli.model import Exit
from liqcli.wallet.policy import Denied
from tests.wallet.faults import FaultyRpc
from tests.wallet.stage import fall, small_plans
from tests.wallet.wallets import sender_on


@pytest.fixture
async def market(chain):
    """The sandbox's market after a fall of prices, over a client that counts what it sends."""
    await fall(chain, 20)
    async with FaultyRpc(chain.facts.rpc_url) as rpc:
        yield await open_market(rpc, name="execute", provider=chain.facts.provider, chain_id=999)


@pytest.fixture
def executor(chain, market, tmp_path):
    """An executor with a journal of its own."""
    return Executor(market, sender_on(market.rpc, chain, tmp_path))


@pytest.fixture
async def plan(chain, market):
    """One that goes through."""
    [found] = await small_plans(chain, market, 1)
    return found


async def test_the_receipt_tells_what_the_pool_did(executor, plan):
    """Debt covered as asked, and profit by the plan's prices less the gas paid."""
    receipt = await executor.receipt(await executor.send(plan), plan)
    assert receipt.succeeded
    assert receipt.debt_covered == plan.call_amount
    assert receipt.collateral_received > 0
    assert receipt.profit[-1].base < 0


async def test_a_plan_the_pool_refuses_is_never_signed(executor, market, plan, tmp_path):
    """A healthy borrower's liquidation reverts in the simulation: the journal stays empty and nothing is sent."""
    batch = await market.readings([person for person in await borrowers(market) if person != plan.borrower])
    healthy = max(batch.readings.values(), key=lambda reading: reading.health_factor).borrower
    with pytest.raises(Reverted):
        await executor.send(replace(plan, borrower=healthy))
    assert (tmp_path / "journal").stat().st_size == 0
    assert market.rpc.sent == []


async def borrowers(market):
    """Everyone who ever borrowed."""
    from liqcli.book.events import Acted, decode_logs
    from liqcli.chain.logs import read_logs

    window = await read_logs(market, 0, await market.rpc.block_number())
    return sorted({event.account for event in decode_logs(window.logs) if isinstance(event, Acted)})


async def test_gas_over_the_small_block_limit_is_refused_by_name(executor, market, plan, tmp_path):
    """A transaction that no small block takes is neither signed nor sent; the limit is what headers said."""
    executor._note_limit({"gasLimit": hex(100_000)})
    with pytest.raises(Denied) as denied:
        await executor.send(plan)
    assert denied.value.reason == "gas over the small-block limit"
    assert (tmp_path / "journal").stat().st_size == 0
    assert market.rpc.sent == []


async def test_without_gas_money_nothing_is_signed(chain, executor, market, plan, tmp_path):
    """No node takes what the account cannot pay for: a signed one would hold up its nonce, and with it all others."""
    rich = await chain.rpc.call("eth_getBalance", executor.address, "latest")
    await chain.rpc.call("anvil_setBalance", executor.address, "0x0")  # the base fee may have sunk to a few wei
    try:
        with pytest.raises(Denied, match="has 0 for gas, it may take") as denied:
            await executor.send(plan)
    finally:
        await chain.rpc.call("anvil_setBalance", executor.address, rich)
    assert denied.value.reason == "too little gas money"
    assert (tmp_path / "journal").stat().st_size == 0
    assert market.rpc.sent == []


async def test_a_big_block_among_the_headers_does_not_raise_the_limit(executor):
    """One block in sixty takes 30M: the least of the last headers counts, unless the account asked for big blocks."""
    for limit in (2_000_000, 30_000_000, 2_000_000):
        executor._note_limit({"gasLimit": hex(limit)})
    with pytest.raises(Denied, match="small-block limit 2,000,000"):
        executor._gas_limit(2_000_001)
    executor._uses_big_blocks = True
    assert executor._gas_limit(2_000_001) >= 2_000_001


async def test_the_gas_limit_has_room_but_stays_in_the_block(executor):
    """A quarter more than the estimate, cut at the block's limit and at the policy's."""
    executor._note_limit({"gasLimit": hex(2_000_000)})
    assert executor._gas_limit(400_000) == 500_000
    assert executor._gas_limit(1_700_000) == 1_900_000
    assert executor._gas_limit(1_950_000) == 1_950_000


async def test_the_price_offered_leaves_room_for_a_cancellation(chain, market, plan, tmp_path):
    """Twice the base fee, but never more than eight ninths of the cap while that still pays the base fee."""
    price = await market.rpc.gas_price()
    sender = sender_on(market.rpc, chain, tmp_path, limits={"max_fee_per_gas": price * 3 // 2})
    tx_hash = await Executor(market, sender).send(plan)
    raw = await market.rpc.call("eth_getTransactionByHash", tx_hash)
    assert int(raw["maxFeePerGas"], 16) == price * 3 // 2 * 8 // 9
    await sender.settled(tx_hash)


async def test_a_base_fee_over_the_cap_is_denied(chain, market, plan, tmp_path):
    """What would only wait in the mempool is not sent."""
    sender = sender_on(market.rpc, chain, tmp_path, limits={"max_fee_per_gas": await market.rpc.gas_price() - 1})
    with pytest.raises(Denied) as denied:
        await Executor(market, sender).send(plan)
    assert denied.value.reason == "gas price over max_gas_price"


async def test_recovery_hands_back_the_plans_with_their_receipts(chain, market, plan, tmp_path):
    """What was sent before a crash comes back with what became of it, once."""
    tx_hash = await Executor(market, sender_on(market.rpc, chain, tmp_path)).send(plan)
    [(recovered, receipt)] = await Executor(market, sender_on(market.rpc, chain, tmp_path)).recover()
    assert (recovered, receipt.tx_hash, receipt.succeeded) == (plan, tx_hash, True)
    assert await Executor(market, sender_on(market.rpc, chain, tmp_path)).recover() == []


async def test_a_plan_survives_the_journal(plan):
    """With an exit and without, JSON gives back the very plan."""
    through = Exit("0x" + "0e" * 20, "0x" + "0f" * 20, "0x", True, 1, 2, 3, 4, 5, 6)  # noqa: FBT003
    for one in (plan, replace(plan, exit=through)):
        assert plan_of(json.loads(json.dumps(asdict(one)))) == one
