"""Report files: written beside their place and moved in whole, never through a link."""

import os
import secrets
import stat
from pathlib import Path

from liqcli.errors import UsageError


def write_file(path: Path, content: bytes) -> None:
    """Put `content` at `path`; a reader sees the old file or the new one, never a half. Refuses links and devices."""
    _check(path)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        _write_new(draft, content)
        draft.replace(path)
    except OSError as err:
        draft.unlink(missing_ok=True)
        raise UsageError(f"cannot write {path}: {err.strerror}", hint="give a file in a folder you may write") from err


def make_folder(path: Path) -> Path:
    """The folder, made where it is missing."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise UsageError(f"cannot make the folder {path}: {err.strerror}", hint="give another folder") from err
    return path


def _check(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as err:
        raise UsageError(f"cannot write {path}: {err.strerror}", hint="give a file in a folder you may write") from err
    if not stat.S_ISREG(mode):
        kind = "a link" if stat.S_ISLNK(mode) else "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise UsageError(f"will not write {path}: it is {kind}", hint="give the name of a plain file, new or old")


def _write_new(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
