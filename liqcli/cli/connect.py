"""What a command talks to: a sandbox that is up or started for it, a running bot's Redis, or what the settings name."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from liqcli.cli.render import progress
from liqcli.config import ExchangeSettings, Settings
from liqcli.errors import ConfigError, NotRunning
from liqcli.lock import hold, holder_of
from liqcli.model import Address
from liqcli.text import safe, shown_url

if TYPE_CHECKING:
    from liqcli.chain.market import Market
    from liqcli.chain.stream import Stream
    from liqcli.store.cache import HealthCache
    from liqcli.store.queue import BorrowerQueue


@dataclass(frozen=True, slots=True)
class Target:
    """A chain, a market on it and where to sell; in a sandbox also its Redis and its throw-away key."""

    rpc_url: str
    market: str
    provider: Address
    chain_id: int | None
    first_block: int
    exchange: ExchangeSettings
    redis_url: str | None = None
    sandbox_key: str | None = field(default=None, repr=False)

    @property
    def is_sandbox(self) -> bool:
        """Whether this is a local chain of ours."""
        return self.sandbox_key is not None


async def find_target(
    stack: AsyncExitStack, settings: Settings, *, sandbox: bool, tell: Callable[[str], None]
) -> Target:
    """The chain to talk to; a sandbox started here ends with the stack."""
    up = holder_of(settings.data_dir, "sandbox")
    if sandbox and up is None:
        return _in_sandbox(await start_sandbox(stack, settings), settings)
    if up is not None and (sandbox or settings.rpc.url is None):
        tell(f"attached to the sandbox of pid {up['pid']}")
        return _in_sandbox(up, settings)
    found = _on_chain(settings)
    tell(_where(settings, found))
    return found


def _where(settings: Settings, found: Target) -> str:
    """Which chain, market and node are asked, and who chose the node."""
    chain = settings.network if found.chain_id is None else f"{settings.network} (chain {found.chain_id})"
    public = "" if settings.rpc.url else ", the network's public one; --rpc URL or rpc.url takes another"
    return f"{chain} · market {safe(found.market)} · node {shown_url(found.rpc_url)}{public}"


async def start_sandbox(stack: AsyncExitStack, settings: Settings, **options: Any) -> dict[str, Any]:
    """Hold the data directory's sandbox, start it, and tell other commands where it is."""
    from liqcli.sandbox.world import open_world

    holding = stack.enter_context(hold(settings.data_dir, "sandbox", {"started": now_iso()}))
    directory = settings.data_dir / "sandbox"
    own_redis = settings.redis.url is None
    world = await stack.enter_async_context(open_world(directory, redis=own_redis, progress=progress, **options))
    facts = {**asdict(world.facts), "started": now_iso(), "redis_url": settings.redis.url or world.facts.redis_url}
    holding.publish(facts)
    return facts


async def open_market_at(stack: AsyncExitStack, settings: Settings, target: Target) -> "Market":
    """The market behind a target, its addresses resolved from the chain; its connection ends with the stack."""
    from liqcli.chain.endpoints import Endpoint
    from liqcli.chain.market import open_market
    from liqcli.chain.rpc import Rpc

    urls = (target.rpc_url, *(() if target.is_sandbox else settings.rpc.fallback_urls))
    endpoints = [Endpoint(url, requests_per_minute=settings.requests_per_minute(url)) for url in urls]
    rpc = Rpc(endpoints, timeout_s=settings.rpc.timeout_s, batch_size=settings.rpc.batch_size)
    await stack.enter_async_context(rpc)
    return await open_market(rpc, name=target.market, provider=target.provider, chain_id=target.chain_id)


async def open_stream(stack: AsyncExitStack, settings: Settings, market: "Market") -> "Stream | None":
    """The websocket that hints when to look, where one is set; it ends with the stack."""
    from liqcli.chain.logs import log_query
    from liqcli.chain.stream import Stream

    if settings.rpc.ws_url is None:
        return None
    stream = Stream(settings.rpc.ws_url, query=log_query(market), capacity=settings.event_buffer_size)
    return await stack.enter_async_context(stream)


async def find_redis(stack: AsyncExitStack, settings: Settings, target: Target) -> str:
    """The Redis to use: the one named, the sandbox's, the running bot's, else an embedded one on the data directory."""
    running = holder_of(settings.data_dir, "run") or {}
    known = settings.redis.url or target.redis_url or running.get("redis_url")
    return known or await start_embedded(stack, settings)


async def open_store(
    stack: AsyncExitStack, settings: Settings, redis_url: str, namespace: str
) -> tuple["BorrowerQueue", "HealthCache"]:
    """The queue and the cache in one Redis; the connection ends with the stack."""
    from liqcli.store.cache import HealthCache
    from liqcli.store.connection import open_redis
    from liqcli.store.queue import BorrowerQueue

    redis = await open_redis(redis_url, timeout_s=settings.redis.timeout_s)
    stack.push_async_callback(redis.aclose)
    leases = settings.queue
    queue = BorrowerQueue(redis, namespace=namespace, lease_s=leases.lease_s, max_tries=leases.max_tries)
    return queue, HealthCache(redis, namespace=namespace)


async def start_embedded(stack: AsyncExitStack, settings: Settings) -> str:
    """An append-only Valkey on the data directory, ended with the stack."""
    from liqcli.sandbox.valkey import start_valkey

    valkey = await start_valkey(settings.data_dir / "redis", persist=True)
    stack.push_async_callback(valkey.stop)
    return valkey.url


async def find_queue(stack: AsyncExitStack, settings: Settings, *, sandbox: bool) -> tuple[str, str]:
    """Redis URL and namespace of the queue to inspect, without asking a chain where that can be avoided."""
    running = holder_of(settings.data_dir, "run")
    if running is not None and settings.redis.url is None and "namespace" in running:
        return running["redis_url"], running["namespace"]
    if sandbox or holder_of(settings.data_dir, "sandbox") is not None:
        target = await find_target(stack, settings, sandbox=True, tell=progress)
        return await find_redis(stack, settings, target), namespace_at(target.chain_id, target.market)
    if settings.redis.url is None and not (settings.data_dir / "redis").is_dir():
        raise NotRunning(
            "no queue: nothing is running here", hint="liq run --sandbox, or name the server with --redis URL"
        )
    redis_url = settings.redis.url or await start_embedded(stack, settings)
    return redis_url, namespace_at(settings.chain_id, settings.market)


def namespace_at(chain_id: int | None, market: str) -> str:
    """The prefix of a market's keys; ConfigError when no chain is known."""
    from liqcli.store.queue import namespace_of

    if chain_id is None:
        raise ConfigError(
            "which chain is the queue of?", hint="give --network, or run where the bot's data directory is"
        )
    return namespace_of(chain_id, market)


def now_iso() -> str:
    """This moment, to the second, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _in_sandbox(facts: dict[str, Any], settings: Settings) -> Target:
    if "provider" not in facts:
        raise NotRunning("the sandbox is still starting", hint="try again in a few seconds")
    return Target(
        rpc_url=facts["rpc_url"],
        market=facts["market"],
        provider=facts["provider"],
        chain_id=facts["chain_id"],
        first_block=0,
        redis_url=facts["redis_url"],
        sandbox_key=facts["liquidator_key"],
        exchange=settings.exchange.model_copy(update=_exchange_in(facts)),
    )


def _exchange_in(facts: dict[str, Any]) -> dict[str, Any]:
    """The sandbox's own contracts, in place of those the settings name."""
    return {
        "liquidator": facts["contract"],
        "routers_v2": (facts["router_v2"],),
        "routers_v3": (facts["router_v3"],),
        "quoters_v3": (facts["quoter"],),
    }


def _on_chain(settings: Settings) -> Target:
    if settings.rpc_url is None or settings.pool_addresses_provider is None:
        raise ConfigError("no RPC endpoint is set", hint="--rpc URL, or try everything locally with --sandbox")
    return Target(
        rpc_url=settings.rpc_url,
        market=settings.market,
        provider=settings.pool_addresses_provider.lower(),
        chain_id=settings.chain_id,
        first_block=settings.first_block or 0,
        exchange=settings.exchange,
    )
