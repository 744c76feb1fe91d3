"""Documents held against docs/schemas."""

import json
from pathlib import Path

import jsonschema

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "docs" / "schemas"


def faults(name, document):
    """What a document lacks or has wrong by its schema."""
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    checker = jsonschema.Draft202012Validator
    checker.check_schema(schema)
    return [f"{fault.json_path}: {fault.message}" for fault in checker(schema).iter_errors(document)]
