"""What came back over HTTP: the answer once it fits its request, else the fault by its name."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import aiohttp

_RATE_LIMITS = {429, -32005, -32007}
"""Error codes of nodes that were asked too much; for eth_getLogs -32005 also means too wide a range."""
_RATE_WORDS = ("rate limit", "too many requests", "request limit", "per second", "per minute", "capacity")
_LONGEST_WAIT_S = 60.0
_LARGE = 1 << 16
_LIST_OF_OBJECTS = re.compile(rb'"result"\s*:\s*(?=\[\s*\{)')
_END_OF_OBJECTS = re.compile(rb"\}\s*\]")
_LAST_OF_BATCH = b"}]}]"


class Fault(Exception):
    """What went wrong in one exchange.

    `curable`: another try at the same node may help. `unsent`: the request cannot have reached a node.
    `wait_s`: how long the node asked to be left alone.
    """

    def __init__(
        self,
        cause: str,
        *,
        curable: bool = True,
        unsent: bool = False,
        status: int | None = None,
        wait_s: float | None = None,
    ) -> None:
        super().__init__(cause)
        self.cause = cause
        self.curable = curable
        self.unsent = unsent
        self.status = status
        self.wait_s = wait_s


class Undecoded(bytes):
    """A long list of logs as the node wrote it: whoever only scans it need not wait for json."""


class TimedOut(Fault):
    """No answer within the time that one node may take."""

    def __init__(self) -> None:
        super().__init__("timed out")


def checked(payload: Any, status: int, retry_after: str | None, body: bytes) -> Any:
    """The answer, once its status, its JSON and its ids fit the payload."""
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        raise Fault(_status_text(status, body), status=status, wait_s=_seconds(retry_after))
    try:
        answer = _parsed(payload, body)
    except ValueError:
        raise _unreadable(status, body) from None
    answers = answer if isinstance(answer, list) else [answer]
    if not all(isinstance(item, Mapping) and ("result" in item or "error" in item) for item in answers):
        raise Fault(f"{_status_text(status, b'')}, but no JSON-RPC answer", curable=status != HTTPStatus.OK)
    if status != HTTPStatus.OK and not any("error" in item for item in answers):
        raise Fault(_status_text(status, b""), status=status)
    _check_ids(payload, answer)
    return answer


def fault_of(err: aiohttp.ClientError) -> Fault:
    """The fault behind a broken connection."""
    if isinstance(err, aiohttp.ClientConnectorError) and isinstance(err.os_error, ConnectionRefusedError):
        return Fault("connection refused", curable=False, unsent=True)
    for kind, cause, curable in _CAUSES:
        if isinstance(err, kind):
            return Fault(cause, curable=curable, unsent=isinstance(err, aiohttp.ClientConnectorError))
    return Fault("the connection was closed before the answer")


def chain_id_in(answer: Mapping[str, Any]) -> int:
    """The chain that an answer to eth_chainId names; raises Fault when it names none."""
    try:
        return int(answer["result"], 16)
    except (KeyError, TypeError, ValueError):
        raise Fault("it does not say which chain it follows", unsent=True) from None


def is_rate_limit(rpc_code: Any, text: str, method: str) -> bool:
    """Whether an error object says that the node was asked too often, not that one request was too large."""
    said = any(words in text.lower() for words in _RATE_WORDS)
    return rpc_code in _RATE_LIMITS and (method != "eth_getLogs" or said)


def rate_limit_in(payload: Any, answer: Any) -> bool:
    """Whether any item of an answer says so."""
    requests = payload if isinstance(payload, list) else [payload]
    methods = {repr(request["id"]): request["method"] for request in requests}
    for item in answer if isinstance(answer, list) else [answer]:
        error = item.get("error")
        if isinstance(error, Mapping):
            method = methods.get(repr(item.get("id")), "")
            if is_rate_limit(error.get("code"), str(error.get("message", "")), method):
                return True
    return False


def _parsed(payload: Any, body: bytes) -> Any:
    """The JSON; the logs of a large answer to a batch stay as they are, where they can be told from the rest."""
    batch = payload if isinstance(payload, list) else []
    asked = [request["id"] for request in batch if request["method"] == "eth_getLogs"]
    begin = _LIST_OF_OBJECTS.search(body) if len(asked) == 1 and len(body) >= _LARGE else None
    end = _end_of_objects(body, begin.end()) if begin else None
    if begin and end:
        with suppress(ValueError):
            rest = json_in(body[: begin.end()] + b"null" + body[end:])
            for item in rest if isinstance(rest, list) and len(rest) == len(batch) else []:
                if isinstance(item, dict) and item.get("id") == asked[0] and item.get("result", ...) is None:
                    item["result"] = Undecoded(memoryview(body)[begin.end() : end])
                    return rest
    return json_in(body)


def json_in(text: bytes | str) -> Any:
    """The JSON of a foreign text; ValueError for what is none, and for brackets without end."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _end_of_objects(body: bytes, begin: int) -> int | None:
    """Behind the first list of objects from there on; where it closes the last answer of a batch, that shows."""
    if body.endswith(_LAST_OF_BATCH):
        return len(body) - len(_LAST_OF_BATCH) // 2
    end = _END_OF_OBJECTS.search(body, begin)
    return end.end() if end else None


def _check_ids(payload: Any, answer: Any) -> None:
    if isinstance(answer, Mapping) and "error" in answer and (isinstance(payload, list) or answer.get("id") is None):
        return
    if isinstance(payload, list) != isinstance(answer, list):
        raise Fault("the answer has another shape than the request")
    asked, given = _ids(payload), _ids(answer)
    if len(set(given)) != len(given):
        raise Fault("the answer carries an id twice")
    if not set(given) <= set(asked):
        raise Fault("the answer carries the id of another request")


def _ids(items: Any) -> list[str]:
    return [repr(item.get("id")) for item in (items if isinstance(items, list) else [items])]


def _unreadable(status: int, body: bytes) -> Fault:
    if status != HTTPStatus.OK:
        server_side = status >= HTTPStatus.INTERNAL_SERVER_ERROR
        return Fault(_status_text(status, body), status=status, curable=server_side)
    what = "an HTML page" if _is_html(body) else "an empty body" if not body else "a cut or malformed JSON body"
    return Fault(f"HTTP 200 with {what}", status=status)


def _status_text(status: int, body: bytes) -> str:
    try:
        phrase = f" {HTTPStatus(status).phrase}"
    except ValueError:
        phrase = ""
    return f"HTTP {status}{phrase}{' with an HTML page' if _is_html(body) else ''}"


def _is_html(body: bytes) -> bool:
    return body.lstrip()[:1] == b"<"


def _seconds(retry_after: str | None) -> float | None:
    """What a node may ask for is bounded: a mistaken answer must not silence it for good."""
    if retry_after is None or not retry_after.strip().isdecimal():
        return None
    return min(float(retry_after), _LONGEST_WAIT_S)


_CAUSES: tuple[tuple[type[aiohttp.ClientError], str, bool], ...] = (
    (aiohttp.ClientConnectorDNSError, "no such host", False),
    (aiohttp.ClientSSLError, "TLS failed: is it https, and is its certificate valid?", False),
    (aiohttp.ClientPayloadError, "the body was cut", True),
    (aiohttp.InvalidURL, "not a usable URL", False),
    (aiohttp.ClientResponseError, "the answer is not HTTP", True),
    (aiohttp.ClientConnectorError, "no connection", True),
)
