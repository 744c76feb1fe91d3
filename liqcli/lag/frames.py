"""A diagnosis as pandas tables, for notebooks and CSV; pandas is imported only when one is asked for."""

from collections.abc import Callable
from dataclasses import asdict
from itertools import accumulate
from typing import TYPE_CHECKING

from liqcli.lag.contract import iso
from liqcli.lag.lines import CHANNELS, NO_TIME, Clock
from liqcli.lag.model import Diagnosis, Incident, Statistics
from liqcli.lag.series import Series
from liqcli.text import safe

if TYPE_CHECKING:
    import pandas as pd

INCIDENT_COLUMNS = {
    "start": "int64",
    "end": "int64",
    "duration_us": "Int64",
    "lines": "int64",
    "lost": "object",
    "head": "object",
    "tail": "object",
    "channel": "object",
    "target": "object",
    "span": "object",
    "cause": "object",
    "producer_rate_hz": "float64",
    "stall_s": "float64",
}
LARGEST_COUNT = 2**63
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def incidents_frame(statistics: Statistics) -> "pd.DataFrame":
    """One row an incident, in time order; `target` and `span` say who printed it."""
    import pandas as pd

    rows = [_incident_row(incident) for incident in statistics.incidents]
    frame = pd.DataFrame(rows, columns=list(INCIDENT_COLUMNS)).astype(INCIDENT_COLUMNS)
    frame = _with_counts(frame, ("lost", "head", "tail"))
    return _with_times(frame, ("start", "end"), statistics.inputs.clock)


def series_frame(statistics: Statistics, series: Series | None = None) -> "pd.DataFrame":
    """Lag lines and events lost by bucket, with the running total; buckets without lag are left out."""
    import pandas as pd

    series = series or statistics.seconds
    rows = [(point.at_us, point.lines, point.lost) for point in series.points]
    frame = pd.DataFrame(rows, columns=["at_us", "lines", "lost"], dtype="object")
    frame.insert(1, "bucket_s", series.bucket_s)
    frame["lost_so_far"] = list(accumulate(point.lost for point in series.points))
    frame = _with_counts(frame.astype({"at_us": "int64", "lines": "int64"}), ("lost", "lost_so_far"))
    return _with_times(frame.rename(columns={"at_us": "at"}), ("at",), statistics.inputs.clock)


def lines_frame(statistics: Statistics) -> "pd.DataFrame":
    """The lag lines themselves, the first 65,536 of them, in the order read."""
    import pandas as pd

    rows = statistics.rows
    receivers = [statistics.receivers[code] for code in rows.receiver.tolist()]
    frame = pd.DataFrame(
        {
            "at": rows.at_us,
            "lost": rows.lost,
            "channel": [CHANNELS[code].value for code in rows.channel.tolist()],
            "target": [receiver.target for receiver in receivers],
            "span": [receiver.span for receiver in receivers],
        }
    )
    return _with_times(frame, ("at",), statistics.inputs.clock)


def sizes_frame(statistics: Statistics) -> "pd.DataFrame":
    """The size histogram: lines and events lost for N between `from` and `to`."""
    import pandas as pd

    parts = statistics.distribution.histogram if statistics.distribution else ()
    rows = [(part.low, part.high, part.count, part.lost) for part in parts]
    frame = pd.DataFrame(rows, columns=["from", "to", "lines", "lost"], dtype="object").astype({"lines": "int64"})
    return _with_counts(frame, ("from", "to", "lost"))


def capacities_frame(diagnosis: Diagnosis) -> "pd.DataFrame":
    """What each buffer size would do."""
    import pandas as pd

    return pd.DataFrame([asdict(row) for row in diagnosis.capacities])


def csv_tables(diagnosis: Diagnosis) -> "dict[str, Callable[[], pd.DataFrame]]":
    """Every table by the name of its CSV file."""
    statistics = diagnosis.statistics
    return {
        "incidents": lambda: incidents_frame(statistics),
        "series": lambda: series_frame(statistics),
        "minutes": lambda: series_frame(statistics, statistics.minutes),
        "lines": lambda: lines_frame(statistics),
        "sizes": lambda: sizes_frame(statistics),
        "capacities": lambda: capacities_frame(diagnosis),
    }


def csv_of(frame: "pd.DataFrame") -> bytes:
    """The table as CSV; a text that a spreadsheet would take for a formula is kept from being one by a quote."""
    import pandas as pd

    shown = frame.copy()
    for name in shown.columns:
        column = shown[name]
        if isinstance(column.dtype, pd.DatetimeTZDtype):
            shown[name] = [iso(at_us if at_us != NO_TIME else None) for at_us in column.astype("int64").tolist()]
        elif not pd.api.types.is_numeric_dtype(column.dtype):
            shown[name] = [guarded(value) if isinstance(value, str) else value for value in column]
    text: str = shown.to_csv(index=False, lineterminator="\n")
    return text.encode()


def guarded(text: str) -> str:
    """The text as a spreadsheet will show it, whatever it begins with."""
    return f"'{safe(text)}" if text.startswith(FORMULA_STARTS) else safe(text)


def _with_counts(frame: "pd.DataFrame", names: tuple[str, ...]) -> "pd.DataFrame":
    """64-bit counts, or Python's integers where one of them needs more bits."""
    for name in names:
        if all(value < LARGEST_COUNT for value in frame[name]):
            frame[name] = frame[name].astype("int64")
    return frame


def _with_times(frame: "pd.DataFrame", names: tuple[str, ...], clock: Clock) -> "pd.DataFrame":
    """UTC times on a wall clock, plain microseconds (`..._us`) on an uptime clock."""
    if clock is Clock.UPTIME:
        return frame.rename(columns={name: f"{name}_us" for name in names})
    for name in names:
        frame[name] = frame[name].astype("datetime64[us]").dt.tz_localize("UTC")
    return frame


def _incident_row(incident: Incident) -> tuple[object, ...]:
    return (
        NO_TIME if incident.start_us is None else incident.start_us,
        NO_TIME if incident.end_us is None else incident.end_us,
        incident.duration_us,
        incident.lines,
        incident.lost,
        incident.head,
        incident.tail,
        incident.channel.value,
        incident.receiver.target,
        incident.receiver.span,
        incident.cause.value,
        incident.producer_rate_hz,
        incident.stall_s,
    )
