"""`liq init`: a settings file that is complete, valid, private, and never written twice."""

import re
import stat
import sys
import tomllib

import pexpect
import pytest

from liqcli.config import Settings
from liqcli.layers import leaves, names


def mode_of(path):
    """The permission bits of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_it_writes_a_private_file_that_validates(place):
    """Without a terminal the options decide; the file is readable for its owner only."""
    finished = place.liq("init", "--market", "hypurrfi", "--rpc", "https://node.example/v2/key", "--min-profit", "12.5")
    assert finished.code == 0, finished.err
    assert finished.out == "liq.toml\n"
    path = place.directory / "liq.toml"
    assert mode_of(path) == 0o600
    assert tomllib.loads(path.read_text()) == {
        "network": "hyperevm",
        "market": "hypurrfi",
        "rpc": {"url": "https://node.example/v2/key"},
        "redis": {},
        "tiers": {name: {} for name in ("critical", "high_risk", "medium_risk", "low_risk", "safe")},
        "paces": {name: {} for name in ("rapid", "moderate", "slow", "stable")},
        **{name: {} for name in ("queue", "exchange", "http", "policy", "tuning")},
        "limits": {"min_profit_usd": 12.5},
    }
    assert place.liq("config", "validate").code == 0


def test_every_setting_is_there_and_its_example_is_valid(place):
    """With all the comment marks taken away the file sets every setting there is, and is still valid."""
    place.liq("init", "--yes", "--output", "all.toml")
    text = (place.directory / "all.toml").read_text()
    full = re.sub(r"^#(\w+ = )", r"\1", text, flags=re.MULTILINE)
    (place.directory / "all.toml").write_text(full)
    assert set(leaves(tomllib.loads(full))) == set(names(Settings))
    finished = place.liq("config", "validate", "--config", "all.toml")
    assert finished.code == 0, finished.err
    assert re.search(r"\n# \S.*\n#interval_s = 5\.0\n", text)


@pytest.mark.parametrize("is_link", [False, True])
def test_it_never_overwrites(place, is_link):
    """A file, or a link to nowhere, stays as it is: exit 8."""
    path = place.directory / "liq.toml"
    if is_link:
        path.symlink_to(place.directory / "elsewhere")
    else:
        path.write_text("workers = 2\n")
    finished = place.liq("init", "--yes")
    assert finished.code == 8
    assert "liq.toml exists" in finished.err
    assert not (place.directory / "elsewhere").exists()
    assert is_link or path.read_text() == "workers = 2\n"


@pytest.mark.parametrize("flags", [("--market", "hyperlnd"), ("--rpc", "localhost:8545"), ("--network", "mars")])
def test_what_is_wrong_is_refused_before_a_file_is_written(place, flags):
    """Exit 3, with the likely cure, and no file."""
    finished = place.liq("init", "--yes", *flags)
    assert finished.code == 3
    assert "hint: " in finished.err
    assert not (place.directory / "liq.toml").exists()


def test_a_fork_of_ones_own_is_written_whole(place):
    """A provider with a name of one's own and any network is valid at once."""
    flags = ("--network", "local", "--market", "mine", "--pool-addresses-provider", "0x" + "1" * 40)
    assert place.liq("init", "--yes", *flags, "--rpc", "http://127.0.0.1:8545").code == 0
    shown = place.liq("config", "show", "--json").json
    assert shown["settings"]["pool_addresses_provider"] == "0x" + "1" * 40
    assert shown["settings"]["market"] == "mine"


def test_on_a_terminal_it_asks_and_asks_again(place):
    """Each answer is checked before the next question; an empty one takes the default."""
    child = pexpect.spawn(
        sys.executable,
        ["-m", "liqcli", "init"],
        cwd=place.directory,
        env=place.environment,
        encoding="utf-8",
        timeout=60,
    )
    answers = (
        ("Network", ""),
        ("Market", "hyperlnd"),
        ("did you mean hyperlend", ""),
        ("RPC endpoint", "localhost:8545"),
        ('did you mean "http://localhost:8545"', "http://localhost:8545"),
        ("Websocket", ""),
        ("Redis", "redis://127.0.0.1:6379/3"),
        ("Least net profit", "7"),
    )
    for question, answer in answers:
        child.expect_exact(question)
        if answer or "did you mean" not in question:
            child.sendline(answer)
        if question.startswith("did you mean hyperlend"):
            child.sendline("")
    child.expect_exact("liq doctor")
    child.expect(pexpect.EOF)
    child.wait()
    child.close()
    assert child.exitstatus == 0
    written = tomllib.loads((place.directory / "liq.toml").read_text())
    assert (written["market"], written["rpc"]["url"]) == ("hyperlend", "http://localhost:8545")
    assert (written["redis"]["url"], written["limits"]["min_profit_usd"]) == ("redis://127.0.0.1:6379/3", 7.0)


def test_ctrl_c_leaves_nothing_behind(place):
    """Whoever stops half way has no half file: exit 130."""
    child = pexpect.spawn(
        sys.executable,
        ["-m", "liqcli", "init"],
        cwd=place.directory,
        env=place.environment,
        encoding="utf-8",
        timeout=60,
    )
    child.expect_exact("Network")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.wait()
    child.close()
    assert child.exitstatus == 130
    assert not (place.directory / "liq.toml").exists()


def test_a_broken_file_beside_it_does_not_stop_a_new_one(place):
    """Who wants a good file is not told what is wrong with the old one, nor given any of it."""
    (place.directory / "liq.toml").write_text('network = "local"\nworkers = [\n')
    finished = place.liq("init", "--yes", "--output", "new.toml", LIQ_NONSENSE="1", LIQ_MARKET="hypurrfi")
    assert finished.code == 0, finished.err
    assert 'network = "hyperevm"\n' in (place.directory / "new.toml").read_text()
    assert place.liq("config", "validate", "--config", "new.toml").code == 0


def test_what_is_no_text_is_a_named_error_and_leaves_no_file(place):
    """A byte that is no UTF-8, as a terminal of another character set sends it."""
    finished = place.liq("init", "--yes", "--rpc", "http://node.example/\udcff")
    assert (finished.code, "an option is no UTF-8 text" in finished.err) == (8, True)
    assert not (place.directory / "liq.toml").exists()
