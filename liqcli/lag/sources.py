"""Where log bytes come from: files checked and opened, compression undone, text brought to UTF-8, cut into blocks.

Whatever comes in, at most one block is held: a longer line is dropped and counted.
"""

import codecs
import glob
import io
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from liqcli.errors import InputError

STDIN = "-"
STDIN_FILENO = 0
BLOCK = 2 << 20
"""Bytes read at a time, and the longest line."""
HEAD = 1 << 16
LINE_FEED = 10
MOST_EXPANSION = 500
"""A log of lag lines shrinks 20 to 60 times; beyond this a compressed file is taken for a bomb."""
EXPANSION_FREE = 1 << 28
_ZSTD_STEP = 512
"""Packed bytes at a time: the worst of them become 16 MiB."""

GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
OTHER_MAGIC = {
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"PK\x03\x04": "zip",
    b"\x04\x22\x4d\x18": "lz4",
    b"\x7fELF": "a program",
}


class Stream(Protocol):
    """The part of a binary file that the block reader needs."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill the buffer from the start; 0 at the end."""


@dataclass(frozen=True, slots=True)
class Source:
    """One input that can be opened: `path` is None for standard input."""

    name: str
    path: Path | None
    size: int | None
    modified: float


@dataclass(frozen=True, slots=True)
class Opened:
    """An open input whose `stream` yields UTF-8, and what had to be undone to get there."""

    stream: io.BufferedReader
    file: io.BufferedReader
    compression: str | None
    encoding: str

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    @property
    def is_plain(self) -> bool:
        """Whether byte offsets of the stream are offsets in the file."""
        return self.compression is None and self.encoding == "utf-8"


def find_sources(paths: Sequence[str | Path]) -> list[Source]:
    """Resolve globs and check every file before any is read; the same file named twice is read once."""
    named = [name for path in paths for name in _expand(str(path))]
    sources: dict[tuple[int, int] | str, Source] = {}
    for name in named:
        if name == STDIN:
            sources[STDIN] = Source("stdin", None, None, 0.0)
            continue
        facts = _regular(Path(name))
        sources[facts.st_dev, facts.st_ino] = Source(name, Path(name), facts.st_size, facts.st_mtime)
    if not sources:
        raise InputError("no log file was named", hint="liq diagnose lag FILE..., or - for standard input")
    return list(sources.values())


def _expand(name: str) -> list[str]:
    if name == STDIN or not glob.has_magic(name) or Path(name).exists():
        return [name]
    found = sorted(glob.glob(name, recursive=True))  # noqa: PTH207 - the pattern may be absolute
    if not found:
        raise InputError(f"no file matches {name}", hint="quote the pattern and check the directory")
    return [path for path in found if not Path(path).is_dir()] or found


def _regular(path: Path) -> os.stat_result:
    try:
        facts = path.lstat()
    except FileNotFoundError as error:
        raise InputError(
            f"there is no file {path}", hint="check the name, or pipe the log: BOT 2>&1 | liq diagnose lag -"
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(f"cannot look at {path}: {error}") from error
    mode = facts.st_mode
    if stat.S_ISLNK(mode):
        raise InputError(f"{path} is a symbolic link", hint=f"name the file it points to: {_target(path)}")
    if stat.S_ISDIR(mode):
        raise InputError(f"{path} is a directory", hint=f"name the logs in it: '{path}/*.log'")
    if stat.S_ISFIFO(mode):
        raise InputError(f"{path} is a named pipe", hint=f"read it from standard input: liq diagnose lag - < {path}")
    if not stat.S_ISREG(mode):
        raise InputError(f"{path} is not a regular file", hint="pipe it: COMMAND | liq diagnose lag -")
    return facts


def _target(path: Path) -> Path:
    try:
        return path.readlink()
    except OSError:
        return path


@contextmanager
def opened(source: Source) -> Iterator[Opened]:
    """One input while it is read; what the system refuses is an InputError."""
    try:
        with open_source(source) as open_input:
            yield open_input
    except OSError as error:
        raise InputError(f"cannot read {source.name}: {error.strerror}", hint=f"check: ls -l {source.name}") from error


def open_source(source: Source) -> Opened:
    """Open one input and recognise compression and encoding by its first bytes, never by its name."""
    file = _open_file(source)
    try:
        return _recognise(source, file)
    except BaseException:
        file.close()
        raise


def _recognise(source: Source, file: io.BufferedReader) -> Opened:
    head = file.peek(HEAD)
    compression = "gzip" if head.startswith(GZIP) else "zstd" if head.startswith(ZSTD) else None
    for magic, kind in OTHER_MAGIC.items():
        if head.startswith(magic):
            raise InputError(f"{source.name} is {kind}, not a log", hint="unpack it: ... | liq diagnose lag -")
    stream = file
    if compression is not None:
        stream = io.BufferedReader(_Expanded(source.name, file, compression), HEAD)
        head = stream.peek(HEAD)
    encoding = _encoding(head)
    if encoding != "utf-8":
        stream = io.BufferedReader(_Recoded(stream, encoding), HEAD)
    return Opened(stream, file, compression, encoding)


def _open_file(source: Source) -> io.BufferedReader:
    if source.path is None:
        return io.BufferedReader(io.FileIO(STDIN_FILENO, closefd=False), HEAD)
    file = os.open(source.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    return io.BufferedReader(io.FileIO(file), HEAD)


def _encoding(head: bytes) -> str:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    sample = head[:4096]
    if len(sample) >= 16 and sample[1::2].count(0) > len(sample) * 0.4 and sample[::2].count(0) == 0:
        return "utf-16-le"
    if len(sample) >= 16 and sample[::2].count(0) > len(sample) * 0.4 and sample[1::2].count(0) == 0:
        return "utf-16-be"
    return "utf-8"


class _Expanded(io.RawIOBase):
    """A decompressed stream that stops at bombs and names damage."""

    def __init__(self, name: str, file: io.BufferedReader, compression: str) -> None:
        self.name = name
        self.file = file
        self.expanded = 0
        self.stream = _decompressor(file, compression)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        try:
            data = self.stream.read(len(buffer))
        except Exception as error:
            if not isinstance(error, _damage_errors()):
                raise
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


class _Recoded(io.RawIOBase):
    """A UTF-16 stream as UTF-8; broken pairs become U+FFFD."""

    def __init__(self, stream: io.BufferedReader, encoding: str) -> None:
        self.stream = stream
        self.decoder = codecs.getincrementaldecoder(encoding)("replace")
        self.ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not self.ready:
            data = self.stream.read1(HEAD)
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


@dataclass(slots=True)
class Block:
    """Whole lines in `buffer[start:end]`, each ending in a line feed; the byte before `start` is one too.

    `dropped` counts lines before these that were longer than a block; the buffer is reused for the next block.
    """

    buffer: bytearray
    start: int
    end: int
    dropped: int
    unfinished: bool


def read_blocks(stream: Stream, *, margin: int, limit: int | None = None) -> Iterator[Block]:
    """Cut a stream into blocks of whole lines in one reused buffer, reading at most `limit` bytes."""
    buffer = bytearray(margin + BLOCK + margin)
    view = memoryview(buffer)
    buffer[margin - 1] = LINE_FEED
    filled, dropping, dropped, left = margin, False, 0, sys.maxsize if limit is None else limit
    while count := stream.readinto(view[filled : min(margin + BLOCK, filled + left)]):
        left -= count
        end = buffer.rfind(b"\n", filled, filled + count) + 1
        start, filled = margin, filled + count
        if dropping and end:
            start = buffer.find(b"\n", margin, end) + 1
            dropped, dropping = dropped + 1, False
        if end > start:
            yield Block(buffer, start, end, dropped, unfinished=False)
            dropped = 0
        if end:
            buffer[margin : margin + filled - end] = buffer[end:filled]
            filled = margin + filled - end
        elif dropping or filled == margin + BLOCK:
            dropping, filled = True, margin
    yield _last_block(buffer, margin, filled, dropped, dropping=dropping)


def _last_block(buffer: bytearray, margin: int, filled: int, dropped: int, *, dropping: bool) -> Block:
    """What stands after the last line feed is a line too, if it is anything."""
    if dropping or filled == margin:
        return Block(buffer, margin, margin, dropped + dropping, unfinished=dropping)
    buffer[filled] = LINE_FEED
    return Block(buffer, margin, filled + 1, dropped, unfinished=True)
