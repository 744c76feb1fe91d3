"""The documents of `--json` are those of docs/schemas, taken from real commands on a running sandbox."""

import json
from pathlib import Path

import jsonschema
import pytest

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "docs" / "schemas"
LOG = str(ROOT / "sample_logs" / "artemis-2025-05-14-event-lag.log")


def valid(name, document):
    """Hold a document against a schema, with every fault named."""
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    checker = jsonschema.Draft202012Validator
    checker.check_schema(schema)
    faults = [f"{fault.json_path}: {fault.message}" for fault in checker(schema).iter_errors(document)]
    assert faults == []


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
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_commands_document_is_that_of_its_schema(running, name, args):
    """Each document has the promised fields with the promised types."""
    finished = running.liq(*args, "--json")
    assert finished.code in (0, 1), finished.err
    valid(name, finished.json)


def test_a_positions_document_is_that_of_its_schema(running):
    """Of the borrower that the scan shows first, whoever that is."""
    borrower = running.liq("scan", "--sandbox", "--limit", "1", "--json").json["borrowers"][0]["borrower"]
    valid("position", running.liq("position", borrower, "--sandbox", "--json").json)


def test_a_runs_document_is_that_of_its_schema(place):
    """The summary of a run, and beside it the error document of a mistake."""
    valid("run", place.liq("run", "--sandbox", "--duration", "6s", "--json").json)
    valid("error", place.liq("status", "--json").json)


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
        valid("status", document)
