"""Following the real chain: reorganisations, upgrades, new reserves, accounts met half-way, nodes that lag."""

from dataclasses import replace

import pytest

from liqcli.book import follow
from liqcli.book.audit import Rota, audit, compare
from liqcli.book.decode import Decoder
from liqcli.book.follow import Follower, begin_at_first_block, begin_at_head
from liqcli.book.mirror import Mirror
from liqcli.book.positions import Unknown
from liqcli.book.reads import read_truth
from liqcli.book.rounding import probe_rounding
from liqcli.book.state import Doubt
from liqcli.chain import answers
from liqcli.chain.abi import ZERO_ADDRESS
from liqcli.sandbox import calls
from liqcli.sandbox.borrowers import fund
from liqcli.sandbox.market import TREASURY, aave_artifact
from liqcli.sandbox.transactions import Transaction, create_address, encode_create, encode_function, send_all
from tests.book.faults import MangledRpc
from tests.chain.sandbox import configure, open_sandbox, pass_time

NEWCOMER = "0x00000000000000000000000000000000000b0b42"


async def whole(world):
    """A book from the first block, at the head."""
    market = await open_sandbox(world)
    follower = Follower(market, await begin_at_first_block(market, 0), window_blocks=1000)
    await follower.catch_up((await market.head())[0])
    return follower


async def all_exact(follower, accounts=None):
    """Whether everyone is known and equal to the pool's word."""
    accounts = list(follower.book.accounts if accounts is None else accounts)
    report = await audit(follower, accounts)
    return (report.checked, report.mismatches, report.unknown) == (len(accounts), (), {})


async def supply(world, who, usd, symbol="USDC"):
    """One supply, in a block of its own."""
    asset, pool = world.deployment.asset(symbol), world.deployment.pool
    amount = asset.listing.amount(usd)
    await fund(world.rpc, [who])
    steps = [
        calls.mint(who, asset, amount),
        calls.approve(who, asset, pool),
        calls.supply(who, pool, asset, amount, who),
    ]
    await send_all(world.rpc, steps)


async def test_the_whole_book_comes_from_logs_alone(chain):
    """From the first block to the head no position is ever read: all accounts, the treasury too, are exact."""
    follower = await whole(chain)
    assert len(follower.book) > len(chain.plans)
    assert await all_exact(follower, [*follower.book.accounts, TREASURY])
    assert follower.book.gaps == 0
    assert {account.as_of for account in follower.book.ledger.accounts.values()} == {-1}


async def test_blocks_that_left_the_chain_are_undone(chain):
    """When the chain replaces blocks, the book goes back to the last common one and takes the new ones in."""
    follower = await whole(chain)
    snapshot = await chain.rpc.call("evm_snapshot")
    common = follower.book.cursor
    await supply(chain, NEWCOMER, 5_000.0)
    await follower.catch_up((await follower.market.head())[0])
    assert NEWCOMER in follower.book
    await chain.rpc.call("evm_revert", snapshot)
    for _ in range(5):
        await pass_time(chain, 777)
    steps = [step async for step in follower.follow((await follower.market.head())[0])]
    assert [step.undone_to for step in steps if step.undone_to is not None] == [common]
    assert NEWCOMER not in follower.book
    assert await all_exact(follower)


async def test_an_account_read_from_an_undone_block_is_unknown(chain):
    """What was read at a block that left the chain is read again before it is trusted."""
    market = await open_sandbox(chain)
    follower = Follower(market, await begin_at_head(market), window_blocks=1000)
    snapshot = await chain.rpc.call("evm_snapshot")
    await supply(chain, NEWCOMER, 5_000.0)
    follower.book.watch([NEWCOMER])
    await follower.heal()
    assert await all_exact(follower, [NEWCOMER])
    await chain.rpc.call("evm_revert", snapshot)
    for _ in range(8):
        await pass_time(chain, 60)
    await follower.catch_up((await market.head())[0])
    assert "was undone" in follower.book.why_unknown(NEWCOMER)
    await follower.heal()
    assert await all_exact(follower, [NEWCOMER])


async def test_after_a_reorganisation_deeper_than_the_book_all_are_read_again(chain):
    """A book that kept too little to go back begins anew: everyone is unknown, then read, and it goes on."""
    await supply(chain, NEWCOMER, 5_000.0)
    snapshot = await chain.rpc.call("evm_snapshot")
    await pass_time(chain, 60)
    market = await open_sandbox(chain)
    follower = Follower(market, await begin_at_head(market), window_blocks=1000)
    everyone = [NEWCOMER, *(plan.borrower for plan in chain.plans)]
    follower.book.watch(everyone)
    await follower.heal()
    await pass_time(chain, 60)
    assert await all_exact(follower, everyone)
    await chain.rpc.call("evm_revert", snapshot)
    for _ in range(8):
        await pass_time(chain, 333)
    await follower.catch_up((await market.head())[0])
    assert set(follower.book.unknown) == set(everyone)
    await follower.heal()
    assert await all_exact(follower, everyone)


async def test_an_account_read_ahead_is_told_of_when_the_book_arrives(chain):
    """Whoever was read at a later block is among the changed ones of the page that reaches it, not before."""
    follower = await whole(chain)
    borrower = chain.plans[0].borrower
    await pass_time(chain, 60)
    await pass_time(chain, 60)
    follower.book.quarantine(borrower, "for the test")
    await follower.heal()
    head = (await follower.market.head())[0]
    first = [step async for step in follower.follow(head - 1)]
    last = [step async for step in follower.follow(head)]
    assert all(follower.book.cursor == head for _ in last)
    assert borrower in {account for step in last for account in step.outcome.changes.accounts}
    assert len(first) == 1


async def test_a_removed_log_undoes_its_block(chain):
    """A log that the node marks as removed takes its block out of the book, which is then read anew."""
    follower = await whole(chain)
    await supply(chain, NEWCOMER, 5_000.0)
    await follower.catch_up((await follower.market.head())[0])
    marked = []

    def mark_once(logs):
        if marked or not logs:
            return logs
        marked.append(int(logs[-1]["blockNumber"], 16))
        return [*logs[:-1], {**logs[-1], "removed": True}]

    follower.market.rpc = MangledRpc(chain.rpc, mark_once)
    await pass_time(chain, 60)
    steps = [step async for step in follower.follow((await follower.market.head())[0])]
    assert [step.undone_to for step in steps if step.undone_to is not None] == [marked[0] - 1]
    assert await all_exact(follower)


async def test_an_account_first_seen_half_way_is_read_and_followed(chain):
    """A book begun at the head does not know a newcomer's past: unknown first, exact once read, exact ever after."""
    market = await open_sandbox(chain)
    follower = Follower(market, await begin_at_head(market), window_blocks=1000)
    borrower = chain.plans[0].borrower
    with pytest.raises(Unknown, match="not in the book"):
        follower.book.exact(borrower, 0)
    await supply(chain, borrower, 100.0)
    await follower.catch_up((await market.head())[0])
    assert "first seen" in follower.book.why_unknown(borrower)
    assert list(follower.book.borrowers) == [borrower]
    await follower.heal()
    await supply(chain, borrower, 200.0)
    await pass_time(chain, 86_400)
    assert await all_exact(follower, [borrower])
    assert follower.book.gaps == 0


async def test_a_reading_ahead_of_the_book_waits_for_it(chain):
    """An account read at a later block than the book's is unknown until the book has come there."""
    follower = await whole(chain)
    borrower = chain.plans[0].borrower
    await supply(chain, borrower, 100.0)
    follower.book.quarantine(borrower, "for the test")
    await follower.heal()
    assert "the book is at" in follower.book.why_unknown(borrower)
    assert await all_exact(follower)


async def test_a_reading_behind_the_book_is_not_taken(chain):
    """An answer from a node that lags changes nothing: the account stays unknown and is read again."""
    follower = await whole(chain)
    borrower = chain.plans[0].borrower
    position = follower.book.position(borrower)
    follower.book.quarantine(borrower, "for the test")
    assert follower.book.put_account(position, block=follower.book.cursor - 1) is False
    assert follower.book.why_unknown(borrower) is not None


async def test_what_an_overlap_reads_again_is_told_once(chain):
    """Pages near the head overlap, yet each act of an account is handed on once."""
    follower = await whole(chain)
    mirror, told = Mirror(follower), []
    for _ in range(4):
        await chain.scenario.step()
        head, _ = await follower.market.head()
        told += [act async for turn in mirror.advance(head) for act in turn.acted]
    assert len(told) > 5
    assert len({act[:2] for act in told}) == len(told)


async def test_a_quarantined_account_is_healed(chain):
    """A wrong balance is found by the audit, unknown at once, counted, and exact after it was read again."""
    follower = await whole(chain)
    borrower = chain.plans[0].borrower
    account = follower.book.ledger.accounts[borrower]
    (reserve_id, scaled), *_ = account.collateral.items()
    account.collateral[reserve_id] = scaled + scaled // 100  # of 18 decimals, a million units are worth nothing
    report = await audit(follower, list(follower.book.accounts))
    assert report.wrong == {borrower}
    assert {mismatch.field for mismatch in report.mismatches} >= {"collateral_base"}
    assert follower.book.drift == 1
    with pytest.raises(Unknown, match="the pool said otherwise"):
        follower.book.exact(borrower, 0)
    await follower.heal()
    assert await all_exact(follower)


async def test_a_reserve_that_differs_is_replaced_by_the_chains(chain):
    """Wrong rates are found with the prices of the same call, and mended at once."""
    follower = await whole(chain)
    state = follower.book.ledger.reserves[0]
    index, rate, *rest = state.indexes
    state.indexes = (index, rate + 10**20, *rest)
    assert await all_exact(follower)
    assert follower.book.gaps == 1


async def test_an_emode_that_differs_is_replaced_by_the_chains(chain):
    """A lost definition of an e-mode is found with the prices of the next look, and so is one never seen."""
    follower = await whole(chain)
    ledger = follower.book.ledger
    emode, source = ledger.emodes[1]
    ledger.emodes[1] = replace(emode, liquidation_threshold=9400), source
    assert await all_exact(follower)
    assert ledger.emodes[1] == (emode, source)
    del ledger.emodes[1]
    ledger.meet_emode(1)
    assert await all_exact(follower)
    assert follower.book.gaps == 2


async def test_a_supply_that_does_not_add_up_makes_its_reserve_unknown(chain):
    """While balances are missing nobody in the reserve is known; then the holders are read again."""
    follower = await whole(chain)
    book = follower.book
    token = book.ledger.tokens[chain.deployment.asset("UBTC").a_token]
    token.total -= 1
    truth = await read_truth(follower.market, [])
    compare(book, truth)
    assert Doubt.SUPPLY in book.ledger.reserves[token.reserve_id].doubts
    users = [
        address for address, held in book.ledger.accounts.items() if token.reserve_id in held.used | held.debt.keys()
    ]
    assert users
    assert all(book.why_unknown(user) for user in users)
    for _ in range(3):
        compare(book, truth)
    assert book.unknown_reserves == {}
    assert set(book.unknown) == set(book.ledger.holders(token))
    await follower.heal()
    assert await all_exact(follower)


async def test_an_upgraded_token_goes_on_exactly(chain):
    """A token that gets another implementation is followed by the rounding of the release it then has."""
    follower = await whole(chain)
    deployment = chain.deployment
    nonce = int(await chain.rpc.call("eth_getTransactionCount", deployment.deployer, "latest"), 16)
    code = encode_create(aave_artifact("MockAToken"), [deployment.pool])
    implementation = create_address(deployment.deployer, nonce)
    create = Transaction(deployment.deployer, None, code, "deploy", 12_000_000)
    asset = deployment.asset("UBTC")
    update = (asset.token, TREASURY, ZERO_ADDRESS, "new name", "newUBTC", implementation, b"")
    data = encode_function(aave_artifact("PoolConfigurator"), "updateAToken", [update])
    await send_all(chain.rpc, [create, Transaction(deployment.deployer, deployment.configurator, data, "upgrade")])
    follower.book.ledger.tokens[asset.a_token].directional = True
    await supply(chain, chain.plans[0].borrower, 100.0, "UBTC")
    assert await all_exact(follower)
    assert follower.book.ledger.tokens[asset.a_token].directional is False
    assert follower.book.unknown == {}


async def test_a_token_tells_how_it_rounds(chain):
    """A token thought to round as another release does is corrected by its own answers, and its holders read again."""
    follower = await whole(chain)
    await pass_time(chain, 86_400)
    ledger = follower.book.ledger
    wrong = [token for token in ledger.tokens.values() if ledger.holders(token)]
    for token in wrong:
        token.directional = True
    corrected = await probe_rounding(follower.market, ledger)
    assert set(corrected) <= {token.address for token in wrong}
    assert len(corrected) > len(wrong) // 2
    assert all(ledger.tokens[address].directional is False for address in corrected)
    assert set(follower.book.unknown) == {
        who for address in corrected for who in ledger.holders(ledger.tokens[address])
    }
    assert await probe_rounding(follower.market, ledger) == []


async def test_an_upgrade_in_the_past_puts_its_holders_in_doubt(chain):
    """A replay across an upgrade cannot know how the old code rounded: holders are unknown, then read."""
    first = await whole(chain)
    deployment = chain.deployment
    nonce = int(await chain.rpc.call("eth_getTransactionCount", deployment.deployer, "latest"), 16)
    code = encode_create(aave_artifact("MockVariableDebtToken"), [deployment.pool])
    implementation = create_address(deployment.deployer, nonce)
    create = Transaction(deployment.deployer, None, code, "deploy", 12_000_000)
    asset = deployment.asset("USDC")
    update = (asset.token, ZERO_ADDRESS, "new name", "newUSDC", implementation, b"")
    data = encode_function(aave_artifact("PoolConfigurator"), "updateVariableDebtToken", [update])
    await send_all(chain.rpc, [create, Transaction(deployment.deployer, deployment.configurator, data, "upgrade")])
    follower = await whole(chain)
    holders = first.book.ledger.holders(first.book.ledger.tokens[asset.debt_token])
    assert holders
    assert set(follower.book.unknown) == set(holders)
    await follower.heal()
    assert await all_exact(follower)


async def test_rules_that_change_are_followed(chain):
    """Thresholds, fees, pauses, freezes and e-modes come from the configurator's events, not from reading again."""
    follower = await whole(chain)
    token = chain.deployment.asset("UBTC").token
    on = True
    await configure(chain, "configureReserveAsCollateral", token, 5000, 6100, 10900)
    await configure(chain, "setLiquidationProtocolFee", token, 777)
    await configure(chain, "setReserveFreeze", token, on)
    await configure(chain, "setReservePause", token, on)
    await configure(chain, "setEModeCategory", 2, 8000, 8500, 10300, chain.deployment.asset("USDC").token, "dollars")
    await configure(chain, "setAssetEModeCategory", chain.deployment.asset("USDC").token, 2)
    await follower.catch_up((await follower.market.head())[0])
    book = follower.book
    real = {state.tokens.id: state for state in (await read_truth(follower.market, [])).reserves}
    assert all(state.agrees_with(real[number]) for number, state in book.ledger.reserves.items())
    assert book.ledger.emodes[2][1] == chain.deployment.asset("USDC").token
    assert await all_exact(follower)
    assert book.gaps == 0


async def test_a_node_that_lags_holds_the_book_up(chain):
    """A node without the newest blocks leaves the cursor where it is: nothing is skipped."""
    follower = await whole(chain)
    cursor = follower.book.cursor
    await follower.catch_up(cursor + 50)
    assert follower.book.cursor == cursor
    await supply(chain, NEWCOMER, 10.0)
    assert await all_exact(follower)


async def test_logs_without_timestamps_cost_headers(chain):
    """A node whose logs carry no block timestamp gives the same book."""
    market = await open_sandbox(chain)

    def strip(logs):
        return [{name: value for name, value in log.items() if name != "blockTimestamp"} for log in logs]

    market.rpc = MangledRpc(chain.rpc, strip)
    follower = Follower(market, await begin_at_first_block(market, 0), window_blocks=1000)
    await pass_time(chain, 999)
    assert await all_exact(follower, [plan.borrower for plan in chain.plans])
    assert follower.book.gaps == 0


async def test_the_rota_begins_with_whom_logs_named(chain):
    """Whoever was just changed is audited first; then everyone has a turn before anyone has a second."""
    follower = await whole(chain)
    rota, everyone = Rota(), set(follower.book.accounts)
    fresh = chain.plans[3].borrower
    rota.changed([fresh])
    first = rota.next(follower.book, 10)
    assert first[0] == fresh
    rest = [borrower for _ in range(len(everyone) // 10) for borrower in rota.next(follower.book, 10)]
    assert {*first, *rest} == everyone
    assert rota.next(follower.book, 0) == []


async def test_prices_that_are_missing_make_their_users_unknown(chain):
    """An asset without a price makes nobody healthy: its users are unknown, the others exact."""
    follower = await whole(chain)
    assert await all_exact(follower)
    book = follower.book
    asset = chain.deployment.asset("UBTC").token
    book.set_prices({token: price for token, price in book.prices.items() if token != asset})
    number = book.ledger.ids[asset]
    users = {address for address, held in book.ledger.accounts.items() if number in held.used | held.debt.keys()}
    assert users
    assert {address for address in book.accounts if _is_unknown(book, address)} == users


def _is_unknown(book, address):
    try:
        book.exact(address, 2**31)
    except Unknown:
        return True
    return False


async def test_scanned_pages_make_the_same_book(chain, monkeypatch):
    """A book from pages that are scanned as bytes equals, account by account, one from pages read log by log."""
    monkeypatch.setattr(follow, "UNDO_BLOCKS", 0)
    plain = await whole(chain)
    scanned, decode_plain = [], Decoder.decode_plain

    def counted(self, answer, *, last):
        found = decode_plain(self, answer, last=last)
        scanned.append(found is not None)
        return found

    monkeypatch.setattr(Decoder, "decode_plain", counted)
    monkeypatch.setattr(answers, "_LARGE", 1)
    fast = await whole(chain)
    assert True in scanned
    assert list(fast.book.accounts) == list(plain.book.accounts)
    for part in ("accounts", "reserves"):
        ours, theirs = (getattr(follower.book.ledger, part) for follower in (fast, plain))
        assert {key: state.image() for key, state in ours.items()} == {
            key: state.image() for key, state in theirs.items()
        }
    assert fast.book.hashes == plain.book.hashes
    assert fast.book.gaps == plain.book.gaps == 0
