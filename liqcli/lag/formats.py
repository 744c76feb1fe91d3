"""A line as tracing writes it, without wrapper and colours: time, level, spans, target, message."""

import re
from dataclasses import dataclass, replace

from liqcli.lag.clock import ISO, SECOND, UPTIME, iso_us, uptime_us
from liqcli.lag.lines import NO_TIME, Clock, Receiver
from liqcli.lag.message import OTHER, QUOTED, Finding, mentions_lag, read_message

NOBODY = Receiver(None, None)

TEXT_FIELD = re.compile(r"([A-Za-z_][\w.]*)(?:=|: )(\"(?:[^\"\\]|\\.)*\")")

BEHIND = re.compile(r" {4}(?:at|in) \S")
"""A line that tells more of the event before it."""

_LEVEL = re.compile(r"\[?(?:TRACE|DEBUG|INFO|WARN|ERROR)\b\]? *")
_THREAD = re.compile(
    r"(?:(?:[\w-]+ )?ThreadId\([0-9]+\)|main|tokio-runtime-worker|[\w-]+(?= [A-Za-z_]\w*::\w)) +(?=[A-Za-z_])", re.ASCII
)
_NAME = re.compile(r"[A-Za-z_][\w.-]*(?:::[\w.<>-]+)*", re.ASCII)
_FIELDS = re.compile(r"\{(?:\"(?:[^\"\\]|\\.)*\"|[^}\"])*\}")
_PLACE = re.compile(r"(?:\S+\.rs:(?:[0-9]+:)?|[0-9]+:) ?")
_INNER_HEADER = re.compile(ISO.pattern + r"\s+(?:TRACE|DEBUG|INFO|WARN|ERROR) ", re.ASCII)
_INNER_LEVEL = re.compile(r"(?<![^ \[])(?:TRACE|DEBUG|INFO|WARN|ERROR)(?:\]|(?= )) *")
"""Behind a time or a prefix of unknown form."""


@dataclass(frozen=True, slots=True)
class Line:
    """What one line turned out to be; `clock` is NONE and `at_us` NO_TIME where it carries no time.

    `has_fraction` tells that the time is finer than a second.
    In the pretty form an event's line `has_context` on the lines that follow; the text of those is `behind`.
    """

    finding: Finding
    at_us: int = NO_TIME
    clock: Clock = Clock.NONE
    receiver: Receiver = NOBODY
    format: str = "plain"
    wrapper: str | None = None
    ansi: bool = False
    has_fraction: bool = False
    zone_assumed: bool = False
    year_assumed: bool = False
    has_level: bool = False
    has_context: bool = False
    behind: str = ""


def read_event(text: str) -> Line:
    """Read a line of tracing's full, compact or pretty form, without wrapper and without colours."""
    if BEHIND.match(text):
        return Line(QUOTED if mentions_lag(text) else OTHER, format="pretty", behind=text)
    start = _header_start(text)
    at_us, clock, zone_assumed, position = _stamp(text, start)
    level = _LEVEL.match(text, position)
    if level is None and clock is Clock.NONE:
        return Line(read_message(text.strip()))
    position = level.end() if level else position
    spans, target, position = _names(text, position)
    message = text[position:].strip()
    finding = read_message(message)
    return Line(
        finding,
        at_us=at_us,
        clock=clock,
        receiver=_receiver(spans, target, message) if finding is not OTHER else NOBODY,
        format=_format(text, clock, spans, message),
        has_fraction=_has_fraction(text, start),
        zone_assumed=zone_assumed,
        has_level=level is not None,
        has_context=level is not None and text.startswith("  "),
    )


def span_label(spans: list[tuple[str, list[tuple[str, str]]]]) -> str | None:
    """`strategy:process_event name="aave"`: the path, then the text fields; numbers change line by line."""
    if not spans:
        return None
    fields = [f"{key}={value}" for _, pairs in spans for key, value in pairs]
    return " ".join([":".join(name for name, _ in spans), *fields])


def _header_start(text: str) -> int:
    start = len(text) - len(text.lstrip(" ["))
    if UPTIME.match(text, start) or _LEVEL.match(text, start):
        return start
    outer = ISO.match(text, start)
    if outer and _LEVEL.match(text, _skip_spaces(text, outer.end())):
        return start
    inner = _INNER_HEADER.search(text, 0, 512) or (None if outer else _INNER_LEVEL.search(text, 0, 200))
    return inner.start() if inner else start


def _stamp(text: str, start: int) -> tuple[int, Clock, bool, int]:
    if found := ISO.match(text, start):
        at_us = iso_us(found)
        clock = Clock.WALL if at_us != NO_TIME else Clock.NONE
        return at_us, clock, found[8] is None, _skip_spaces(text, found.end())
    if found := UPTIME.match(text, start):
        return uptime_us(found), Clock.UPTIME, False, _skip_spaces(text, found.end())
    return NO_TIME, Clock.NONE, False, start


def _has_fraction(text: str, start: int) -> bool:
    found = ISO.match(text, start)
    return found[7] is not None if found else UPTIME.match(text, start) is not None


def _skip_spaces(text: str, position: int) -> int:
    while text[position : position + 1] in {" ", "]"}:
        position += 1
    return position


def _names(text: str, position: int) -> tuple[list[tuple[str, list[tuple[str, str]]]], str | None, int]:
    """The span path, the target and where the message begins."""
    if thread := _THREAD.match(text, position):
        position = thread.end()
    spans: list[tuple[str, list[tuple[str, str]]]] = []
    target = None
    while target is None and (name := _NAME.match(text, position)):
        fields = _FIELDS.match(text, name.end())
        end = fields.end() if fields else name.end()
        if text.startswith(("] ", " - "), end) and fields is None and ("::" in name[0] or text[end] == "]"):
            return spans, name[0], end + (2 if text[end] == "]" else 3)
        if text[end : end + 1] != ":":
            break
        closes = text[end + 1 : end + 2] in {" ", ""}
        if closes and fields is None and ("::" in name[0] or not _is_path_follows(text, end + 2)):
            target = name[0]
        else:
            spans.append((name[0], TEXT_FIELD.findall(fields[0]) if fields else []))
        position = end + (2 if closes else 1)
    if place := _PLACE.match(text, position):
        position = place.end()
    return spans, target, position


def _is_path_follows(text: str, position: int) -> bool:
    name = _NAME.match(text, position)
    return name is not None and "::" in name[0] and text.startswith(": ", name.end())


def _receiver(spans: list[tuple[str, list[tuple[str, str]]]], target: str | None, message: str) -> Receiver:
    if spans and not any(pairs for _, pairs in spans):
        spans = [*spans[:-1], (spans[-1][0], TEXT_FIELD.findall(message))]
    return Receiver(target, span_label(spans))


def _format(text: str, clock: Clock, spans: list[tuple[str, list[tuple[str, str]]]], message: str) -> str:
    if clock is not Clock.WALL:
        return "uptime" if clock is Clock.UPTIME else "plain"
    if text.startswith("  "):
        return "pretty"
    is_compact = spans and not any(pairs for _, pairs in spans) and TEXT_FIELD.search(message)
    return "compact" if is_compact else "full"


def in_wrapper(inner: Line, wrapper: str | None, at_us: int, *, year_assumed: bool = False) -> Line:
    """The line with its wrapper named; a wall time inside is the finer one and wins over the wrapper's."""
    inner = replace(inner, wrapper=wrapper if inner.wrapper is None else inner.wrapper)
    if inner.clock is Clock.WALL or at_us == NO_TIME:
        return inner
    name = "full" if inner.format == "plain" else inner.format
    return replace(
        inner,
        at_us=at_us,
        clock=Clock.WALL,
        format=name,
        has_fraction=at_us % SECOND != 0,
        year_assumed=year_assumed,
    )
