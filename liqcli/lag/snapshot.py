"""The statistics of a reading, at its end or on the way."""

from dataclasses import replace

from liqcli.lag.clock import SECOND
from liqcli.lag.incidents import statistics_of
from liqcli.lag.lines import InputSummary
from liqcli.lag.model import Statistics
from liqcli.lag.parse import LagReading
from liqcli.lag.tally import Tally


def snapshot(
    reading: LagReading, tally: Tally, summary: InputSummary, *, capacity: int, incident_gap_us: int
) -> Statistics:
    """The statistics so far; lines in neighbouring seconds of a clock of whole seconds may be microseconds apart."""
    if summary.whole_seconds:
        incident_gap_us += SECOND
    statistics = statistics_of(tally, summary, reading.receivers, capacity=capacity, incident_gap_us=incident_gap_us)
    return replace(statistics, log_start_us=reading.account.first_us, log_end_us=reading.account.last_us)
