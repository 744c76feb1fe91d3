"""`liq keys`, `liq pause`, `liq report`, and what `--live` asks for, as a user types them."""

import csv
import io
import stat

import pytest

KEY = "0x" + "c0ffee" * 10 + "1234"


@pytest.fixture
def secret(place):
    """A password file, as it should be."""
    path = place.directory / "password"
    path.write_text("hunter2\n")
    path.chmod(0o600)
    return str(path)


def test_a_key_is_imported_from_a_pipe_listed_and_checked(place, secret):
    """Its address is shown, the key never; the file is private; a second import of the name is refused."""
    imported = place.liq("keys", "import", "hot", "--password-file", secret, text=KEY + "\n")
    assert imported.code == 0, imported.err
    path = place.directory / "data" / "keys" / "hot"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.parent.stat().st_mode) == 0o700
    [listed] = place.liq("keys", "list", "--json").json["keys"]
    assert listed == {"name": "hot", "address": imported.out.strip(), "path": str(path), "problem": None}
    checked = place.liq("keys", "check", "hot", "--password-file", secret, "--json")
    assert checked.json["address"] == imported.out.strip()
    again = place.liq("keys", "import", "hot", "--password-file", secret, text=KEY)
    assert (again.code, "exists" in again.err) == (8, True)
    for finished in (imported, checked, again):
        assert KEY[2:] not in finished.out + finished.err


def test_a_new_key_is_another_each_time(place, secret):
    """And Foundry's keystores are found by name as well."""
    first = place.liq("keys", "new", "one", "--password-file", secret)
    second = place.liq("keys", "new", "two", "--password-file", secret)
    assert first.code == second.code == 0
    assert first.out != second.out
    foundry = place.directory / ".foundry" / "keystores"
    foundry.mkdir(parents=True)
    (place.directory / "data" / "keys" / "two").rename(foundry / "two")
    home = {"HOME": str(place.directory)}
    assert place.liq("keys", "check", "two", "--password-file", secret, **home).out == second.out
    assert [key["name"] for key in place.liq("keys", "list", "--json", **home).json["keys"]] == ["one", "two"]


def test_no_option_takes_a_key(place):
    """--private-key is a usage error everywhere, and the value is not repeated."""
    for command in (("run", "--live"), ("keys", "import", "hot"), ("keys", "new", "hot")):
        finished = place.liq(*command, "--private-key", KEY)
        assert finished.code == 2
        assert KEY[2:] not in finished.out + finished.err


@pytest.mark.parametrize("text", ["", "0x1234", KEY + "00", "not a key", KEY[:-1] + "\x00"])
def test_what_is_no_key_is_refused_and_not_repeated(place, secret, text):
    """Exit 6, nothing written."""
    finished = place.liq("keys", "import", "hot", "--password-file", secret, text=text)
    assert finished.code == 6
    assert "c0ffee" not in finished.out + finished.err
    assert not (place.directory / "data" / "keys" / "hot").exists()


def test_without_a_terminal_a_password_must_come_from_a_file(place):
    """The hint says how; nothing waits for ever."""
    finished = place.liq("keys", "new", "hot")
    assert (finished.code, "--password-file" in finished.err) == (6, True)


def test_systemd_hands_the_password_over(place, secret):
    """LoadCredential=liq-password:FILE is enough."""
    assert place.liq("keys", "new", "hot", "--password-file", secret).code == 0
    credentials = place.directory / "credentials"
    credentials.mkdir(mode=0o700)
    (credentials / "liq-password").write_text("hunter2")
    (credentials / "liq-password").chmod(0o440)
    assert place.liq("keys", "check", "hot", CREDENTIALS_DIRECTORY=str(credentials)).code == 0
    (credentials / "liq-password").chmod(0o444)
    assert place.liq("keys", "check", "hot", CREDENTIALS_DIRECTORY=str(credentials)).code == 6


def test_live_needs_consent_confirmation_and_a_key(place):
    """Each missing thing is an error of its own, before anything is asked of the chain."""
    live = ("run", "--live", "--rpc", "http://127.0.0.1:9", "--keystore", "nowhere.json")
    assert place.liq(*live[:-2]).code == 6
    refused = place.liq(*live)
    assert (refused.code, "policy.live" in refused.err) == (3, True)
    unconfirmed = place.liq(*live, LIQ_POLICY__LIVE="true", text="")
    assert (unconfirmed.code, "--yes" in unconfirmed.err) == (2, True)
    unreachable = place.liq(*live, "--yes", LIQ_POLICY__LIVE="true")
    assert unreachable.code in (4, 6)


def test_a_dry_run_never_opens_a_keystore(place):
    """A keystore that could not be opened is no matter: in a dry run no key is built."""
    finished = place.liq("run", "--sandbox", "--dry-run", "--keystore", "/nowhere/key", "--duration", "1s", "--json")
    assert finished.code == 0, finished.err
    assert finished.json["mode"] == "dry run"
    assert not list((place.directory / "data").rglob("*.journal"))


def test_a_paused_bot_plans_and_sends_nothing(place):
    """Under `liq pause` plans are skipped by that name."""
    assert place.liq("pause").code == 0
    summary = place.liq("run", "--sandbox", "--duration", "5s", "--json").json
    assert summary["liquidations"]["sent"] == 0
    assert summary["liquidations"]["skipped"]["paused"] >= 1


def test_pause_is_a_file(place):
    """`liq pause` makes it, `liq resume` removes it."""
    file = place.directory / "data" / "PAUSE"
    assert place.liq("pause").code == 0
    assert file.exists()
    assert place.liq("resume").out.strip() == "resumed"
    assert not file.exists()
    assert place.liq("resume").out.strip() == "nothing was paused"


def test_a_report_without_a_ledger_says_so(place):
    """Nothing decided is not an error."""
    finished = place.liq("report", "--since", "1h")
    assert (finished.code, "liq run" in finished.err) == (0, True)
    assert place.liq("report", "--json").json["decisions"] == []
    assert place.liq("report", "--json", "--csv").code == 2


def test_a_run_is_reported(place):
    """What the run summed up is what the ledger adds up to; CSV and page are written."""
    summary = place.liq("run", "--sandbox", "--duration", "8s", "--json").json
    report = place.liq("report", "--json", "--html", "page.html").json
    assert report["counts"]["won"] == summary["liquidations"]["won"] > 0
    assert report["profit_base"] == summary["profit_base"]
    assert report["runs"] == 1
    rows = list(csv.DictReader(io.StringIO(place.liq("report", "--csv").out)))
    assert sum(row["kind"] == "won" for row in rows) == report["counts"]["won"]
    page = (place.directory / "page.html").read_text()
    assert page.count("<svg") == 2
