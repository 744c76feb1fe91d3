"""Code, dashboard, alert rules and `liq metrics --names` speak of the same metrics."""

import json
import re
import subprocess
import sys
from pathlib import Path

import yaml

from liqcli.ops.metrics import NAMED

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
NAMES = {named.name for named in NAMED}
PROCESS = {"process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"}


def dashboard():
    """The dashboard as Grafana reads it."""
    return json.loads((DEPLOY / "grafana" / "liqcli.json").read_text())


def metrics_in(text):
    """The names of metrics that a query uses; labels and functions aside."""
    return set(re.findall(r"\b(?:liq|process)_\w+", re.sub(r'"[^"]*"', "", text)))


def test_the_dashboard_shows_every_metric_and_no_other():
    """A metric without a panel would be unseen, a panel without a metric empty."""
    queries = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", [])]
    assert metrics_in("\n".join(queries)) == NAMES | PROCESS


def test_the_dashboard_can_be_imported_anywhere():
    """It has no id of some other Grafana, and takes its data source from a variable."""
    found = dashboard()
    assert found["id"] is None
    assert {variable["name"] for variable in found["templating"]["list"]} == {"datasource", "job"}
    sources = {panel["datasource"]["uid"] for panel in found["panels"] if panel["type"] != "row"}
    assert sources == {"${datasource}"}
    assert len({panel["id"] for panel in found["panels"]}) == len(found["panels"])


def test_panels_do_not_overlap():
    """Each panel has its own place on the grid."""
    taken = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_every_alert_is_about_a_metric_and_says_what_to_do():
    """The rules name known metrics only, and each leads to a heading of docs/operations.md or to a command."""
    rules = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"][0]["rules"]
    expressions = [rule["expr"] for rule in rules]
    assert metrics_in("\n".join(expressions)) <= NAMES
    headings = re.findall(r"^#+ (.*)", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    assert len(rules) >= 10
    for rule in rules:
        action = rule["annotations"]["action"]
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in ("page", "warn")
        assert action.startswith("liq ") or action.removeprefix("docs/operations.md#") in anchors, action


def test_the_command_lists_them():
    """`liq metrics --names --json` is the same list, each with a meaning."""
    argv = [sys.executable, "-m", "liqcli", "metrics", "--names", "--json"]
    listed = json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)["metrics"]
    assert [each["name"] for each in listed] == [named.name for named in NAMED]
    assert all(each["meaning"] for each in listed)
