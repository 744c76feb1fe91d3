"""Reaching Redis, and saying so when it cannot be reached."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop
from redis.asyncio import Redis

from liqcli.errors import ConfigError, LiqError, SecretError, Unreachable, WrongTarget
from liqcli.sandbox.process import free_port
from liqcli.sandbox.valkey import Valkey
from liqcli.store.connection import CONNECTIONS, answering, open_redis


async def test_nobody_there() -> None:
    """A refused connection is one line, a hint and exit code 4, at once; the password is not in it."""
    port = free_port()
    started = time.monotonic()
    with pytest.raises(Unreachable) as caught:
        await open_redis(f"redis://bot:hunter2@127.0.0.1:{port}/3", timeout_s=1.0)
    assert time.monotonic() - started < 0.5
    assert caught.value.message == f"Redis is not answering at redis://127.0.0.1:{port}/3 (connection refused)"
    assert "--redis URL" in caught.value.hint
    assert caught.value.exit_code == 4


async def test_no_socket(tmp_path: Path) -> None:
    """A missing socket file is named."""
    with pytest.raises(Unreachable, match="no such file"):
        await open_redis(f"unix://{tmp_path}/none.sock", timeout_s=1.0)


async def test_a_port_that_never_answers() -> None:
    """A listener that says nothing costs one deadline."""

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    started = time.monotonic()
    with pytest.raises(Unreachable, match="no reply in time"):
        await open_redis(f"redis://127.0.0.1:{port}", timeout_s=0.3)
    assert time.monotonic() - started < 0.9
    server.close()
    await server.wait_closed()


async def test_a_server_that_is_not_redis() -> None:
    """An HTTP server at the port is an error, not a crash."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(LiqError, match=f"127.0.0.1:{port}"):
        await open_redis(f"redis://127.0.0.1:{port}", timeout_s=1.0)
    server.close()
    await server.wait_closed()


async def test_a_wrong_password(valkey: Valkey, redis: Redis) -> None:
    """A refused password is exit code 6 and is not repeated."""
    await redis.config_set("requirepass", "right-one")
    try:
        for url in (valkey.url, f"{valkey.url}?password=wrong-one"):
            with pytest.raises(SecretError) as caught:
                await open_redis(url, timeout_s=1.0)
            assert "wrong-one" not in caught.value.message + caught.value.hint
    finally:
        await redis.config_set("requirepass", "")


@pytest.mark.parametrize("url", ["localhost:6379", "http://localhost", "redis://localhost/x:y", "redis://h:port"])
async def test_a_url_that_is_none(url: str) -> None:
    """What cannot be a Redis URL is a configuration error."""
    with pytest.raises((ConfigError, Unreachable)):
        await open_redis(url, timeout_s=0.5)


async def test_more_tasks_than_connections(redis: Redis) -> None:
    """Five hundred commands at once wait their turn instead of failing."""
    assert len(await asyncio.gather(*(redis.incr("counter") for _ in range(500)))) == 500


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis://127.0.0.1:1/0?nonsense=1", "no 'nonsense'"),
        ("redis://127.0.0.1:1/0?socket_timeout=soon", "Invalid value for 'socket_timeout'"),
        ("redis://:hunter/2@127.0.0.1:1/0", "is not a Redis URL"),
        ("redis://:hunter2@127.0.0.1:port/0", "is not a Redis URL"),
    ],
)
async def test_a_url_that_cannot_be_used_is_told_without_its_password(url: str, why: str) -> None:
    """An unknown or wrong part of the query is named; what might be a password is not."""
    with pytest.raises(ConfigError, match=why) as caught:
        await open_redis(url, timeout_s=0.5)
    assert "hunter" not in caught.value.message


@pytest.mark.parametrize("new_loop", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_a_server_that_closes_between_two_commands_is_unreachable(
    valkey: Valkey, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """What is written to a socket that has just been closed fails as an outage on either loop, not as a bug."""

    async def write_too_late() -> None:
        redis = await open_redis(valkey.url, timeout_s=1.0)
        assert isinstance(redis, Redis)
        connection = await redis.connection_pool.get_connection()
        connection._writer.transport.abort()
        await asyncio.sleep(0)
        try:
            with pytest.raises(Unreachable, match="Redis is not answering"):
                async with answering(redis):
                    await connection.send_packed_command(b"PING\r\n", check_health=False)
        finally:
            await redis.aclose()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(write_too_late())


async def test_a_database_that_the_server_has_not(valkey: Valkey) -> None:
    """The error names the database, and the hint says which there are."""
    with pytest.raises(WrongTarget, match="no such database") as caught:
        await open_redis(f"{valkey.url}?db=999", timeout_s=1.0)
    assert "0 to 15" in caught.value.hint


async def test_no_connection_becomes_free(valkey: Valkey) -> None:
    """Who waits in vain for a connection is told so at the deadline, and the next command goes through again."""
    redis = await open_redis(valkey.url, timeout_s=0.2)
    assert isinstance(redis, Redis)
    taken = [await redis.connection_pool.get_connection() for _ in range(CONNECTIONS)]
    with pytest.raises(Unreachable, match="no connection available"):
        async with answering(redis):
            await redis.ping()
    for connection in taken:
        await redis.connection_pool.release(connection)
    assert await asyncio.gather(*(redis.ping() for _ in range(2 * CONNECTIONS)))
    await redis.aclose()


async def test_a_bug_stays_a_bug(redis: Redis) -> None:
    """A RuntimeError of ours is not taken for an outage."""
    with pytest.raises(RuntimeError, match="ours"):
        async with answering(redis):
            raise RuntimeError("ours")


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_cancelled_command_is_cancelled(valkey: Valkey, loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Whenever the cancellation comes, a command that has not answered yet ends by it: no task lives on."""

    async def outlived() -> list[int]:
        client = await open_redis(valkey.url, timeout_s=1.0)
        found = []
        for turns in range(40):
            await client.ping()  # the connection is made
            command = asyncio.create_task(client.ping())
            for _ in range(turns):
                await asyncio.sleep(0)
            if command.cancel():
                await asyncio.wait([command])
                found += [] if command.cancelled() else [turns]
        await client.aclose()
        return found

    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(outlived()) == []
