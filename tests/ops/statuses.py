"""A status as a bot told it: `liq status --json` of a sandbox run, some of its figures raised so that none is zero."""

import json
from pathlib import Path

from liqcli.ops.standing import Standing

RECORDED = Path(__file__).parents[1] / "data" / "status.json"


def status():
    """A fresh copy."""
    return json.loads(RECORDED.read_text())


def standing(**changed):
    """A standing whose loop has just told this status."""
    found = Standing(every_s=0.2)
    found.status = {**status(), **changed}
    return found
