"""Foreign text comes out as plain text."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqcli.text import holds_key, safe, short_address, shown_url, without_keys


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


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://node.example/v2/KEY", "https://node.example/..."),
        ("https://node.example?key=KEY", "https://node.example/..."),
        ("http://127.0.0.1:8545/", "http://127.0.0.1:8545"),
        ("redis://user:hunter2@host:6379/0?ssl=1", "redis://host:6379/..."),
        ("rediss://:p@ss@host", "rediss://host"),
        ("redis://one:7000,two:7001", "redis://one:7000,two:7001"),
        ("unix:///tmp/x.sock?password=hunter2", "unix:///..."),
        ("redis://:hunter/2@host/0", "redis://..."),
        ("redis://:hunter#2@host/0", "redis://..."),
        ("redis://:hunter?2@host/0", "redis://..."),
        ("redis://:hunter2", "redis://..."),
        ("localhost:8545", "localhost:8545"),
    ],
)
def test_of_a_url_only_scheme_and_host_are_shown(url, shown):
    """Paths, queries and passwords stay hidden; where the host may be a part of a password, it does too."""
    assert shown_url(url) == shown


def test_what_could_be_a_key_is_left_out():
    """64 hexadecimal digits with or without 0x, alone or within a text, and longer ones whole."""
    key = "4c" * 32
    for text in (key, f"0x{key}", f"no 0X{key.upper()} here", f"http://{key}{key}"):
        assert holds_key(text)
        assert key not in without_keys(text).lower()
    assert without_keys("0x" + "ab" * 20) == "0x" + "ab" * 20
