"""Liquidations by others, on the real node: found, told apart from ours, explained, and valued."""

from datetime import UTC, datetime, timedelta

import pytest

from liqcli.bot.execute import Executor
from liqcli.bot.ledger import ENDED, STARTED, Ledger, Rival, read_decisions
from liqcli.bot.missed import liquidations, missed_among
from liqcli.bot.notes import Note
from liqcli.bot.rivals import Rivals
from liqcli.chain.market import open_market
from liqcli.chain.rpc import Rpc
from liqcli.chain.transactions import encode_liquidation_call
from liqcli.sandbox import calls
from liqcli.sandbox.transactions import Transaction, send_all
from tests.wallet.stage import fall, small_plans
from tests.wallet.wallets import sender_on

RIVAL = "0x" + "5a" * 20


@pytest.fixture
async def market(chain):
    """The sandbox's market after a fall of prices."""
    await fall(chain, 20)
    async with Rpc(chain.facts.rpc_url) as rpc:
        yield await open_market(rpc, name="missed", provider=chain.facts.provider, chain_id=999)


async def rival_liquidates(chain, plan):
    """Somebody else does what we planned; returns their transaction."""
    asset = next(asset for asset in chain.deployment.assets if asset.token == plan.debt_asset)
    await chain.rpc.call("anvil_setBalance", RIVAL, hex(10**20))
    data = bytes.fromhex(encode_liquidation_call(plan)[2:])
    await send_all(
        chain.rpc,
        [calls.mint(RIVAL, asset, plan.call_amount * 2), calls.approve(RIVAL, asset, chain.facts.pool)],
    )
    [outcome] = await send_all(chain.rpc, [Transaction(RIVAL, chain.facts.pool, data, "liquidate")])
    return outcome


def ledger_in(directory, mode="live"):
    """A ledger of a run that began."""
    ledger = Ledger(directory, market="missed", mode=mode)
    ledger.mark(STARTED)
    return ledger


async def audit(market, directory, first):
    """What the audit finds from a block on."""
    taken = await liquidations(market, first, await market.rpc.block_number())
    decisions = list(read_decisions(directory, datetime.now(UTC) - timedelta(days=2)))
    return await missed_among(market, taken, decisions)


async def test_a_rivals_liquidation_is_found_with_what_it_paid(chain, market, tmp_path):
    """Its transaction, its debt and its gain by the oracle; without a run the reason is that there was none."""
    [plan] = await small_plans(chain, market, 1)
    outcome = await rival_liquidates(chain, plan)
    [missed] = await audit(market, tmp_path, outcome.block)
    assert (missed.taken.tx_hash, missed.taken.log.liquidator) == (outcome.hash, RIVAL)
    assert missed.reason == "liq was not running"
    assert not missed.in_book
    assert missed.debt_base > 0
    assert 0.01 < missed.profit_base / missed.debt_base < 0.16


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("dry run", "planned in a dry run, so not sent"),
        ("plan", "planned and not sent in time"),
        ("sent", "sent, and the other was mined first"),
    ],
)
async def test_the_reason_is_our_last_decision(chain, market, tmp_path, kind, reason):
    """What the ledger last says about the borrower before the block is why it was not us."""
    [plan] = await small_plans(chain, market, 1)
    ledger_in(tmp_path).note(Note(kind, plan=plan))
    outcome = await rival_liquidates(chain, plan)
    [missed] = await audit(market, tmp_path, outcome.block)
    assert (missed.reason, missed.in_book) == (reason, True)


async def test_a_skip_is_told_with_its_words(chain, market, tmp_path):
    """Left alone, and why."""
    [plan] = await small_plans(chain, market, 1)
    batch = await market.readings([plan.borrower])
    ledger_in(tmp_path).note(Note("skip", "profit 1.90 below min_profit 5.00", batch.readings[plan.borrower]))
    outcome = await rival_liquidates(chain, plan)
    [missed] = await audit(market, tmp_path, outcome.block)
    assert missed.reason == "left alone: profit 1.90 below min_profit 5.00"
    assert missed.last.reading_age_s is not None


async def test_who_was_never_below_one_is_told_from_who_is_unknown(chain, market, tmp_path):
    """A borrower in the book that never reached one, and one that is not in it, have reasons of their own."""
    known, unknown = await small_plans(chain, market, 2)
    ledger = ledger_in(tmp_path)
    batch = await market.readings([known.borrower])
    first = (await rival_liquidates(chain, known)).block
    await rival_liquidates(chain, unknown)
    ledger.note(Note("liquidated", reading=batch.readings[known.borrower]))
    by_borrower = {missed.taken.log.borrower: missed for missed in await audit(market, tmp_path, first)}
    assert by_borrower[known.borrower].reason == "never read below one before it happened"
    assert by_borrower[unknown.borrower].reason == "not in our book"


async def test_a_run_that_ended_was_not_running(chain, market, tmp_path):
    """After the end of the last run nobody was there."""
    [plan] = await small_plans(chain, market, 1)
    ledger_in(tmp_path).mark(ENDED)
    outcome = await rival_liquidates(chain, plan)
    [missed] = await audit(market, tmp_path, outcome.block)
    assert missed.reason == "liq was not running"


async def test_our_own_liquidations_are_not_missed(chain, market, tmp_path):
    """What the ledger says we won is left out."""
    [plan] = await small_plans(chain, market, 1)
    executor = Executor(market, sender_on(market.rpc, chain, tmp_path))
    tx_hash = await executor.send(plan)
    receipt = await executor.receipt(tx_hash, plan)
    assert len(await audit(market, tmp_path / "ledger", receipt.block)) == 1
    ledger_in(tmp_path / "ledger").note(Note("won", plan=plan, tx_hash=tx_hash, receipt=receipt))
    assert await audit(market, tmp_path / "ledger", receipt.block) == []


async def test_a_plan_lost_to_somebody_is_written_down_with_whom(chain, market, tmp_path):
    """When a planned liquidation is refused, the faster one's transaction and block go into the ledger."""
    [plan] = await small_plans(chain, market, 1)
    ledger, told = ledger_in(tmp_path), []
    rivals = Rivals(market, ledger, tell=told.append)
    rivals.note(Note("plan", plan=plan))
    outcome = await rival_liquidates(chain, plan)
    batch = await market.readings([plan.borrower])
    rivals.note(Note("skip", "simulation reverted", batch.readings[plan.borrower]))
    await rivals.close()
    [lost] = [one for one in read_decisions(tmp_path, datetime.now(UTC) - timedelta(days=1)) if one.kind == "lost"]
    assert lost.rival == Rival(outcome.hash, RIVAL, outcome.block, outcome.block - plan.block)
    assert told[0].kind == "lost"
    assert RIVAL in told[0].text
