"""Compressed and UTF-16 streams as plain UTF-8, in bounded memory."""

import codecs
import io
from typing import Any

from liqcli.errors import InputError

MOST_EXPANSION = 500
"""A log of lag lines shrinks 20 to 60 times; beyond this a compressed file is taken for a bomb."""
EXPANSION_FREE = 1 << 28
_ZSTD_STEP = 512
"""Packed bytes at a time: the worst of them become 16 MiB."""
_CHUNK = 1 << 16


class Expanded(io.RawIOBase):
    """A decompressed stream that stops at bombs and names damage."""

    def __init__(self, name: str, file: io.BufferedReader, compression: str) -> None:
        self.name = name
        self.file = file
        self.expanded = 0
        self.stream = _decompressor(file, compression)
        self.damage = _damage_errors()

    def readable(self) -> bool:
        """True: that is all it does."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """The next bytes of text; InputError at damage and at bombs."""
        try:
            data = self.stream.read(len(buffer))
        except self.damage as error:
            where = f"after {self.expanded:,} bytes of text"
            raise InputError(f"{self.name} is damaged {where}: {error}", hint="unpack what is left by hand") from error
        self.expanded += len(data)
        self._stop_bomb()
        buffer[: len(data)] = data
        return len(data)

    def _stop_bomb(self) -> None:
        if self.expanded > EXPANSION_FREE and self.expanded > MOST_EXPANSION * max(self.file.tell(), 1):
            raise InputError(
                f"{self.name} grows more than {MOST_EXPANSION}-fold when unpacked: no log does",
                hint="if it is one, unpack it first and pipe it: ... | liq diagnose lag -",
            )


class _Zstd:
    """Frames one after the other; unlike the library's own reader it tells a frame that is cut off."""

    def __init__(self, file: io.BufferedReader) -> None:
        import zstandard

        self.file = file
        self.begin = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj
        self.frame = self.begin()
        self.ready = memoryview(b"")
        self.is_inside = False

    def read(self, size: int) -> memoryview:
        """At most `size` bytes; empty at the end."""
        while not self.ready:
            packed = self.file.read(_ZSTD_STEP)
            if not packed:
                if self.is_inside:
                    raise EOFError("its last frame is cut off")
                break
            self.ready = memoryview(self._expand(packed))
        part, self.ready = self.ready[:size], self.ready[size:]
        return part

    def _expand(self, packed: bytes) -> bytes:
        parts = []
        while packed:
            parts.append(self.frame.decompress(packed))
            self.is_inside = not self.frame.eof
            packed = self.frame.unused_data
            if self.frame.eof:
                self.frame = self.begin()
        return b"".join(parts)


class Recoded(io.RawIOBase):
    """A UTF-16 stream as UTF-8; broken pairs become U+FFFD."""

    def __init__(self, stream: io.BufferedReader, encoding: str) -> None:
        self.stream = stream
        self.decoder = codecs.getincrementaldecoder(encoding)("replace")
        self.ready = b""

    def readable(self) -> bool:
        """True: that is all it does."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """The next bytes of UTF-8."""
        while not self.ready:
            data = self.stream.read1(_CHUNK)
            self.ready = self.decoder.decode(data, final=not data).encode("utf-8", "replace")
            if not data:
                break
        part, self.ready = self.ready[: len(buffer)], self.ready[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


def _decompressor(file: io.BufferedReader, compression: str) -> Any:
    if compression == "gzip":
        from isal import igzip

        return igzip.IGzipFile(  # type: ignore[no-untyped-call]
            fileobj=file, mode="rb"
        )
    return _Zstd(file)


def _damage_errors() -> tuple[Any, ...]:
    import zlib

    import zstandard
    from isal import isal_zlib

    return (EOFError, OSError, zlib.error, isal_zlib.error, zstandard.ZstdError)
