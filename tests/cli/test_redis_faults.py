"""Redis in trouble under a real `liq run --sandbox --redis URL`: it says so, goes on from the book, and heals."""

import asyncio
import json
import signal
import threading
import time
from dataclasses import dataclass, field

import pytest
from redis import Redis

from liqcli.sandbox.valkey import Valkey, start_valkey

WAIT_S = 60


@dataclass
class Bot:
    """A running bot, the lines it has printed, and the Redis it uses."""

    process: object
    directory: object
    valkey: Valkey
    place: object
    lines: list[str] = field(default_factory=list)
    document: list[str] = field(default_factory=list)
    readers: list[threading.Thread] = field(default_factory=list)

    def read(self):
        """Read both streams to their ends, each in a thread of its own, from now on."""
        streams = ((self.process.stderr, self.lines), (self.process.stdout, self.document))
        for stream, kept in streams:
            reader = threading.Thread(target=_read_all, args=(stream, kept), daemon=True)
            reader.start()
            self.readers.append(reader)

    def finish(self):
        """Wait for the process and for the last it has said."""
        self.process.wait(60)
        for reader in self.readers:
            reader.join(60)

    @property
    def redis(self):
        """A client of the same server."""
        return Redis.from_url(self.valkey.url, socket_timeout=5)

    def key(self, name):
        """One of the queue's keys."""
        facts = json.loads((self.place.directory / "data" / "run.json").read_text())
        return f"{{{facts['namespace']}:s0}}:{name}"

    def start_redis(self):
        """Start the server on its directory again."""
        self.valkey = asyncio.run(start_valkey(self.directory, persist=False))

    def says(self, word, *, since=0):
        """Wait until a line with this word comes, and return the number of lines until then."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            for number, line in enumerate(list(self.lines[since:]), start=since + 1):
                if word in line:
                    return number
            assert self.process.poll() is None, "".join([*self.lines[-15:], *self.document])
            time.sleep(0.05)
        raise AssertionError(f"{word!r} never came:\n" + "".join(self.lines[-15:]))

    def works(self):
        """Wait until the queue's own counters move: claims are handed out and finished again."""
        with self.redis as redis:
            before = int(redis.hget(self.key("meta"), "done") or 0)
            deadline = time.monotonic() + WAIT_S
            while int(redis.hget(self.key("meta"), "done") or 0) <= before:
                assert self.process.poll() is None, "".join(self.lines[-15:])
                assert time.monotonic() < deadline, "the queue is not worked off:\n" + "".join(self.lines[-15:])
                time.sleep(0.1)

    def end(self):
        """Stop in order and return the summary."""
        self.process.send_signal(signal.SIGTERM)
        self.finish()
        return json.loads("".join(self.document))


def _read_all(stream, kept):
    with stream:
        kept.extend(iter(stream.readline, ""))


@pytest.fixture
def bot(place, tmp_path):
    """A bot that is READY on a Redis of its own."""
    directory = tmp_path / "shared"
    valkey = asyncio.run(start_valkey(directory, persist=False))
    process = place.start("run", "--sandbox", "--redis", valkey.url, "--json")
    found = Bot(process, directory, valkey, place)
    found.read()
    try:
        found.says(" READY ")
        yield found
    finally:
        process.kill()
        found.finish()
        asyncio.run(found.valkey.stop())


def healthy(summary):
    """The run lost no event."""
    return summary["events"]["lost"] == 0 and summary["events"]["received"] == summary["events"]["applied"]


def test_redis_killed_and_restarted_empty(bot):
    """While it is away the bot plans from its book; afterwards it says so, the queue fills and is worked off again."""
    bot.valkey.process.kill()
    since = bot.says("Redis is not answering")
    since = bot.says(" plan ", since=since)
    bot.start_redis()
    since = bot.says("Redis answers again", since=since)
    bot.works()
    bot.says(" won ", since=since)
    assert healthy(bot.end())


def test_redis_emptied(bot):
    """FLUSHALL under way costs nothing: sweeps fill it again."""
    with bot.redis as redis:
        redis.flushall()
        redis.script_flush()
    bot.works()
    assert healthy(bot.end())


def test_redis_hung(bot):
    """A stopped server is said within its deadline, does not stop the plans, and is used again when it goes on.

    Sends stop when the lease on the key can no longer be proved; with the server they go on.
    """
    bot.valkey.process.popen.send_signal(signal.SIGSTOP)
    since = bot.says("no reply in time")
    since = bot.says(" plan ", since=since)
    bot.valkey.process.popen.send_signal(signal.SIGCONT)
    bot.works()
    bot.says(" won ", since=since)
    assert healthy(bot.end())


def test_redis_out_of_memory(bot):
    """Writes are refused: said, worked around, and over when there is memory again."""
    with bot.redis as redis:
        redis.config_set("maxmemory", "1mb")
        since = bot.says("out of memory")
        since = bot.says(" plan ", since=since)
        redis.config_set("maxmemory", "0")
    bot.works()
    bot.says(" won ", since=since)
    assert healthy(bot.end())


def test_wrong_type_at_the_key(bot):
    """Another program's value at our key is said and left alone; once it is gone the queue works again."""
    key = bot.key("queue")
    with bot.redis as redis:
        redis.delete(key)
        redis.set(key, "foreign")
        bot.says("another type")
        time.sleep(2)
        assert redis.get(key) == b"foreign"
        redis.delete(key)
    bot.works()
    assert healthy(bot.end())
