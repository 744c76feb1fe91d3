"""The documents of `--json` are those of docs/schemas, taken from real commands on a running sandbox."""

import json
import subprocess

import pytest
from typer.main import get_command

from liqcli.cli.main import app_for
from tests.cli.schemas import ROOT, SCHEMAS, faults

LOG = str(ROOT / "sample_logs" / "artemis-2025-05-14-event-lag.log")


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("status", ["status"]),
        ("scan", ["scan", "--sandbox", "--limit", "20"]),
        ("queue-stats", ["queue", "stats"]),
        ("queue-peek", ["queue", "peek", "-n", "5"]),
        ("queue-dead", ["queue", "dead"]),
        ("stress", ["stress", "HYPE=-30%", "--sandbox"]),
        ("report", ["report", "--since", "1h"]),
        ("book-audit", ["book", "audit", "--sample", "10", "--sandbox"]),
        ("metrics", ["metrics", "--names"]),
        ("diagnose-lag", ["diagnose", "lag", LOG]),
        ("diagnose-live", ["diagnose", "live"]),
        ("audit-missed", ["audit", "missed", "--from-block", "1", "--sandbox"]),
        ("queue-ls", ["queue", "ls", "--state", "later"]),
        ("queue-pause", ["queue", "pause"]),
        ("queue-resume", ["queue", "resume"]),
        ("queue-purge", ["queue", "purge", "--tier", "safe", "--yes"]),
        ("markets-show", ["markets", "show", "--sandbox"]),
        ("markets", ["markets"]),
        ("health", ["health"]),
        ("doctor", ["doctor", "--sandbox"]),
        ("config-show", ["config", "show"]),
        ("config-validate", ["config", "validate"]),
        ("config-path", ["config", "path"]),
        ("worker", ["worker", "--sandbox", "--duration", "1s"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_commands_document_is_that_of_its_schema(running, name, args):
    """Each document has the promised fields with the promised types."""
    finished = running.liq(*args, "--json")
    assert finished.code in (0, 1), finished.err
    assert faults(name, finished.json) == []


def test_a_positions_document_is_that_of_its_schema(running):
    """Of the borrower that the scan shows first, whoever that is."""
    borrower = running.liq("scan", "--sandbox", "--limit", "1", "--json").json["borrowers"][0]["borrower"]
    what_if = ("--what-if", "HYPE=-8%")
    found = running.liq("position", borrower, *what_if, "--sandbox", "--json").json
    assert faults("position", found) == []
    assert "wstHYPE" in found["what_if"]["correlated_unchanged"]
    assert faults("why", running.liq("why", borrower, "--sandbox", "--json").json) == []


def test_a_queued_borrowers_documents_are_those_of_their_schemas(running):
    """Taken in from a file, shown, put in front, made ready again, and exported."""
    facts = {"tier": "safe", "score": 0.5, "health_factor": None, "because": "supply", "age_s": 0, "tries": 1}
    line = {**facts, "borrower": "0x" + "5a" * 20, "state": "dead", "failure": "a reason"}
    running.liq("queue", "pause")
    try:
        assert faults("queue-import", running.liq("queue", "import", "-", "--json", text=json.dumps(line)).json) == []
        for name in ("show", "requeue", "promote"):
            assert faults(f"queue-{name}", running.liq("queue", name, line["borrower"], "--json").json) == []
        for exported in running.liq("queue", "export").out.splitlines():
            assert faults("queue-export", json.loads(exported)) == []
    finally:
        running.liq("queue", "resume")


def test_a_places_own_documents_are_those_of_their_schemas(place):
    """Settings that are written, keys that are made and opened, and a sandbox that says where it is at once."""
    assert faults("init", place.liq("init", "--yes", "--json").json) == []
    (place.directory / "password").write_text("a password\n")
    (place.directory / "password").chmod(0o600)
    assert place.liq("keys", "new", "bot", "--password-file", "password").code == 0
    assert faults("keys-list", place.liq("keys", "list", "--json").json) == []
    assert faults("keys-check", place.liq("keys", "check", "bot", "--password-file", "password", "--json").json) == []
    with place.start("sandbox", "up", "--borrowers", "5", "--json", stderr=subprocess.DEVNULL) as process:
        assert faults("sandbox-up", json.loads(process.stdout.readline())) == []
        (place.directory / "borrowers.csv").write_text("0x" + "5a" * 20 + "\n")
        assert faults("book-import", place.liq("book", "import", "borrowers.csv", "--sandbox", "--json").json) == []
        process.terminate()


def test_every_command_with_json_has_its_schema():
    """No document is left to guess, and no schema is of a command that is gone."""
    named = {name.replace(" ", "-") for name, command in commands(get_command(app_for([]))) if takes_json(command)}
    kept = {path.stem for path in SCHEMAS.glob("*.json")} - {"error", "liq.toml", "status-page"}
    assert named == kept


def commands(command, above=""):
    """Every command by its full name; a group that does something by itself counts too."""
    for name, part in getattr(command, "commands", {}).items():
        yield f"{above}{name}", part
        yield from commands(part, f"{above}{name} ")


def takes_json(command):
    """Whether it has a document to print."""
    return any("--json" in parameter.opts for parameter in command.params)


def test_a_runs_document_is_that_of_its_schema(place):
    """The summary of a run, and beside it the error document of a mistake."""
    assert faults("run", place.liq("run", "--sandbox", "--duration", "6s", "--json").json) == []
    assert faults("error", place.liq("status", "--json").json) == []


def test_the_page_tells_what_liq_status_tells():
    """/status.json has the status's schema but for the process's own facts."""
    schema = json.loads((SCHEMAS / "status.json").read_text())
    page = json.loads((SCHEMAS / "status-page.json").read_text())
    own = {"pid", "started"}
    assert set(schema["required"]) - own == set(page["required"]) - {"heartbeat_age_s"}


def test_a_document_that_lacks_a_field_is_refused(running):
    """The schemas do hold something: without its head a status is none."""
    document = running.liq("status", "--json").json
    del document["head"]
    with pytest.raises(AssertionError, match="'head' is a required property"):
        assert faults("status", document) == []
