"""Whatever stands in a settings file or in the environment, the answer is Settings or a ConfigError that says where."""

import os
import random
import re
from pathlib import Path

import pytest

from liqcli.config import ENV_PREFIX, Settings, load_settings
from liqcli.errors import ConfigError
from liqcli.layers import names, variable_of

MUTATIONS = 200
GOOD = """\
network = "hyperevm"
market = "hyperlend"
first_block = 779363
event_buffer_size = 4096
workers = 4

[rpc]
url = "https://node.example/v2/KEY-THAT-IS-SECRET"
fallback_urls = ["https://other.example"]
timeout_s = 10.0

[redis]
url = "redis://:password@127.0.0.1:6379/0"

[tiers.critical]
interval_s = 5
batch = 50

[policy]
live = false
contracts = ["0x00a89d7a5a02160f20150ebea7a2b5e4879a1a8b"]

[exchange]
fees_v3 = [100, 500]
"""
VALUES = (
    '"text"', "-1", "0", "1e400", "nan", "-inf", "9" * 5000, "true", "[]", "{}", "[[1]]", "1979-05-27", '"\\u0000"',
    '"\\u001b[2J"', '"' + "x" * 10_000 + '"', "{ url = 5 }", "[" * 2000 + "]" * 2000, '"ftp://node.example"', "''",
)  # fmt: skip
NAMES = ("rpc", "tiers", "tiers.critical", "polcy.live", '"a.b".c', "rpc.url", "network", "data_dir", "markets", "''")


def mutated(rng: random.Random) -> bytes:
    """The good file with one to three things wrong with it."""
    text = GOOD
    for _ in range(rng.randint(1, 3)):
        lines = text.split("\n")
        at = rng.randrange(len(lines))
        kind = rng.randrange(6)
        if kind == 0:
            lines[at] = lines[at].partition("=")[0] + "= " + rng.choice(VALUES)
        elif kind == 1:
            lines.insert(at, f"{rng.choice(NAMES)} = {rng.choice(VALUES)}")
        elif kind == 2:
            lines[at] = lines[at][: rng.randrange(len(lines[at]) + 1)]
        elif kind == 3:
            lines.insert(at, f"[{rng.choice(NAMES)}]")
        elif kind == 4:
            position = rng.randrange(len(lines[at]) + 1)
            lines[at] = lines[at][:position] + chr(rng.randrange(0x250)) + lines[at][position:]
        else:
            lines[at] = lines[at].replace("e", "", 1)
        text = "\n".join(lines)
    content = bytearray(text.encode())
    if rng.random() < 0.1:
        content[rng.randrange(len(content))] = 0xFF
    return bytes(content)


@pytest.fixture(autouse=True)
def _clean_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in [name for name in os.environ if name.startswith(ENV_PREFIX)]:
        monkeypatch.delenv(name)


def refusal():
    """What loading says, or None when it has nothing against it."""
    try:
        load_settings({})
    except ConfigError as err:
        return err
    return None


def test_mutated_files_never_raise_anything_else():
    """200 broken files: settings or exit 3, one line a mistake, and never a secret of a URL."""
    refused = 0
    for seed in range(MUTATIONS):
        Path("liq.toml").write_bytes(mutated(random.Random(seed)))
        if (err := refusal()) is not None:
            refused += 1
            assert (err.exit_code, err.code) == (3, "config_error")
            assert "KEY-THAT-IS" not in err.message + err.hint
            assert "password" not in err.message + err.hint
            assert max(map(len, err.message.splitlines()), default=0) < 600, err.message
            assert "liq.toml" in err.message or "unknown" in err.message, err.message
    assert refused > MUTATIONS / 2


def test_mutated_variables_never_raise_anything_else(monkeypatch):
    """Any setting given any odd text in the environment: settings or exit 3 that names the variable."""
    odd = ("text", "-1", "[", "{}", "[1]", '["x"]', "null", "1e400", "9" * 5000, "\x1b[2J", "0x", "http://")
    for seed in range(MUTATIONS):
        rng = random.Random(seed)
        name = variable_of(rng.choice(sorted(names(Settings))), ENV_PREFIX)
        with monkeypatch.context() as patched:
            patched.setenv(name, rng.choice(odd))
            err = refusal()
            assert err is None or err.exit_code == 3
            assert err is None or name in err.message or re.search("unknown (market|network)", err.message)


def test_every_mistake_is_told_at_once():
    """Unknown keys, wrong values and unknown names come together, each with its line."""
    Path("liq.toml").write_text('netwrk = "x"\nworkers = 0\nrpc = 5\n[tiers.critical]\nbatch = "many"\n')
    message = refusal().message
    for told in ("netwrk` in liq.toml:1", "workers", "(liq.toml:2)", "rpc (liq.toml:3) is a section", "liq.toml:5"):
        assert told in message
    assert len(message.splitlines()) == 4


@pytest.mark.parametrize("depth", [3, 200, 450])
def test_a_deeply_nested_list_is_told_in_a_short_line(depth):
    """However deep the lists of a wrong value go, its mistake fits on a screen."""
    Path("liq.toml").write_text(f"workers = {'[' * depth}{']' * depth}\n")
    message = refusal().message
    assert 'workers "[[...]]" (liq.toml:1)' in message or "is not TOML" in message
    assert len(message) < 300


def test_the_url_of_a_wrong_value_is_shown_without_its_secret():
    """A URL with a wrong scheme is named by its host only."""
    Path("liq.toml").write_text('[rpc]\nurl = "wss://node.example/v2/SECRET"\n')
    message = refusal().message
    assert "SECRET" not in message
    assert 'did you mean "http://node.example/..."' in message


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("rpc.timeout_s = 0", 1),
        ("\n[rpc]\n'timeout_s' = 0", 3),
        ("\nrpc = { timeout_s = 0 }", 2),
        ('# timeout_s = 1\n["rpc"]\n\n"timeout_s"=0', 4),
    ],
)
def test_a_wrong_value_is_found_however_its_key_is_written(text, line):
    """Dotted, quoted, inline and commented keys do not mislead."""
    Path("liq.toml").write_text(text)
    assert f"(liq.toml:{line})" in refusal().message
