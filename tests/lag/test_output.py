"""Report files: whole or not at all, and never through a link."""

import os
import stat

import pytest

from liqcli.errors import UsageError
from liqcli.lag.output import make_folder, write_file


def test_a_file_is_replaced_whole(tmp_path):
    """The new content, no draft left beside it, and readable as the umask allows."""
    path = tmp_path / "report.html"
    path.write_text("old and much longer")

    write_file(path, b"new")

    assert path.read_bytes() == b"new"
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


def test_a_link_is_not_followed(tmp_path):
    """Somebody's file behind a link stays as it was."""
    theirs = tmp_path / "theirs"
    theirs.write_text("precious")
    link = tmp_path / "report.html"
    link.symlink_to(theirs)

    with pytest.raises(UsageError, match="it is a link"):
        write_file(link, b"new")

    assert theirs.read_text() == "precious"


def test_a_dangling_link_is_not_followed_either(tmp_path):
    """Nothing is created where it points."""
    link = tmp_path / "report.html"
    link.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(UsageError, match="it is a link"):
        write_file(link, b"new")

    assert not (tmp_path / "elsewhere").exists()


def test_pipes_and_folders_are_refused(tmp_path):
    """Only plain files are written."""
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(UsageError, match="not a regular file"):
        write_file(tmp_path / "pipe", b"new")
    with pytest.raises(UsageError, match="a folder"):
        write_file(tmp_path, b"new")


def test_a_missing_folder_is_named(tmp_path):
    """The message says which file, and leaves nothing behind."""
    with pytest.raises(UsageError, match=r"cannot write .*nowhere/report.html: No such file"):
        write_file(tmp_path / "nowhere" / "report.html", b"new")


def test_a_folder_under_a_file_cannot_be_made(tmp_path):
    """--charts FILE/x is a usage error, not a traceback."""
    (tmp_path / "file").touch()

    with pytest.raises(UsageError, match="cannot make the folder"):
        make_folder(tmp_path / "file" / "charts")
