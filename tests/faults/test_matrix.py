"""Every question to a node under every fault: no wrong answer, no second send, and back within five seconds."""

import asyncio
from time import monotonic

import pytest

from liqcli.errors import LiqError, Unreachable, WrongTarget
from tests.faults.node import bad_gateway
from tests.faults.nodes import METHODS, READS, SENDER, market_behind, signed_transfer
from tests.faults.tcp import tcp_proxy

RECOVERY_S = 5.0
TIMEOUT_S = 0.8
DEADLINES_OF_A_READ = 5
"""A read of many borrowers that times out is halved down to one: each half costs a deadline."""
FAULTS = ("blackhole", "answer lost", "slow", "429", "502", "cut", "closed", "-32005")
NETWORK_FAULTS = ("refuse", "blackhole", "reset", "cut", "slow")


async def until_answered(question, world, market):
    """The answer, asked again like the bot does; fails when none comes within the time to recover."""
    async with asyncio.timeout(RECOVERY_S):
        while True:
            try:
                return await question(world, market)
            except Unreachable:
                await asyncio.sleep(0.05)


async def answer_or_error(question, world, market):
    """What a question brings: an answer, or the error that says that it is unknown."""
    try:
        return await question(world, market)
    except Unreachable as err:
        return err


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("question", READS, ids=lambda question: question.__name__)
async def test_a_lone_node_that_fails_is_unknown_and_then_right_again(world, question, fault):
    """Under a fault the answer is right or an error within the deadline; after it, it is right in time."""
    async with (
        bad_gateway(world.facts.rpc_url) as gateway,
        market_behind(world, gateway.url, timeout_s=TIMEOUT_S) as market,
    ):
        expected = await until_answered(question, world, market)
        gateway.set(fault, METHODS[question])
        started = monotonic()
        found = await answer_or_error(question, world, market)
        assert found == expected if fault == "slow" else isinstance(found, Unreachable)
        assert monotonic() - started < DEADLINES_OF_A_READ * TIMEOUT_S
        gateway.set("")
        assert await until_answered(question, world, market) == expected


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("question", READS, ids=lambda question: question.__name__)
async def test_a_second_node_answers_while_the_first_one_fails(world, question, fault):
    """With a fallback every question has its right answer within its deadline, during the fault and after it."""
    async with (
        bad_gateway(world.facts.rpc_url) as gateway,
        market_behind(world, gateway.url, world.facts.rpc_url, timeout_s=2.0) as market,
    ):
        expected = await until_answered(question, world, market)
        gateway.set(fault, METHODS[question])
        assert await question(world, market) == expected
        assert await question(world, market) == expected
        gateway.set("")
        assert await question(world, market) == expected


@pytest.mark.parametrize("fault", NETWORK_FAULTS)
async def test_a_network_that_fails_is_survived_by_every_question(world, fault):
    """Refused, silent, reset, cut and slow connections: an error or the right answer, and right soon after."""
    async with tcp_proxy(world.facts.rpc_url) as proxy, market_behind(world, proxy.url) as market:
        expected = [await until_answered(question, world, market) for question in READS]
        await proxy.set(fault)
        found = await asyncio.gather(*(answer_or_error(question, world, market) for question in READS))
        pairs = zip(found, expected, strict=True)
        assert all(isinstance(answer, Unreachable) or answer == right for answer, right in pairs)
        assert fault == "slow" or all(isinstance(answer, Unreachable) for answer in found)
        await proxy.set("")
        assert [await until_answered(question, world, market) for question in READS] == expected


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_transaction_is_mined_once_whatever_the_node_says(chain, fault):
    """A send is tried once, its error is told; the same bytes sent again after the fault make one transaction."""
    await chain.rpc.call("anvil_setBalance", SENDER.address, hex(10**20))
    raw, tx_hash = signed_transfer(0)
    async with (
        bad_gateway(chain.facts.rpc_url) as gateway,
        market_behind(chain, gateway.url) as market,
    ):
        await market.rpc.block_number()
        gateway.set(fault, "eth_sendRawTransaction")
        try:
            assert await market.rpc.call("eth_sendRawTransaction", raw) == tx_hash
        except Unreachable:
            assert fault != "slow"
        assert gateway.asked.count("eth_sendRawTransaction") == 1
        gateway.set("")
        await until_sent(market.rpc, raw)
        mined = await until_mined(chain, tx_hash)
    assert mined["status"] == "0x1"
    assert await chain.rpc.call("eth_getTransactionCount", SENDER.address, "latest") == "0x1"


async def until_sent(rpc, raw):
    """Send until the node has the bytes: a refusal that it knows them already is an answer too."""
    async with asyncio.timeout(RECOVERY_S):
        while True:
            try:
                await rpc.call("eth_sendRawTransaction", raw)
            except LiqError as err:
                if any(words in str(err) for words in ("already", "nonce too low")):
                    return
                await asyncio.sleep(0.05)
            else:
                return


async def until_mined(world, tx_hash):
    """The receipt, as soon as there is one."""
    async with asyncio.timeout(RECOVERY_S):
        while (found := await world.rpc.call("eth_getTransactionReceipt", tx_hash)) is None:
            await asyncio.sleep(0.02)
        return found


async def test_a_send_that_reached_nobody_goes_to_the_next_node(chain):
    """A refused connection carried nothing, so even a send may be handed to the fallback."""
    await chain.rpc.call("anvil_setBalance", SENDER.address, hex(10**20))
    raw, tx_hash = signed_transfer(0)
    async with (
        tcp_proxy(chain.facts.rpc_url) as proxy,
        market_behind(chain, proxy.url, chain.facts.rpc_url) as market,
    ):
        await proxy.set("refuse")
        assert await market.rpc.call("eth_sendRawTransaction", raw) == tx_hash


@pytest.mark.parametrize("question", READS, ids=lambda question: question.__name__)
async def test_a_fallback_of_another_chain_is_never_believed(world, question):
    """After the rotation to a node of another chain: no answer of it, quarantine for good, and the first one again."""
    async with (
        tcp_proxy(world.facts.rpc_url) as proxy,
        bad_gateway(world.facts.rpc_url) as other,
        market_behind(world, proxy.url, other.url) as market,
    ):
        other.chain_id = 1
        expected = await until_answered(question, world, market)
        await proxy.set("refuse")
        for _ in range(3):
            assert isinstance(await answer_or_error(question, world, market), Unreachable)
        await proxy.set("")
        assert await until_answered(question, world, market) == expected
        assert set(other.asked) == {"eth_chainId"}
        assert [health.state for health in market.rpc.health()] == ["ready", "quarantined"]
        assert market.rpc.health()[1].why == "is chain 1, not 999"


async def test_a_node_that_comes_back_as_another_chain_ends_the_run(world):
    """The only endpoint changes its chain behind a fault: WrongTarget, and not one question more."""
    async with bad_gateway(world.facts.rpc_url) as gateway, market_behind(world, gateway.url) as market:
        await market.head()
        gateway.set("closed")
        with pytest.raises(Unreachable):
            await market.head()
        gateway.chain_id = 1
        gateway.set("")
        asked = len(gateway.asked)
        for _ in range(3):
            with pytest.raises(WrongTarget, match=r"no RPC endpoint is left: .* is chain 1, not 999"):
                await market.head()
        assert gateway.asked[asked:] == ["eth_chainId"]
