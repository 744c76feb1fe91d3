"""`liq markets`: presets, and forks that `--market` finds by name."""

import json
import stat
from pathlib import Path

import jsonschema

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"
PROVIDER = "0x" + "ab" * 20


def add(place, name, *flags, provider=PROVIDER):
    """Make a fork known."""
    return place.liq("markets", "add", name, "--pool-addresses-provider", provider, *flags)


def test_presets_are_listed_with_their_addresses(place):
    """Every preset with its PoolAddressesProvider, whole also in a pipe."""
    document = place.liq("markets", "--json").json
    jsonschema.validate(document, json.loads((SCHEMAS / "markets.json").read_text()))
    assert {market["market"] for market in document["markets"]} >= {"hyperlend", "hypurrfi"}
    assert "0x72c98246a98bFe64022a3190e7710E157497170C" in place.liq("markets").out


def test_a_fork_that_was_added_is_found_by_its_name(place):
    """--market NAME takes it; the settings say where it comes from; the file is the user's own."""
    assert add(place, "my-fork", "--first-block", "7").code == 0
    path = place.directory / "config" / "liq" / "markets.toml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    shown = place.liq("config", "show", "--json", LIQ_MARKET="my-fork").json
    assert shown["settings"]["pool_addresses_provider"] == PROVIDER
    assert (shown["settings"]["first_block"], shown["origins"]["first_block"]) == (7, "market my-fork")
    assert add(place, "another", "--network", "hyperevm-testnet").code == 0
    assert {market["market"] for market in place.liq("markets", "--json").json["markets"]} >= {"my-fork", "another"}


def test_a_name_is_never_replaced(place):
    """Neither a preset nor an own one: exit 2, and the file stays."""
    add(place, "mine")
    for name in ("mine", "hyperlend"):
        finished = add(place, name, provider="0x" + "cd" * 20)
        assert (finished.code, "already" in finished.err) == (2, True)
    assert PROVIDER in place.liq("markets").out
    assert "cdcd" not in place.liq("markets").out


def test_what_is_no_name_no_address_or_no_network_is_refused(place):
    """Exit 2, and nothing is written."""
    for finished in (
        add(place, "My Fork"),
        add(place, 'a"]\nx = 1'),
        add(place, "mine", provider="0x1234"),
        add(place, "mine", "--network", "mars"),
    ):
        assert finished.code == 2
        assert "Traceback" not in finished.err
    assert not (place.directory / "config").exists()


def test_a_damaged_file_of_markets_is_an_error_of_the_settings(place):
    """Exit 3, with the file's name, for every command that needs a market."""
    path = place.directory / "config" / "liq" / "markets.toml"
    path.parent.mkdir(parents=True)
    for text in ("markets = 5", "[markets.x]\nnetwork = 5", "x = [", "[markets]\nx = 1", "\x00"):
        path.write_text(text)
        finished = place.liq("markets")
        assert (finished.code, str(path) in finished.err) == (3, True), text
        assert "Traceback" not in finished.err


def test_show_asks_the_chain(running):
    """Pool, oracle, release and reserves of the market that is running."""
    document = running.liq("markets", "show", "--sandbox", "--json").json
    assert document["version"] == "3.0.2"
    assert {reserve["symbol"] for reserve in document["reserves"]} >= {"WHYPE", "USDC"}
    facts = json.loads((running.directory / "data" / "sandbox.json").read_text())
    assert document["addresses"]["pool"] == facts["pool"]
