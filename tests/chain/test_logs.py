import json

import pytest
from eth_utils import keccak

from liqcli.book.events import TOPICS, Acted, BalanceTransfer, CollateralSwitched, EModeEntered, decode_logs
from liqcli.chain import logs as chain_logs
from liqcli.chain import topics
from liqcli.chain.logs import follow_windows, read_logs
from liqcli.chain.rpc import RpcError
from liqcli.errors import Unreachable
from liqcli.model import EventKind
from liqcli.sandbox import calls
from liqcli.sandbox.transactions import send_all
from tests.aave.vectors import HERE
from tests.chain.sandbox import open_sandbox, pass_time, sandbox_behind
from tests.chain.servers import http, relay, rpc

ON = True
EVENTS = json.loads((HERE / "events.json").read_text())
SIGNATURES = {
    "SUPPLY": "Supply(address,address,address,uint256,uint16)",
    "WITHDRAW": "Withdraw(address,address,address,uint256)",
    "BORROW": "Borrow(address,address,address,uint256,uint8,uint256,uint16)",
    "REPAY": "Repay(address,address,address,uint256,bool)",
    "LIQUIDATION_CALL": "LiquidationCall(address,address,address,uint256,uint256,address,bool)",
    "COLLATERAL_ENABLED": "ReserveUsedAsCollateralEnabled(address,address)",
    "COLLATERAL_DISABLED": "ReserveUsedAsCollateralDisabled(address,address)",
    "EMODE_SET": "UserEModeSet(address,uint8)",
    "BALANCE_TRANSFER": "BalanceTransfer(address,address,uint256,uint256)",
}


@pytest.mark.parametrize(("name", "signature"), SIGNATURES.items())
def test_topic_is_the_hash_of_its_event(name, signature):
    """Every topic constant is the keccak of its event's signature."""
    assert getattr(topics, name) == "0x" + keccak(text=signature).hex()


def test_what_is_asked_for_are_known_events():
    """Every topic of the query is an event of some release, and the book has a decoder for each."""
    proxy = "0x" + keccak(text="Upgraded(address)").hex()
    assert {event["topic0"] for event in EVENTS} | {proxy} >= set(chain_logs._TOPICS)
    assert set(chain_logs._TOPICS) == set(TOPICS)


async def events_after(world, first, *transactions):
    """What the bot would see of these transactions: (act, account) in order, balances and rates left out."""
    await send_all(world.rpc, transactions)
    market = await open_sandbox(world)
    head, _ = await market.head()
    events = decode_logs((await read_logs(market, first + 1, head)).logs)
    assert [event[:2] for event in events] == sorted(event[:2] for event in events)
    return [told for event in events for told in acts_in(event)]


def acts_in(event):
    """Who did what, in words."""
    match event:
        case Acted():
            yield event.kind, event.account
        case CollateralSwitched():
            yield "collateral on" if event.used else "collateral off", event.account
        case EModeEntered():
            yield "e-mode", event.account
        case BalanceTransfer():
            yield "sent", event.sender
            yield "received", event.recipient


async def test_every_act_of_a_borrower_is_an_event(chain):
    """Supply, borrow, repay, switch, e-mode, transfer and withdraw are seen in order, each for whom it changes."""
    pool, deployer = chain.facts.pool, chain.deployment.deployer
    whype, usdc = chain.deployment.asset("WHYPE"), chain.deployment.asset("USDC")
    alice, bob = "0x" + "a1" * 20, "0x" + "b0" * 20
    for account in (alice, bob):
        await chain.rpc.call("anvil_setBalance", account, hex(10**21))
    first = await chain.rpc.block_number()
    seen = await events_after(
        chain,
        first,
        calls.mint(deployer, whype, 10**21),
        calls.approve(deployer, whype, pool),
        calls.supply(deployer, pool, whype, 10**21, alice),
        calls.borrow(alice, pool, usdc, 10**9),
        calls.approve(alice, usdc, pool),
        calls.repay(alice, pool, usdc, 10**8),
        calls.set_emode(alice, pool, 0),
        calls.transfer_a_tokens(alice, whype, bob, 10**18),
        calls.use_as_collateral(bob, pool, whype, use=False),
        calls.use_as_collateral(bob, pool, whype, use=True),
        calls.withdraw(bob, pool, whype, 10**18),
    )
    assert seen == [
        ("collateral on", alice),
        (EventKind.SUPPLY, alice),
        (EventKind.BORROW, alice),
        (EventKind.REPAY, alice),
        ("e-mode", alice),
        ("collateral on", bob),
        ("sent", alice),
        ("received", bob),
        ("collateral off", bob),
        ("collateral on", bob),
        ("collateral off", bob),
        (EventKind.WITHDRAW, bob),
    ]


async def everything(market, last, widest):
    """All windows up to a block."""
    return [window async for window in follow_windows(market, 0, last, widest=widest)]


@pytest.mark.parametrize("widest", [1, 7, 1000])
async def test_windows_meet_without_gap_or_overlap(world, widest):
    """Windows of any width cover every block once and carry every log once."""
    market = await open_sandbox(world)
    head, _ = await market.head()
    windows = await everything(market, head, widest)
    assert [window.first for window in windows] == [0, *(window.last + 1 for window in windows[:-1])]
    assert windows[-1].last == head
    assert max(window.last - window.first + 1 for window in windows) <= widest
    logs = [log for window in windows for log in window.logs]
    assert logs == (await read_logs(market, 0, head)).logs


def accepting_only(blocks):
    """A node that refuses eth_getLogs over more blocks than this, as a public one does."""

    def refuse(request):
        query = request[1]["params"][0]
        if int(query["toBlock"], 16) - int(query["fromBlock"], 16) < blocks:
            return None
        error = {"code": -32600, "message": f"up to a {blocks} block range"}
        return http(json.dumps([rpc(id=request[0]["id"], result="0xffff"), rpc(id=request[1]["id"], error=error)]))

    return refuse


async def test_window_adapts_to_the_nodes_range(chain):
    """Refused ranges are halved, the limit is remembered, and few requests are wasted."""
    await chain.rpc.call("anvil_mine", hex(40))
    reference = await open_sandbox(chain)
    head, _ = await reference.head()
    expected = (await read_logs(reference, 0, head)).logs
    async with (
        relay(chain.node.url, accepting_only(5)) as (url, requests),
        sandbox_behind(chain, url) as market,
    ):
        windows = await everything(market, head, 1000)
    assert [log for window in windows for log in window.logs] == expected
    fewest = (head + 1) / 5
    assert len(requests) < 2 * fewest + 12


async def test_range_of_one_block_that_is_refused_is_an_error(world):
    """When even one block is refused the cursor cannot move: the node's refusal is raised."""
    async with relay(world.node.url, accepting_only(0)) as (url, _), sandbox_behind(world, url) as market:
        with pytest.raises(RpcError, match="block range"):
            await everything(market, 10, 8)


async def test_node_that_lags_behind_does_not_cost_logs(chain):
    """A window ends at the last block the answering node has: later ones are asked for again, not skipped."""
    await pass_time(chain, 1)
    market = await open_sandbox(chain)
    head, _ = await market.head()
    window = await read_logs(market, 0, head + 50)
    assert window.last == head
    assert [w.last async for w in follow_windows(market, 0, head + 50, widest=1000)] == [head]
    assert [w async for w in follow_windows(market, head + 1, head + 50, widest=1000)] == []


async def test_unreachable_node_stops_the_windows(world):
    """A refused connection is raised at once; halving would not help."""
    async with sandbox_behind(world, "http://127.0.0.1:9", timeout_s=1.0) as market:
        with pytest.raises(Unreachable, match="connection refused"):
            await everything(market, 10, 8)
        assert market.rpc.requests == 1
