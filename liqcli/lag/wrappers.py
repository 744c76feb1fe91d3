"""One log line, read exactly, whatever stands around it: docker, Kubernetes, journald, syslog, JSON, colours.

This is the meaning of every line. The vectorised path in shapes.py only repeats, for lines of a form that was
read here before, what this module said.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any, TypeAlias

from liqcli.lag.clock import EPOCH_TIME, ISO, SECOND, SYSLOG, UNIX, UPTIME, epoch_time_us, iso_us, syslog_us, unix_us
from liqcli.lag.formats import BEHIND, NOBODY, Line, in_wrapper, read_event, span_label
from liqcli.lag.lines import NO_TIME, Clock, Receiver
from liqcli.lag.message import OTHER, QUOTED, Finding, Kind, mentions_lag, read_fields

BINARY = Finding(Kind.SKIPPED, reason="binary data")
BROKEN_JSON = Finding(Kind.SKIPPED, reason="broken JSON")
NESTING = 4

Fields: TypeAlias = dict[str, Any]
Peeled: TypeAlias = tuple[str | None, int, str, bool]
"""Wrapper (None: only a time), its time or NO_TIME, the text inside, whether a year had to be assumed."""

_ANSI = re.compile(
    r"(?:\x1b|\\x1b|\\u001b|\\033|\\e)\[[0-9;:<-?]*[A-Za-z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()][0-9A-Z]"
)
"""Colours and other controls, escaped or not; links and titles; character sets."""
_CRI = re.compile(r"(\S+) (?:stdout|stderr) [FP](?::\w)* ")
_KUBECTL = re.compile(r"\[[\w.-]+/[\w./-]+\] ", re.ASCII)
_COMPOSE = re.compile(r"[\w.-]+ *\| ?", re.ASCII)
_PRIORITY = re.compile(r"<[0-9]{1,3}>")
_RFC5424 = re.compile(r"1 (\S+) \S+ \S+ \S+ \S+ (?:-|(?:\[[^\]]*\])+) ?\ufeff?")
_HOST = re.compile(r" [\w.:-]+ [\w./@-]+(?:\[[0-9]+\])?: ?", re.ASCII)
_LEVEL = re.compile(r" +(?:TRACE|DEBUG|INFO|WARN|ERROR)\b")
_LEVEL_KEYS = {"level", "lvl", "severity", "log.level"}
_TIMES = ("timestamp", "time", "ts", "@timestamp", "t")


def read_line(raw: bytes, *, newest: date) -> Line:
    """Read one line without its line feed; `newest` dates stamps that carry no year."""
    if b"\0" in raw:
        return Line(BINARY)
    return unwrap(raw.decode("utf-8", "replace").lstrip("\ufeff").rstrip("\r\n"), newest=newest)


def unwrap(text: str, *, newest: date, depth: int = NESTING) -> Line:
    """Read a line whatever stands around it, at most `depth` layers."""
    if depth and (document := text.lstrip(" \x1e")).startswith("{"):
        return _read_json(document, newest, depth)
    plain = _ANSI.sub("", text)
    if plain != text:
        return replace(unwrap(plain, newest=newest, depth=depth), ansi=True)
    peeled = next(_peel(text, newest), None) if depth else None
    if peeled is None:
        return read_event(text)
    wrapper, at_us, inside, year_assumed = peeled
    inner = unwrap(inside, newest=newest, depth=depth - 1)
    return in_wrapper(inner, wrapper, at_us, year_assumed=year_assumed)


def _peel(text: str, newest: date) -> Iterator[Peeled]:
    """The outermost wrapper; patterns are tried from the most to the least particular."""
    if kubectl := _KUBECTL.match(text):
        yield "kubectl", NO_TIME, text[kubectl.end() :], False
    if compose := _COMPOSE.match(text):
        yield "docker", NO_TIME, text[compose.end() :], False
    if priority := _PRIORITY.match(text):
        text = text[priority.end() :]
        yield _rfc5424(text) or next(_stamped(text, newest), ("syslog", NO_TIME, text, False))
    yield from _stamped(text, newest)


def _rfc5424(text: str) -> Peeled | None:
    found = _RFC5424.match(text)
    return ("syslog", _moment(found[1]), text[found.end() :], False) if found else None


def _stamped(text: str, newest: date) -> Iterator[Peeled]:
    if cri := _CRI.match(text):
        yield "cri", _moment(cri[1]), text[cri.end() :], False
    yield from _bare_time(text, newest)
    if (stamp := SYSLOG.match(text)) and (host := _HOST.match(text, stamp.end())):
        yield "syslog", syslog_us(stamp, newest), text[host.end() :], True
    if (stamp := UNIX.match(text)) and (host := _HOST.match(text, stamp.end())):
        yield "journald", unix_us(stamp), text[host.end() :], False
    if (stamp := ISO.match(text)) and not _LEVEL.match(text, stamp.end()):
        rest = text[stamp.end() :]
        if host := _HOST.match(rest):
            yield "journald", iso_us(stamp), rest[host.end() :], False
        elif rest.startswith(" ") and (_begins_a_line(rest.lstrip()) or BEHIND.match(rest[1:])):
            yield "docker", iso_us(stamp), rest[1:], False


def _bare_time(text: str, newest: date) -> Iterator[Peeled]:
    """A time of a form that only stands directly before the level: counted since 1970, or without a year."""
    start = 1 if text.startswith("[") else 0
    stamp = SYSLOG.match(text, start) or EPOCH_TIME.match(text, start)
    if stamp is None or not _LEVEL.match(text, stamp.end() + (text[stamp.end() : stamp.end() + 1] == "]")):
        return
    rest = text[stamp.end() :].lstrip("] ")
    if stamp.re is SYSLOG:
        yield None, syslog_us(stamp, newest), rest, True
    else:
        yield None, epoch_time_us(stamp), rest, False


def _begins_a_line(text: str) -> bool:
    return bool(text.startswith("{") or ISO.match(text) or UPTIME.match(text))


def _moment(text: str) -> int:
    found = ISO.match(text)
    return iso_us(found) if found else NO_TIME


def _read_json(text: str, newest: date, depth: int) -> Line:
    try:
        event = json.loads(text, object_pairs_hook=_keep_duplicates)
    except (ValueError, RecursionError):
        return Line(BROKEN_JSON, format="json") if mentions_lag(text) else read_event(text)
    for wrapper, at_us, inside in _json_wrapper(event):
        inner = unwrap(inside.rstrip("\r\n"), newest=newest, depth=depth - 1)
        if inner.finding.kind is Kind.OTHER or inner.receiver == NOBODY:
            inner = _with_fields(inner, inside, event, text)
        return in_wrapper(inner, wrapper, at_us)
    return _read_event(event, text)


def _with_fields(inner: Line, message: str, event: Fields, text: str) -> Line:
    """A message without header with what stands beside it: fields and target as tracing-journald writes them."""
    fields = {key.removeprefix("F_").lower(): _plain(value) for key, value in event.items() if key.startswith("F_")}
    finding, target = inner.finding, event.get("TARGET")
    if finding.kind is Kind.OTHER and mentions_lag(text):
        finding = _unless_other(read_fields({**fields, "message": message}))
    receiver = Receiver(target, None) if isinstance(target, str) and finding is not OTHER else inner.receiver
    return replace(inner, finding=finding, receiver=receiver)


def _unless_other(finding: Finding) -> Finding:
    """A line that speaks of lag is never passed over."""
    return QUOTED if finding.kind is Kind.OTHER else finding


def _keep_duplicates(pairs: list[tuple[str, Any]]) -> Fields:
    """Tracing writes a span's own name and its field `name` under the same key; the first becomes `name.0`."""
    fields: Fields = {}
    for key, value in pairs:
        if key in fields:
            fields[f"{key}.0"] = fields[key]
        fields[key] = value
    return fields


def _json_wrapper(event: Fields) -> Iterator[tuple[str, int, str]]:
    log, journal, message = event.get("log"), event.get("MESSAGE"), event.get("message")
    if isinstance(log, str) and ("stream" in event or "time" in event):
        yield "docker-json", _moment(str(event.get("time", ""))), log
    if "__REALTIME_TIMESTAMP" in event and isinstance(journal, str | list):
        yield "journald-json", _journal_us(event), journal if isinstance(journal, str) else _from_bytes(journal)
    if isinstance(message, str) and "target" not in event and ISO.match(message.lstrip()):
        yield "json", _event_time(event)[0], message


def _journal_us(event: Fields) -> int:
    stamp = str(event.get("_SOURCE_REALTIME_TIMESTAMP") or event["__REALTIME_TIMESTAMP"])
    return int(stamp) if stamp.isdecimal() and len(stamp) <= 17 else NO_TIME


def _from_bytes(values: list[Any]) -> str:
    """Journald exports a message with colours in it as a list of byte values."""
    return bytes(value for value in values if isinstance(value, int) and 0 <= value < 256).decode("utf-8", "replace")


def _read_event(event: Fields, text: str) -> Line:
    nested = event.get("fields")
    fields = nested if isinstance(nested, dict) else event
    finding = read_fields({key: _plain(value) for key, value in fields.items()})
    if mentions_lag(text):
        finding = _unless_other(finding)
    at_us, clock, zone_assumed, has_fraction = _event_time(event)
    target = event.get("target")
    return Line(
        finding,
        at_us=at_us,
        clock=clock,
        receiver=Receiver(target if isinstance(target, str) else None, _json_spans(event))
        if finding.kind in {Kind.LAG, Kind.CLOSED}
        else NOBODY,
        format="json",
        ansi=_plain(text) != text,
        has_fraction=has_fraction,
        zone_assumed=zone_assumed,
        has_level=not _LEVEL_KEYS.isdisjoint(event),
    )


def _plain(value: Any) -> Any:
    return _ANSI.sub("", value) if isinstance(value, str) else value


def _event_time(event: Fields) -> tuple[int, Clock, bool, bool]:
    """The time, its clock, whether its zone is assumed, and whether it is finer than a second."""
    for key in _TIMES:
        stamp = event.get(key)
        if isinstance(stamp, str) and (found := ISO.match(stamp)):
            at_us = iso_us(found)
            return at_us, Clock.WALL if at_us != NO_TIME else Clock.NONE, found[8] is None, found[7] is not None
        if found := EPOCH_TIME.fullmatch(_number(stamp)):
            at_us = epoch_time_us(found)
            return at_us, Clock.WALL, False, at_us % SECOND != 0
    return NO_TIME, Clock.NONE, False, False


def _number(stamp: Any) -> str:
    """A count of any unit as text; seconds with a fraction to the microsecond."""
    if isinstance(stamp, float):
        return f"{stamp:.6f}"
    return str(stamp) if isinstance(stamp, str | int) and not isinstance(stamp, bool) else ""


def _json_spans(event: Fields) -> str | None:
    spans = event.get("spans")
    listed = spans if isinstance(spans, list) else [event.get("span")]
    return span_label([_json_span(span) for span in listed if isinstance(span, dict) and "name" in span])


def _json_span(span: Fields) -> tuple[str, list[tuple[str, str]]]:
    pairs = [
        (key.removesuffix(".0"), json.dumps(value, ensure_ascii=False))
        for key, value in span.items()
        if key != "name" and isinstance(value, str)
    ]
    return str(span["name"]), pairs
