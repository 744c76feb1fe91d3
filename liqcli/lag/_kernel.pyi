# The compiled inner loops of reading a log: see kernel.c for what they say.
from collections.abc import Callable

from typing_extensions import Buffer

def survey(buffer: Buffer, begin: int, end: int, needle: bytes, other: bytes, /) -> tuple[int, bool, bytes, bytes]: ...
def match(
    buffer: Buffer,
    hits: Buffer,
    head: bytes,
    text: bytes,
    after: bytes,
    gap: int,
    literal: int,
    has_count: bool,
    clock: int,
    stamp: int,
    whole: int,
    fraction: int,
    zone_us: int,
    minute_us: Callable[[bytes], int],
    /,
) -> tuple[bytes, bytes, bytes]: ...
