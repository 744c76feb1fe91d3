"""One shard of the queue: the keys of one hash slot, and the Lua scripts that work on them."""

import hashlib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any

from redis.asyncio.cluster import RedisCluster
from redis.exceptions import NoScriptError

from liqcli.store.connection import Client, answering
from liqcli.store.entries import QueueItem, State, is_ours, place, unpack_item

# Each script is `head.lua` and the parts named here, in order.
_SCRIPTS = {
    "push": ("push", "common", "merge"),
    "claim": ("common", "claim"),
    "done": ("common", "held", "done"),
    "renew": ("common", "held", "renew"),
    "retry": ("common", "held", "retry"),
    "release": ("common", "held", "release"),
    "mend": ("common", "mend"),
    "load": ("common", "load"),
}
_KEYS = ("queue", "info", "dirty", "reason", "meta", "wait0", "wait1")


class Shard:
    """The keys `{tag}:name`; knows bytes and scripts, not the other shards."""

    def __init__(self, redis: Client, tag: str) -> None:
        self.redis = redis
        self.clock = clock_beside(redis, f"{{{tag}}}:clock")
        self.keys = {name: f"{{{tag}}}:{name}".encode() for name in _KEYS}
        self._counted_keys: tuple[bytes | str | float, ...] = (len(self.keys), *self.keys.values())

    async def run(self, script: str, args: Iterable[bytes | str | float]) -> Any:
        """Run one script on all keys of the shard; the client's own Script object costs a third more a call."""
        operands: tuple[bytes | str | float, ...] = (*self._counted_keys, *args)
        async with answering(self.redis):
            try:
                return await self.redis.execute_command("EVALSHA", _digest(script), *operands)
            except NoScriptError:  # EVAL makes a fresh server know it
                return await self.redis.execute_command("EVAL", _source(script), *operands)

    async def ask(self, *commands: tuple[Any, ...]) -> list[Any]:
        """Several reading commands in one round trip."""
        async with answering(self.redis):
            pipeline = self.redis.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)
            replies: list[Any] = await pipeline.execute()
            return replies

    async def page(self, state: State, first: int, count: int) -> list[bytes]:
        """Members in a state, most urgent (or earliest) first."""
        [members] = await self.ask(("ZRANGEBYSCORE", self.keys["queue"], *place(state), "LIMIT", first, count))
        return list(members)

    async def items(self, members: list[bytes]) -> list[QueueItem]:
        """What is known of these members; those gone meanwhile are left out."""
        if not members:
            return []
        clock, values, failures, scores = await self.ask(
            self.clock,
            ("HMGET", self.keys["info"], *members),
            ("HMGET", self.keys["reason"], *members),
            ("ZMSCORE", self.keys["queue"], *members),
        )
        now_ms = milliseconds(clock)
        rows = zip(members, values, scores, failures, strict=True)
        return [
            unpack_item(member, value, score, now_ms, why)
            for member, value, score, why in rows
            if is_ours(value) and score is not None
        ]


def clock_beside(redis: Client, key: str) -> tuple[str | int, ...]:
    """The command that asks the server that holds a key for its time: in a cluster each node has its own."""
    return ("EVAL", "return redis.call('TIME')", 1, key) if isinstance(redis, RedisCluster) else ("TIME",)


def milliseconds(clock: list[Any]) -> float:
    """The answer of the TIME command in milliseconds."""
    return int(clock[0]) * 1000 + int(clock[1]) / 1000


@cache
def _source(script: str) -> str:
    folder = files("liqcli.store") / "lua"
    return "\n".join((folder / f"{part}.lua").read_text() for part in ("head", *_SCRIPTS[script]))


@cache
def _digest(script: str) -> str:
    return hashlib.sha1(_source(script).encode(), usedforsecurity=False).hexdigest()
