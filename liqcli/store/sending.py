"""Connections to Redis that send at little cost and can be cancelled at it; the client's own cannot before 3.12."""

import asyncio
from collections.abc import Iterable
from typing import Any

from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.connection import HiredisRespSerializer
from redis.exceptions import ConnectionError as Refused
from redis.exceptions import TimeoutError as TimedOut

_PACKER = HiredisRespSerializer()


class _Cancellable(AbstractConnection):
    """Sends under a deadline that lets a cancellation through.

    The client waits with `asyncio.wait_for`, which up to Python 3.11 drops a cancellation that comes as the send ends:
    the task goes on, and who waits for its end waits for ever. It also makes a task of each send.
    """

    async def connect(self) -> None:
        """Connect, unless it is; the pool asks before each command."""
        if not self.is_connected:
            await super().connect()  # type: ignore[no-untyped-call]

    def pack_command(self, *args: Any) -> list[bytes]:
        """A command in the protocol, by C."""
        packed: list[bytes] = _PACKER.pack(*args)
        return packed

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        """Send what `pack_command` made; raises TimeoutError or ConnectionError of the client, disconnected."""
        if not self.is_connected:
            await self.connect_check_health(check_health=False)
        if check_health:
            await self.check_health()  # type: ignore[no-untyped-call]
        if isinstance(command, str):
            command = command.encode()
        parts = [command] if isinstance(command, bytes) else command
        try:
            assert self._writer is not None
            self._writer.writelines(parts)
            if _flows(self._writer.transport):
                return  # no wait, and no deadline either: making one costs as much as sending
            async with asyncio.timeout(self.socket_timeout):
                await self._writer.drain()
        except BaseException as err:  # half a command may be on its way: this connection is of no use any more
            await self.disconnect(nowait=True)
            if isinstance(err, TimeoutError):
                raise TimedOut("Timeout writing to socket") from None
            if isinstance(err, OSError):
                raise Refused(f"Error while writing to socket: {err}") from err
            raise


class _Plain(_Cancellable, Connection):
    pass


class _Secured(_Cancellable, SSLConnection):
    pass


class _Local(_Cancellable, UnixDomainSocketConnection):
    pass


CANCELLABLE: dict[type[AbstractConnection], Any] = {
    Connection: _Plain,
    SSLConnection: _Secured,
    UnixDomainSocketConnection: _Local,
}
"""For each of the client's classes the one that behaves."""


def _flows(transport: asyncio.WriteTransport) -> bool:
    """Whether it has sent what was written, or will by itself."""
    limit = transport.get_write_buffer_limits()[1]
    return not transport.is_closing() and transport.get_write_buffer_size() <= limit
