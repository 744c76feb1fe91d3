"""Incidents by the physical threshold: after a lag the receiver has a full buffer to handle before it can idle."""

from dataclasses import replace

from liqcli.lag.anatomy import anatomy_of
from liqcli.lag.cause import Finding
from liqcli.lag.incidents import find_incidents, group_runs, spacing_of
from liqcli.lag.model import Statistics

LEAST_GAP_US = 1_000
"""Incidents closer than this are one, however fast the handler."""

ENOUGH_GAPS = 8
"""A handler's time read from fewer gaps is no better a threshold than the one second used without it."""


def regrouped(statistics: Statistics, finding: Finding) -> Statistics:
    """The same statistics with incidents split where the gap exceeds slots x handler time, if that was measured."""
    service = finding.service
    if service.source == "assumed" or (service.source == "measured" and service.count < ENOUGH_GAPS):
        return statistics
    gap_us = max(LEAST_GAP_US, int(finding.stream.slots * service.point * 1e6))
    runs, rows = statistics.runs, statistics.rows if statistics.rows_complete else None
    incidents = find_incidents(runs, statistics.receivers, capacity=finding.stream.slots, gap_us=gap_us)
    groups = group_runs(runs, gap_us)
    anatomy, anatomy_us = anatomy_of(
        incidents, statistics.receivers, rows=rows, runs=runs, worst_run=statistics.worst_run
    )
    return replace(
        statistics,
        incidents=tuple(incidents),
        incident_count=len(groups.lost),
        incident_gap_us=gap_us,
        between=spacing_of(groups),
        anatomy=anatomy,
        anatomy_us=anatomy_us,
    )
