"""Accounts as columns of numbers, for as long as pages of logs are folded in and nobody looks at them.

What an account holds of a token is a pair; an account's pairs are a chain. Of who is held here the columns are the
truth, and the account itself is empty until somebody looks at it.
"""

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from liqcli.book.jit import compiled

Rows: TypeAlias = npt.NDArray[np.int64]
Words: TypeAlias = npt.NDArray[np.uint64]
Flags: TypeAlias = npt.NDArray[np.bool_]
Numbers: TypeAlias = npt.NDArray[np.int32]

MOST_SIDES = 256
"""An account's balances are told by `2 * reserve id + is debt`; the contracts have no more than 128 reserves."""
MOST_EMODE = 255
KEY, FOLLOWING, SCALED, LAST, USED, MOVED, WIDTH = 0, 1, 2, 4, 6, 7, 8
"""A pair: its key, its account's next pair (-1: none), its scaled balance and the index it was last touched at (0: none
is known) in two words each, high first, its collateral flag, and the block of a move of which the pool has yet to
speak. It is one line of the processor's cache."""
HELD, FIRST, AS_OF, EMODE, FACTS = range(5)
"""An account: whether it is held here (`LISTED`: is about to be), its first pair, the block of the chain's own answer
that it was taken from (-1: none), and its e-mode."""
LISTED = 2
PAIRS, TOUCHED_PAIRS, TOUCHED_ACCOUNTS = range(3)
"""What `counts` counts."""
_NONE = -1
_SPREAD = 0x9E3779B9


class Holdings(NamedTuple):
    """The columns: a row a pair, as words too, and a row an account, which is the number of its address.

    `slots` find a pair by its key. The changes of one pass over a page are listed, with what was there before each.
    """

    slots: Numbers
    pairs: Rows
    words: Words
    accounts: Rows
    touched_pairs: Rows
    old_pairs: Rows
    touched_accounts: Rows
    old_emodes: Rows
    counts: Rows


@compiled
def find(holdings: Holdings, account: int, side: int) -> int:
    """The account's pair on that side, or -1."""
    return int(holdings.slots[_slot_of(holdings.slots, holdings.pairs, account * MOST_SIDES + side)])


@compiled
def pair_at(holdings: Holdings, account: int, side: int) -> int:
    """The account's pair on that side; a new one is empty."""
    key = account * MOST_SIDES + side
    slot = _slot_of(holdings.slots, holdings.pairs, key)
    if holdings.slots[slot] >= 0:
        return int(holdings.slots[slot])
    pair = int(holdings.counts[PAIRS])
    holdings.counts[PAIRS] += 1
    holdings.slots[slot], holdings.pairs[pair, KEY] = pair, key
    holdings.pairs[pair, FOLLOWING], holdings.accounts[account, FIRST] = holdings.accounts[account, FIRST], pair
    _empty(holdings.pairs, pair)
    return pair


@compiled
def _slot_of(slots: Numbers, pairs: Rows, key: int) -> int:
    """Where the key's pair is, or would be."""
    mask = len(slots) - 1
    slot = (key * _SPREAD >> 20) & mask
    while slots[slot] >= 0 and pairs[slots[slot], KEY] != key:
        slot = (slot + 1) & mask
    return slot


@compiled
def _empty(pairs: Rows, pair: int) -> None:
    for column in range(SCALED, MOVED):
        pairs[pair, column] = 0
    pairs[pair, MOVED] = _NONE


@compiled
def place_again(slots: Numbers, pairs: Rows, count: int) -> None:
    """Fill the slots, which are free, with so many pairs."""
    for pair in range(count):
        slots[_slot_of(slots, pairs, pairs[pair, KEY])] = pair


@compiled
def touch_pair(holdings: Holdings, pair: int) -> None:
    """Keep the pair as it is, before a change to it."""
    place = holdings.counts[TOUCHED_PAIRS]
    holdings.counts[TOUCHED_PAIRS] += 1
    holdings.touched_pairs[place] = pair
    for column in range(SCALED, MOVED):
        holdings.old_pairs[place, column] = holdings.pairs[pair, column]


@compiled
def touch_account(holdings: Holdings, account: int) -> None:
    """Keep the account's e-mode as it is, before a change to flags or e-mode."""
    place = holdings.counts[TOUCHED_ACCOUNTS]
    holdings.counts[TOUCHED_ACCOUNTS] += 1
    holdings.touched_accounts[place], holdings.old_emodes[place] = account, holdings.accounts[account, EMODE]


@compiled
def undo(holdings: Holdings) -> None:
    """Take all changes back that were kept, the last first; no move waits for the pool any more."""
    for place in range(holdings.counts[TOUCHED_PAIRS] - 1, -1, -1):
        pair = holdings.touched_pairs[place]
        for column in range(SCALED, MOVED):
            holdings.pairs[pair, column] = holdings.old_pairs[place, column]
        holdings.pairs[pair, MOVED] = _NONE
    for place in range(holdings.counts[TOUCHED_ACCOUNTS] - 1, -1, -1):
        holdings.accounts[holdings.touched_accounts[place], EMODE] = holdings.old_emodes[place]


@compiled
def hold(holdings: Holdings, numbers: Rows, as_of: Rows, emodes: Rows) -> None:
    """Hold these accounts from now on, without any balance."""
    accounts, pairs = holdings.accounts, holdings.pairs
    for place in range(len(numbers)):
        account = numbers[place]
        accounts[account, HELD], accounts[account, AS_OF], accounts[account, EMODE] = 1, as_of[place], emodes[place]
        pair = accounts[account, FIRST]
        while pair >= 0:
            _empty(pairs, pair)
            pair = pairs[pair, FOLLOWING]


@compiled
def fill(holdings: Holdings, keys: Rows, scaled: Words, last: Words, used: Flags) -> None:
    """What held accounts hold, by the keys of pairs."""
    for place in range(len(keys)):
        pair = pair_at(holdings, keys[place] // MOST_SIDES, keys[place] % MOST_SIDES)
        holdings.pairs[pair, USED] = used[place]
        for half in range(2):
            holdings.words[pair, SCALED + half], holdings.words[pair, LAST + half] = (
                scaled[place, half],
                last[place, half],
            )


@compiled
def count_pairs(accounts: Rows, pairs: Rows, numbers: Rows, counts: Rows) -> None:
    """How many pairs each of these accounts has."""
    for place in range(len(numbers)):
        counts[place], pair = 0, accounts[numbers[place], FIRST]
        while pair >= 0:
            counts[place] += 1
            pair = pairs[pair, FOLLOWING]


@compiled
def list_pairs(accounts: Rows, pairs: Rows, numbers: Rows, found: Rows) -> None:
    """The pairs of these accounts, one account's after the other's."""
    count = 0
    for place in range(len(numbers)):
        pair = accounts[numbers[place], FIRST]
        while pair >= 0:
            found[count] = pair
            count += 1
            pair = pairs[pair, FOLLOWING]
