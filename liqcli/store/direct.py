"""The Redis client by its shortest way: what it does around a command cost twice what the command does."""

import asyncio
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import ConnectionError as Refused


class DirectPool(ConnectionPool):
    """At most `max_connections`; who finds none free waits in line, for `timeout` seconds at most."""

    def __init__(self, *, timeout: float, **options: Any) -> None:
        super().__init__(**options)
        self._timeout_s = timeout
        self._free = asyncio.Semaphore(self.max_connections)

    async def get_connection(self, *_: Any, **__: Any) -> AbstractConnection:
        """A connection that is open and silent; raises ConnectionError of the client."""
        await self._wait_for_one()
        try:
            connection: AbstractConnection = self.get_available_connection()  # type: ignore[no-untyped-call]
        except BaseException:
            self._free.release()
            raise
        try:
            await self.ensure_connection(connection)
        except BaseException:
            await self.release(connection)
            raise
        return connection

    async def release(self, connection: AbstractConnection) -> None:
        """Give one back."""
        try:
            if connection.should_reconnect():  # type: ignore[no-untyped-call]
                await connection.disconnect()
        finally:
            self._in_use_connections.remove(connection)
            self._available_connections.append(connection)
            self._free.release()

    async def _wait_for_one(self) -> None:
        if not self._free.locked():
            await self._free.acquire()  # at once: a deadline is work
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._free.acquire()
        except TimeoutError as err:
            raise Refused("No connection available.") from err


class DirectRedis(Redis):
    """One server; a command is sent once, and what becomes of it is neither retried nor recorded."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command and wait for its answer."""
        connection = await self.connection_pool.get_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.send_command(*args)
            return await self.parse_response(connection, args[0], **options)
        finally:
            await self.connection_pool.release(connection)
