"""What Tab offers: commands, options, and values that are known here."""

import pytest


def offered(place, line):
    """The words a bash gets for a line, the last word of which is being typed."""
    words = line.split(" ")
    return place.liq(_LIQ_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(len(words) - 1)).out.split()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("liq sc", ["scan"]),
        ("liq scan --tier hi", ["high_risk"]),
        ("liq queue purge --tier me", ["medium_risk"]),
        ("liq queue ls --state l", ["leased", "later"]),
        ("liq scan --network hyperevm-", ["hyperevm-testnet"]),
        ("liq run --log-format j", ["json"]),
    ],
)
def test_values_that_are_known_are_offered(place, line, words):
    """Commands, tiers, states, networks and formats."""
    assert offered(place, line) == words


def test_what_the_user_made_is_offered(place):
    """A fork that was added, and a key by its name."""
    place.liq("markets", "add", "hyperfork", "--pool-addresses-provider", "0x" + "42" * 20)
    (place.directory / "data" / "keys").mkdir(parents=True)
    (place.directory / "data" / "keys" / "bot").touch()
    assert offered(place, "liq scan --market hyper") == ["hyperlend", "hyperfork"]
    assert offered(place, "liq run --account b") == ["bot"]
