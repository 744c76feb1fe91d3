"""Many logs taken in at once leave what the ledger leaves that judges them one by one, whatever the logs tell."""

import json
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqcli.aave.account import Position
from liqcli.aave.ray import RAY
from liqcli.book import fold as folding
from liqcli.book.decode import Decoder
from liqcli.book.events import ReserveConfigured, ReserveListed
from liqcli.book.follow import Follower, Step
from liqcli.book.mirror import Mirror
from liqcli.book.positions import Book, Identity, Page
from liqcli.book.scaled import balance_of, scaled_after
from liqcli.book.state import ReserveState, Token
from liqcli.chain import topics
from liqcli.chain.reserves import ReserveTokens

POOL = "0x" + "90" * 20
PEOPLE = [f"0x{number:040x}" for number in range(0xA0, 0xA6)]
RESERVES = [
    ReserveTokens(
        n,
        *(f"0x{n + 1:02x}{part:038x}" for part in (1,)),
        f"T{n}",
        18,
        *(f"0x{n + 1:02x}{part:038x}" for part in (2, 3)),
    )
    for n in range(3)
]
FAULTS = (
    "interest",
    "index",
    "no update",
    "no token event",
    "no word",
    "transfer",
    "large",
    "late time",
    "stranger",
    "liquidation",
    "idle",
    "strange asset",
    "large e-mode",
    "told twice",
    "silent",
)


def word(text):
    """An address as a topic."""
    return "0x" + text.removeprefix("0x").rjust(64, "0")


class Chain:
    """Writes logs of people who supply, withdraw, borrow and repay, as the contracts would; a fault now and then."""

    def __init__(self, dice, version, *, faults):
        self.dice, self.faults = dice, faults
        self.tokens = {
            (reserve.id, is_debt): Token(address, reserve.id, version, is_debt=is_debt)
            for reserve in RESERVES
            for address, is_debt in ((reserve.a_token, False), (reserve.debt_token, True))
        }
        self.indexes = dict.fromkeys(self.tokens, RAY)
        self.held, self.last = {}, {}
        self.block, self.place, self.logs = 1, 0, []

    def page(self, blocks):
        """The logs of the next blocks."""
        self.logs = []
        for _ in range(blocks):
            self.block, self.place = self.block + 1, 0
            for _ in range(self.dice.randrange(5)):
                self._act(self.dice.choice(PEOPLE), self.dice.choice(list(self.tokens)))
        return self.logs

    def _act(self, person, key):
        fault = self.dice.choice(FAULTS) if self.dice.random() < self.faults else ""
        reserve, token, number = RESERVES[key[0]], self.tokens[key], (person, *key)
        if fault not in ("no update", "silent"):
            self.indexes[key] += self.dice.choice((0, 1, self.dice.randrange(10**24)))
        index, held = self.indexes[key], self.held.get(number, 0)
        interest = balance_of(held, index, token) - balance_of(held, self.last.get(number, index), token)
        most = balance_of(held, index, token)
        takes = self.dice.random() < 0.5 and most > 0
        amount = (
            most if self.dice.random() < 0.2 and takes else self.dice.randrange(1, 10 ** self.dice.randrange(1, 30))
        )
        amount = min(amount, most) if takes else amount
        if fault not in ("no update", "silent"):
            self._update(reserve)
        if fault == "transfer":
            other = self.dice.choice(PEOPLE)
            self._log(token.address, topics.BALANCE_TRANSFER, [word(person), word(other)], [amount, index])
        if fault == "liquidation":
            names = [word(reserve.asset), word(reserve.asset), word(person)]
            self._log(POOL, topics.LIQUIDATION_CALL, names, [1, 1, int(person, 16), 0])
        if fault == "idle":
            self._log(token.address, topics.MINT, [word("0"), word(person)], [interest, interest, index])
            self.last[number] = index
            return
        if fault != "no token event":
            self._move(number, -amount if takes else amount, interest, fault)
        for _ in range({"no word": 0, "silent": 0, "told twice": 2}.get(fault, 1)):
            self._tell(reserve, person, amount, is_debt=key[1], takes=takes)
        self._tell_beside(reserve, self.dice.choice((person, self.dice.choice(PEOPLE))), fault)

    def _tell_beside(self, reserve, person, fault):
        """Flags and e-modes."""
        if fault == "strange asset":
            self._log(POOL, topics.COLLATERAL_ENABLED, [word("0x" + "66" * 20), word(person)], [])
        if fault == "large e-mode":
            self._log(POOL, topics.EMODE_SET, [word(person)], [self.dice.choice((256, 2**64, 2**64 + 1))])
        if self.dice.random() < 0.3:
            topic = self.dice.choice((topics.COLLATERAL_ENABLED, topics.COLLATERAL_DISABLED))
            self._log(POOL, topic, [word(reserve.asset), word(person)], [])
        if self.dice.random() < 0.1:
            self._log(POOL, topics.EMODE_SET, [word(person)], [self.dice.randrange(3)])

    def _update(self, reserve):
        indexes = [self.indexes[reserve.id, is_debt] for is_debt in (False, True)]
        self._log(POOL, topics.RESERVE_DATA_UPDATED, [word(reserve.asset)], [10**25, 0, 2 * 10**25, *indexes])

    def _move(self, number, net, interest, fault):
        """The Mint or Burn: what nets out is the first and the second word."""
        person, token, index = number[0], self.tokens[number[1:]], self.indexes[number[1:]]
        told = interest + (fault == "interest")
        topic, value = (topics.MINT, net + told) if net + told >= 0 else (topics.BURN, -net - told)
        if fault == "large":
            value += 2 ** self.dice.choice((63, 64, 96, 126, 127))
        names = [word("0"), word(person)] if topic == topics.MINT else [word(person), word("0")]
        emitter = "0x" + "77" * 20 if fault == "stranger" else token.address
        self._log(emitter, topic, names, [value, told, index + (fault == "index")], late=fault == "late time")
        self.held[number] = max(scaled_after(self.held.get(number, 0), net, index, token), 0)
        self.last[number] = index

    def _tell(self, reserve, person, amount, *, is_debt, takes):
        names = [word(reserve.asset), word(person)]
        if is_debt and takes:
            self._log(POOL, topics.REPAY, [*names, word(person)], [amount, 0])
        elif takes:
            self._log(POOL, topics.WITHDRAW, [*names, word(person)], [amount])
        elif is_debt:
            self._log(POOL, topics.BORROW, [*names, word("0")], [int(person, 16), amount, 2, 0])
        else:
            self._log(POOL, topics.SUPPLY, [*names, word("0")], [int(person, 16), amount])

    def _log(self, emitter, topic, names, numbers, *, late=False):
        self.logs.append(
            {
                "address": emitter,
                "topics": [topic, *names],
                "data": "0x" + "".join(f"{number:064x}" for number in numbers),
                "blockHash": word(f"{self.block * 7919:x}"),
                "blockNumber": hex(self.block),
                "blockTimestamp": hex(1_700_000_000 + 10 * (self.block // 2) + 7 * late),
                "transactionHash": word("1"),
                "transactionIndex": "0x0",
                "logIndex": hex(self.place),
                "removed": False,
            }
        )
        self.place += self.dice.randrange(1, 3)


def opened(version, *, complete):
    """A book whose market lists its reserves at block 1."""
    book = Book(Identity(1, "test", POOL), RESERVES, version, cursor=0, complete=True)
    listed = [
        ReserveListed(1, n, 1, reserve.asset, reserve.a_token, reserve.debt_token) for n, reserve in enumerate(RESERVES)
    ]
    rules = {"ltv": 7_500, "liquidation_threshold": 8_000, "liquidation_bonus": 10_500}
    configured = [ReserveConfigured(1, 10 + reserve.id, 1, reserve.asset, rules) for reserve in RESERVES]
    book.apply(Page(1, 1, 1000, [*listed, *configured], {}))
    book.ledger.complete = complete
    return book


def state_of(book):
    """All that a book knows."""
    ledger = book.ledger
    return {
        "accounts": {address: account.image() for address, account in ledger.accounts.items()},
        "reserves": {number: state.image() for number, state in ledger.reserves.items()},
        "totals": {address: token.total for address, token in ledger.tokens.items()},
        "unknown": ledger.unknown,
        "gaps": ledger.gaps,
        "entered": ledger.entered,
        "cursor": book.cursor,
    }


def changes_of(outcome):
    """What a page changed, and its events."""
    changes = outcome.changes
    return changes.everyone(), changes.reserves, changes.market, list(outcome.events), outcome.late


def mirror_of(book):
    """A mirror of a book that is fed by hand; half of a token is worth as much as the whole of another."""
    mirror = Mirror(Follower(None, book, window_blocks=1))
    book.set_prices({reserve.asset: 10**8 << reserve.id for reserve in RESERVES})
    mirror.now = 2**31
    return mirror


def healths(mirror):
    """Everybody's health factor by the columns, None without debt; floats may be summed in another order."""
    found = [mirror.columns.health_of(person) for person in PEOPLE]
    return [None if health is None else pytest.approx(health, rel=1e-12, nan_ok=True) for health in found]


def meddle(chain, *books):
    """Somebody is read from the chain, now or a little ahead, and of somebody else the last index is forgotten."""
    one, other = chain.dice.sample(PEOPLE, 2)
    sides = [{key[1]: held for key, held in chain.held.items() if key[0] == one and key[2] == debt} for debt in (0, 1)]
    block = chain.block + chain.dice.randrange(3)
    for book in books:
        book.put_account(Position(one, *sides, frozenset(sides[0]), 0), block=block)
        if other in book:
            book.ledger.accounts[other].indexes.clear()


def glimpse(person, fast, slow):
    """A look at somebody, which brings nobody else home."""
    assert (person in fast) == (person in slow)
    if person in fast:
        assert fast.ledger.accounts[person].image() == slow.ledger.accounts[person].image()


def both(version, chain, count, *, complete, looks=1.0):
    """Each page into a book that folds and one that judges event by event; they and their mirrors must be alike.

    Somebody looks after a share of the pages, `looks`; meanwhile accounts stay where the fold left them.
    """
    fast, slow, decoder = opened(version, complete=complete), opened(version, complete=complete), Decoder()
    mirrors = [mirror_of(book) for book in (fast, slow)]
    first = 2
    for _ in range(count):
        logs = chain.page(chain.dice.randrange(1, 8))
        answer = json.dumps(logs, separators=(",", ":")).encode()
        scanned, last = decoder._scan(answer), chain.block
        pages = [Page(first, last, 10_000, events, {}) for events in (scanned, list(scanned))]
        steps = [Step(page, book.apply(page)) for page, book in zip(pages, (fast, slow), strict=True)]
        assert changes_of(steps[0].outcome) == changes_of(steps[1].outcome)
        if chain.dice.random() < looks:
            assert state_of(fast) == state_of(slow)
        glimpse(chain.dice.choice(PEOPLE), fast, slow)
        if chain.dice.random() < chain.faults:
            decoder = Decoder()
        if looks == 1.0:
            turns = [mirror._turn(step) for mirror, step in zip(mirrors, steps, strict=True)]
            assert turns[0] == turns[1]
            assert [mirrors[0].columns.health_of(person) for person in PEOPLE] == healths(mirrors[1])
        if chain.dice.random() < chain.faults:
            meddle(chain, fast, slow)
        first = last + 1
    return fast, slow


@given(
    st.integers(0, 2**32),
    st.sampled_from([(3, 0, 2), (3, 4), (3, 5)]),
    st.sampled_from([0.0, 0.1, 0.5]),
    st.booleans(),
    st.sampled_from([0.0, 0.2, 1.0]),
)
@settings(max_examples=200)
def test_folded_pages_leave_what_single_events_leave(seed, version, faults, complete, looks):
    """Accounts, reserves, supplies, doubts and what has changed are the same, with and without faults in the logs."""
    chain = Chain(random.Random(seed), version, faults=faults)
    fast, slow = both(version, chain, 6, complete=complete, looks=looks)
    assert state_of(fast) == state_of(slow)


@pytest.mark.parametrize("version", [(3, 0, 2), (3, 5)])
def test_faultless_logs_are_folded_whole(version, monkeypatch):
    """Where every proof holds, no block is judged event by event: only flags and e-modes are."""
    judged, fold_rows = [], folding._fold_rows

    def noted(ledger, scanned, code, rows):
        stop = fold_rows(ledger, scanned, code, rows)
        judged.append(rows.stop - stop)
        return stop

    monkeypatch.setattr(folding, "_fold_rows", noted)
    book, _ = both(version, Chain(random.Random(7), version, faults=0.0), 30, complete=True)
    assert book.unknown == {}
    assert len(book) == len(PEOPLE)
    assert set(judged) == {0}


@pytest.mark.parametrize(
    "change", [{"debt_token": f"0x{5:040x}"}, {"id": 128, "asset": f"0x{7:040x}", "debt_token": f"0x{8:040x}"}]
)
def test_a_market_that_no_contract_makes_is_judged_event_by_event(change):
    """Where an asset has tokens beside its two, or a number above 127, what folds knows is what single events tell."""
    chain, decoder = Chain(random.Random(3), (3, 0, 2), faults=0.0), Decoder()
    fast, slow = (opened((3, 0, 2), complete=True) for _ in range(2))
    for book in (fast, slow):
        book.ledger.put_reserve(ReserveState(replace(RESERVES[0], **{"a_token": f"0x{6:040x}", **change})))
    logs = chain.page(10)
    scanned = decoder._scan(json.dumps(logs, separators=(",", ":")).encode())
    for book, events in ((fast, scanned), (slow, list(scanned))):
        book.apply(Page(2, chain.block, 10_000, events, {}))
    assert len(slow) > 2
    assert [account.keeper for account in fast.ledger.accounts.values()] == [None] * len(slow)
    assert state_of(fast) == state_of(slow)


def test_debt_that_grows_in_silence_is_a_gap():
    """A Mint of debt without a word of the pool is a sign of lost logs: the rates must have changed with it."""
    chain, person = Chain(random.Random(1), (3, 0, 2), faults=0.0), PEOPLE[0]
    chain.block = 2
    chain._update(RESERVES[0])
    chain._move((person, 0, True), 10**20, 0, "")
    chain._tell(RESERVES[0], person, 10**20, is_debt=True, takes=False)
    chain.block, chain.place = 3, 0  # of the same second, so that the index is still that of the update
    chain._move((person, 0, True), 10**19, 0, "")
    book = opened((3, 0, 2), complete=True)
    book.apply(Page(2, 3, 10_000, Decoder()._scan(json.dumps(chain.logs, separators=(",", ":")).encode()), {}))
    assert (book.gaps, list(book.unknown_reserves)) == (1, [0])
