"""What counts as a loss, and what only speaks of one."""

from datetime import date

import pytest

from liqcli.lag.lines import Channel
from liqcli.lag.message import Kind, read_message
from liqcli.lag.wrappers import read_line
from tests.lag.samples import COUNTED, DECOYS, NOT_COUNTED, E

TODAY = date(2026, 11, 22)


@pytest.mark.parametrize("name", DECOYS)
def test_words_about_other_things_are_other_lines(name):
    """A price may lag by blocks, a socket may close: neither is this channel."""
    assert read_line(DECOYS[name].encode(), newest=TODAY).finding.kind is Kind.OTHER


@pytest.mark.parametrize("name", NOT_COUNTED)
def test_lines_that_cannot_be_counted_are_skipped_with_a_reason(name):
    """A quotation, a number that is none, a cut line: shown, never silently dropped."""
    finding = read_line(NOT_COUNTED[name].encode(), newest=TODAY).finding
    assert finding.kind is Kind.SKIPPED
    assert finding.reason


@pytest.mark.parametrize(
    ("text", "channel"),
    [
        ("error receiving event: channel lagged by 5", Channel.EVENT),
        ("error receiving action: channel lagged by 5", Channel.ACTION),
        ("event channel lagged by 5", Channel.EVENT),
        ("channel lagged by 5", Channel.UNKNOWN),
        ("prevention: channel lagged by 5", Channel.UNKNOWN),
    ],
)
def test_the_message_names_the_channel(text, channel):
    """Only the word itself names a channel."""
    assert read_message(text).channel is channel


@pytest.mark.parametrize("reason", ["channel closed", "Closed"])
def test_a_closed_channel_is_its_own_kind(reason):
    """The receiver will never hear again: that is no lag."""
    finding = read_line(f"{E}error receiving action: {reason}".encode(), newest=TODAY).finding
    assert (finding.kind, finding.channel) == (Kind.CLOSED, Channel.ACTION)


@pytest.mark.parametrize("name", COUNTED)
def test_a_line_is_counted_once(name):
    """However often the words stand in a line, it is one loss."""
    finding = read_line(COUNTED[name].encode(), newest=TODAY).finding
    assert (finding.kind, finding.lost) == (Kind.LAG, 77)
