import pytest
from eth_abi import encode
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st

from liqcli.aave.reasons import BY_CODE, BY_SELECTOR, ERROR_STRING, PANIC, reason_of


@pytest.mark.parametrize(("selector", "name"), BY_SELECTOR.items())
def test_selector_belongs_to_its_name(selector, name):
    """Every custom error's selector is the hash of its name without arguments."""
    assert selector == keccak(text=f"{name}()")[:4]


@pytest.mark.parametrize(("code", "name"), BY_CODE.items())
def test_code_and_custom_error_have_one_name(code, name):
    """The numbered string of a release and the custom error of a later one give the same reason."""
    as_string = ERROR_STRING + encode(["string"], [code])
    assert reason_of(as_string) == reason_of(keccak(text=f"{name}()")[:4]) == name


@given(st.text())
def test_foreign_string_stands_as_it_is(text):
    """A reason that is not Aave's, such as an ERC-20's, is kept."""
    assert reason_of(ERROR_STRING + encode(["string"], [text])) == BY_CODE.get(text, text)


@given(st.binary())
def test_any_revert_data_has_a_reason(data):
    """No revert data, however malformed, breaks the reading of it."""
    assert reason_of(data)


def test_panic_and_unknown_selectors_are_shown():
    """A Solidity panic shows its code, an unknown custom error its selector."""
    assert reason_of(PANIC + encode(["uint256"], [0x32])) == "Panic(0x32)"
    assert reason_of(bytes.fromhex("deadbeef") + b"x") == "0xdeadbeef"
