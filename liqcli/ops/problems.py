"""What is wrong with a bot by its own account; light enough for `liq status` and a probe."""

import time
from pathlib import Path
from typing import Any

_SILENT_S = 10.0
"""A bot tells how it stands every 2 s."""
_STALE_S = 30.0
_UNANSWERED_S = 5.0
"""One failed request is no outage; without a new head for so long it is."""
_GONE = {"benched", "quarantined"}
_BEHIND_BLOCKS = 60
"""About a minute of HyperEVM."""


def problems_of(found: dict[str, Any]) -> list[str]:
    """What keeps the bot of this status from being ready; nothing when all is well."""
    checks = {
        "the first pass is not complete": not found["ready"],
        **_node_checks(found.get("endpoints", []), found["head"]),
        **_head_checks(found["head"], found["book"]["block"]),
        "Redis does not answer": "queue" in found and found["queue"] is None,
        f"{found['backlog']:,} borrowers wait outside Redis": found["backlog"] > 0,
        f"{found['events']['lost']:,} events were lost": found["events"]["lost"] > 0,
    }
    return [problem for problem, holds in checks.items() if holds]


def pauses_of(found: dict[str, Any]) -> list[str]:
    """What an operator has stopped: no fault, but the reason why nothing is done."""
    is_queue_paused = found.get("queue") is not None and found["queue"]["paused"]
    pauses = {
        "signing is paused: liq resume": found["signing_paused"],
        "the queue is paused: liq queue resume": is_queue_paused,
    }
    return [pause for pause, holds in pauses.items() if holds]


def silence_of(data_dir: Path) -> list[str]:
    """That a bot which holds this directory no longer tells how it stands: what it told last says nothing of now."""
    try:
        silent_s = time.time() - (data_dir / "run.json").stat().st_mtime
    except FileNotFoundError:
        return ["it is ending"]
    return [f"it has told nothing for {silent_s:.0f} s"] if silent_s > _SILENT_S else []


def _node_checks(endpoints: list[dict[str, Any]], head: dict[str, Any]) -> dict[str, bool]:
    """A node that answers nothing is told of long before its last head is too old to decide on."""
    gone = [endpoint for endpoint in endpoints if endpoint["state"] in _GONE]
    is_out = 0 < len(gone) == len(endpoints) and head["age_s"] > _UNANSWERED_S and head["problem"] is None
    return {f"no RPC endpoint answers ({gone[0]['why']})": True} if is_out else {}


def _head_checks(head: dict[str, Any], cursor: int) -> dict[str, bool]:
    """A head of its own trouble, one that stands still, and a book that does not keep up with it."""
    behind = head["block"] - cursor
    return {
        head["problem"] or "": head["problem"] is not None,
        f"the head is {head['age_s']:.0f} s old": head["problem"] is None and head["age_s"] > _STALE_S,
        f"the book is {behind:,} blocks behind the head": behind > _BEHIND_BLOCKS,
    }
