"""Where log bytes come from: files are found, checked and opened, compression and encoding recognised."""

import codecs
import glob
import io
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from liqcli.errors import InputError
from liqcli.lag.unpack import Expanded, Recoded

STDIN = "-"
STDIN_FILENO = 0
HEAD = 1 << 16
GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
OTHER_MAGIC = {
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"PK\x03\x04": "zip",
    b"\x04\x22\x4d\x18": "lz4",
    b"\x7fELF": "a program",
}


@dataclass(frozen=True, slots=True)
class Repeat:
    """The first `size` bytes of a log, whole lines, stand in the log `of` too."""

    of: str
    size: int
    lines: int


@dataclass(frozen=True, slots=True)
class Source:
    """One input that can be opened: `path` is None for standard input."""

    name: str
    path: Path | None
    size: int | None
    modified: float
    repeat: Repeat | None = None


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
        where = "pipe the log: BOT 2>&1 | liq diagnose lag -" if source.path is None else f"check: ls -l {source.name}"
        raise InputError(f"cannot read {source.name}: {error.strerror}", hint=where) from error


def open_source(source: Source) -> Opened:
    """Open one input and recognise compression and encoding by its first bytes, never by its name."""
    file = _open_file(source)
    with ExitStack() as unless_opened:
        unless_opened.callback(file.close)
        recognised = _recognise(source, file)
        unless_opened.pop_all()
    return recognised


def skip(file: Opened, size: int) -> None:
    """Leave out the first bytes of the text."""
    if file.is_plain and size:
        file.stream.seek(size)
        return
    while size and (part := file.stream.read(min(size, HEAD))):
        size -= len(part)


def _recognise(source: Source, file: io.BufferedReader) -> Opened:
    head = file.peek(HEAD)
    compression = "gzip" if head.startswith(GZIP) else "zstd" if head.startswith(ZSTD) else None
    for magic, kind in OTHER_MAGIC.items():
        if head.startswith(magic):
            raise InputError(f"{source.name} is {kind}, not a log", hint="unpack it: ... | liq diagnose lag -")
    stream = file
    if compression is not None:
        stream = io.BufferedReader(Expanded(source.name, file, compression), HEAD)
        head = stream.peek(HEAD)
    encoding = _encoding(head)
    if encoding != "utf-8":
        stream = io.BufferedReader(Recoded(stream, encoding), HEAD)
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
