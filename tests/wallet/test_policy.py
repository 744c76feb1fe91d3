"""The policy against random transactions, beside a second, independent reading of its rules."""

import random
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqcli.chain.abi import LIQUIDATE, LIQUIDATION_CALL
from liqcli.model import BASE_UNIT, WAD
from liqcli.wallet.keys import Key
from liqcli.wallet.policy import CANCEL_GAS, DAY_S, HOUR_S, Denied, Policy, Signer, Spent, Transaction

OWN = "0x" + "aa" * 20
POOL, LIQUIDATOR, STRANGER = ("0x" + digit * 40 for digit in "123")
CREATION = bytes.fromhex("600a600c")
SELECTORS = [LIQUIDATION_CALL, LIQUIDATE, bytes.fromhex("a9059cbb"), bytes.fromhex("095ea7b3"), b"", b"\0\xa7\x18"]
PRICE = 35 * BASE_UNIT
GOOD = Transaction(999, 3, POOL, LIQUIDATION_CALL + bytes(160), 500_000, 10**9)


@pytest.fixture
def policy(tmp_path):
    """Limits of a small operator."""
    return Policy(
        chain_id=999,
        allowed=frozenset({(POOL, LIQUIDATION_CALL), (LIQUIDATOR, LIQUIDATE)}),
        max_gas=1_000_000,
        max_fee_per_gas=20 * 10**9,
        max_loss_base=BASE_UNIT // 2,
        max_day_loss_base=2 * BASE_UNIT,
        max_per_hour=5,
        pause_file=tmp_path / "PAUSE",
        creations=frozenset({CREATION}),
    )


class CountingKey:
    """Signs nothing, and counts what it was asked to sign."""

    def __init__(self):
        self.address = OWN
        self.signed = []

    def sign(self, fields):
        self.signed.append(fields)
        return "0x", "0x"


def is_allowed(policy, transaction, *, price, spent):
    """Whether the policy has nothing against it."""
    with suppress(Denied):
        policy.check(transaction, sender=OWN, native_price=price, spent=spent)
        return True
    return False


def is_within(policy, transaction, price, spent):
    """The rules once more, as one sentence; written apart from the policy's own code."""
    is_cancel = (transaction.to, transaction.data, transaction.gas) == (OWN, b"", CANCEL_GAS)
    is_liquidation = (
        transaction.to == POOL and transaction.data[:4] == LIQUIDATION_CALL and len(transaction.data) == 164
    )
    is_flash = transaction.to == LIQUIDATOR and transaction.data[:4] == LIQUIDATE
    is_creation = transaction.to is None and transaction.data == CREATION
    worst = Fraction(transaction.gas * transaction.max_fee_per_gas * price, WAD)
    return (
        transaction.chain_id == 999
        and transaction.value == 0
        and (is_cancel or is_liquidation or is_flash or is_creation)
        and 0 < transaction.gas <= 1_000_000
        and 0 <= transaction.max_fee_per_gas <= 20 * 10**9
        and price > 0
        and worst <= BASE_UNIT // 2
        and spent.loss_base + worst <= 2 * BASE_UNIT
        and (is_cancel or spent.liquidations < 5)
        and not policy.pause_file.exists()
    )


def random_case(rng):
    """A transaction that is good but for what one in ten throws of the dice changes."""

    def mostly(good, *others):
        return good if rng.random() < 0.9 else rng.choice([good, *others])

    to, selector = mostly((POOL, LIQUIDATION_CALL), (LIQUIDATOR, LIQUIDATE), (STRANGER, LIQUIDATE), (None, LIQUIDATE))
    selector = mostly(selector, *SELECTORS)
    data = mostly(selector + bytes(mostly(160, 0, 159, 161, 320)), b"", CREATION)
    transaction = Transaction(
        chain_id=mostly(999, 998, 1, 0),
        nonce=rng.randrange(100),
        to=mostly(to, OWN, POOL, LIQUIDATOR, STRANGER),
        data=data,
        gas=mostly(rng.randrange(1, 10**6), CANCEL_GAS, 1_000_000, 1_000_001, 0, rng.randrange(2_000_000)),
        max_fee_per_gas=mostly(rng.randrange(10**10), 20 * 10**9, 20 * 10**9 + 1, rng.randrange(10**11), -1),
        value=mostly(0, 1, 10**18),
    )
    if rng.random() < 0.1:
        transaction = replace(transaction, to=mostly(OWN, POOL, None), data=mostly(b"", CREATION), gas=CANCEL_GAS)
    spent = Spent(mostly(0, BASE_UNIT, 2 * BASE_UNIT, rng.randrange(3 * BASE_UNIT)), mostly(0, 1, 4, 5, 6))
    return transaction, mostly(PRICE, 0, -1, 10**12), spent


def test_no_signature_outside_the_policy_in_a_hundred_thousand_plans(policy):
    """Whatever is asked, the key signs exactly what the rules allow."""
    rng, key = random.Random(6), CountingKey()
    signer = Signer(key, policy)
    allowed = 0
    for _ in range(100_000):
        transaction, price, spent = random_case(rng)
        before = len(key.signed)
        with suppress(Denied):
            signer.sign(transaction, native_price=price, spent=spent)
        signed = len(key.signed) - before
        assert signed == is_within(policy, transaction, price, spent), (transaction, price, spent)
        allowed += signed
    assert 20_000 < allowed < 80_000


@given(
    st.builds(
        Transaction,
        chain_id=st.integers(0, 2**64),
        nonce=st.integers(0, 2**64),
        to=st.sampled_from([POOL, LIQUIDATOR, OWN, STRANGER, None]),
        data=st.binary(max_size=200) | st.binary(min_size=160, max_size=160).map(lambda tail: LIQUIDATION_CALL + tail),
        gas=st.integers(-1, 2**64),
        max_fee_per_gas=st.integers(-1, 2**64),
        value=st.integers(0, 2**256 - 1),
    ),
    st.integers(-1, 2**64),
    st.integers(0, 2**64),
    st.integers(0, 10),
)
@settings(max_examples=500)
def test_hypothesis_finds_no_way_around(transaction, price, loss, liquidations):
    """The same for transactions that a search makes up."""
    policy = Policy(
        999, frozenset({(POOL, LIQUIDATION_CALL), (LIQUIDATOR, LIQUIDATE)}), 1_000_000, 20 * 10**9, BASE_UNIT // 2,
        2 * BASE_UNIT, 5, Path("/nonexistent/PAUSE"), frozenset({CREATION}),
    )  # fmt: skip
    key, spent = CountingKey(), Spent(loss, liquidations)
    with suppress(Denied):
        Signer(key, policy).sign(transaction, native_price=price, spent=spent)
    assert bool(key.signed) == is_within(policy, transaction, price, spent)


BROKEN = [
    ("wrong chain", {"chain_id": 998}, PRICE, Spent()),
    ("sends native coin", {"value": 1}, PRICE, Spent()),
    ("contract not allowed", {"to": STRANGER}, PRICE, Spent()),
    ("contract not allowed", {"to": LIQUIDATOR}, PRICE, Spent()),
    ("contract not allowed", {"to": POOL, "data": b""}, PRICE, Spent()),
    ("contract not allowed", {"to": None, "data": CREATION + b"\0"}, PRICE, Spent()),
    ("contract not allowed", {"to": OWN, "data": b"", "gas": CANCEL_GAS + 1}, PRICE, Spent()),
    ("contract not allowed", {"to": OWN, "gas": CANCEL_GAS}, PRICE, Spent()),
    ("malformed call", {"data": LIQUIDATION_CALL + bytes(159)}, PRICE, Spent()),
    ("gas over max_gas", {"gas": 1_000_001}, PRICE, Spent()),
    ("gas over max_gas", {"gas": 0}, PRICE, Spent()),
    ("gas price over max_gas_price", {"max_fee_per_gas": 20 * 10**9 + 1}, PRICE, Spent()),
    ("gas price over max_gas_price", {"max_fee_per_gas": -1}, PRICE, Spent()),
    ("gas money has no price", {}, 0, Spent()),
    ("loss over max_loss", {"max_fee_per_gas": 20 * 10**9, "gas": 10**6}, 36 * BASE_UNIT, Spent()),
    ("daily loss limit", {}, PRICE, Spent(loss_base=2 * BASE_UNIT - 1)),
    ("hourly limit", {}, PRICE, Spent(liquidations=5)),
]


@pytest.mark.parametrize(("reason", "change", "price", "spent"), BROKEN, ids=lambda value: str(value)[:40])
def test_each_rule_has_a_name_of_its_own(policy, reason, change, price, spent):
    """A good transaction with one thing wrong is denied for that thing."""
    policy.check(GOOD, sender=OWN, native_price=PRICE, spent=Spent())
    with pytest.raises(Denied) as denied:
        policy.check(replace(GOOD, **change), sender=OWN, native_price=price, spent=spent)
    assert denied.value.reason == reason


def test_limits_are_inclusive(policy):
    """Exactly the limit is allowed, one unit more is not."""
    worst = 500_000 * 10**9 * PRICE // WAD
    policy.check(GOOD, sender=OWN, native_price=PRICE, spent=Spent(2 * BASE_UNIT - worst, 4))
    with pytest.raises(Denied, match="24 hours"):
        policy.check(GOOD, sender=OWN, native_price=PRICE, spent=Spent(2 * BASE_UNIT - worst + 1, 4))
    at_most = replace(GOOD, gas=1_000_000, max_fee_per_gas=14_285_714_285)
    policy.check(at_most, sender=OWN, native_price=PRICE, spent=Spent())
    with pytest.raises(Denied, match="may lose"):
        policy.check(replace(at_most, max_fee_per_gas=14_285_714_286), sender=OWN, native_price=PRICE, spent=Spent())


def test_the_smallest_of_everything_is_allowed(policy):
    """One unit of gas, a price of nothing, a native coin worth one unit."""
    assert is_allowed(policy, replace(GOOD, gas=1, max_fee_per_gas=0), price=1, spent=Spent())


def test_a_cancellation_passes_the_hourly_limit(policy):
    """What frees a nonce is no liquidation."""
    cancel = Transaction(999, 3, OWN, b"", CANCEL_GAS, 10**9)
    assert is_allowed(policy, cancel, price=PRICE, spent=Spent(liquidations=99))
    assert not is_allowed(policy, GOOD, price=PRICE, spent=Spent(liquidations=99))


def test_the_pause_file_stops_everything(policy):
    """Even a cancellation waits for `liq resume`."""
    policy.pause_file.touch()
    for transaction in (GOOD, Transaction(999, 3, OWN, b"", CANCEL_GAS, 10**9)):
        with pytest.raises(Denied) as denied:
            policy.check(transaction, sender=OWN, native_price=PRICE, spent=Spent())
        assert (denied.value.reason, denied.value.hint) == ("paused", "liq resume")


def test_what_is_checked_is_what_is_signed(policy):
    """The bytes the key makes decode to the very transaction that was weighed."""
    from eth_account import Account
    from eth_account.typed_transactions import TypedTransaction
    from hexbytes import HexBytes

    secret = "0x" + "42" * 32
    raw, tx_hash = Signer(Key(secret), policy).sign(GOOD, native_price=PRICE, spent=Spent())
    signed = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
    assert {name: signed[name] for name in ("chainId", "nonce", "gas", "maxFeePerGas", "value")} == {
        "chainId": 999, "nonce": 3, "gas": 500_000, "maxFeePerGas": 10**9, "value": 0,
    }  # fmt: skip
    assert (signed["maxPriorityFeePerGas"], signed["to"].hex(), signed["data"]) == (0, "1" * 40, GOOD.data)
    assert Account.recover_transaction(raw).lower() == Key(secret).address
    assert len(tx_hash) == 66


def test_the_policy_is_short_enough_to_read():
    """All that may be signed stands in fewer than 200 lines."""
    from liqcli.wallet import policy

    assert len(Path(policy.__file__).read_text().splitlines()) < 200


def test_the_units_are_the_worlds():
    """A plain transfer takes 21,000 gas, a day has 86,400 seconds and an hour 3,600."""
    assert (CANCEL_GAS, DAY_S, HOUR_S) == (21_000, 86_400, 3_600)


def test_nothing_spent_is_nothing():
    """A fresh journal weighs nothing."""
    assert Spent() == Spent(loss_base=0, liquidations=0)
