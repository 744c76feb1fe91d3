"""Foreign text comes out as plain text."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from liqcli.text import holds_key, safe, short_address, without_keys


@given(st.text())
def test_safe_text_has_no_control_format_or_line_characters(text):
    """Whatever goes in, nothing that moves a cursor, forges a line or turns the writing direction comes out."""
    assert not {unicodedata.category(char) for char in safe(text)} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert len(safe(text)) <= 400


def test_plain_text_is_left_as_it_is():
    """Japanese, signs and spaces are no danger."""
    assert safe("清算 wHYPE [x] <y> 10 %") == "清算 wHYPE [x] <y> 10 %"


def test_addresses_are_shortened_in_the_middle():
    """Both ends stay to be recognised."""
    assert short_address("0x" + "ab" * 20) == "0xabab…abab"


def test_what_could_be_a_key_is_left_out():
    """64 hexadecimal digits with or without 0x, alone or within a text, and longer ones whole."""
    key = "4c" * 32
    for text in (key, f"0x{key}", f"no 0X{key.upper()} here", f"http://{key}{key}"):
        assert holds_key(text)
        assert key not in without_keys(text).lower()
    assert without_keys("0x" + "ab" * 20) == "0x" + "ab" * 20
