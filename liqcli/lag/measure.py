"""Logs to statistics: parse and aggregate in one pass, on several processors where a file is large.

Whoever only imports this has loaded nothing yet: a scout goes ahead while that is done.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from liqcli.lag.assumed import DEFAULT_CAPACITY, INCIDENT_GAP_US
from liqcli.lag.scout import sent_ahead

if TYPE_CHECKING:
    from liqcli.lag.model import Statistics


def measure_lag(
    paths: Sequence[str | Path],
    *,
    form: str | None = None,
    since: str | None = None,
    until: str | None = None,
    capacity: int = DEFAULT_CAPACITY,
    incident_gap_us: int = INCIDENT_GAP_US,
    processes: int | None = None,
) -> "Statistics":
    """Read logs to their end and measure; arguments as for `parse_lag` and `find_incidents`."""
    with sent_ahead(paths, processes) as scout:
        from liqcli.lag.parse import parse_lag
        from liqcli.lag.parts import begun

        measured = begun(parse_lag(paths, form=form, since=since, until=until), processes, scout)
    from liqcli.lag.snapshot import snapshot

    reading, tally = measured()
    return snapshot(reading, tally, reading.summary(), capacity=capacity, incident_gap_us=incident_gap_us)
