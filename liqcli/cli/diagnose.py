"""`liq diagnose`: why an event channel lags, from its log."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from liqcli.errors import UsageError

if TYPE_CHECKING:
    from liqcli.lag.model import Diagnosis

app = typer.Typer(help="Why an event channel lags: the cause, and what would help.", no_args_is_help=True)

FOUND = 10
POLL_SECONDS = 1.0
WISHES = ("capacity", "handler_ms")
LEVELS = ("none", "low", "medium", "high", "critical")
"""In order; `--fail-on` takes all but the first. They stand here because help must not load numpy."""
OFFERS = {
    "charts": "--charts DIR",
    "html": "--html FILE",
    "json": "--json",
    "csv": "--csv FILE",
    "what-if": "--what-if capacity=8192",
    "fail-on": "--fail-on high for CI",
}
"""What the report names as the next thing to try, unless it was."""
_FILES = "Files to write"
_READING = "Reading"
_KNOWN = "Known beside the log"


@app.callback()
def diagnose() -> None:
    """Explain why an event channel lags."""


@dataclass(frozen=True)
class Wish:
    """The other world of --what-if."""

    capacity: int | None
    handler_ms: float | None


@dataclass(frozen=True)
class Question:
    """What is asked of a log beside the log itself."""

    since: str | None
    until: str | None
    form: str | None
    capacity: int | None
    handler_ms: float | None
    wish: Wish | None


Files = Annotated[
    list[str] | None, typer.Argument(metavar="FILE", help="Logs in any order, .gz and .zst too; - is stdin.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Markdown = Annotated[bool, typer.Option("--markdown", help="Markdown on stdout.")]
FailOn = Annotated[
    str | None, typer.Option(metavar="LEVEL", help=f"Exit with {FOUND} from this level on: {', '.join(LEVELS[1:])}.")
]
Csv = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Incidents as CSV; every table when it is a folder.", rich_help_panel=_FILES),
]
Charts = Annotated[Path | None, typer.Option(metavar="DIR", help="Charts as PNG and SVG.", rich_help_panel=_FILES)]
Html = Annotated[
    Path | None, typer.Option(metavar="FILE", help="One page that needs nothing else.", rich_help_panel=_FILES)
]
Since = Annotated[
    str | None, typer.Option(metavar="TIME", help="From: ISO time, 14:39, or -15m.", rich_help_panel=_READING)
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Up to: as --since.", rich_help_panel=_READING)]
Form = Annotated[
    str | None,
    typer.Option("--format", metavar="NAME", help="Force a format instead of detecting it.", rich_help_panel=_READING),
]
Follow = Annotated[bool, typer.Option("--follow", help="Diagnose again as the log grows.", rich_help_panel=_READING)]
ShowSkipped = Annotated[
    bool, typer.Option("--show-skipped", help="Also what could not be read, and why.", rich_help_panel=_READING)
]
Capacity = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="The channel's capacity; artemis' 512 is assumed.", rich_help_panel=_KNOWN),
]
HandlerMs = Annotated[
    float | None, typer.Option(metavar="X", help="Time the handler takes for one event.", rich_help_panel=_KNOWN)
]
WhatIf = Annotated[
    str | None,
    typer.Option(metavar="capacity=8192,handler_ms=2", help="Replay the arrivals so.", rich_help_panel=_KNOWN),
]
Compare = Annotated[
    tuple[str, str] | None,
    typer.Option(metavar="BEFORE AFTER", help="Two logs: what a change has changed.", rich_help_panel=_KNOWN),
]


@app.command("lag", epilog="Example: liq diagnose lag bot.log --charts charts/ --fail-on high")
def lag(
    files: Files = None,
    *,
    as_json: Json = False,
    markdown: Markdown = False,
    csv: Csv = None,
    charts: Charts = None,
    html: Html = None,
    since: Since = None,
    until: Until = None,
    form: Form = None,
    follow: Follow = False,
    show_skipped: ShowSkipped = False,
    capacity: Capacity = None,
    handler_ms: HandlerMs = None,
    what_if: WhatIf = None,
    compare: Compare = None,
    fail_on: FailOn = None,
) -> None:
    """Say what lost the events of a tokio broadcast channel, and what would help."""
    threshold = None if fail_on is None else _rank(fail_on)
    wish = None if what_if is None else wish_of(what_if)
    question = Question(since, until, form, capacity, handler_ms, wish)
    _check_choice(files, compare, as_json=as_json, markdown=markdown)
    if follow:
        if as_json or markdown or csv or charts or html or compare or wish:
            raise UsageError("--follow redraws the terminal report and writes nothing else", hint="leave the rest away")
        watch(files or [], question, threshold)
        return
    from liqcli.cli.diagnosis_output import Layout, print_comparison, print_diagnosis, write_files

    taken = {"charts": charts, "html": html, "csv": csv, "what-if": what_if, "fail-on": fail_on}
    offers = tuple(offer for name, offer in OFFERS.items() if taken.get(name) is None)
    layout = Layout(as_json=as_json, markdown=markdown, show_skipped=show_skipped, offers=offers)
    if compare is not None:
        before, after = (answer([name], question) for name in compare)
        print_comparison(before, after, layout)
    else:
        after = answer(files or [], question)
        write_files(after, csv=csv, charts=charts, html=html, capacity=capacity)
        print_diagnosis(after, layout)
    _fail_from(threshold, after)


@app.command()
def live(
    *,
    as_json: Json = False,
    markdown: Markdown = False,
    config: Annotated[Path | None, typer.Option(help="Settings file instead of ./liq.toml.")] = None,
) -> None:
    """Diagnose the channels of the running bot by its own counters.

    Example: liq diagnose live --json
    """
    from liqcli.cli.diagnosis_output import Layout, print_diagnosis
    from liqcli.cli.options import settings_from
    from liqcli.cli.render import say
    from liqcli.cli.status import running_bot

    status = running_bot(settings_from(config=config))["status"]
    print_diagnosis(answer_live(status), Layout(as_json=as_json, markdown=markdown, offers=(OFFERS["json"],)))
    for name, channel in status["channels"].items():
        if channel is not None:
            held = f"most {channel['high_water']:,} of {channel['capacity']:,}"
            say(f"{name} channel: {held}, senders waited {channel['waits']:,} times")


def answer_live(status: dict[str, Any]) -> "Diagnosis":
    """The diagnosis of the lag a running bot has counted; its channels wait, only a websocket's intake can lag."""
    import numpy as np

    from liqcli.lag.advise import diagnose as conclude
    from liqcli.lag.incidents import aggregate_columns

    lags = (status["websocket"] or {"lags": []})["lags"]
    capacity = status["channels"]["event"]["capacity"]
    at_us, lost = (np.array([lag[name] for lag in lags], np.int64) for name in ("at_us", "lost"))
    return conclude(aggregate_columns(at_us, lost, capacity=capacity), capacity=capacity)


def answer(names: Sequence[str], question: Question) -> "Diagnosis":
    """Read the logs, measure, and conclude."""
    from liqcli.lag.advise import diagnose as conclude
    from liqcli.lag.assumed import DEFAULT_CAPACITY
    from liqcli.lag.measure import measure_lag

    statistics = measure_lag(
        names,
        form=question.form,
        since=question.since,
        until=question.until,
        capacity=question.capacity or DEFAULT_CAPACITY,
    )
    diagnosis = conclude(statistics, capacity=question.capacity, handler_ms=question.handler_ms)
    if question.wish is None:
        return diagnosis
    from liqcli.lag.whatif import what_if

    replay = what_if(
        statistics,
        capacity=question.wish.capacity,
        handler_ms=question.wish.handler_ms,
        current_capacity=question.capacity,
        current_handler_ms=question.handler_ms,
    )
    return replace(diagnosis, what_if=replay)


def watch(names: Sequence[str], question: Question, threshold: int | None) -> None:
    """Diagnose again whenever the log has grown, until it ends, Ctrl-C, or --fail-on has its reason."""
    from liqcli.cli.diagnosis_output import redraw
    from liqcli.lag.advise import diagnose as conclude
    from liqcli.lag.assumed import DEFAULT_CAPACITY
    from liqcli.lag.follow import follow

    capacity = question.capacity or DEFAULT_CAPACITY
    with follow(names, form=question.form, since=question.since, until=question.until, capacity=capacity) as log:
        while not log.has_ended:
            statistics = log.poll()
            if statistics is not None:
                diagnosis = conclude(statistics, capacity=question.capacity, handler_ms=question.handler_ms)
                redraw(diagnosis)
                _fail_from(threshold, diagnosis)
            time.sleep(POLL_SECONDS)


def wish_of(text: str) -> Wish:
    """`capacity=8192,handler_ms=2` as numbers; a name it does not know is answered with the nearest one."""
    values: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = (word.strip() for word in part.partition("="))
        if name not in WISHES:
            raise UsageError(f'--what-if does not know "{name}"', hint=_wish_hint(name))
        values[name] = _positive(name, value)
    capacity = values.get("capacity")
    return Wish(capacity=None if capacity is None else int(capacity), handler_ms=values.get("handler_ms"))


def _positive(name: str, value: str) -> float:
    hint = "write it as capacity=8192,handler_ms=2"
    try:
        number = float(value)
    except ValueError:
        raise UsageError(f'--what-if {name} is not a number: "{value}"', hint=hint) from None
    if not 0 < number < math.inf or (name == "capacity" and number != int(number)):
        raise UsageError(f"--what-if {name} must be above zero{', and whole' if name == 'capacity' else ''}", hint=hint)
    return number


def _wish_hint(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, WISHES, n=1)
    known = "write it as capacity=8192,handler_ms=2"
    return f"did you mean {close[0]}? {known}" if close else known


def _check_choice(files: list[str] | None, compare: tuple[str, str] | None, *, as_json: bool, markdown: bool) -> None:
    if compare is not None and files:
        raise UsageError("--compare takes its two logs itself", hint="liq diagnose lag --compare BEFORE AFTER")
    if compare is None and not files:
        raise UsageError("no log is named", hint="liq diagnose lag FILE..., or: BOT 2>&1 | liq diagnose lag -")
    if as_json and markdown:
        raise UsageError("--json and --markdown are two forms of one answer", hint="choose one")


def _fail_from(threshold: int | None, diagnosis: "Diagnosis") -> None:
    if threshold is not None and LEVELS.index(diagnosis.verdict.level) >= threshold:
        raise typer.Exit(FOUND)


def _rank(level: str) -> int:
    if level.lower() not in LEVELS[1:]:
        raise UsageError(f'--fail-on does not know "{level}"', hint=f"levels: {', '.join(LEVELS[1:])}")
    return LEVELS.index(level.lower())
