"""Documents held against docs/schemas."""

import json
from pathlib import Path

import jsonschema

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "docs" / "schemas"


def valid(name, document):
    """Hold a document against a schema, with every fault named."""
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    checker = jsonschema.Draft202012Validator
    checker.check_schema(schema)
    faults = [f"{fault.json_path}: {fault.message}" for fault in checker(schema).iter_errors(document)]
    assert faults == [], faults  # a module that is no test gets no message from pytest
