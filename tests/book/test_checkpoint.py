"""Checkpoints: what is loaded is what was saved, and nothing else is ever loaded."""

import asyncio
import json
from dataclasses import replace

import pytest

from liqcli.book.audit import audit
from liqcli.book.checkpoint import BadCheckpoint, load_checkpoint, save_checkpoint, save_in_turns
from liqcli.book.follow import Follower, begin_at_first_block
from liqcli.book.opening import catch_up, checkpoint_path, identity_of, load_book, open_book
from tests.chain.sandbox import open_sandbox, pass_time


async def saved(world, path):
    """A book at the head, and its checkpoint."""
    market = await open_sandbox(world)
    follower = Follower(market, await begin_at_first_block(market, 0), window_blocks=1000)
    await catch_up(follower, (await market.head())[0], path=path)
    return market, follower.book


def state_of(book):
    """Everything that makes two books equal."""
    ledger = book.ledger
    accounts = {address: account.image() for address, account in ledger.accounts.items()}
    reserves = {number: state.image() for number, state in ledger.reserves.items()}
    tokens = {token.address: (token.reserve_id, token.is_debt, token.total) for token in ledger.tokens.values()}
    return (
        book.cursor,
        book.identity,
        accounts,
        reserves,
        tokens,
        dict(ledger.emodes),
        set(ledger.unknown),
        ledger.complete,
    )


async def test_a_loaded_book_is_the_saved_one(chain, tmp_path):
    """Cursor, accounts, reserves, tokens and e-modes come back as they were, and the book goes on from there."""
    market, book = await saved(chain, tmp_path / "a.book")
    loaded = load_checkpoint(tmp_path / "a.book", book.identity)
    assert state_of(loaded) == state_of(book)
    await chain.scenario.step()
    await pass_time(chain, 3600)
    report = await audit(Follower(market, loaded, window_blocks=1000), list(loaded.accounts))
    assert (report.checked, report.mismatches, report.unknown) == (len(loaded), (), {})


async def test_unknown_accounts_stay_unknown(chain, tmp_path):
    """A quarantined account does not become trusted by a restart."""
    _, book = await saved(chain, tmp_path / "a.book")
    borrower = next(book.accounts)
    book.quarantine(borrower, "the pool said otherwise")
    save_checkpoint(book, tmp_path / "a.book")
    loaded = load_checkpoint(tmp_path / "a.book", book.identity)
    assert loaded.unknown == {borrower: "the pool said otherwise"}
    assert loaded.drift == 1


@pytest.mark.parametrize("cut", [1, 50, 1000, -1])
async def test_a_torn_checkpoint_is_refused(chain, tmp_path, cut):
    """A file cut anywhere is refused with a message, set aside, and the book built again."""
    path = tmp_path / "a.book"
    market, book = await saved(chain, path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(BadCheckpoint):
        load_checkpoint(path, book.identity)
    said = []
    assert await load_book(market, path, tell=said.append) is None
    assert len(said) == 1
    assert not path.exists()
    assert path.with_suffix(".bad").exists()
    rebuilt = await open_book(market, path, first_block=0, tell=said.append)
    await catch_up(Follower(market, rebuilt, window_blocks=1000), book.cursor)
    assert state_of(rebuilt)[2:] == state_of(book)[2:]


@pytest.mark.parametrize("place", [20, 100, 400, 5000])
async def test_a_changed_byte_is_noticed(chain, tmp_path, place):
    """One digit changed anywhere, in the header or in the body, makes a checkpoint worthless."""
    path = tmp_path / "a.book"
    _, book = await saved(chain, path)
    raw = bytearray(path.read_bytes())
    digit = next(at for at in range(place, len(raw)) if chr(raw[at]).isdigit())
    raw[digit] = ord("7" if chr(raw[digit]) != "7" else "3")
    path.write_bytes(raw)
    with pytest.raises(BadCheckpoint):
        load_checkpoint(path, book.identity)


@pytest.mark.parametrize("change", [{"chain_id": 998}, {"market": "other"}, {"pool": "0x" + "11" * 20}])
async def test_a_foreign_checkpoint_is_refused(chain, tmp_path, change):
    """A book of another chain, market or pool says which it is of, and is not loaded."""
    _, book = await saved(chain, tmp_path / "a.book")
    with pytest.raises(BadCheckpoint, match="is of market sandbox"):
        load_checkpoint(tmp_path / "a.book", replace(book.identity, **change))


async def test_a_checkpoint_of_an_undone_block_is_refused(chain, tmp_path):
    """When the chain has another block where the book stands, the book is set aside."""
    path = tmp_path / "a.book"
    snapshot = await chain.rpc.call("evm_snapshot")
    await pass_time(chain, 60)
    market, book = await saved(chain, path)
    await chain.rpc.call("evm_revert", snapshot)
    await pass_time(chain, 7200)
    assert (await market.head())[0] == book.cursor
    said = []
    assert await load_book(market, path, tell=said.append) is None
    assert "another block" in said[0]


async def test_a_failed_save_leaves_the_old_checkpoint(chain, tmp_path):
    """What cannot be written whole is not written: the last good checkpoint stays."""
    path = tmp_path / "a.book"
    _, book = await saved(chain, path)
    before = path.read_bytes()
    book.ledger.gaps = object()
    with pytest.raises(TypeError):
        save_checkpoint(book, path)
    assert path.read_bytes() == before


async def test_a_book_that_changes_while_it_is_saved_is_saved_as_it_was(chain, tmp_path, monkeypatch):
    """What is on disk is of one moment, though others had their turns between its lines; they had many."""
    monkeypatch.setattr("liqcli.book.checkpoint._PAGE", 1)
    path = tmp_path / "a.book"
    _, book = await saved(chain, path)
    before = state_of(book)
    saving = asyncio.create_task(save_in_turns(book, path))
    await asyncio.sleep(0)
    for borrower in book.accounts:
        book.quarantine(borrower, "the pool said otherwise")
    book.cursor += 1
    assert not saving.done()
    await saving
    assert state_of(load_checkpoint(path, book.identity)) == before
    assert state_of(book) != before


async def test_an_interrupted_save_leaves_the_old_checkpoint(chain, tmp_path):
    """A run that ends in the middle of a save leaves the last good file, and nothing beside it."""
    path = tmp_path / "a.book"
    _, book = await saved(chain, path)
    before = path.read_bytes()
    book.cursor += 1
    saving = asyncio.create_task(save_in_turns(book, path))
    await asyncio.sleep(0)
    saving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saving
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


async def test_an_interrupted_catch_up_goes_on_where_it_stopped(chain, tmp_path):
    """A discovery that ends half-way is resumed from its checkpoint, not from the first block."""
    path = tmp_path / "a.book"
    market = await open_sandbox(chain)
    last, _ = await market.head()
    half = await open_book(market, path, first_block=0, tell=print)
    seen = []

    def stop(done):
        seen.append(done)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await catch_up(Follower(market, half, window_blocks=1), last, path=path, on_progress=stop)
    resumed = await open_book(market, path, first_block=0, tell=print)
    assert resumed.cursor == seen[0].block
    await catch_up(Follower(market, resumed, window_blocks=1), last, path=path)
    report = await audit(Follower(market, resumed, window_blocks=1), list(resumed.accounts))
    assert (report.mismatches, report.unknown) == ((), {})


async def test_progress_tells_share_rate_and_time_to_go(chain, tmp_path):
    """Progress ends at all of it with nothing to go, and the checkpoint's path names chain and market."""
    market = await open_sandbox(chain)
    last, _ = await market.head()
    seen = []
    follower = Follower(market, await begin_at_first_block(market, 0), window_blocks=1000)
    await catch_up(follower, last, on_progress=seen.append)
    assert (seen[-1].share, seen[-1].eta_s) == (1.0, 0.0)
    assert seen[-1].blocks_per_s > 0
    assert seen[-1].accounts == len(follower.book)
    assert checkpoint_path(tmp_path, identity_of(market)) == tmp_path / "book" / "999-sandbox.book"


async def test_the_first_line_says_what_it_is(chain, tmp_path):
    """The header can be read by people: format, chain, market, pool, cursor."""
    _, book = await saved(chain, tmp_path / "a.book")
    header = json.loads((tmp_path / "a.book").read_bytes().partition(b"\n")[0])
    assert header["format"] == "liq-book 2"
    assert (header["chain_id"], header["market"], header["cursor"]) == (999, "sandbox", book.cursor)
