"""Several nodes behind one client: who is asked, who is benched after a fault, and who is never asked again.

The first healthy one in the operator's order is asked. A fault benches a node for a while that doubles each time; it
comes back once it has shown in the background that it answers and still follows the right chain. When all are benched
the one whose time is up first is tried. A node of another chain is quarantined for good.
"""

import asyncio
import logging
import random
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

import aiohttp

from liqcli.chain.answers import Fault, TimedOut, chain_id_in, checked, fault_of
from liqcli.chain.budget import Budget
from liqcli.chain.urls import secrets_in
from liqcli.errors import WrongTarget
from liqcli.model import Tier
from liqcli.tasks import end
from liqcli.text import shown_url

_BENCH_FIRST_S = 0.5
_BENCH_MOST_S = 30.0
_PROBE_S = 2.0
_LATENCY_WEIGHT = 0.2
_CHAIN_ID = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Health:
    """How one endpoint is doing; `state` is ready, benched, limited or quarantined, and `why` says why not ready."""

    url: str
    state: str
    why: str
    back_in_s: float
    requests: int
    errors: int
    latency_ms: float | None
    budget_left: float


class Endpoint:
    """A node behind a URL of which only the host is ever shown; with a limit, its requests are rationed."""

    def __init__(self, url: str, *, requests_per_minute: int | None = None) -> None:
        self._url = url
        self.shown_url = shown_url(url)
        self.secrets = secrets_in(url)
        self.budget = Budget(requests_per_minute)
        self.requests = 0
        self.errors = 0
        self.chain_id: int | None = None
        """As the node last said; None when it has to be asked again."""
        self.quarantined = ""
        self.why = ""
        self.closed_until = 0.0
        """Until then the node asked to be left alone."""
        self.benched_until = 0.0
        self._failures = 0
        self._latency_s: float | None = None
        self.checking = asyncio.Lock()

    def __repr__(self) -> str:
        return f"Endpoint({self.shown_url!r})"

    @property
    def back_at(self) -> float:
        """From when on it may be asked."""
        return max(self.benched_until, self.closed_until)

    async def exchange(self, session: aiohttp.ClientSession, payload: Any) -> Any:
        """One request and its checked answer; raises Fault."""
        self.requests += 1
        started = monotonic()
        try:
            # A redirect would hand the request, and the key in the URL's path, to somebody else.
            async with session.post(self._url, json=payload, allow_redirects=False) as response:
                body = await response.read()
                answer = checked(payload, response.status, response.headers.get("Retry-After"), body)
        except aiohttp.ClientError as err:
            raise fault_of(err) from None
        self._answered(monotonic() - started)
        return answer

    def failed(self, fault: Fault) -> None:
        """Count a fault, and bench it."""
        self.errors += 1
        self.bench(fault)

    def bench(self, fault: Fault) -> None:
        """Leave it alone for a while, twice as long as the last time, or as long as it asked for."""
        if self.quarantined:
            return
        now = monotonic()
        if now >= self.benched_until:
            self._failures += 1
        longest = min(_BENCH_FIRST_S * 2 ** (self._failures - 1), _BENCH_MOST_S)
        self.benched_until = now + longest * random.uniform(0.5, 1.0)  # noqa: S311  jitter is no secret
        self.why = fault.cause
        self.chain_id = None
        if fault.wait_s is not None:
            self.closed_until = now + fault.wait_s

    def quarantine(self, why: str) -> None:
        """Never ask it again."""
        self.quarantined = self.why = why
        logger.warning("the RPC at %s %s: it is not asked again in this run", self.shown_url, why)

    def health(self) -> Health:
        """How it is doing now."""
        now = monotonic()
        latency_ms = None if self._latency_s is None else round(self._latency_s * 1000, 3)
        return Health(
            url=self.shown_url,
            state=self._state(now),
            why=self.why,
            back_in_s=round(max(self.back_at - now, 0.0), 3),
            requests=self.requests,
            errors=self.errors,
            latency_ms=latency_ms,
            budget_left=self.budget.left(Tier.CRITICAL),
        )

    def _state(self, now: float) -> str:
        if self.quarantined:
            return "quarantined"
        if now < self.closed_until:
            return "limited"
        return "benched" if self.why else "ready"

    def _answered(self, latency_s: float) -> None:
        before = latency_s if self._latency_s is None else self._latency_s
        self._latency_s = before + _LATENCY_WEIGHT * (latency_s - before)
        self.why = ""
        self._failures = 0
        self.benched_until = self.closed_until = 0.0


class Endpoints:
    """The nodes in the operator's order; `chain_id` is the chain they must follow, None while it is not yet known."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self.all = tuple(endpoints)
        self.chain_id: int | None = None
        self._probes: dict[Endpoint, asyncio.Task[None]] = {}

    @property
    def usable(self) -> list[Endpoint]:
        """Those that are not quarantined."""
        return [endpoint for endpoint in self.all if not endpoint.quarantined]

    @property
    def most_at_once(self) -> int | None:
        """How many requests the present spender can pay for together at any of them; None without a limit."""
        return min((most for endpoint in self.all if (most := endpoint.budget.most_at_once)), default=None)

    def choose(self, session: aiohttp.ClientSession) -> Endpoint:
        """The one to ask now; WrongTarget when every one of them follows another chain."""
        usable = self.usable
        if not usable:
            why = "; ".join(f"{endpoint.shown_url} {endpoint.quarantined}" for endpoint in self.all)
            raise WrongTarget(f"no RPC endpoint is left: {why}", hint="another URL: --rpc URL. Nothing was sent.")
        self._probe_due(session)
        return next(
            (endpoint for endpoint in usable if not endpoint.why),
            min(usable, key=lambda endpoint: endpoint.back_at),
        )

    def others_ready(self, asked: Endpoint) -> int:
        """How many more could be asked at once instead of this one."""
        return sum(1 for endpoint in self.usable if endpoint is not asked and not endpoint.why)

    def is_unverified(self, endpoint: Endpoint) -> bool:
        """Whether its chain has to be asked before it may be believed."""
        return self.chain_id is not None and endpoint.chain_id is None

    async def verify(self, endpoint: Endpoint, session: aiohttp.ClientSession) -> None:
        """Ask which chain it follows, for one request; raises Fault, and quarantines it when it is another one."""
        async with endpoint.checking:
            if endpoint.chain_id is None and not endpoint.quarantined:
                endpoint.chain_id = await self._ask_chain(endpoint, session)
        if endpoint.quarantined:
            raise Fault(f"it {endpoint.quarantined}", curable=False, unsent=True)

    def pin(self, chain_id: int, session: aiohttp.ClientSession) -> None:
        """From now on only nodes of this chain are asked; the others are looked at in the background."""
        self.chain_id = chain_id
        for endpoint in self.all[1:]:
            if self.is_unverified(endpoint):
                self._start(endpoint, self._probe(endpoint, session))

    async def close(self) -> None:
        """End what looks at nodes in the background."""
        await end([*self._probes.values()])

    async def _ask_chain(self, endpoint: Endpoint, session: aiohttp.ClientSession) -> int:
        try:
            async with asyncio.timeout(_PROBE_S):
                chain_id = chain_id_in(await endpoint.exchange(session, _CHAIN_ID))
        except TimeoutError:
            raise TimedOut from None
        if self.chain_id not in (chain_id, None):
            endpoint.quarantine(f"is chain {chain_id}, not {self.chain_id}")
        return chain_id

    def _probe_due(self, session: aiohttp.ClientSession) -> None:
        """Look again at benched ones whose time is up, beside the calls that go elsewhere meanwhile."""
        for endpoint in self.usable:
            if len(self.usable) > 1 and endpoint.why and monotonic() >= endpoint.back_at:
                self._start(endpoint, self._probe(endpoint, session))

    def _start(self, endpoint: Endpoint, probe: Coroutine[Any, Any, None]) -> None:
        if endpoint in self._probes:
            probe.close()
            return
        task = asyncio.create_task(probe)
        self._probes[endpoint] = task
        task.add_done_callback(lambda _: self._probes.pop(endpoint, None))

    async def _probe(self, endpoint: Endpoint, session: aiohttp.ClientSession) -> None:
        await endpoint.budget.spend(1)
        try:
            await self.verify(endpoint, session)
        except Fault as fault:
            endpoint.failed(fault)
