"""How the pool's packed answers read, for the releases that no node of ours runs."""

import pytest
from eth_abi import encode
from hypothesis import given
from hypothesis import strategies as st

from liqcli.aave.account import EMode, Reserve
from liqcli.chain.reserves import (
    WRAPPED_NATIVE,
    ReserveTokens,
    Unknown,
    decode_emode,
    decode_reserve,
    emode_price_source,
    emode_reads,
    wrapped_native,
)

BPS = st.integers(0, 2**16 - 1)
RAYS = st.integers(0, 2**128 - 1)
SOURCE = "0x" + "50" * 20
EMODE_STRUCT = ["(uint16,uint16,uint16,address,string)"]
COLLATERAL_CONFIG = ["(uint16,uint16,uint16)"]
FIELDS = (
    ("ltv", 0, 16),
    ("liquidation_threshold", 16, 16),
    ("liquidation_bonus", 32, 16),
    ("decimals", 48, 8),
    ("active", 56, 1),
    ("frozen", 57, 1),
    ("paused", 60, 1),
    ("protocol_fee", 152, 16),
    ("emode_category", 168, 8),
)
"""Name, lowest bit and width in the configuration bitmap."""


@given(st.fixed_dictionaries({name: st.integers(0, 2**width - 1) for name, _, width in FIELDS}), st.data())
def test_configuration_bits_are_read_from_their_places(facts, data):
    """Every field comes from its own bits, whatever stands in the bits between."""
    own = sum((2**width - 1) << low for _, low, width in FIELDS)
    noise = data.draw(st.integers(0, 2**256 - 1)) & ~own
    bits = noise | sum(facts[name] << low for name, low, _ in FIELDS)
    index, rate, debt_index, debt_rate, updated = (data.draw(RAYS) for _ in range(5))
    numbers = [bits, index, rate, debt_index, debt_rate, 11, updated, 6, *range(12, 19)]
    expected = facts | {name: bool(facts[name]) for name in ("active", "frozen", "paused")}
    assert decode_reserve(encode(["uint256"] * 15, numbers), price=9, grace_until=8) == Reserve(
        id=6,
        price=9,
        liquidity_index=index,
        liquidity_rate=rate,
        variable_borrow_index=debt_index,
        variable_borrow_rate=debt_rate,
        last_update=updated,
        grace_until=8,
        **expected,
    )


@given(BPS, BPS, BPS, st.text(max_size=40))
def test_one_category_emode_is_a_struct_with_a_source(ltv, threshold, bonus, label):
    """Up to 3.1 one answer holds limits, price source and label."""
    results = [encode(EMODE_STRUCT, [(ltv, threshold, bonus, SOURCE, label)])]
    assert emode_price_source((3, 1), results) == SOURCE
    assert decode_emode((3, 1), results, price=77) == EMode(ltv, threshold, bonus, price=77)


def test_emode_without_a_source_has_none():
    """The zero address means that each asset keeps its own price; from 3.2 there is no source at all."""
    results = [encode(EMODE_STRUCT, [(1, 2, 3, "0x" + "00" * 20, "")])]
    assert emode_price_source((3, 0, 2), results) is None
    assert emode_price_source((3, 2), []) is None


@given(st.tuples(BPS, BPS, BPS), st.integers(0, 2**128 - 1), st.integers(0, 2**128 - 1), st.booleans())
def test_liquid_emode_gathers_what_its_release_has(limits, bitmap, ltvzero, isolated):
    """From 3.2 limits and collateral bitmap, from 3.6 the zero-ltv bitmap, from 3.7 isolation."""
    parts = (("uint128", bitmap), ("uint128", ltvzero), ("bool", isolated))
    answers = [encode(COLLATERAL_CONFIG, [limits]), *(encode([kind], [value]) for kind, value in parts)]
    for version, count in {(3, 2): 2, (3, 5): 2, (3, 6): 3, (3, 7): 4}.items():
        known = EMode(
            *limits,
            collateral_bitmap=bitmap,
            ltvzero_bitmap=ltvzero if count > 2 else 0,
            isolated=isolated and count > 3,
        )
        assert len(emode_reads(version, SOURCE, 1)) == count
        assert decode_emode(version, answers[:count], price=0) == known


def test_refused_read_is_unknown():
    """A category that cannot be read is unknown, not without limits."""
    with pytest.raises(Unknown):
        decode_emode((3, 2), [None, None], price=0)


def tokens(number, asset, symbol):
    """A reserve's tokens."""
    return ReserveTokens(number, asset, symbol, 18, SOURCE, SOURCE)


def test_gas_money_is_known_by_address_then_by_symbol():
    """On HyperEVM the address decides, against any token that calls itself WHYPE; elsewhere the symbol must do."""
    impostor, real = tokens(0, SOURCE, "WHYPE"), tokens(1, WRAPPED_NATIVE, "anything")
    assert wrapped_native([impostor, real]) == real
    assert wrapped_native([impostor]) == impostor
    assert wrapped_native([tokens(2, SOURCE, "UETH")]) is None
