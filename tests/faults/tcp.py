"""A TCP proxy in front of a real server that can fail in the ways of a network."""

import asyncio
import socket
import struct
from contextlib import asynccontextmanager, suppress

CHUNK = 65536
ABORT = struct.pack("ii", 1, 0)


class TcpProxy:
    """Passes bytes on; `fault` may be set while connections stand: each one begun afterwards meets it.

    refuse: nobody listens; blackhole: accepted and never answered; reset: RST on the first byte; cut: the answer ends
    after `bytes_through`; slow: each chunk of the answer waits `delay_s`.
    """

    def __init__(self, host, port):
        self.upstream = (host, port)
        self.fault = ""
        self.bytes_through = 20
        self.delay_s = 0.2
        self.accepted = 0
        self._tasks = set()
        self._server = None
        self.port = 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    async def start(self):
        """Listen, on the same port each time."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self):
        """Stop listening and break every connection."""
        self._server.close()
        await self.break_all()

    async def break_all(self):
        """Break every connection that stands."""
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def set(self, fault):
        """Begin a fault, or end it with an empty name; connections that stand are broken."""
        if self.fault == "refuse":
            await self.start()
        self.fault = fault
        await self.break_all()
        if fault == "refuse":
            await self.stop()

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        self.accepted += 1
        try:
            with suppress(ConnectionError):
                await self._pass_on(reader, writer)
        except asyncio.CancelledError:
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _pass_on(self, reader, writer):
        if self.fault == "refuse":
            return
        if self.fault == "blackhole":
            while await reader.read(CHUNK):
                pass
            return
        if self.fault == "reset":
            await reader.read(1)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
            writer.transport.abort()
            return
        from_server, to_server = await asyncio.open_connection(*self.upstream)
        try:
            async with asyncio.TaskGroup() as tasks:
                answer = tasks.create_task(self._copy(from_server, writer, spoil=True))
                request = tasks.create_task(self._copy(reader, to_server, spoil=False))
                await asyncio.wait([answer, request], return_when=asyncio.FIRST_COMPLETED)
                answer.cancel()
                request.cancel()
        finally:
            to_server.close()

    async def _copy(self, reader, writer, *, spoil):
        left = self.bytes_through
        with suppress(ConnectionError):
            while chunk := await reader.read(CHUNK):
                if spoil and self.fault == "slow":
                    await asyncio.sleep(self.delay_s)
                if spoil and self.fault == "cut":
                    chunk, left = chunk[:left], left - len(chunk)
                writer.write(chunk)
                await writer.drain()
                if left <= 0:
                    return


@asynccontextmanager
async def tcp_proxy(url):
    """A proxy in front of an http:// or ws:// URL."""
    host, port = url.split("//")[1].split("/")[0].split(":")
    proxy = TcpProxy(host, int(port))
    await proxy.start()
    yield proxy
    if proxy.fault != "refuse":
        await proxy.stop()
