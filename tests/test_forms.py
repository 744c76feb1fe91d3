"""The forms that settings have: what cannot work is refused before anything is asked, and no secret is shown."""

from pathlib import Path

import pytest

from liqcli.forms import at_home, checked_address, checked_url, host_and_port

REDIS = ("redis://", "rediss://", "unix://")


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis:///0",
        "redis://host:port/0",
        "redis://host:99999",
        "redis://host:0",
        "redis://[::1",
        "redis://two words",
        "redis://:hunter/2@host/0",
        "redis://:hunter#2@host/0",
        "redis://:hunter[2@host/0",
        "redis://one:7000,:7001",
    ],
)
def test_a_url_without_a_host_that_can_be_used_is_refused(url):
    """No host, no such port, or a password with what ends a host in it; the password is not told."""
    with pytest.raises(ValueError, match="no host and port it can use") as caught:
        checked_url(url, *REDIS)
    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://host",
        "redis://:pass%2Fword@host:6379/0?ssl=1",
        "rediss://user:p@ss@[::1]:6379",
        "redis://one:7000,two:7001",
        "unix:///run/redis.sock?db=1",
    ],
)
def test_a_url_that_can_be_used_is_left_as_it_is(url):
    """A host, several of a cluster, or a socket; what stands after them is not looked at."""
    assert checked_url(url, *REDIS) == url


@pytest.mark.parametrize("address", ["9109", "127.0.0.1", "127.0.0.1:http", "127.0.0.1:99999", "", "a@b:1", "h:1/x"])
def test_a_wrong_address_is_a_named_error(address):
    """What is no HOST:PORT says so."""
    with pytest.raises(ValueError, match="is no HOST:PORT"):
        host_and_port(address)


def test_an_address_of_ipv6_is_taken_in_brackets():
    """As in a URL."""
    assert host_and_port("[::1]:9109") == ("::1", 9109)


def test_an_address_is_lowered():
    """One borrower has one name."""
    assert checked_address("0x" + "AB" * 20) == "0x" + "ab" * 20
    with pytest.raises(ValueError, match="'0x12' is no address"):
        checked_address("0x12")


def test_a_path_may_begin_at_home(monkeypatch):
    """`~` is a home; that of nobody is a mistake."""
    monkeypatch.setenv("HOME", "/home/bot")
    assert at_home(Path("~/liq")) == Path("/home/bot/liq")
    with pytest.raises(ValueError, match="no home is known"):
        at_home(Path("~nobody-of-this-name/liq"))
