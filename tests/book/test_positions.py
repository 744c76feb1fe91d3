"""The book by itself: pages, doubled and late events, undoing, and the proofs that logs carry of one another."""

import random

import pytest

from liqcli.aave.account import debt_index_at, liquidity_index_at
from liqcli.aave.ray import RAY, ray_div, ray_mul
from liqcli.book.events import (
    Acted,
    BalanceTransfer,
    Burn,
    CollateralSwitched,
    Liquidated,
    Mint,
    ReserveListed,
    ReserveUpdated,
)
from liqcli.book.positions import Book, BrokenPage, Identity, Page, TooDeep, Unknown
from liqcli.chain.reserves import ReserveTokens
from liqcli.model import NO_DEBT, EventKind

POOL, ASSET, A_TOKEN, DEBT = (f"0x{number:040x}" for number in range(1, 5))
ANN, BEN = "0x" + "a0" * 20, "0x" + "b0" * 20
TOKENS = ReserveTokens(0, ASSET, "TKN", 18, A_TOKEN, DEBT)
SCALED = 10**20
INDEX = RAY + 10**20


def opened(**options):
    """A book whose market lists one reserve at block 1."""
    book = Book(Identity(1, "test", POOL), [TOKENS], (3, 0, 2), cursor=0, complete=True, **options)
    book.apply(page(1, [ReserveListed(1, 0, 1, ASSET, A_TOKEN, DEBT)]))
    return book


def page(block, events, first=None):
    """A page of one block, or of all up to it."""
    return Page(first or block, block, block, events, {block: f"0x{block:064x}"})


def supplied(block, who, amount=SCALED):
    """What the chain tells of a supply at an index of one."""
    return [
        ReserveUpdated(block, 0, block, ASSET, 0, 0, RAY, RAY),
        Mint(block, 1, block, A_TOKEN, who, amount, 0, RAY),
        CollateralSwitched(block, 2, block, ASSET, who, used=True),
        Acted(block, 3, block, EventKind.SUPPLY, ASSET, who),
    ]


def with_supplies():
    """Ann and Ben have supplied."""
    book = opened()
    book.apply(page(2, supplied(2, ANN)))
    book.apply(page(3, supplied(3, BEN)))
    return book


def test_a_supply_is_a_position():
    """A Mint and its flag are a collateral; it counts for nothing at a threshold of 0, and nothing is owed."""
    book = with_supplies()
    book.set_prices({ASSET: 10**8})
    assert book.position(ANN).scaled_collateral == {0: SCALED}
    assert book.position(ANN).collateral_ids == {0}
    assert book.exact(ANN, 3).collateral_base == 0
    assert book.exact(ANN, 3).health_factor == NO_DEBT


def test_a_gap_between_pages_is_refused():
    """A page that leaves blocks out is not applied."""
    book = opened()
    with pytest.raises(BrokenPage, match="blocks 2 to 4 are missing"):
        book.apply(page(5, supplied(5, ANN)))
    assert ANN not in book


def test_doubled_and_shuffled_events_count_once_and_in_order():
    """However often and in whatever order a page has its events, the book is the same."""
    expected = with_supplies()
    for seed in range(20):
        book, events = opened(), [*supplied(2, ANN), *supplied(3, BEN)] * 3
        random.Random(seed).shuffle(events)
        book.apply(page(3, events, first=2))
        book.apply(page(3, events, first=2))
        assert book.position(ANN) == expected.position(ANN)
        assert book.position(BEN) == expected.position(BEN)
        assert book.gaps == 0


def test_two_events_in_one_place_are_refused():
    """A page that tells two stories of one log is not applied at all."""
    book = opened()
    events = [*supplied(2, ANN), Mint(2, 1, 2, A_TOKEN, BEN, 7, 0, RAY)]
    with pytest.raises(BrokenPage, match="two different logs"):
        book.apply(page(2, events))
    assert book.cursor == 1


def test_a_late_event_takes_its_place():
    """An event that an earlier page lacked is applied where it belongs, and what came after it again."""
    book = opened()
    switch = CollateralSwitched(2, 4, 2, ASSET, ANN, used=False)
    again = CollateralSwitched(3, 9, 3, ASSET, ANN, used=True)
    book.apply(page(2, supplied(2, ANN)))
    book.apply(page(3, [*supplied(3, BEN), again]))
    outcome = book.apply(page(3, [switch], first=2))
    assert outcome.late == 1
    assert book.position(ANN).collateral_ids == {0}
    assert book.cursor == 3
    book.rollback(2)
    assert book.position(ANN).collateral_ids == frozenset()


@pytest.mark.parametrize(("blocks", "at_most", "first"), [(4, 100, 0), (2, 100, 2), (4, 4, 3), (4, 3, 4), (0, 100, 4)])
def test_only_what_is_little_is_read_again(blocks, at_most, first):
    """Blocks 2 and 3 have four events each: an overlap goes back so many blocks, but over so many events at most."""
    assert with_supplies().calm_from(blocks, at_most=at_most) == first


def test_rollback_leaves_no_trace():
    """After a rollback the book is what it was, to the last index and flag."""
    book = opened()
    book.apply(page(2, supplied(2, ANN)))
    before = {address: account.image() for address, account in book.ledger.accounts.items()}
    totals = {token.address: token.total for token in book.ledger.tokens.values()}
    reserve = book.ledger.reserves[0].image()
    book.apply(page(3, [*supplied(3, BEN), BalanceTransfer(3, 9, 3, A_TOKEN, BEN, ANN, 5, RAY)]))
    book.rollback(2)
    assert {address: account.image() for address, account in book.ledger.accounts.items()} == before
    assert {token.address: token.total for token in book.ledger.tokens.values()} == totals
    assert book.ledger.reserves[0].image() == reserve
    assert book.cursor == 2


def test_rollback_of_the_listing_itself():
    """Even the reserve goes when the block that listed it goes."""
    book = with_supplies()
    book.rollback(0)
    assert (book.reserves, list(book.accounts), book.ledger.tokens) == ({}, [], {})


def test_undoing_is_bounded():
    """Only the newest blocks can be undone; deeper is an error, not a wrong book."""
    book = opened(undo_blocks=2)
    for block in range(2, 10):
        book.apply(page(block, supplied(block, f"0x{block:040x}")))
    book.rollback(7)
    with pytest.raises(TooDeep, match="go back to block 7, not to 6"):
        book.rollback(6)
    assert len(book._steps) <= 2


def interest(scaled=SCALED):
    """What accrues from an index of one to INDEX."""
    return ray_mul(scaled, INDEX) - scaled


def test_interest_proves_the_balance():
    """A Mint whose interest is that of the known balance is taken, and the scaled balance grows by its net."""
    book = with_supplies()
    book.ledger.reserves[0].indexes = (INDEX, 0, RAY, 0, 4)
    events = [
        Mint(4, 1, 4, A_TOKEN, ANN, 1000 + interest(), interest(), INDEX),
        ReserveUpdated(4, 2, 4, ASSET, 0, 0, INDEX, RAY),
        Acted(4, 3, 4, EventKind.SUPPLY, ASSET, ANN),
    ]
    book.apply(page(4, events))
    assert book.position(ANN).scaled_collateral == {0: SCALED + ray_div(1000, INDEX)}
    assert book.gaps == 0


@pytest.mark.parametrize("lie", [-1, 1, interest()])
def test_interest_of_another_balance_shows_a_lost_log(lie):
    """Interest that is off by one wei means that the balance is not what the book thinks: unknown."""
    book = with_supplies()
    book.ledger.reserves[0].indexes = (INDEX, 0, RAY, 0, 4)
    events = [
        Mint(4, 1, 4, A_TOKEN, ANN, 1000 + interest() + lie, interest() + lie, INDEX),
        ReserveUpdated(4, 2, 4, ASSET, 0, 0, INDEX, RAY),
        Acted(4, 3, 4, EventKind.SUPPLY, ASSET, ANN),
    ]
    book.apply(page(4, events))
    with pytest.raises(Unknown, match="interest paid at block 4 is not that of the balance"):
        book.position(ANN)
    assert book.why_unknown(BEN) != book.why_unknown(ANN)


def test_a_lost_balance_event_shows_in_the_pools_word():
    """A Supply without its Mint makes the supplier unknown at once."""
    book = with_supplies()
    events = [event for event in supplied(4, ANN) if not isinstance(event, Mint)]
    book.apply(page(4, events))
    assert "its supply at block 4 came without a token event" in book.unknown[ANN]


def test_lost_rates_make_the_reserve_unknown_until_its_next_update():
    """A Supply without its ReserveDataUpdated leaves the rates unknown, and the next one brings them back."""
    book = with_supplies()
    book.set_prices({ASSET: 10**8})
    book.apply(page(4, supplied(4, ANN)[1:]))
    assert "its new rates never came" in book.why_unknown(BEN)
    book.apply(page(5, supplied(5, ANN)))
    assert book.why_unknown(BEN) is None


def test_an_index_from_nowhere_makes_the_reserve_unknown():
    """A token event at an index that the reserve's rates do not lead to shows that an update is lost."""
    book = with_supplies()
    book.apply(page(4, [BalanceTransfer(4, 1, 4, A_TOKEN, ANN, BEN, 5, INDEX)]))
    assert "does not follow from its last update" in book.unknown_reserves[0]


def test_interest_without_its_transfer_is_noticed():
    """Interest paid as before a transfer, and no transfer, means that the transfer is lost."""
    book = with_supplies()
    book.ledger.reserves[0].indexes = (INDEX, 0, RAY, 0, 4)
    book.apply(page(4, [Mint(4, 1, 4, A_TOKEN, ANN, interest(), interest(), INDEX)]))
    assert "no transfer came" in book.unknown[ANN]


def test_more_cannot_leave_than_was_there():
    """A burn beyond the balance means that a mint is lost."""
    book = with_supplies()
    events = [
        ReserveUpdated(4, 0, 4, ASSET, 0, 0, RAY, RAY),
        Burn(4, 1, 4, A_TOKEN, ANN, SCALED + 1, 0, RAY),
        Acted(4, 2, 4, EventKind.WITHDRAW, ASSET, ANN),
    ]
    book.apply(page(4, events))
    assert "more left the account" in book.unknown[ANN]


def test_a_transfer_to_oneself_moves_nothing():
    """From and to the same account, the balance is what it was."""
    book = with_supplies()
    book.apply(page(4, [BalanceTransfer(4, 1, 4, A_TOKEN, ANN, ANN, 5, RAY)]))
    assert book.position(ANN).scaled_collateral == {0: SCALED}


def test_tokens_of_other_contracts_are_none_of_ours():
    """Events of a contract that the market does not list change nothing, whatever they claim."""
    book = with_supplies()
    stranger = "0x" + "ee" * 20
    book.apply(page(4, [Mint(4, 0, 4, stranger, ANN, 10**30, 0, RAY), Burn(4, 1, 4, stranger, BEN, 5, 0, RAY)]))
    assert book.position(ANN).scaled_collateral == {0: SCALED}
    assert book.unknown == {}


def test_an_account_never_seen_has_nothing_only_when_all_logs_were_read():
    """In a complete book a stranger owes nothing; in one begun later nobody can say."""
    book = with_supplies()
    assert book.exact("0x" + "99" * 20, 3).health_factor == NO_DEBT
    later = Book(Identity(1, "test", POOL), [TOKENS], (3, 0, 2), cursor=9, complete=False)
    with pytest.raises(Unknown, match="not in the book"):
        later.exact(ANN, 10)


@pytest.mark.parametrize(("version", "accrues"), [((3, 4), False), ((3, 5), True)])
def test_a_liquidation_into_a_tokens_accrues_without_a_log(version, accrues):
    """From 3.5 the collateral's indexes come up to date with the call, although its rates and logs say nothing."""
    other = "0x" + "55" * 20
    book = Book(Identity(1, "test", POOL), [TOKENS], version, cursor=0, complete=False)
    book.apply(page(1, [ReserveListed(1, 0, 1, ASSET, A_TOKEN, DEBT)]))
    rates = (RAY // 20, RAY // 10)
    book.apply(page(2, [ReserveUpdated(2, 0, 2, ASSET, *rates, RAY, RAY)]))
    before = book.ledger.reserves[0].view(0)
    at = 10_000_000
    book.apply(page(3, [Liquidated(3, 5, at, EventKind.LIQUIDATION, other, ANN, ASSET, received=True)]))
    index, debt_index = liquidity_index_at(before, at), debt_index_at(version, before, at)
    expected = (index, rates[0], debt_index, rates[1], at) if accrues else (RAY, rates[0], RAY, rates[1], 2)
    assert book.ledger.reserves[0].indexes == expected
