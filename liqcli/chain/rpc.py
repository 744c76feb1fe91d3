"""JSON-RPC over HTTP: one deadline per call, batches, reads retried at whichever node answers, and every fault named.

No message names a secret.
"""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import count
from time import monotonic
from types import TracebackType
from typing import Any, Self

import aiohttp
import stamina

from liqcli.aave.reasons import reason_of
from liqcli.chain.answers import Fault, TimedOut, is_rate_limit, rate_limit_in
from liqcli.chain.endpoints import Endpoint, Endpoints, Health
from liqcli.chain.urls import without_secrets
from liqcli.errors import LiqError, Reverted, Unreachable
from liqcli.model import Tier
from liqcli.text import safe

# Stamina would report each retry on standard output, where only data goes; `errors` counts them.
stamina.instrumentation.set_on_retry_hooks(())

Call = tuple[str, Sequence[Any]]

_HINT = (
    "is a node running there? Try another: liq COMMAND --rpc URL, or export LIQ_RPC__URL=...; "
    "--sandbox needs no network"
)
_OTHER_NODE = "another node may allow it:  --rpc URL   or  export LIQ_RPC__URL=..."
_TRIES = 4
_REVERT_CODE = 3
_PLAIN_CODES = {
    -32005: "limit exceeded",
    -32600: "invalid request",
    -32601: "method not found",
    -32602: "invalid params",
}


class RpcError(Unreachable):
    """The node answered with an error object: its number, what came with it, and whether we asked too often."""

    def __init__(
        self, message: str, *, rpc_code: int, data: Any = None, hint: str = "", is_rate_limit: bool = False
    ) -> None:
        super().__init__(message, hint=hint)
        self.rpc_code = rpc_code
        self.data = data
        self.is_rate_limit = is_rate_limit


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


@dataclass(slots=True)
class _Trial:
    """How one call is doing: who is asked, how often it was tried, and what went wrong last."""

    reads: bool
    endpoint: Endpoint
    tries: int = 0
    fault: Fault | None = None
    deadline: asyncio.Timeout = field(init=False)

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return (self.deadline.when() or 0.0) - asyncio.get_running_loop().time()

    async def spend(self, requests: int) -> None:
        """Pay from the endpoint's budget; the clock of the deadline stands still meanwhile."""
        left = self.left
        self.deadline.reschedule(None)
        await self.endpoint.budget.spend(requests)
        self.deadline.reschedule(asyncio.get_running_loop().time() + left)


class Rpc:
    """A node behind a URL, or several that stand in for each other; a context manager that holds the HTTP session."""

    def __init__(self, endpoints: str | Sequence[Endpoint], *, timeout_s: float = 10.0, batch_size: int = 100) -> None:
        self.endpoints = Endpoints([Endpoint(endpoints)] if isinstance(endpoints, str) else endpoints)
        self._secrets = [secret for endpoint in self.endpoints.all for secret in endpoint.secrets]
        self._timeout_s = timeout_s
        self._batch_size = batch_size
        self._ids = count(1)
        self._session: aiohttp.ClientSession | None = None
        self._refused = 0
        self._asked = self.endpoints.all[0]

    def __repr__(self) -> str:
        return f"Rpc({self.shown_url!r})"

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self.endpoints.close()
            await self._session.close()
            self._session = None

    @property
    def shown_url(self) -> str:
        """The endpoint that was asked last, without what may be a key."""
        return self._asked.shown_url

    @property
    def requests(self) -> int:
        """HTTP requests made so far."""
        return sum(endpoint.requests for endpoint in self.endpoints.all)

    @property
    def errors(self) -> int:
        """Faults and refusals so far; a revert is neither."""
        return self._refused + sum(endpoint.errors for endpoint in self.endpoints.all)

    def health(self) -> list[Health]:
        """How each endpoint is doing, in the operator's order."""
        return [endpoint.health() for endpoint in self.endpoints.all]

    def budget_left(self, tier: Tier) -> float:
        """The share of the request budget that this tier could still spend now; 1 without a budget."""
        return self._asked.budget.left(tier)

    def require_chain(self, chain_id: int) -> None:
        """From now on believe only nodes of this chain: each is asked before it is used, and after each fault."""
        self.endpoints.pin(chain_id, self._open_session)

    def distrust(self, why: str) -> None:
        """Bench the endpoint that answered last, if another one can be asked: what it says cannot be right."""
        if self.endpoints.others_ready(self._asked):
            self._asked.bench(Fault(why))

    async def call(self, method: str, *params: Any) -> Any:
        """One call's result; Reverted when the contract refused, RpcError when the node did, else Unreachable."""
        request = self._request(method, params)
        answer = await self._post(request, reads=_only_reads(method))
        result = self._result(answer, method)
        if isinstance(result, LiqError):
            raise result
        return result

    async def batch(self, calls: Sequence[Call]) -> list[Any | LiqError]:
        """The results in the order of the calls; an item that failed is its error, not raised."""
        results: list[Any | LiqError] = []
        while len(results) < len(calls):
            size = min(self._batch_size, self.endpoints.most_at_once or self._batch_size)
            results += await self._chunk(calls[len(results) : len(results) + size])
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
        answers = await self._post(requests, reads=all(_only_reads(method) for method, _ in calls))
        if isinstance(answers, Mapping):
            self._refused += 1
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

    async def _post(self, payload: Any, *, reads: bool) -> Any:
        """The checked answer to a payload, within one deadline over all tries; waiting for the budget is not counted.

        What is more than reading is repeated only where the first try cannot have reached a node.
        """
        started, trial = monotonic(), _Trial(reads, self.endpoints.all[0])
        try:
            async with asyncio.timeout(self._timeout_s) as trial.deadline:
                async for attempt in self._attempts(trial):
                    with attempt:
                        trial.tries = attempt.num
                        return await self._try(payload, trial)
        except Fault as fault:
            raise self._no_answer(trial, fault, started) from None
        except TimeoutError:
            trial.endpoint.failed(TimedOut())
            raise self._no_answer(trial, trial.fault or TimedOut(), started, timed_out=True) from None
        raise AssertionError("stamina neither returned nor raised")

    def _attempts(self, trial: _Trial) -> AsyncIterable[stamina.Attempt]:
        return stamina.retry_context(
            lambda error: self._wait_before_retry(error, trial),
            attempts=_TRIES * len(self.endpoints.all),
            timeout=None,
            wait_initial=0.05,
            wait_max=1.0,
            wait_jitter=0.05,
        )

    async def _try(self, payload: Any, trial: _Trial) -> Any:
        """One try at the endpoint whose turn it is; a fault benches it."""
        session = self._open_session
        endpoint = self._asked = trial.endpoint = self.endpoints.choose(session)
        if (closed_s := endpoint.closed_until - monotonic()) > 0:
            raise Fault(endpoint.why, status=HTTPStatus.TOO_MANY_REQUESTS, wait_s=closed_s)
        try:
            if self.endpoints.is_unverified(endpoint):
                await trial.spend(1)
                await self.endpoints.verify(endpoint, session)
            await trial.spend(len(payload) if isinstance(payload, list) else 1)
            return await self._answer(payload, trial, session)
        except Fault as fault:
            trial.fault = fault
            endpoint.failed(fault)
            raise

    async def _answer(self, payload: Any, trial: _Trial, session: aiohttp.ClientSession) -> Any:
        """What the endpoint answers; while others could be asked instead it gets only its share of the time left."""
        others = self.endpoints.others_ready(trial.endpoint) if trial.reads else 0
        exchange = trial.endpoint.exchange(session, payload)
        answer = await (self._within(trial.left / (1 + others), exchange) if others else exchange)
        if rate_limit_in(payload, answer):
            limit = Fault("it was asked too much", unsent=True)
            if others:
                raise limit
            trial.endpoint.bench(limit)
        return answer

    async def _within(self, seconds: float, exchange: Awaitable[Any]) -> Any:
        try:
            async with asyncio.timeout(seconds):
                return await exchange
        except TimeoutError:
            raise TimedOut from None

    def _wait_before_retry(self, error: Exception, trial: _Trial) -> bool | float:
        """At once where another node is ready, else after a growing pause, or the one that the node asked for."""
        if not isinstance(error, Fault) or not (trial.reads or error.unsent):
            return False
        usable = self.endpoints.usable
        if self.endpoints.others_ready(trial.endpoint) or not usable:
            return 0.0
        if any(other.closed_until <= monotonic() for other in usable if other is not trial.endpoint):
            return True
        if error.wait_s is not None:
            return error.wait_s if error.wait_s < trial.left else False
        return error.curable

    @property
    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise AssertionError("Rpc is used inside `async with`")
        return self._session

    def _no_answer(self, trial: _Trial, fault: Fault, started: float, *, timed_out: bool = False) -> NoAnswer:
        spent_ms = round((monotonic() - started) * 1000)
        facts = f"{fault.cause}, {trial.tries} {'try' if trial.tries == 1 else 'tries'}, {spent_ms} ms"
        others = len(self.endpoints.all) - 1
        beside = f" nor {others} more" if others else ""
        message = f"cannot reach the RPC at {trial.endpoint.shown_url}{beside} ({facts})"
        timed_out = timed_out or isinstance(fault, TimedOut)
        return NoAnswer(message, status=fault.status, timed_out=timed_out, hint=_HINT)

    def _result(self, answer: Mapping[str, Any], method: str) -> Any | LiqError:
        if "error" not in answer:
            return answer["result"]
        error = self._error(answer["error"], method)
        if not isinstance(error, Reverted):
            self._refused += 1
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
            message,
            rpc_code=rpc_code if isinstance(rpc_code, int) else 0,
            data=facts.get("data"),
            hint=_OTHER_NODE,
            is_rate_limit=is_rate_limit(rpc_code, text, method),
        )

    def _without_secrets(self, text: str) -> str:
        return without_secrets(text, self._secrets)

    def _number(self, value: Any, method: str) -> int:
        try:
            return int(value, 16)
        except (TypeError, ValueError):
            shown = self._without_secrets(str(value))
            raise Unreachable(
                f"the RPC at {self.shown_url} answered {method} with {shown!r}, not a number", hint=_HINT
            ) from None


def _only_reads(method: str) -> bool:
    return method.startswith(("eth_", "net_", "web3_")) and not method.startswith("eth_send")


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
