"""`liq doctor` as a user runs it, and `liq run` that heeds it."""

import json
import os
import re
import socket
from pathlib import Path

import jsonschema
import pytest

from liqcli.lock import hold

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"


def matches(document, name):
    """The document is what its schema promises."""
    jsonschema.validate(document, json.loads((SCHEMAS / f"{name}.json").read_text()))
    return document


def test_the_running_bot_is_examined(running):
    """Beside a running sandbox nothing fails, and the document is what its schema promises."""
    finished = running.liq("doctor", "--json")
    assert finished.code == 0, finished.out
    document = matches(finished.json, "doctor")
    assert document["failed"] == 0
    assert {check["name"] for check in document["checks"]} >= {"rpc", "market", "redis", "wallet", "liquidator"}
    leader = next(check for check in document["checks"] if check["name"] == "redis writers")
    assert leader["status"] in ("ok", "warn")


def test_piped_it_is_a_table_for_a_program(running):
    """One line a check: status, name, what, fix; the count goes to stderr."""
    finished = running.liq("doctor")
    rows = [line.split("\t") for line in finished.out.splitlines()]
    assert all(len(row) == 4 and row[0] in ("ok", "warn", "fail", "skip") for row in rows)
    assert "0 failed" in finished.err


def test_nothing_to_reach_is_a_failed_check_not_an_error(place):
    """Where no node answers the other checks still tell; exit 1, no traceback."""
    finished = place.liq("doctor", "--rpc", "http://127.0.0.1:1", "--redis", "redis://127.0.0.1:1/0")
    assert finished.code == 1
    assert "Traceback" not in finished.err
    failed = {line.split("\t")[1] for line in finished.out.splitlines() if line.startswith("fail")}
    assert failed == {"rpc", "market", "redis"}


def test_settings_that_cannot_be_used_are_told_all_at_once(place):
    """Each mistake is a failed check with its line; the rest is skipped."""
    (place.directory / "liq.toml").write_text('workers = 0\nnetwrk = "x"\n')
    finished = place.liq("doctor", "--json")
    assert finished.code == 1
    checks = matches(finished.json, "doctor")["checks"]
    assert [check["status"] for check in checks] == ["fail", "fail", "skip"]
    assert "liq.toml:2" in checks[0]["what"]


def test_an_unknown_account_is_a_failed_check(place):
    """--account names a key that is not there."""
    finished = place.liq("doctor", "--account", "nobody", "--rpc", "http://127.0.0.1:1", "--json")
    assert finished.code == 1
    assert any('no key "nobody"' in check["what"] for check in finished.json["checks"] if check["status"] == "fail")


def test_a_url_s_key_is_never_shown(place):
    """Neither an answer nor an error of the doctor repeats what a URL holds."""
    canary = "CANARY0123456789"
    finished = place.liq(
        "doctor", "--rpc", f"http://127.0.0.1:1/v2/{canary}", "--redis", f"redis://:{canary}@127.0.0.1:1/0"
    )
    assert canary not in finished.out + finished.err


@pytest.mark.parametrize(("flag", "code"), [("--rpc", 4), ("--redis", 4)])
def test_run_refuses_what_the_doctor_fails(place, running, flag, code):
    """A node or a Redis that does not answer keeps the bot from starting, in the words of the error."""
    facts = json.loads((running.directory / "data" / "sandbox.json").read_text())
    urls = {"--rpc": facts["rpc_url"], "--redis": facts["redis_url"]}
    urls[flag] = {"--rpc": "http://127.0.0.1:1", "--redis": "redis://127.0.0.1:1/0"}[flag]
    flags = [part for pair in urls.items() for part in pair]
    target = ("--network", "local", "--pool-addresses-provider", facts["provider"])
    finished = place.liq("run", *target, *flags, "--duration", "1s")
    assert finished.code == code, finished.err
    assert "READY" not in finished.out


def test_run_says_that_it_looked_unless_told_not_to(place, running):
    """One line on stderr, and the warnings; --skip-checks leaves them out."""
    facts = json.loads((running.directory / "data" / "sandbox.json").read_text())
    target = ("--network", "local", "--pool-addresses-provider", facts["provider"], "--rpc", facts["rpc_url"])
    finished = place.liq("run", *target, "--duration", "1s")
    assert re.search(r"^\d+ checks passed, \d+ warnings?, [1-9]\d* skipped in", finished.err, re.MULTILINE), (
        finished.err
    )
    skipped = place.liq("run", *target, "--duration", "1s", "--skip-checks")
    assert "checks passed" not in skipped.err
    assert (finished.code, skipped.code) == (0, 0)


def test_run_refuses_a_data_directory_that_others_can_write(place):
    """Even in the sandbox: whoever can write there can put another file in the place of ours."""
    data = place.directory / "data"
    data.mkdir()
    data.chmod(0o777)
    finished = place.liq("run", "--sandbox", "--duration", "1s")
    assert finished.code == 1
    assert "others can write to the data directory" in finished.err
    assert f"hint: chmod 700 {data}" in finished.err


def test_a_sandbox_that_cannot_start_is_a_failed_check(place):
    """Whatever keeps it from starting is told among the others."""
    data = place.directory / "data"
    with hold(data, "sandbox", {}):
        still_starting = place.liq("doctor", "--sandbox", "--json")
    (data / "sandbox").write_text("in the way of its directory")
    in_the_way = place.liq("doctor", "--sandbox", "--json")
    for finished in (still_starting, in_the_way):
        assert finished.code == 1, finished.err
        assert matches(finished.json, "doctor")["checks"][0]["name"] == "sandbox"


@pytest.mark.parametrize("flag", ["--rpc", "--redis"])
def test_what_swallows_everything_is_waited_for_briefly(place, flag):
    """A server that takes connections and never answers is a failed check well before anybody gives up."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        urls = {"--rpc": "http://127.0.0.1:1", "--redis": "redis://127.0.0.1:1/0"}
        urls[flag] = {"--rpc": f"http://127.0.0.1:{port}", "--redis": f"redis://127.0.0.1:{port}/0"}[flag]
        document = place.liq("doctor", *(part for pair in urls.items() for part in pair), "--json").json
    assert {check["name"] for check in document["checks"] if check["status"] == "fail"} == {"rpc", "market", "redis"}
    assert document["duration_s"] < 20.0  # of which it may take three on a machine that is not busy


def test_a_fifo_among_the_keys_holds_nobody_up(place):
    """Whatever lies in the directory of keys, reading it cannot hang."""
    keys = place.directory / "data" / "keys"
    keys.mkdir(parents=True)
    os.mkfifo(keys / "bot")
    finished = place.liq("doctor", "--rpc", "http://127.0.0.1:1", "--account", "bot", timeout=30)
    assert finished.code == 1
    assert "internal error" not in finished.err


def test_one_warning_is_counted_as_one(place):
    """The count is English."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        finished = place.liq(
            "doctor", "--rpc", "http://127.0.0.1:1", LIQ_RPC__WS_URL=f"ws://127.0.0.1:{taken.getsockname()[1]}"
        )
    assert "1 warning," in finished.err


def test_a_hint_names_the_command_that_was_typed(running, place):
    """`liq doctor` and `liq scan` each say how they themselves are given another node."""
    assert "liq doctor --rpc URL" in place.liq("doctor", "--rpc", "http://127.0.0.1:1").out
    scanned = place.liq("scan", "--rpc", "http://127.0.0.1:1", "--json")
    assert "liq scan --rpc URL" in scanned.json["error"]["hint"]
    listed = place.liq("queue", "purge", "--sandbox", LIQ_DATA_DIR=str(running.directory / "data"))
    assert "hint: liq queue purge --yes" in listed.err or listed.code == 0


@pytest.mark.parametrize(
    ("text", "mode", "told"),
    [("{}", 0o644, "others can read the keystore"), ('{"x":', 0o600, "is not JSON")],
)
def test_a_named_keystore_that_cannot_be_used_is_a_failed_check(place, text, mode, told):
    """Whoever names it wants to use it: open to others or no keystore at all, it fails."""
    keystore = place.directory / "bot.json"
    keystore.write_text(text)
    keystore.chmod(mode)
    finished = place.liq("doctor", "--keystore", str(keystore), "--rpc", "http://127.0.0.1:1", "--json")
    assert finished.code == 1
    failed = [check for check in finished.json["checks"] if check["status"] == "fail"]
    assert any(told in check["what"] for check in failed), failed
