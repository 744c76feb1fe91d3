"""What a log message says about a broadcast channel, and whether it says it itself or quotes another line."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from liqcli.lag.lines import Channel

LARGEST = 2**64 - 1
"""Tokio counts in 64 bits: a larger N is no count."""
LONGEST_NUMBER = 4_000

_LAG = re.compile(
    r"(?:\b(?:channel|receiver|stream|subscriber|subscription|consumer) lagged by (?P<by>[0-9]+)"
    r"|\bLagged\((?P<debug>[0-9]+)\)"
    r"|\blagged,? (?:skipped|skipping|missed|dropped)[ =:] ?(?P<field>[0-9]+))(?![0-9.]?[0-9A-Za-z_])"
)
_WORDS = re.compile(
    r"channel lagged|\bLagged\(|\blagged by\b.*\b(?:events?|messages?)\b|stream lagged|\blagged,? skipped"
)
_CLOSED = re.compile(r"\b(?:channel closed|Closed\b)")
_RECEIVING = re.compile(r"error receiving (event|action)")
_NAMED = re.compile(r"\b(event|action)(?:s|_|\b)")
_HEARD = re.compile(r"receiv|recv|broadcast|subscri", re.IGNORECASE)
_KEY = re.compile(r"(?:^|[\s,{(?&])(\w[\w.]*)(?:=|: )\"?$")
_AFTER = re.compile(r"\"?[)\]}]*(?: (?:events?|messages?|items?)\b)?[.!]?\s*(?:$|,? +[\w.]+(?:=|: )|\{)")
_GOES_ON = re.compile(r"\"?[)\]}]*(?: (?:events?|messages?|items?)\b)?(?:[,;:]| [-–—(])[^\"'`]*$")  # noqa: RUF001
_OWN = re.compile(r"(?:\[[^\]\"`]*\] ?)?(?:error receiving (?:event|action):? )?")
"""What may stand before the words for what follows them to be the message's own, not a story about it."""
_TAG = re.compile(r"(?:\[[^\]\"`]*\] ?)?")
_STAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}")
_ERROR_KEYS = ("error", "err", "e", "cause", "source", "reason", "message", "msg", "exception")
_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_COUNT_KEYS = ("skipped", "missed", "dropped", "lagged")


class Kind(StrEnum):
    """The four classes; every line is exactly one."""

    LAG = "lag"
    CLOSED = "closed"
    SKIPPED = "skipped"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Finding:
    """The class of a message; `lost` is N for lag, `reason` says why a message about lag was not counted."""

    kind: Kind
    lost: int = 0
    channel: Channel = Channel.UNKNOWN
    reason: str = ""


OTHER = Finding(Kind.OTHER)
QUOTED = Finding(Kind.SKIPPED, reason="quotes the words inside another message")
NO_NUMBER = Finding(Kind.SKIPPED, reason="cut off: no number after the words")
TOO_LARGE = Finding(Kind.SKIPPED, reason="the number is too large to be a count")


def read_message(message: str) -> Finding:
    """Classify the text behind the header of a line."""
    said = [found for found in _LAG.finditer(message) if _is_said(message, found)]
    if said:
        return _lag(_whole(_number(said[0])), _channel(message[: said[0].start()]))
    if _is_closed(message):
        return Finding(Kind.CLOSED, channel=_channel(message))
    if _LAG.search(message):
        return QUOTED
    return NO_NUMBER if _WORDS.search(message) else OTHER


def read_fields(fields: dict[str, Any]) -> Finding:
    """Classify the fields of a JSON event: the message, else an error field, else a count beside `... lagged`."""
    message = str(fields.get("message") or fields.get("msg") or "")
    finding = read_message(message)
    if finding.kind in {Kind.LAG, Kind.CLOSED}:
        return finding
    for key in _ERROR_KEYS:
        value = fields.get(key)
        if not isinstance(value, str):
            continue
        inner = read_message(f"{message}: {value}" if message else value)
        if inner.kind in {Kind.LAG, Kind.CLOSED}:
            return inner
    if message.endswith("lagged"):
        for key in _COUNT_KEYS:
            count = fields.get(key)
            if isinstance(count, int | str) and not isinstance(count, bool) and _DIGITS.fullmatch(str(count)):
                return _lag(_whole(str(count)), _channel(message))
    return finding


def mentions_lag(text: str) -> bool:
    """Whether text that was not counted speaks of lag at all."""
    return bool(_LAG.search(text) or _WORDS.search(text))


def _lag(lost: int, channel: Channel) -> Finding:
    return Finding(Kind.LAG, lost=lost, channel=channel) if lost <= LARGEST else TOO_LARGE


def _number(found: re.Match[str]) -> str:
    return found["by"] or found["debug"] or found["field"]


def _whole(digits: str) -> int:
    """The number, or one too large where it has more digits than Python may be asked to read."""
    return int(digits) if len(digits) <= LONGEST_NUMBER else LARGEST + 1


def _is_said(message: str, found: re.Match[str]) -> bool:
    before, after = message[: found.start()], message[found.end() :]
    return _ends(before, after) and _speaks(before)


def _ends(before: str, after: str) -> bool:
    """Whether what follows the words leaves them a statement: nothing, fields, or how the message goes on."""
    return bool(_AFTER.match(after)) or (bool(_OWN.fullmatch(before)) and bool(_GOES_ON.match(after)))


def _is_closed(message: str) -> bool:
    found = _CLOSED.search(message)
    if found is None:
        return False
    before, after = message[: found.start()], message[found.end() :]
    return _ends(before, after) and bool(_HEARD.search(before)) and _speaks(before)


def _speaks(before: str) -> bool:
    """Whether the words that follow `before` are the message's own and not a quotation."""
    key = _KEY.search(before)
    if key and key[1].rsplit(".", 1)[-1] not in _ERROR_KEYS and before.endswith(("=", '="')):
        return False
    if key is None and before.endswith(('"', "'", "`")):
        return False
    body = before.removesuffix('"') if key else before
    receiving = _RECEIVING.search(body)
    told = receiving is not None and not _TAG.fullmatch(body, 0, receiving.start())
    return body.count('"') % 2 == 0 and body.count("`") % 2 == 0 and not told and not _STAMP.search(body)


def _channel(before: str) -> Channel:
    named = _RECEIVING.search(before) or _NAMED.search(before)
    return Channel(named[1]) if named else Channel.UNKNOWN
