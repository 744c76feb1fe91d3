"""The worst incident line by line, as far as its lines were kept."""

from collections.abc import Sequence

import numpy as np

from liqcli.lag.chunks import slice_chunk
from liqcli.lag.lines import CHANNELS, Int64s, LagChunk, Receiver
from liqcli.lag.model import Incident
from liqcli.lag.runs import Runs


def anatomy_of(
    incidents: Sequence[Incident],
    receivers: Sequence[Receiver],
    *,
    rows: LagChunk | None,
    runs: Runs,
    worst_run: LagChunk,
) -> tuple[LagChunk, int]:
    """The rows of the incident that lost most, and how many microseconds of lines each stands for (0: one line).

    `rows` are all lines, or None where not all were kept: then its runs stand for them, or, where it is one run, the
    first lines of that.
    """
    worst = max(incidents, key=lambda incident: incident.lost, default=None)
    if worst is None or worst.start_us is None:
        return worst_run, 0
    if rows is not None:
        return slice_chunk(rows, _inside(worst, receivers, rows)), 0
    breaks = np.zeros(len(runs), np.bool_)
    every = LagChunk(runs.start_us, runs.lost, runs.channel, runs.receiver, breaks)
    chosen = _inside(worst, receivers, every)
    if len(chosen) < 2 and len(worst_run):
        return worst_run, 0
    return slice_chunk(every, chosen), runs.fold_us


def _inside(incident: Incident, receivers: Sequence[Receiver], rows: LagChunk) -> Int64s:
    """Where the incident's rows are, in the order of time."""
    mine = rows.receiver == receivers.index(incident.receiver)
    mine &= rows.channel == CHANNELS.index(incident.channel)
    mine &= (rows.at_us >= (incident.start_us or 0)) & (rows.at_us <= (incident.end_us or 0))
    places = np.flatnonzero(mine)
    return places[np.argsort(rows.at_us[places], kind="stable")]
