"""Accounts kept in columns come back as they went, whoever looks and however often."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqcli.book.keeper import Keeper
from liqcli.book.ledger import Ledger
from liqcli.book.state import Account

MOST = 2**128 - 1
numbers = st.one_of(st.integers(1, 2**70), st.sampled_from([1, 2**64 - 1, 2**64, MOST]))
ids = st.integers(0, 127)


@st.composite
def accounts(draw):
    """Any account that logs can lead to."""
    account = Account()
    account.collateral, account.debt = (draw(st.dictionaries(ids, numbers, max_size=4)) for _ in range(2))
    account.indexes = draw(st.dictionaries(st.integers(0, 255), numbers, max_size=4))
    account.used = draw(st.frozensets(ids, max_size=3))
    account.emode, account.as_of = draw(st.integers(0, 255)), draw(st.integers(-1, 10**9))
    return account


def keeper_of(kept):
    """A keeper that holds these accounts under their places."""
    keeper = Keeper(None)
    keeper.make_room(len(kept))
    keeper.take(enumerate(kept))
    return keeper


@given(st.lists(st.lists(accounts(), min_size=3, max_size=3), min_size=1, max_size=3))
@settings(max_examples=100)
def test_accounts_come_back_as_they_went(rounds):
    """Also where a number was used before, by an account with other balances."""
    keeper = Keeper(None)
    keeper.make_room(3)
    for kept in rounds:
        images = [account.image() for account in kept]
        keeper.take(enumerate(kept))
        assert all(account.keeper is keeper for account in kept)
        assert kept[1].indexes == images[1][2]
        assert [account.keeper for account in kept] == [keeper, None, keeper]
        keeper.give_all_back()
        assert [account.image() for account in kept] == images


@pytest.mark.parametrize("part", ["collateral", "debt", "indexes"])
@pytest.mark.parametrize("number", [0, MOST + 1])
def test_what_does_not_fit_stays_where_it_is(part, number):
    """An account with a number of more than 128 bits, or with a zero that says more than nothing, is not kept."""
    account = Account()
    getattr(account, part)[3] = number
    keeper_of([account])
    assert account.keeper is None
    assert getattr(account, part) == {3: number}


def test_the_unknown_and_those_out_of_range_stay_where_they_are():
    """Whoever is in doubt is the ledger's business; there is room for the contracts' 128 reserves and 255 e-modes."""
    doubted, strange, other = Account(), Account(), Account()
    doubted.why_unknown = "a log was lost"
    strange.debt[128] = 1
    other.emode = 2**64
    keeper_of([doubted, strange, other])
    assert (doubted.keeper, strange.keeper, other.keeper) == (None, None, None)


def test_many_accounts_find_room():
    """Columns and slots grow, and each pair is found again."""
    kept = [Account() for _ in range(6_000)]
    for place, account in enumerate(kept):
        account.collateral, account.debt = {place % 128: place + 1}, {(place + 1) % 128: 2**100 + place}
    keeper = Keeper(None)
    for count in (10, 3_000, 6_000):
        keeper.make_room(count)
        keeper.take((place, account) for place, account in enumerate(kept[:count]) if account.keeper is None)
    keeper.give_back_numbers(np.array([[7, 5_000], [7, 7]], np.int32))
    assert [place for place, account in enumerate(kept) if account.keeper is None] == [7, 5_000]
    keeper.give_all_back()
    for place, account in enumerate(kept):
        assert account.collateral == {place % 128: place + 1}
        assert account.debt == {(place + 1) % 128: 2**100 + place}


def test_an_account_that_is_replaced_is_kept_no_more():
    """What the chain answered is the truth from then on, and what the columns held is gone."""
    ledger, old, new = Ledger([], "0x", (3, 0, 2), complete=True), Account(), Account()
    ledger.accounts["0xa"] = old
    ledger.keeper = keeper_of([old])
    new.emode = 2
    ledger.put_account("0xa", new)
    assert old.keeper is None
    assert ledger.bring_home() == {"0xa": new}


def test_doubt_is_cast_on_the_account_and_not_on_what_is_kept():
    """A kept account that is doubted is unknown when everybody has come home."""
    ledger, account = Ledger([], "0x", (3, 0, 2), complete=True), Account()
    account.debt[1] = 5
    ledger.accounts["0xa"] = account
    ledger.keeper = keeper_of([account])
    ledger.doubt("0xa", "it was lost")
    assert ledger.bring_home()["0xa"].why_unknown == "it was lost"
    assert account.debt == {1: 5}


def test_an_account_has_no_other_attributes():
    """Looking for what no account has fails as usual, kept or not."""
    account = Account()
    keeper = keeper_of([account])
    with pytest.raises(AttributeError):
        _ = account.balance
    assert account.keeper is keeper
