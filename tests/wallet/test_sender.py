"""One call, one mined transaction: on the real node, with the answers that nodes give."""

import asyncio
import resource
import time
from contextlib import contextmanager

import pytest

from liqcli.errors import Unreachable
from liqcli.wallet.policy import Denied
from liqcli.wallet.sender import Pace

HIGH_FEE = 2 * 10**9


@contextmanager
def files_may_grow_to(size):
    """The disk is full at this size: the kernel refuses every write beyond it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def somebody_else(scene, nonce, fee=5 * 10**10):
    """Another program with the same key takes a nonce."""
    own = scene.world.facts.liquidator
    fields = {"from": own, "to": own, "nonce": hex(nonce), "maxFeePerGas": hex(fee), "maxPriorityFeePerGas": "0x0"}
    return await scene.world.rpc.call("eth_sendTransaction", fields)


async def somebody_else_is_mined(scene):
    """The same, and its block is there: a node that mines at once answers before it has."""
    before = await scene.count()
    await somebody_else(scene, before)
    while await scene.count() == before:
        await asyncio.sleep(0.01)


async def base_fee(scene, wei):
    """The base fee of the next block."""
    await scene.world.rpc.call("anvil_setNextBlockBaseFeePerGas", hex(wei))


@contextmanager
def every_broadcast(scene, change):
    """`change` sees each broadcast's bytes before the node does."""
    call = scene.rpc.call

    async def changed(method, *params):
        if method == "eth_sendRawTransaction":
            await change(params[0])
        return await call(method, *params)

    scene.rpc.call = changed
    try:
        yield
    finally:
        scene.rpc.call = call


async def test_bytes_and_intent_are_on_disk_before_the_node_hears_of_them(scene):
    """When the broadcast leaves, another reader of the journal finds the very bytes and the plan."""
    seen = []

    async def look(raw):
        journal = scene.journal()
        [[attempt]] = journal.open.values()
        seen.append((attempt.raw == raw, attempt.memo["borrower"]))
        journal.close()

    with every_broadcast(scene, look):
        executor = scene.executor()
        await executor.receipt(await executor.send(scene.plans[0]), scene.plans[0])
    assert seen == [(True, scene.plans[0].borrower)]


async def test_a_lost_reply_ends_in_one_mined_transaction(scene):
    """The node took it and its answer was lost: the chain says what happened."""
    before = await scene.count()
    scene.rpc.loses_replies = True
    executor = scene.executor()
    receipt = await executor.receipt(await executor.send(scene.plans[0]), scene.plans[0])
    assert receipt.succeeded
    assert await scene.count() == before + 1
    assert len(scene.rpc.sent) == 1


async def test_already_known_ends_in_one_mined_transaction(scene):
    """Somebody relayed our bytes before us: the node knows them, and they are mined once."""
    before = await scene.count()
    async with scene.mined_by_hand():
        with every_broadcast(scene, lambda raw: scene.world.rpc.call("eth_sendRawTransaction", raw)):
            executor = scene.executor()
            tx_hash = await executor.send(scene.plans[0])
        await scene.mine()
        assert (await executor.receipt(tx_hash, scene.plans[0])).succeeded
    assert await scene.count() == before + 1


async def test_nonce_too_low_of_our_own_bytes_is_a_success(scene):
    """Our bytes were mined before our broadcast reached the node: the answer is an error, the receipt is ours."""
    before = await scene.count()
    with every_broadcast(scene, lambda raw: scene.world.rpc.call("eth_sendRawTransaction", raw)):
        executor = scene.executor()
        receipt = await executor.receipt(await executor.send(scene.plans[0]), scene.plans[0])
    assert receipt.succeeded
    assert await scene.count() == before + 1


async def test_underpriced_because_of_a_foreign_transaction_stops_sending(scene):
    """Another program's dearer transaction holds our nonce: ours is never mined, and nothing more is sent."""
    before = await scene.count()
    async with scene.mined_by_hand():
        await somebody_else(scene, before)
        executor = scene.executor()
        tx_hash = await executor.send(scene.plans[0])
        await scene.mine()
        with pytest.raises(Unreachable, match="not ours"):
            await executor.receipt(tx_hash, scene.plans[0])
        with pytest.raises(Denied) as denied:
            await executor.send(scene.plans[1])
    assert denied.value.reason == f"a transaction that is not ours took nonce {before}"
    assert any("SENDING STOPPED" in line for line in scene.told)
    assert await scene.count() == before + 1


async def test_a_foreign_transaction_between_two_of_ours_stops_sending(scene):
    """The count that comes with the next simulation gives it away before anything is signed."""
    executor = scene.executor()
    await executor.receipt(await executor.send(scene.plans[0]), scene.plans[0])
    await somebody_else_is_mined(scene)
    sent = len(scene.rpc.sent)
    with pytest.raises(Denied, match="not ours"):
        await executor.send(scene.plans[1])
    assert len(scene.rpc.sent) == sent


async def test_a_restart_goes_on_after_a_foreign_transaction(scene):
    """Once nothing of ours is open, a new start takes the chain's count, and says what it saw."""
    executor = scene.executor()
    await executor.receipt(await executor.send(scene.plans[0]), scene.plans[0])
    await somebody_else_is_mined(scene)
    executor = scene.executor()
    assert await executor.recover() == []
    assert any("somebody else sent them" in line for line in scene.told)
    assert (await executor.receipt(await executor.send(scene.plans[1]), scene.plans[1])).succeeded


async def test_a_forgotten_transaction_is_sent_again_with_the_same_bytes(scene):
    """A node that lost its mempool gets the same bytes; they are mined once."""
    before = await scene.count()
    async with scene.mined_by_hand():
        executor = scene.executor()
        tx_hash = await executor.send(scene.plans[0])
        await scene.world.rpc.call("anvil_dropAllTransactions")
        waiting = asyncio.create_task(executor.receipt(tx_hash, scene.plans[0]))
        while len(scene.rpc.sent) < 2:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.02)
        await scene.mine()
        assert (await waiting).tx_hash == tx_hash
    assert len(set(scene.rpc.sent)) == 1
    assert await scene.count() == before + 1


async def test_a_stuck_transaction_is_replaced_at_a_higher_price(scene):
    """When the base fee leaves our price behind, the same call goes out dearer, and one of the two is mined."""
    before = await scene.count()
    async with scene.mined_by_hand():
        executor = scene.executor()
        tx_hash = await executor.send(scene.plans[0])
        await base_fee(scene, HIGH_FEE)
        await scene.mine()
        assert await scene.count() == before
        waiting = asyncio.create_task(executor.receipt(tx_hash, scene.plans[0]))
        while not any(line.startswith("replacing") for line in scene.told):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        await base_fee(scene, HIGH_FEE)
        await scene.mine()
        receipt = await waiting
    assert receipt.succeeded
    assert receipt.tx_hash != tx_hash
    assert await scene.count() == before + 1
    first, *_, last = scene.journal().attempts_of(tx_hash)
    assert (last.transaction.data, last.transaction.nonce) == (first.transaction.data, first.transaction.nonce)
    assert last.transaction.max_fee_per_gas >= first.transaction.max_fee_per_gas * 9 / 8


async def test_at_the_cap_a_stuck_transaction_is_cancelled_loudly(scene):
    """Without room for a dearer call, an empty self-transfer takes the nonce."""
    before = await scene.count()
    async with scene.mined_by_hand():
        price = await scene.rpc.gas_price()
        executor = scene.executor(limits={"max_fee_per_gas": price * 9 // 4})
        tx_hash = await executor.send(scene.plans[0])
        await base_fee(scene, price * 215 // 100)
        await scene.mine()
        waiting = asyncio.create_task(executor.receipt(tx_hash, scene.plans[0]))
        while not any(line.startswith("CANCELLING") for line in scene.told):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        await base_fee(scene, price * 215 // 100)
        await scene.mine()
        with pytest.raises(Unreachable, match="cancelled"):
            await waiting
    assert any(line.startswith("CANCELLED") for line in scene.told)
    assert await scene.count() == before + 1
    cancel = scene.journal().attempts_of(tx_hash)[-1]
    assert (cancel.transaction.to, cancel.transaction.data, cancel.is_cancel) == (executor.address, b"", True)
    assert scene.journal().spent(cancel.at + 1, beside=-1).loss_base > 0


async def test_eight_are_under_way_at_most(scene):
    """The ninth waits until the first of them is mined: HyperEVM would not take its nonce."""
    before = await scene.count()
    async with scene.mined_by_hand():
        executor = scene.executor(pace=Pace(poll_first_s=0.005, poll_most_s=0.05))
        hashes = [await executor.send(plan) for plan in scene.plans[:8]]
        ninth = asyncio.create_task(executor.send(scene.plans[8]))
        await asyncio.sleep(0.3)
        assert not ninth.done()
        assert len(set(scene.rpc.sent)) == 8
        await scene.mine()
        hashes.append(await ninth)
        await scene.mine()
        receipts = [await executor.receipt(*pair) for pair in zip(hashes, scene.plans, strict=False)]
    assert all(receipt.succeeded for receipt in receipts)
    assert await scene.count() == before + 9


async def test_a_borrower_is_never_under_way_twice(scene):
    """A second plan for the same borrower is denied while the first is open, by another executor's start too."""
    async with scene.mined_by_hand():
        executor = scene.executor()
        tx_hash = await executor.send(scene.plans[0])
        with pytest.raises(Denied) as denied:
            await executor.send(scene.plans[0])
        assert denied.value.reason == "under way"
        await scene.mine()
        await executor.receipt(tx_hash, scene.plans[0])


async def test_a_full_disk_means_that_nothing_is_sent(scene):
    """When the journal cannot be written, no byte leaves; with room again, the same nonce is used."""
    before = await scene.count()
    executor = scene.executor()
    await executor.receipt(await executor.send(scene.plans[0]), scene.plans[0])
    size = (scene.directory / "journal").stat().st_size
    for room in (0, 1, 500):
        with files_may_grow_to(size + room), pytest.raises(Denied) as denied:
            await executor.send(scene.plans[1])
        assert denied.value.reason == "journal not writable"
    assert len(scene.rpc.sent) == 1
    assert (scene.directory / "journal").stat().st_size == size
    assert (await executor.receipt(await executor.send(scene.plans[1]), scene.plans[1])).succeeded
    assert await scene.count() == before + 2


async def test_an_outcome_that_finds_no_room_is_learnt_again(scene):
    """The transaction is mined, the disk is full: the receipt is returned, and a restart reads the chain again."""
    executor = scene.executor()
    tx_hash = await executor.send(scene.plans[0])
    with files_may_grow_to((scene.directory / "journal").stat().st_size):
        assert (await executor.receipt(tx_hash, scene.plans[0])).succeeded
    assert len(scene.journal().open) == 1
    [(plan, receipt)] = await scene.executor().recover()
    assert (plan, receipt.tx_hash) == (scene.plans[0], tx_hash)
    assert not scene.journal().open


async def test_pause_stops_signing_and_sending(scene):
    """While the pause file is there nothing is signed, and what is stuck is only watched."""
    executor = scene.executor()
    async with scene.mined_by_hand():
        tx_hash = await executor.send(scene.plans[0])
        (scene.directory / "PAUSE").touch()
        with pytest.raises(Denied, match="paused"):
            await executor.send(scene.plans[1])
        waiting = asyncio.create_task(executor.receipt(tx_hash, scene.plans[0]))
        await asyncio.sleep(0.5)
        assert len(scene.rpc.sent) == 1
        await scene.mine()
        assert (await waiting).succeeded
    (scene.directory / "PAUSE").unlink()
    assert (await executor.receipt(await executor.send(scene.plans[1]), scene.plans[1])).succeeded


async def test_a_lost_lease_stops_signing(scene):
    """When Redis says that another process owns the key, nothing is signed."""
    hindrances = ["the lease on the key is not ours"]
    executor = scene.executor(hindrance=lambda: "".join(hindrances))
    with pytest.raises(Denied, match="lease"):
        await executor.send(scene.plans[0])
    assert not scene.journal().next_nonce
    hindrances.clear()
    assert (await executor.receipt(await executor.send(scene.plans[0]), scene.plans[0])).succeeded


async def test_the_daily_limit_survives_a_restart(scene):
    """What a failed transaction cost is remembered on disk, and counts against the next day's limit."""
    code = await scene.world.rpc.call("eth_getCode", scene.world.facts.pool, "latest")
    async with scene.mined_by_hand():
        executor = scene.executor()
        tx_hash = await executor.send(scene.plans[0])
        await scene.world.rpc.call("anvil_setCode", scene.world.facts.pool, "0x60006000fd")
        await scene.mine()
        receipt = await executor.receipt(tx_hash, scene.plans[0])
    assert not receipt.succeeded
    lost = -receipt.profit_base
    assert lost == scene.journal().spent(time.time(), beside=-1).loss_base > 0
    await scene.world.rpc.call("anvil_setCode", scene.world.facts.pool, code)
    with pytest.raises(Denied) as denied:
        await scene.executor(limits={"max_day_loss_base": lost}).send(scene.plans[1])
    assert denied.value.reason == "daily loss limit"


async def test_a_node_that_answers_with_another_receipt_is_not_believed(scene):
    """A receipt of another transaction, or no receipt at all in its place, settles nothing; it is said once."""
    executor = scene.executor()
    batch = scene.rpc.batch
    lies = iter([{"transactionHash": "0x" + "00" * 32, "status": "0x1"}, ["garbage"], 7, "0x1"])

    async def lying(calls):
        answers = await batch(calls)
        if calls[0][0] == "eth_getTransactionCount" and (lie := next(lies, None)) is not None:
            answers[1] = lie
        return answers

    scene.rpc.batch = lying
    receipt = await executor.receipt(await executor.send(scene.plans[0]), scene.plans[0])
    assert receipt.succeeded
    assert len([line for line in scene.told if "cannot see" in line]) == 1
    assert next(lies, None) is None


async def test_what_the_node_refuses_is_said_and_tried_again(scene):
    """A node that cannot take the transaction now gets the same bytes later; they are mined once."""
    before = await scene.count()
    refusals = iter(range(2))

    async def refuse(_):
        if next(refusals, None) is not None:
            raise Unreachable("the node refused eth_sendRawTransaction: txpool is full")

    with every_broadcast(scene, refuse):
        executor = scene.executor()
        receipt = await executor.receipt(await executor.send(scene.plans[0]), scene.plans[0])
    assert receipt.succeeded
    assert any("txpool is full" in line for line in scene.told)
    assert await scene.count() == before + 1


async def test_a_chain_that_takes_blocks_back_gets_the_bytes_again(scene):
    """After a rollback of a landed transaction, the next one's nonce has a gap before it: both are mined in the end."""
    before = await scene.count()
    async with scene.mined_by_hand():
        snapshot = await scene.world.rpc.call("evm_snapshot")
        executor = scene.executor()
        first = await executor.send(scene.plans[0])
        await scene.mine()
        await executor.receipt(first, scene.plans[0])
        await scene.world.rpc.call("evm_revert", snapshot)
        await scene.world.rpc.call("anvil_dropAllTransactions")
        assert await scene.count() == before
        second = await executor.send(scene.plans[1])
        waiting = asyncio.create_task(executor.receipt(second, scene.plans[1]))
        while len(scene.rpc.sent) < 4:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        await scene.mine()
        assert (await waiting).tx_hash == second
    assert await scene.count() == before + 2
    assert await scene.world.rpc.call("eth_getTransactionReceipt", first)
