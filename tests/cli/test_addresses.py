"""A borrower may be named as other commands print it."""

import pytest

from liqcli.cli.addresses import Shortened, borrower_named
from liqcli.errors import UsageError
from liqcli.text import short_address

ONE = "0x1b83f2a924edb2b2433fa2e69dd32429a0e07209"
TWIN = "0x1b83" + "0" * 32 + "7209"


@pytest.mark.parametrize("written", [ONE, "0X" + ONE[2:].upper()])
def test_a_whole_address_is_taken_as_it_is(written):
    """In small letters, however it was written."""
    assert borrower_named(written) == ONE


@pytest.mark.parametrize("written", [short_address(ONE), "0x1b83..7209", "0x1B83...7209", "0x1b83~7209"])
def test_what_other_commands_print_is_understood(written):
    """The short form of tables and lines, of ASCII terminals, and with dots from a keyboard."""
    short = borrower_named(written)
    assert isinstance(short, Shortened)
    assert short.among([ONE, "0x" + "2" * 40], place="the book") == ONE


def test_an_ambiguous_one_is_said_with_all_it_could_be():
    """Nobody is chosen by chance."""
    with pytest.raises(UsageError, match=r"0x1b83…7209 could be any of 2 borrowers in the book") as raised:
        borrower_named("0x1b83..7209").among([ONE, TWIN], place="the book")
    assert ONE in raised.value.hint
    assert TWIN in raised.value.hint


def test_one_that_nobody_has_is_said():
    """The place that was looked into is named."""
    with pytest.raises(UsageError, match="the queue has no borrower 0x1b83…7209"):
        borrower_named("0x1b83..7209").among([], place="the queue")


@pytest.mark.parametrize(
    "written", ["0x12", "abcd", "0x" + "1" * 30 + "..." + "2" * 11, "0x1234..", "0x..12", ONE + "0"]
)
def test_what_is_no_address_is_refused(written):
    """Neither whole nor shortened."""
    with pytest.raises(UsageError, match="is no address"):
        borrower_named(written)
