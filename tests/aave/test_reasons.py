import pytest
from eth_abi import encode
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st

from liqcli.aave.reasons import BY_CODE, ERROR_STRING, PANIC, SELECTORS, reason_of
from liqcli.sandbox.aave36.build import artifact, artifacts_directory, ensure_compiled


@pytest.mark.parametrize(("error", "selector"), SELECTORS.items())
def test_selector_belongs_to_its_error(error, selector):
    """Every custom error's selector is the hash of its name and its arguments' types."""
    assert selector == keccak(text=error if "(" in error else f"{error}()")[:4]


@pytest.mark.parametrize(("code", "name"), BY_CODE.items())
def test_code_and_custom_error_have_one_name(code, name):
    """The numbered string of a release and the custom error of a later one give the same reason."""
    as_string = ERROR_STRING + encode(["string"], [code])
    assert reason_of(as_string) == reason_of(keccak(text=f"{name}()")[:4]) == name


async def test_every_error_of_the_compiled_contracts_is_known():
    """Whatever custom error a contract of Aave V3.6 may throw, with arguments or without, has its name."""
    await ensure_compiled(lambda _: None)
    names = {
        (item["name"], ",".join(given["type"] for given in item["inputs"]))
        for path in artifacts_directory().glob("*.json")
        for item in artifact(path.stem).abi
        if item["type"] == "error"
    }
    assert len(names) > 100
    unknown = {name for name, types in names if reason_of(keccak(text=f"{name}({types})")[:4] + bytes(64)) != name}
    assert unknown == set()


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
