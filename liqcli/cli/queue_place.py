"""Where the queue is: the options that every `liq queue` command takes, and the way from them to the queue."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from liqcli.cli import options
from liqcli.cli.addresses import Shortened
from liqcli.config import Settings
from liqcli.model import Address

if TYPE_CHECKING:
    from liqcli.store.queue import BorrowerQueue

T = TypeVar("T")
_FIRST = "place"

Borrower = Annotated[
    str, typer.Argument(metavar="ADDR", help="The borrower's address, also shortened.", show_default=False)
]


@dataclass(frozen=True, slots=True)
class Place:
    """The queue that the settings, a running bot or the sandbox lead to."""

    settings: Settings
    sandbox: bool

    def ask(self, ask: Callable[["BorrowerQueue"], Awaitable[T]]) -> T:
        """What `ask` makes of the queue."""
        return asyncio.run(self._ask(ask))

    async def _ask(self, ask: Callable[["BorrowerQueue"], Awaitable[T]]) -> T:
        from liqcli.cli.connect import find_queue, open_store

        async with AsyncExitStack() as stack:
            redis_url, namespace = await find_queue(stack, self.settings, sandbox=self.sandbox)
            queue, _ = await open_store(stack, self.settings, redis_url, namespace)
            return await ask(queue)


async def whole(queue: "BorrowerQueue", wanted: Address | Shortened) -> Address:
    """The whole address; a shortened one is looked for in the queue."""
    if not isinstance(wanted, Shortened):
        return wanted
    queued = {item.borrower async for item in queue.export()}
    return wanted.among(queued, place="the queue")


def queue_command(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that lead to a queue; it gets the Place they come to as its `place`."""

    @wraps(command)
    def placed(**given: Any) -> None:
        sandbox = given.pop("sandbox")
        connection = {name: given.pop(name) for name in ("network", "market", "redis", "config")}
        command(Place(options.settings_from(**connection), sandbox), **given)

    own = inspect.signature(command).parameters.values()
    shared = inspect.signature(_connection).parameters.values()
    parameters = [parameter for parameter in (*own, *shared) if parameter.name != _FIRST]
    placed.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # Typer reads the options there
    placed.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return placed


def _connection(
    *,
    network: options.Network = None,
    market: options.MarketName = None,
    redis: options.RedisUrl = None,
    config: options.ConfigFile = None,
    sandbox: options.Sandbox = False,
) -> None:
    """Have a signature: the options that all commands of the queue share."""
