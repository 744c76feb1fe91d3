"""The likeliest mistakes: one line that says what, one hint that says what to type, and an exit code of their own."""

import json
import re
import socket
from pathlib import Path

import pytest

import liqcli


def refused_url():
    """An address where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def amiss(finished, code, error, hint):
    """What is missing: this code, an error line and a hint line, no traceback, and nothing on stdout."""
    facts = {
        f"exit {code}": finished.code == code,
        f"error: {error}": re.search(f"^error: .*{error}", finished.err, re.MULTILINE),
        f"hint: {hint}": re.search(f"^hint: .*{hint}", finished.err, re.MULTILINE),
        "no traceback": "Traceback" not in finished.err + finished.out,
        "nothing on stdout": finished.out == "",
    }
    return [f"{fact}, but {finished}" for fact, holds in facts.items() if not holds]


def test_no_node_at_the_url(place):
    """A refused connection is unreachable: exit 4."""
    assert (
        amiss(place.liq("scan", "--rpc", refused_url()), 4, r"cannot reach the RPC at http://127\.0\.0\.1", "--rpc URL")
        == []
    )


def test_a_url_without_a_scheme(place):
    """localhost:8545 is a setting gone wrong: exit 3, with the likely URL."""
    assert (
        amiss(place.liq("scan", "--rpc", "localhost:8545"), 3, 'did you mean "http://localhost:8545"', "settings") == []
    )


def test_no_network_at_all(place):
    """A host that does not resolve: exit 4, and the sandbox needs no network."""
    assert (
        amiss(
            place.liq("scan", "--rpc", "http://node.invalid"), 4, "cannot reach the RPC", "--sandbox needs no network"
        )
        == []
    )


def test_the_wrong_chain(place, running):
    """The sandbox is chain 999; whoever expects the testnet is told both: exit 5."""
    rpc = json.loads((running.directory / "data" / "sandbox.json").read_text())["rpc_url"]
    finished = place.liq("scan", "--rpc", rpc, "--network", "hyperevm-testnet")
    assert (
        amiss(
            finished, 5, r"the RPC is chain 999 \(hyperevm\), but --network is hyperevm-testnet", "--network hyperevm"
        )
        == []
    )


def test_no_contract_at_the_provider(place, running):
    """HyperLend's provider does not exist on the sandbox's chain: exit 5."""
    rpc = json.loads((running.directory / "data" / "sandbox.json").read_text())["rpc_url"]
    assert (
        amiss(place.liq("scan", "--rpc", rpc), 5, "no contract at 0x72c9.* on chain 999", "--pool-addresses-provider")
        == []
    )


def test_no_redis_at_the_url(place):
    """A Redis that does not answer: exit 4."""
    finished = place.liq("queue", "stats", "--redis", "redis://127.0.0.1:1/0")
    assert amiss(finished, 4, r"Redis is not answering at redis://127\.0\.0\.1:1/0", "--redis URL") == []


def test_nothing_is_running(place):
    """A queue of nobody: exit 7."""
    assert amiss(place.liq("queue", "stats"), 7, "nothing is running here", "liq run --sandbox") == []


@pytest.mark.parametrize(("word", "meant"), [("crit", "critical"), ("hgh", "high"), ("saef", "safe")])
def test_an_unknown_tier(place, word, meant):
    """A misspelt tier is a usage error with the nearest one: exit 2."""
    assert amiss(place.liq("scan", "--tier", word), 2, f'unknown tier "{word}"', f"did you mean {meant}") == []


def test_an_unknown_key_in_the_settings(place):
    """A misspelt key names its line: exit 3."""
    (place.directory / "liq.toml").write_text("event_bufer_size = 5\n")
    assert (
        amiss(place.liq("scan"), 3, "unknown key `event_bufer_size` in liq.toml:1", "did you mean event_buffer_size")
        == []
    )


def test_an_unknown_key_in_the_environment(place):
    """A misspelt variable is no silence either: exit 3."""
    assert amiss(place.liq("scan", LIQ_WORKRES="3"), 3, "LIQ_WORKRES", "did you mean LIQ_WORKERS") == []


def test_an_empty_log(place):
    """A log of nothing: exit 8."""
    (place.directory / "app.log").write_text("")
    assert amiss(place.liq("diagnose", "lag", "app.log"), 8, r"app\.log is empty", "2>&1") == []


def test_a_log_of_something_else(place):
    """A log without lag lines says what was expected: exit 8."""
    (place.directory / "nginx.log").write_text('127.0.0.1 - - [22/Nov/2026] "GET / HTTP/1.1" 200 5\n')
    assert amiss(place.liq("diagnose", "lag", "nginx.log"), 8, "no lag lines", "channel lagged by") == []


def test_live_without_a_key(place):
    """--live needs a key: exit 6, before anything is asked of a node."""
    assert amiss(place.liq("run", "--live", "--rpc", refused_url()), 6, "--live needs a key", "liq keys import") == []


def test_a_key_on_the_command_line(place):
    """No option takes a key: usage error, and the key is not repeated."""
    finished = place.liq("run", "--private-key", "0x" + "ab" * 32)
    assert amiss(finished, 2, "No such option", "liq run --help") == []
    assert "abab" not in finished.err


@pytest.mark.parametrize(
    "line",
    [
        "KEY",
        "run KEY",
        "keys import bot KEY",
        "keys new KEY",
        "keys check --keystore KEY",
        "position KEY",
        "scan --market KEY --json",
        "scan --rpc KEY",
    ],
)
def test_a_key_in_the_wrong_place_is_not_repeated(place, line):
    """Whoever puts a key where an argument belongs gets an error without it."""
    key = "0x" + "4c" * 32
    finished = place.liq(*line.replace("KEY", key).split())
    assert finished.code in (2, 3, 6)
    assert "4c4c4c" not in finished.out + finished.err


def test_a_key_in_the_settings_is_not_repeated(place):
    """A wrong setting is told without what could be a key."""
    finished = place.liq("config", "show", LIQ_POLICY__LIVE="0x" + "4c" * 32)
    assert amiss(finished, 3, r"policy\.live .* not repeated", "settings") == []
    assert "4c4c4c" not in finished.err


@pytest.mark.parametrize(
    ("args", "command"),
    [
        (("queue", "peek", "-n", "0"), "queue peek"),
        (("markets", "add", "--bogus"), "markets add"),
        (("queue", "nonsense"), "queue"),
        (("scan", "--bogus"), "scan"),
        (("queue", "peek", "--count"), "queue peek"),
        (("nonsense",), ""),
        (("book", "import"), "book import"),
    ],
)
def test_a_usage_error_names_the_help_of_the_command_itself(place, args, command):
    """Of a group's command it is that command's help, not the group's."""
    finished = place.liq(*args)
    assert (finished.code, finished.err.splitlines()[-1]) == (2, " ".join(["hint: liq", *command.split(), "--help"]))


def test_a_second_run_over_one_data_directory(running):
    """The second is told who holds it and since when: exit 7."""
    assert (
        amiss(running.liq("run", "--sandbox"), 7, r"already running: pid \d+ holds .*, since 20", "LIQ_DATA_DIR") == []
    )


def test_a_bad_duration(place):
    """Usage error with an example: exit 2."""
    assert amiss(place.liq("run", "--sandbox", "--duration", "soon"), 2, '"soon" is no duration', "60s") == []


def test_errors_are_documents_under_json(place):
    """With --json the error is on stdout, with code, message and hint; stderr says only what was asked."""
    finished = place.liq("scan", "--json", "--rpc", refused_url())
    assert finished.code == 4
    assert "error:" not in finished.err
    assert "hint:" not in finished.err
    assert finished.json["error"].keys() == {"code", "message", "hint"}
    assert finished.json["error"]["code"] == "unreachable"


def test_usage_errors_are_documents_under_json(place):
    """An unknown option under --json is a document too: exit 2."""
    finished = place.liq("scan", "--json", "--bogus")
    assert (finished.code, finished.json["error"]["code"]) == (2, "usage_error")


def test_hints_name_only_commands_that_exist(place):
    """No hint in the source sends anybody to a command that is not there."""
    source = "\n".join(path.read_text() for path in Path(liqcli.__file__).parent.rglob("*.py"))
    groups = set(re.findall(r"liq ([a-z]+)\b(?= [a-z-]|[`\",; )])", "\n".join(re.findall(r'hint=f?"[^"]*"', source))))
    assert groups
    missing = {group for group in groups if place.liq(group, "--help").code}
    assert missing == set()
