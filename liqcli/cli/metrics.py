"""`liq metrics`: what the page of a run exposes, by name and meaning."""

from typing import Annotated

import typer

from liqcli.cli import options
from liqcli.cli.render import print_json, print_table
from liqcli.errors import UsageError


def metrics(
    *,
    names: Annotated[bool, typer.Option("--names", help="List every metric: kind, labels, meaning.")] = False,
    as_json: options.Json = False,
) -> None:
    """List the metrics that `liq run --http HOST:PORT` serves at /metrics.

    Example: liq metrics --names
    """
    if not names:
        raise UsageError(
            "the metrics themselves are at /metrics of a run", hint="liq run --http 127.0.0.1:9109; liq metrics --names"
        )
    from liqcli.ops.metrics import NAMED

    if as_json:
        found = [
            {"name": each.name, "kind": each.kind, "labels": list(each.labels), "meaning": each.meaning}
            for each in NAMED
        ]
        print_json({"metrics": found})
        return
    print_table(
        ["metric", "kind", "labels", "meaning"],
        [[each.name, each.kind, " ".join(each.labels), each.meaning] for each in NAMED],
        left=4,
        first_to_go=["kind"],
        folds=["labels", "meaning"],
    )
