from contextlib import suppress

import pytest
from eth_abi import decode, encode
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st

from liqcli.chain import abi
from liqcli.errors import Unreachable

ADDRESSES = st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())
UINTS = st.integers(0, 2**256 - 1)
CALLS = st.lists(st.tuples(ADDRESSES, st.binary(max_size=100)), max_size=12)
RESULTS = st.lists(st.tuples(st.booleans(), st.binary(max_size=100)), max_size=12)

SIGNATURES = {
    "AGGREGATE3": "aggregate3((address,bool,bytes)[])",
    "GET_BLOCK_NUMBER": "getBlockNumber()",
    "GET_BLOCK_TIMESTAMP": "getCurrentBlockTimestamp()",
    "GET_BLOCK_GAS_LIMIT": "getCurrentBlockGasLimit()",
    "GET_POOL": "getPool()",
    "GET_PRICE_ORACLE": "getPriceOracle()",
    "GET_POOL_DATA_PROVIDER": "getPoolDataProvider()",
    "GET_POOL_CONFIGURATOR": "getPoolConfigurator()",
    "GET_PRICE_ORACLE_SENTINEL": "getPriceOracleSentinel()",
    "POOL_REVISION": "POOL_REVISION()",
    "GET_USER_ACCOUNT_DATA": "getUserAccountData(address)",
    "GET_USER_CONFIGURATION": "getUserConfiguration(address)",
    "GET_USER_EMODE": "getUserEMode(address)",
    "GET_RESERVES_LIST": "getReservesList()",
    "GET_RESERVE_DATA": "getReserveData(address)",
    "GET_RESERVE_DEFICIT": "getReserveDeficit(address)",
    "GET_LIQUIDATION_GRACE_PERIOD": "getLiquidationGracePeriod(address)",
    "GET_EMODE_DATA": "getEModeCategoryData(uint8)",
    "GET_EMODE_COLLATERAL_CONFIG": "getEModeCategoryCollateralConfig(uint8)",
    "GET_EMODE_COLLATERAL_BITMAP": "getEModeCategoryCollateralBitmap(uint8)",
    "GET_EMODE_LTVZERO_BITMAP": "getEModeCategoryLtvzeroBitmap(uint8)",
    "GET_EMODE_ISOLATED": "getIsEModeCategoryIsolated(uint8)",
    "LIQUIDATION_CALL": "liquidationCall(address,address,address,uint256,bool)",
    "FLASHLOAN_PREMIUM_TOTAL": "FLASHLOAN_PREMIUM_TOTAL()",
    "LIQUIDATE": "liquidate((address,address,address,uint256,uint256,bool,address,bytes))",
    "LIQUIDATOR_OWNER": "owner()",
    "LIQUIDATOR_POOL": "pool()",
    "LIQUIDATOR_STYLE_OF": "styleOf(address)",
    "FACTORY": "factory()",
    "GET_PAIR": "getPair(address,address)",
    "GET_POOL_OF_FEE": "getPool(address,address,uint24)",
    "GET_AMOUNTS_OUT": "getAmountsOut(uint256,address[])",
    "QUOTE_EXACT_INPUT": "quoteExactInput(bytes,uint256)",
    "GET_ASSET_PRICE": "getAssetPrice(address)",
    "GET_SOURCE_OF_ASSET": "getSourceOfAsset(address)",
    "LATEST_ROUND_DATA": "latestRoundData()",
    "IS_LIQUIDATION_ALLOWED": "isLiquidationAllowed()",
    "BALANCE_OF": "balanceOf(address)",
    "SYMBOL": "symbol()",
    "SCALED_BALANCE_OF": "scaledBalanceOf(address)",
    "SCALED_TOTAL_SUPPLY": "scaledTotalSupply()",
    "GET_RESERVE_NORMALIZED_DEBT": "getReserveNormalizedVariableDebt(address)",
    "GET_RESERVE_NORMALIZED_INCOME": "getReserveNormalizedIncome(address)",
}


@pytest.mark.parametrize(("name", "signature"), SIGNATURES.items())
def test_selector_is_the_hash_of_its_signature(name, signature):
    """Every selector constant is the first four bytes of its signature's keccak."""
    assert getattr(abi, name) == keccak(text=signature)[:4]


def test_every_selector_is_checked():
    """No selector constant escapes the test above."""
    constants = {name for name, value in vars(abi).items() if isinstance(value, bytes) and len(value) == 4}
    assert constants == set(SIGNATURES)


@given(CALLS)
def test_packed_aggregate3_equals_eth_abi(calls):
    """Calldata packed by hand is byte for byte what eth_abi encodes."""
    expected = encode(["(address,bool,bytes)[]"], [[(target, True, data) for target, data in calls]])
    assert abi.pack_aggregate3(calls) == abi.AGGREGATE3 + expected


@given(RESULTS)
def test_unpacked_aggregate3_equals_eth_abi(results):
    """Answers read by hand are what eth_abi encoded, with None for each failure."""
    answer = encode(["(bool,bytes)[]"], [results])
    assert abi.unpack_aggregate3(answer, len(results)) == [data if success else None for success, data in results]


@given(RESULTS.filter(bool), st.data())
def test_cut_aggregate3_answer_is_refused_or_unharmed(results, data):
    """An answer cut anywhere raises; only the padding after the last result may be missing."""
    answer = encode(["(bool,bytes)[]"], [results])
    kept = data.draw(st.integers(0, len(answer) - 1))
    try:
        unpacked = abi.unpack_aggregate3(answer[:kept], len(results))
    except Unreachable:
        return
    assert unpacked == [payload if success else None for success, payload in results]


@given(st.binary(max_size=400), st.integers(0, 5))
def test_garbage_is_refused_as_unreachable(garbage, expected):
    """Bytes of any kind either unpack to the expected number of results or raise Unreachable."""
    with suppress(Unreachable):
        assert len(abi.unpack_aggregate3(garbage, expected)) == expected


def test_wrong_number_of_results_is_refused():
    """Fewer results than calls would shift every answer to another borrower."""
    answer = encode(["(bool,bytes)[]"], [[(True, b"")] * 2])
    with pytest.raises(Unreachable, match="2 results to 3 calls"):
        abi.unpack_aggregate3(answer, 3)


@given(ADDRESSES, UINTS)
def test_encoded_call_equals_eth_abi(address, number):
    """Static arguments are packed as eth_abi packs them."""
    expected = encode(["address", "uint256"], [address, number])
    assert abi.encode_call(b"abcd", address, number) == b"abcd" + expected


@given(st.lists(ADDRESSES, max_size=8))
def test_array_is_read_as_encoded(items):
    """An array of addresses comes back as it was encoded."""
    answer = encode(["address[]"], [items])
    assert [abi.address_of(word) for word in abi.read_array(answer)] == items


@given(st.text(max_size=80))
def test_string_is_read_as_encoded(text):
    """A `string` answer comes back as it was encoded."""
    assert abi.read_text(encode(["string"], [text])) == text


@given(st.text(max_size=32).filter(lambda text: len(text.encode()) < 33 and "\0" not in text))
def test_bytes32_text_is_read(text):
    """An early token's `bytes32` symbol reads as text."""
    assert abi.read_text(text.encode().ljust(32, b"\0")) == text


@given(st.lists(UINTS, min_size=1, max_size=6))
def test_words_equal_eth_abi(numbers):
    """Words are read as eth_abi reads them, and one word too few is refused."""
    answer = encode(["uint256"] * len(numbers), numbers)
    assert abi.words(answer, len(numbers)) == list(decode(["uint256"] * len(numbers), answer))
    with pytest.raises(Unreachable):
        abi.words(answer, len(numbers) + 1)


@pytest.mark.parametrize("text", [None, "", "0xzz", "12", 7, "0x123"])
def test_what_is_no_hex_is_refused(text):
    """Anything but an even 0x string is no bytes."""
    with pytest.raises(Unreachable):
        abi.unhex(text)


@pytest.mark.parametrize("text", [None, "", "0x", "0xzz", "12", 7])
def test_what_is_no_quantity_is_refused(text):
    """Anything but a 0x number is no quantity."""
    with pytest.raises(Unreachable):
        abi.quantity(text)
