"""The last reading of each borrower, shared through Redis, each with a time to live of its own.

One hash, one field a borrower. Where the server can expire fields (HSETEX: Valkey 9, Redis 8) it does; else the end of
life by the server's clock is packed into the value. A reader's own clock never counts.
"""

import struct
from collections import defaultdict
from collections.abc import Iterable, Sequence
from importlib.resources import files

from redis.exceptions import ResponseError

from liqcli.model import Address, Reading
from liqcli.store.connection import Client, answering
from liqcli.store.entries import pack_address, pack_wide, unpack_wide
from liqcli.store.shard import clock_beside, milliseconds

BATCH = 2000
_HEAD = struct.Struct("<dQQ")
_REST = struct.Struct("<QQ")
_FOREVER = struct.pack("<d", float("inf"))


class HealthCache:
    """A market's readings."""

    def __init__(self, redis: Client, *, namespace: str) -> None:
        self._redis = redis
        self._key = f"{{{namespace}:cache}}:readings".encode()
        self._clock = clock_beside(redis, f"{{{namespace}:cache}}:clock")
        self._store = redis.register_script((files("liqcli.store") / "lua" / "cache.lua").read_text())
        self._drop = redis.register_script((files("liqcli.store") / "lua" / "forget.lua").read_text())
        self._expires_fields = True

    async def get_many(self, borrowers: Sequence[Address]) -> dict[Address, Reading]:
        """The readings that are still fresh; the others are left out."""
        found: dict[Address, Reading] = {}
        for first in range(0, len(borrowers), BATCH):
            found |= await self._get(borrowers[first : first + BATCH])
        return found

    async def put_many(self, readings: Sequence[tuple[Reading, float]]) -> None:
        """Store readings, each with the seconds it stays fresh; those of no time at all are not stored."""
        fresh = [(reading, round(ttl_s * 1000)) for reading, ttl_s in readings if ttl_s >= 0.001]
        for first in range(0, len(fresh), BATCH):
            await self._put(fresh[first : first + BATCH])

    async def drop_many(self, borrowers: Iterable[Address]) -> None:
        """Forget these readings."""
        members = [pack_address(borrower) for borrower in borrowers]
        for first in range(0, len(members), BATCH):
            async with answering(self._redis):
                await self._drop(keys=[self._key], args=[b"".join(members[first : first + BATCH])])

    async def _get(self, borrowers: Sequence[Address]) -> dict[Address, Reading]:
        async with answering(self._redis):
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.execute_command(*self._clock)
            pipeline.execute_command("HMGET", self._key, *map(pack_address, borrowers))
            clock, values = await pipeline.execute()
        now_ms = milliseconds(clock)
        rows = zip(borrowers, values, strict=True)
        return {borrower: _unpack(borrower, value) for borrower, value in rows if _is_fresh(value, now_ms)}

    async def _put(self, readings: Sequence[tuple[Reading, int]]) -> None:
        if self._expires_fields and await self._put_expiring(readings):
            return
        args: list[bytes | int] = []
        for reading, ttl_ms in readings:
            args += (pack_address(reading.borrower), ttl_ms, _pack(reading))
        async with answering(self._redis):
            await self._store(keys=[self._key], args=args)

    async def _put_expiring(self, readings: Sequence[tuple[Reading, int]]) -> bool:
        """One HSETEX for each time to live; false when the server does not know the command."""
        by_ttl: dict[int, list[bytes]] = defaultdict(list)
        for reading, ttl_ms in readings:
            by_ttl[ttl_ms] += (pack_address(reading.borrower), _FOREVER + _pack(reading))
        async with answering(self._redis):
            pipeline = self._redis.pipeline(transaction=False)
            for ttl_ms, fields in by_ttl.items():
                pipeline.execute_command("HSETEX", self._key, "PX", ttl_ms, "FIELDS", len(fields) // 2, *fields)
            try:
                await pipeline.execute()
            except ResponseError as err:
                if "unknown command" not in str(err):
                    raise
                self._expires_fields = False
        return self._expires_fields


def _pack(reading: Reading) -> bytes:
    wide = (reading.health_factor, reading.collateral_base, reading.debt_base)
    return _REST.pack(reading.block, reading.at) + b"".join(map(pack_wide, wide))


def _unpack(borrower: Address, value: bytes) -> Reading:
    _, block, at = _HEAD.unpack_from(value)
    health_factor, rest = unpack_wide(value[_HEAD.size :])
    collateral_base, rest = unpack_wide(rest)
    debt_base, _ = unpack_wide(rest)
    assert health_factor is not None
    assert collateral_base is not None
    assert debt_base is not None
    return Reading(borrower, collateral_base, debt_base, health_factor, block, at)


def _is_fresh(value: bytes | None, now_ms: float) -> bool:
    if value is None or len(value) < _HEAD.size:
        return False
    ends_ms: float = _HEAD.unpack_from(value)[0]
    return ends_ms > now_ms
