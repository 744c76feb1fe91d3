"""JSON-RPC over HTTP: one deadline per call, batches, reads retried, and every fault named without naming a secret."""

import asyncio
import json
from collections.abc import AsyncIterable, Mapping, Sequence
from http import HTTPStatus
from itertools import count
from time import monotonic
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

import aiohttp
import stamina

from liqcli.aave.reasons import reason_of
from liqcli.errors import LiqError, Reverted, Unreachable
from liqcli.text import safe

# Stamina would report each retry on standard output, where only data goes; `errors` counts them.
stamina.instrumentation.set_on_retry_hooks(())

Call = tuple[str, Sequence[Any]]

_HINT = (
    "is a node running there? Try another: liq scan --rpc URL, or export LIQ_RPC__URL=...; --sandbox needs no network"
)
_OTHER_NODE = "another node may allow it:  --rpc URL   or  export LIQ_RPC__URL=..."
_TRIES = 4
_SHORTEST_SECRET = 6
_REVERT_CODE = 3
_PLAIN_CODES = {
    -32005: "limit exceeded",
    -32600: "invalid request",
    -32601: "method not found",
    -32602: "invalid params",
}


class RpcError(Unreachable):
    """The node answered with an error object; `rpc_code` is its number, `data` what came with it."""

    def __init__(self, message: str, *, rpc_code: int, data: Any = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.rpc_code = rpc_code
        self.data = data


class NoAnswer(Unreachable):
    """No usable answer came within the deadline; `status` is the HTTP status if there was one."""

    def __init__(self, message: str, *, status: int | None, timed_out: bool, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.timed_out = timed_out

    @property
    def code(self) -> str:
        """The same identifier as its parent's: a script need not tell them apart."""
        return "unreachable"


class _Fault(Exception):
    """What went wrong in one exchange, and whether another try may cure it."""

    def __init__(
        self, cause: str, *, curable: bool = True, status: int | None = None, wait_s: float | None = None
    ) -> None:
        super().__init__(cause)
        self.cause = cause
        self.curable = curable
        self.status = status
        self.wait_s = wait_s


class Rpc:
    """A node behind a URL; an async context manager that holds the HTTP session."""

    def __init__(self, url: str, *, timeout_s: float = 10.0, batch_size: int = 100) -> None:
        self._url = url
        self._secrets = _secrets_in(url)
        self._timeout_s = timeout_s
        self._batch_size = batch_size
        self._ids = count(1)
        self._session: aiohttp.ClientSession | None = None
        self.shown_url = _shown(url)
        self.requests = 0
        self.errors = 0

    def __repr__(self) -> str:
        return f"Rpc({self.shown_url!r})"

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(self, method: str, *params: Any) -> Any:
        """One call's result; Reverted when the contract refused, RpcError when the node did, else Unreachable."""
        request = self._request(method, params)
        answer = await self._post(request, tries=_TRIES if _only_reads(method) else 1)
        result = self._result(answer, method)
        if isinstance(result, LiqError):
            raise result
        return result

    async def batch(self, calls: Sequence[Call]) -> list[Any | LiqError]:
        """The results in the order of the calls; an item that failed is its error, not raised."""
        results: list[Any | LiqError] = []
        for start in range(0, len(calls), self._batch_size):
            results += await self._chunk(calls[start : start + self._batch_size])
        return results

    async def block_number(self) -> int:
        """The newest block the node knows."""
        return self._number(await self.call("eth_blockNumber"), "eth_blockNumber")

    async def chain_id(self) -> int:
        """The chain the node follows."""
        return self._number(await self.call("eth_chainId"), "eth_chainId")

    async def gas_price(self) -> int:
        """The base fee of the next small block in wei: HyperEVM's eth_gasPrice, which knows no tip."""
        return self._number(await self.call("eth_gasPrice"), "eth_gasPrice")

    async def _chunk(self, calls: Sequence[Call]) -> list[Any | LiqError]:
        requests = [self._request(method, params) for method, params in calls]
        answers = await self._post(requests, tries=_TRIES if all(_only_reads(method) for method, _ in calls) else 1)
        if isinstance(answers, Mapping):
            self.errors += 1
            raise self._error(answers["error"], "batch")
        by_id = {answer["id"]: answer for answer in answers}
        return [
            self._result(by_id[request["id"]], method)
            if request["id"] in by_id
            else Unreachable(f"the RPC at {self.shown_url} left {method} out of its answer to a batch", hint=_HINT)
            for request, (method, _) in zip(requests, calls, strict=True)
        ]

    def _request(self, method: str, params: Sequence[Any]) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(params)}

    async def _post(self, payload: Any, *, tries: int) -> Any:
        """The checked answer to a payload, within one deadline over all tries."""
        started, tried, last = monotonic(), 0, _Fault("timed out")
        try:
            async with asyncio.timeout(self._timeout_s) as deadline:
                async for attempt in self._attempts(tries, deadline):
                    with attempt:
                        tried = attempt.num
                        try:
                            return await self._exchange(payload)
                        except _Fault as fault:
                            self.errors += 1
                            last = fault
                            raise
        except _Fault:
            raise self._no_answer(last, tried, started, timed_out=False) from None
        except TimeoutError:
            self.errors += 1
            raise self._no_answer(last, tried, started, timed_out=True) from None
        raise AssertionError("stamina neither returned nor raised")

    def _attempts(self, tries: int, deadline: asyncio.Timeout) -> AsyncIterable[stamina.Attempt]:
        return stamina.retry_context(
            lambda error: _wait_before_retry(error, deadline.when() or 0.0),
            attempts=tries,
            timeout=None,
            wait_initial=0.05,
            wait_max=1.0,
            wait_jitter=0.05,
        )

    async def _exchange(self, payload: Any) -> Any:
        if self._session is None:
            raise AssertionError("Rpc is used inside `async with`")
        self.requests += 1
        try:
            # A redirect would hand the request, and the key in the URL's path, to somebody else.
            async with self._session.post(self._url, json=payload, allow_redirects=False) as response:
                body = await response.read()
                return _checked(payload, response.status, response.headers.get("Retry-After"), body)
        except aiohttp.ClientError as err:
            raise _fault_of(err) from None

    def _no_answer(self, fault: _Fault, tries: int, started: float, *, timed_out: bool) -> NoAnswer:
        spent_ms = round((monotonic() - started) * 1000)
        facts = f"{fault.cause}, {tries} {'try' if tries == 1 else 'tries'}, {spent_ms} ms"
        message = f"cannot reach the RPC at {self.shown_url} ({facts})"
        return NoAnswer(message, status=fault.status, timed_out=timed_out, hint=_HINT)

    def _result(self, answer: Mapping[str, Any], method: str) -> Any | LiqError:
        if "error" not in answer:
            return answer["result"]
        error = self._error(answer["error"], method)
        if not isinstance(error, Reverted):
            self.errors += 1
        return error

    def _error(self, error: Any, method: str) -> RpcError | Reverted:
        facts: Mapping[str, Any] = error if isinstance(error, Mapping) else {"message": str(error)}
        text, rpc_code = str(facts.get("message", "")), facts.get("code", 0)
        data = _revert_data(facts.get("data"))
        if method.startswith("eth_") and (rpc_code == _REVERT_CODE or "revert" in text.lower()):
            reason = safe(reason_of(data), limit=100) if data is not None else self._without_secrets(text)
            return Reverted(f"the contract refused the call: {reason}", reason=reason)
        said = self._without_secrets(text) or _PLAIN_CODES.get(rpc_code, "no message")
        message = f"the RPC at {self.shown_url} refused {method}: {said} (code {safe(str(rpc_code), limit=20)})"
        return RpcError(
            message, rpc_code=rpc_code if isinstance(rpc_code, int) else 0, data=facts.get("data"), hint=_OTHER_NODE
        )

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return safe(text, limit=200)

    def _number(self, value: Any, method: str) -> int:
        try:
            return int(value, 16)
        except (TypeError, ValueError):
            shown = self._without_secrets(str(value))
            raise Unreachable(
                f"the RPC at {self.shown_url} answered {method} with {shown!r}, not a number", hint=_HINT
            ) from None


def _wait_before_retry(error: Exception, deadline: float) -> bool | float:
    if not isinstance(error, _Fault) or not error.curable:
        return False
    if error.wait_s is None:
        return True
    return error.wait_s if asyncio.get_running_loop().time() + error.wait_s < deadline else False


def _only_reads(method: str) -> bool:
    return method.startswith(("eth_", "net_", "web3_")) and not method.startswith("eth_send")


def _checked(payload: Any, status: int, retry_after: str | None, body: bytes) -> Any:
    """The answer, once its status, its JSON and its ids fit the payload."""
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        raise _Fault(_status_text(status, body), status=status, wait_s=_seconds(retry_after))
    try:
        answer = json.loads(body)
    except ValueError:
        raise _unreadable(status, body) from None
    answers = answer if isinstance(answer, list) else [answer]
    if not all(isinstance(item, Mapping) and ("result" in item or "error" in item) for item in answers):
        raise _Fault(f"{_status_text(status, b'')}, but no JSON-RPC answer", curable=status != HTTPStatus.OK)
    if status != HTTPStatus.OK and not any("error" in item for item in answers):
        raise _Fault(_status_text(status, b""), status=status)
    _check_ids(payload, answer)
    return answer


def _check_ids(payload: Any, answer: Any) -> None:
    if isinstance(answer, Mapping) and "error" in answer and (isinstance(payload, list) or answer.get("id") is None):
        return
    if isinstance(payload, list) != isinstance(answer, list):
        raise _Fault("the answer has another shape than the request")
    asked, given = _ids(payload), _ids(answer)
    if len(set(given)) != len(given):
        raise _Fault("the answer carries an id twice")
    if not set(given) <= set(asked):
        raise _Fault("the answer carries the id of another request")


def _ids(items: Any) -> list[str]:
    return [repr(item.get("id")) for item in (items if isinstance(items, list) else [items])]


def _unreadable(status: int, body: bytes) -> _Fault:
    if status != HTTPStatus.OK:
        server_side = status >= HTTPStatus.INTERNAL_SERVER_ERROR
        return _Fault(_status_text(status, body), status=status, curable=server_side)
    what = "an HTML page" if _is_html(body) else "an empty body" if not body else "a cut or malformed JSON body"
    return _Fault(f"HTTP 200 with {what}", status=status)


def _status_text(status: int, body: bytes) -> str:
    try:
        phrase = f" {HTTPStatus(status).phrase}"
    except ValueError:
        phrase = ""
    return f"HTTP {status}{phrase}{' with an HTML page' if _is_html(body) else ''}"


def _is_html(body: bytes) -> bool:
    return body.lstrip()[:1] == b"<"


def _seconds(retry_after: str | None) -> float | None:
    return float(retry_after) if retry_after is not None and retry_after.strip().isdecimal() else None


_CAUSES: tuple[tuple[type[aiohttp.ClientError], str, bool], ...] = (
    (aiohttp.ClientConnectorDNSError, "no such host", False),
    (aiohttp.ClientSSLError, "TLS failed: is it https, and is its certificate valid?", False),
    (aiohttp.ClientPayloadError, "the body was cut", True),
    (aiohttp.InvalidURL, "not a usable URL", False),
    (aiohttp.ClientResponseError, "the answer is not HTTP", True),
    (aiohttp.ClientConnectorError, "no connection", True),
)


def _fault_of(err: aiohttp.ClientError) -> _Fault:
    if isinstance(err, aiohttp.ClientConnectorError) and isinstance(err.os_error, ConnectionRefusedError):
        return _Fault("connection refused", curable=False)
    for kind, cause, curable in _CAUSES:
        if isinstance(err, kind):
            return _Fault(cause, curable=curable)
    return _Fault("the connection was closed before the answer")


def _revert_data(data: Any) -> bytes | None:
    """Revert data as nodes carry it: plain hex, or nested under `data`."""
    if isinstance(data, Mapping):
        data = data.get("data")
    if not isinstance(data, str) or not data.startswith("0x"):
        return None
    try:
        return bytes.fromhex(data[2:])
    except ValueError:
        return None


def _shown(url: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{'/...' if parts.path.strip('/') or parts.query else ''}"


def _secrets_in(url: str) -> list[str]:
    """Every part of a URL that may be a key, longest first."""
    parts = urlsplit(url)
    credentials = [text for text in (parts.username, parts.password) if text]
    query = [value for _, value in parse_qsl(parts.query)]
    rest = [text for text in (*parts.path.split("/"), parts.query, parts.path, *query) if len(text) >= _SHORTEST_SECRET]
    return sorted({form for text in (*credentials, *rest) for form in (text, unquote(text))}, key=len, reverse=True)
