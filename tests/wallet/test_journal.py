"""The journal: what append returned for is on disk, what a crash cut is dropped, what is damaged is refused."""

import os
import random
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqcli.errors import InputError
from liqcli.wallet.journal import KEPT_LANDED, Attempt, Journal, Outcome
from liqcli.wallet.policy import DAY_S, Denied, Transaction

NOW = time.time()


def attempt(nonce, number=0, *, at=NOW, fee=10**9, **facts):
    """A signed transaction of that nonce."""
    transaction = Transaction(999, nonce, "0x" + "11" * 20, bytes([nonce % 256]) * 8, 500_000, fee)
    usual = {"subject": f"0x{nonce:040x}", "memo": {"n": nonce}, "native_price": 35 * 10**8, "is_cancel": False}
    return Attempt(transaction, f"0xraw{nonce}-{number}", f"0x{nonce}-{number}", epoch=3, at=at, **{**usual, **facts})


def outcome(nonce, number=0, *, at=NOW, loss=0):
    """What became of it."""
    return Outcome(nonce, f"0x{nonce}-{number}", 100 + nonce, succeeded=True, loss_base=loss, at=at)


@pytest.fixture
def path(tmp_path):
    """Where a journal is to be."""
    return tmp_path / "wallet" / "journal"


def test_records_come_back_as_they_were(path):
    """Transactions with their bytes, plans and prices, in a file of mode 0600 in a directory of mode 0700."""
    journal = Journal(path)
    records = [attempt(0), attempt(0, 1, fee=2 * 10**9, is_cancel=True), attempt(1), outcome(0, 1, loss=7)]
    for record in records:
        journal.append(record)
    journal.close()
    again = Journal(path)
    assert again.attempts_of("0x0-0") == (records[0], records[1])
    assert again.outcome_of("0x0-0") == records[3]
    assert list(again.open) == [1]
    assert again.next_nonce == 2
    assert again.landed_from(0) == [records[1]]
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


@given(st.integers(1, 6), st.integers(0, 2000), st.binary(max_size=40))
@settings(max_examples=60)
def test_any_cut_tail_is_dropped_and_the_rest_is_kept(tmp_path_factory, count, cut, garbage):
    """A file cut anywhere in its last record, or with garbage instead, opens with all records before it."""
    path = tmp_path_factory.mktemp("cut") / "journal"
    journal = Journal(path)
    for nonce in range(count):
        size = path.stat().st_size
        journal.append(attempt(nonce))
    journal.close()
    whole = path.read_bytes()
    tail = whole[size:]
    path.write_bytes(whole[:size] + (tail[: cut % len(tail)] or garbage.replace(b"\n", b"")))
    again = Journal(path)
    assert list(again.open) == list(range(count - 1))
    again.append(attempt(99))
    again.close()
    assert list(Journal(path).open) == [*range(count - 1), 99]


def test_a_damaged_record_is_refused(path):
    """A journal that forgot a nonce, be it the last, is none to send over."""
    journal = Journal(path)
    for nonce in range(3):
        journal.append(attempt(nonce))
    journal.close()
    whole = bytearray(path.read_bytes())
    rng = random.Random(1)
    for _ in range(50):
        broken = bytearray(whole)
        broken[rng.choice([place for place in range(len(whole) - 1) if whole[place] not in b" \n"])] ^= 1
        path.write_bytes(broken)
        with pytest.raises(InputError, match="damaged at line"):
            Journal(path)


@pytest.mark.parametrize(
    ("order", "damaged"),
    [((1, 2, 3), 1), ((0, 2, 3), 2), ((0, 1, 3), 3), ((0, 2, 1, 3), 2), ((0, 1, 1, 2, 3), 3), ((0, 1, 2, 3, 0), 5)],
)
def test_a_line_that_is_missing_repeated_or_out_of_place_is_refused(path, order, damaged):
    """Each record stands for all before it: an attempt without its outcome, or the other way round, tells lies."""
    journal = Journal(path)
    for record in (attempt(0), outcome(0, loss=10), attempt(1), outcome(1)):
        journal.append(record)
    journal.close()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[number] for number in order))
    with pytest.raises(InputError, match=f"damaged at line {damaged}$"):
        Journal(path)


def test_how_it_was_found_is_told(path):
    """New, whole, or with a last line that a crash cut; afterwards it is whole again."""
    found = []
    for cut in (0, 0, 7, 0):
        if cut:
            path.write_bytes(path.read_bytes()[:-cut])
        journal = Journal(path)
        found.append((journal.is_new, journal.was_cut))
        journal.append(attempt(len(found)))
        journal.close()
    assert found == [(True, False), (False, False), (False, True), (False, False)]


def mutations_of(whole, at, size, noise):
    """What may happen to a file's bytes, by name."""
    before, hit, after = whole[:at], whole[at : at + size], whole[at + size :]
    return {
        "flipped": before + bytes([whole[at] ^ (noise[0] or 1)]) + whole[at + 1 :],
        "zeros": before + bytes(len(hit)) + after,
        "lost": before + after,
        "inserted": before + noise + hit + after,
        "repeated": before + hit + hit + after,
        "overwritten": before + noise + whole[at + len(noise) :],
        "cut": before,
    }


@given(st.floats(0, 0.999), st.integers(1, 200), st.binary(min_size=1, max_size=90))
@settings(max_examples=60)
def test_a_garbled_journal_is_refused_or_lacks_its_last_lines_only(tmp_path_factory, place, size, noise):
    """Whatever happens to its bytes: it is refused by its name, or what it tells is true and begins at the beginning.

    Without its last records the next nonce is theirs again: of two transactions with one nonce one is mined.
    """
    path = tmp_path_factory.getbasetemp() / "garbled"
    path.unlink(missing_ok=True)
    journal = Journal(path)
    for nonce in range(4):
        journal.append(attempt(nonce))
    journal.close()
    whole = path.read_bytes()
    for mutated in mutations_of(whole, int(place * len(whole)), size, noise).values():
        path.write_bytes(mutated)
        told = told_by(path)
        assert told is None or told == {nonce: attempt(nonce) for nonce in range(len(told))}


def told_by(path):
    """The open attempts of a journal, None where it is refused."""
    try:
        journal = Journal(path)
    except InputError:
        return None
    journal.close()
    return {nonce: attempts[0] for nonce, attempts in journal.open.items()}


def test_a_failed_fsync_closes_the_journal(path, monkeypatch):
    """Nobody knows what is on the disk then: nothing is appended until a restart has read it."""
    journal = Journal(path)
    journal.append(attempt(0))

    def broken(_):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", broken)
        with pytest.raises(Denied, match="Input/output"):
            journal.append(attempt(1))
    with pytest.raises(Denied, match="start again"):
        journal.append(attempt(1))
    assert list(journal.open) == [0]


def test_a_link_or_a_folder_is_no_journal(tmp_path):
    """The journal is a plain file of ours."""
    (tmp_path / "target").write_text("canary")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for name in ("link", "."):
        with pytest.raises(InputError, match="cannot open the journal"):
            Journal(tmp_path / name)
    assert (tmp_path / "target").read_text() == "canary"


def test_what_is_spent_is_the_days_losses_and_the_worst_of_what_is_open(path):
    """Losses of the last 24 hours, open nonces at their dearest attempt, and the hour's liquidations."""
    journal = Journal(path)
    worst = 500_000 * 10**9 * 35 * 10**8 // 10**18
    journal.append(attempt(0, at=NOW - DAY_S - 10))
    journal.append(outcome(0, loss=1000, at=NOW - DAY_S - 5))
    journal.append(attempt(1, at=NOW - 4000))
    journal.append(outcome(1, loss=10, at=NOW - 3999))
    journal.append(attempt(2))
    journal.append(attempt(2, 1, fee=2 * 10**9))
    journal.append(attempt(3))
    spent = journal.spent(NOW, beside=3)
    assert (spent.loss_base, spent.liquidations) == (10 + 2 * worst, 1)
    assert journal.spent(NOW, beside=-1).loss_base == 10 + 3 * worst
    journal.close()
    assert Journal(path).spent(NOW, beside=3) == spent


def test_old_outcomes_are_forgotten_and_open_ones_never(path):
    """Bytes are remembered of what is open and of the last that landed; the next nonce stays."""
    journal = Journal(path)
    journal.append(attempt(0))
    for nonce in range(1, 3 * KEPT_LANDED):
        journal.remember(attempt(nonce))
        journal.remember(outcome(nonce))
    assert [each.transaction.nonce for each in journal.landed_from(0)] == list(range(2 * KEPT_LANDED, 3 * KEPT_LANDED))
    assert list(journal.open) == [0]
    assert journal.next_nonce == 3 * KEPT_LANDED


def test_the_limits_count_what_has_no_bytes_any_more(path):
    """An hour's liquidations and a day's losses count whole, those of yesterday not at all."""
    journal = Journal(path)
    ages_s = [DAY_S + 1] * KEPT_LANDED + [2 * 3_600] * KEPT_LANDED + [60] * 2 * KEPT_LANDED
    for nonce, age_s in enumerate(ages_s):
        journal.remember(attempt(nonce, at=NOW - age_s))
        journal.remember(outcome(nonce, at=NOW - age_s, loss=5))
    spent = journal.spent(NOW, beside=-1)
    assert spent.liquidations == 2 * KEPT_LANDED
    assert spent.loss_base == 5 * 3 * KEPT_LANDED


def test_a_replacement_counts_once(path):
    """Two attempts at a nonce are one liquidation."""
    journal = Journal(path)
    for number in range(3):
        journal.append(replace(attempt(5, number), at=NOW - 10))
    assert journal.spent(NOW, beside=-1).liquidations == 1
