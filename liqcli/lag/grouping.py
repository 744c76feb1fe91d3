"""Incidents by the physical threshold: after a lag the receiver has a full buffer to handle before it can idle."""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from liqcli.lag.cause import Finding
from liqcli.lag.incidents import MOST_INCIDENTS, find_incidents
from liqcli.lag.model import Incident, Spacing, Statistics

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
    incidents = find_incidents(
        statistics.runs,
        statistics.receivers,
        capacity=finding.stream.slots,
        gap_us=gap_us,
    )
    kept = sorted(sorted(incidents, key=lambda item: -item.lost)[:MOST_INCIDENTS], key=lambda item: item.start_us or 0)
    return replace(
        statistics,
        incidents=tuple(kept),
        incident_count=len(incidents),
        incident_gap_us=gap_us,
        between=spacing(incidents),
    )


def spacing(incidents: list[Incident]) -> Spacing | None:
    """Quiet from the end of each incident to the start of the next; None for fewer than two with times."""
    timed = [item for item in incidents if item.start_us is not None]
    quiet = [max((later.start_us or 0) - (earlier.end_us or 0), 0) / 1e6 for earlier, later in pairwise(timed)]
    if not quiet:
        return None
    return Spacing(float(np.median(quiet)), float(np.quantile(quiet, 0.1)), float(np.mean(quiet)))
