import json

import pytest
from eth_utils import keccak

from liqcli.chain import logs as chain_logs
from liqcli.chain import topics
from liqcli.chain.logs import changes_market, decode_events, follow_windows, read_logs
from liqcli.chain.rpc import RpcError
from liqcli.errors import Unreachable
from liqcli.model import EventKind
from liqcli.sandbox import calls
from liqcli.sandbox.transactions import send_all
from tests.aave.vectors import HERE
from tests.chain.sandbox import configure, open_sandbox, pass_time, sandbox_behind
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


@pytest.mark.parametrize(("name", "signature"), SIGNATURES.items())
def test_borrowers_topic_is_indexed_in_every_release(name, signature):
    """The topic taken for the borrower is an indexed address named user, onBehalfOf, from or to."""
    event = next(event for event in EVENTS if event["sig"] == signature)
    indexed = [param for param in event["params"] if param["indexed"]]
    for _, topic in chain_logs._CHANGED[getattr(topics, name)]:
        assert indexed[topic - 1]["type"] == "address"
        assert indexed[topic - 1]["name"] in {"user", "onBehalfOf", "from", "to"}


def test_market_topics_are_known_events():
    """Every market-wide topic is an event of some release."""
    proxy = "0x" + keccak(text="Upgraded(address)").hex()
    assert {event["topic0"] for event in EVENTS} | {proxy} >= chain_logs.MARKET_TOPICS


async def events_after(world, first, *transactions):
    """What the bot would see of these transactions: (kind, borrower) in order."""
    await send_all(world.rpc, transactions)
    market = await open_sandbox(world)
    head, _ = await market.head()
    window = await read_logs(market, first + 1, head)
    events = decode_events(window.logs, at=1.5)
    places = [(event.block, event.log_index) for event in events]
    assert places == sorted(places)
    assert {event.at for event in events} == {1.5}
    return [(event.kind, event.borrower) for event in events]


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
        (EventKind.SUPPLY, alice),
        (EventKind.SUPPLY, alice),
        (EventKind.BORROW, alice),
        (EventKind.REPAY, alice),
        (EventKind.EMODE, alice),
        (EventKind.SUPPLY, bob),
        (EventKind.TRANSFER, alice),
        (EventKind.SUPPLY, bob),
        (EventKind.COLLATERAL_OFF, bob),
        (EventKind.SUPPLY, bob),
        (EventKind.COLLATERAL_OFF, bob),
        (EventKind.WITHDRAW, bob),
    ]


async def test_configuration_changes_the_market(chain):
    """A configurator's log is told apart from a borrower's."""
    first = await chain.rpc.block_number()
    await configure(chain, "setReservePause", chain.deployment.asset("WHYPE").token, ON)
    market = await open_sandbox(chain)
    window = await read_logs(market, first + 1, first + 1)
    assert changes_market(window.logs)
    assert not decode_events(window.logs, at=0.0)


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
        return http(json.dumps([rpc(id=request[0]["id"], result="0x0"), rpc(id=request[1]["id"], error=error)]))

    return refuse


async def test_window_adapts_to_the_nodes_range(world):
    """Refused ranges are halved, the limit is remembered, and few requests are wasted."""
    reference = await open_sandbox(world)
    head, _ = await reference.head()
    expected = (await read_logs(reference, 0, head)).logs
    async with (
        relay(world.node.url, accepting_only(5)) as (url, requests),
        sandbox_behind(world, url) as market,
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


@pytest.mark.parametrize(
    "log",
    [
        {"blockNumber": "0x1", "logIndex": "0x0"},
        {"blockNumber": "0x1", "logIndex": "0x0", "topics": []},
        {"blockNumber": "0x1", "logIndex": "0x0", "topics": [topics.BORROW, "0x" + "0" * 64]},
        {"blockNumber": "0x1", "logIndex": "0x0", "topics": [topics.BORROW, "0x", "0x12"]},
        {"blockNumber": None, "logIndex": "0x0", "topics": [topics.EMODE_SET, "0x" + "0" * 64]},
    ],
)
def test_malformed_log_is_refused(log):
    """A log that cannot be read is an error of the node, never a borrower of nobody."""
    with pytest.raises(Unreachable):
        decode_events([log], at=0.0)


def test_foreign_event_is_nobodys():
    """A log of an event we do not follow changes no borrower."""
    assert decode_events([{"blockNumber": "0x1", "logIndex": "0x0", "topics": ["0x" + "12" * 32]}], at=0.0) == []
