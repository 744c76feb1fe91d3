"""Tracing's pretty form: the lines behind an event tell its spans, wherever the log is cut and whatever wraps it."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqcli.lag.blocks import BLOCK
from liqcli.lag.lines import Receiver
from liqcli.lag.measure import measure_lag
from tests.lag.logs import TARGET, Fact, facts, message, stamp
from tests.lag.test_formats import numbers
from tests.lag.test_scan import scanned

NAMES = ("aave", "hyperlend", None)
DIM, OFF = "\x1b[2;3m", "\x1b[0m"


def name_of(fact: Fact) -> str | None:
    """The strategy that logs an event; some log outside of any."""
    return NAMES[fact[2] % 3]


def full_spans(fact: Fact, *, time: str | None = None) -> str:
    """One line an event, its spans before the target."""
    name = name_of(fact)
    spans = "" if name is None else f'strategy{{name="{name}" block={fact[0] % 10**6}}}:process_event: '
    return f"{stamp(fact[0]) + ' ' if time is None else time}ERROR {spans}{TARGET}: {message(fact)}\n"


def pretty(fact: Fact, *, time: str | None = None) -> list[str]:
    """The lines of an event, innermost span first, and the blank line behind it."""
    name = name_of(fact)
    spans = [
        "    in bot::engine::process_event",
        f'    in bot::strategy with name: "{name}", block: {fact[0] % 10**6}',
    ]
    return [
        f"  {stamp(fact[0]) + ' ' if time is None else time}ERROR {TARGET}: {message(fact)}",
        f"    at src/engine.rs:{fact[0] % 90 + 10} on ThreadId({fact[2] % 8:02d})",
        *(spans if name is not None else []),
        "",
    ]


def coloured(fact: Fact) -> list[str]:
    """The same with the colours tracing gives it."""
    return [
        line.replace("    in ", f"    {DIM}in{OFF} ")
        .replace(" with ", f" {DIM}with{OFF} ")
        .replace("ERROR", f"\x1b[31mERROR{OFF}")
        for line in pretty(fact)
    ]


def wrapped(wrapper: Callable[[Fact, str], str]) -> Callable[[Fact], list[str]]:
    """Every line of an event in a wrapper of its own."""
    return lambda fact: [wrapper(fact, line) for line in pretty(fact)]


FORMS: dict[str, Callable[[Fact], list[str]]] = {
    "bare": pretty,
    "coloured": coloured,
    "docker compose": wrapped(lambda _, line: f"bot-1  | {line}"),
    "docker --timestamps": wrapped(lambda fact, line: f"{stamp(fact[0] + 5, 9)} {line}"),
    "docker json": wrapped(
        lambda fact, line: json.dumps({"log": line + "\n", "stream": "stdout", "time": stamp(fact[0] + 5, 9)})
    ),
    "cri": wrapped(lambda fact, line: f"{stamp(fact[0] + 5, 9)} stdout F {line}"),
    "kubectl": wrapped(lambda _, line: f"[pod/liq-bot-7d9f/bot] {line}"),
    "journald": wrapped(lambda _, line: f"May 14 14:39:45 bot1 liq[4711]: {line}"),
    "journald iso": wrapped(lambda fact, line: f"{stamp(fact[0], 0, '+0000')} bot1 liq[4711]: {line}"),
    "journald json": wrapped(
        lambda fact, line: json.dumps({"__REALTIME_TIMESTAMP": str(fact[0]), "MESSAGE": line, "_HOSTNAME": "bot1"})
    ),
}


def log_of(form: Callable[[Fact], list[str]], made: list[Fact]) -> bytes:
    """A whole log."""
    return "".join(f"{line}\n" for fact in made for line in form(fact)).encode()


def by_receiver(statistics):
    """Lines and loss of each receiver."""
    return {(total.receiver, total.channel): (total.lines, total.lost) for total in statistics.by_receiver}


@pytest.mark.parametrize("form", FORMS)
def test_spans_behind_an_event_tell_its_receiver(form, tmp_path):
    """Receivers and numbers are those of the plain twin, which has the spans before the target."""
    made = facts()
    log, twin = tmp_path / "pretty.log", tmp_path / "twin.log"
    log.write_bytes(log_of(FORMS[form], made))
    twin.write_text("".join(map(full_spans, made)))

    statistics, expected = measure_lag([log]), measure_lag([twin])

    assert by_receiver(statistics) == by_receiver(expected)
    assert numbers(statistics) == numbers(expected)
    assert statistics.inputs.skipped_lines == 0
    assert statistics.inputs.lines == len(log.read_bytes().splitlines())


@pytest.mark.parametrize("feed", [b"\n", b"\r\n"])
def test_events_without_times_are_one_incident_where_nothing_stands_between(feed, tmp_path):
    """The lines behind an event do not part it from the next one."""
    made = facts()
    log, twin = tmp_path / "pretty.log", tmp_path / "twin.log"
    log.write_bytes(log_of(lambda fact: pretty(fact, time=""), made).replace(b"\n", feed))
    twin.write_text("".join(full_spans(fact, time="") for fact in made))

    assert numbers(measure_lag([log])) == numbers(measure_lag([twin]))


@settings(max_examples=60)
@given(st.integers(1, 700), st.sampled_from(["bare", "coloured", "cri", "docker json"]))
def test_no_event_is_torn_where_a_block_ends(chunk, form):
    """However few bytes arrive at a time, every event keeps its spans and every line is counted once."""
    log = log_of(FORMS[form], facts(20))

    assert scanned(log, chunk)[0] == scanned(log)[0]
    assert scanned(log, chunk)[2].lines == scanned(log)[2].lines == log.count(b"\n")
    assert len({receiver for *_, receiver in scanned(log, chunk)[0]}) == 3


def test_a_log_of_several_blocks_is_read_once(tmp_path):
    """What is left for the next block is neither lost nor counted twice, bytes included."""
    log = tmp_path / "bot.log"
    log.write_bytes(log_of(pretty, facts(200)) * 250)

    statistics = measure_lag([log], processes=1)

    assert statistics.inputs.bytes == log.stat().st_size > 2 * BLOCK
    assert statistics.totals.lag_lines == 200 * 250
    assert statistics.totals.lost == 250 * sum(fact[2] for fact in facts(200))
    assert {total.receiver.span is None for total in statistics.by_receiver} == {True, False}
    assert len({total.receiver for total in statistics.by_receiver}) == 3


@pytest.mark.parametrize("processes", [2, 3, 7])
def test_no_event_is_torn_between_processes(processes, tmp_path):
    """A log cut into byte ranges gives the receivers of the whole."""
    log = tmp_path / "bot.log"
    log.write_bytes(log_of(pretty, facts(400)))

    assert by_receiver(measure_lag([log], processes=processes)) == by_receiver(measure_lag([log], processes=1))


def test_words_in_the_fields_of_a_span_are_no_lag_line(tmp_path):
    """They are shown as skipped: the span only carries what was said elsewhere."""
    log = tmp_path / "bot.log"
    log.write_text(
        f"  {stamp(facts()[0][0])} ERROR {TARGET}: error receiving event: channel lagged by 7\n"
        '    at src/main.rs:4\n    in bot::strategy with last: "channel lagged by 5"\n\n'
    )

    statistics = measure_lag([log])

    assert statistics.totals.lost == 7
    assert statistics.inputs.skipped_lines == 1
    assert statistics.by_receiver[0].receiver == Receiver(TARGET, 'strategy last="channel lagged by 5"')
