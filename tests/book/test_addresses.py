"""Lists of borrowers: what was written can be read, in the forms people have them in."""

import pytest

from liqcli.book.addresses import read_addresses, write_addresses
from liqcli.errors import InputError

ONE, TWO = "0x" + "1a" * 20, "0x" + "2b" * 20


@pytest.mark.parametrize(
    "text",
    [
        f"{ONE}\n{TWO}\n",
        f"borrower\n{ONE}\n{TWO}\n",
        f"debt,Address\n5,{ONE}\n7,{TWO}\n",
        f'"account","x"\r\n"{ONE}","y"\r\n"{TWO}","z"\r\n',
        f"\ufeffuser\n{ONE}\n\n{TWO}\n{ONE}\n",
        f'"{ONE}"\n"{TWO}"\n',
        f"\n  \nborrower,x\n{ONE},1\n{TWO},2\n",
        f"# mine\nborrower\n{ONE}\n  # his\n{TWO}\n",
        f'"{ONE}\n{TWO}\n',
        f"{ONE.upper()}\n{TWO.upper()}\n",
        f'# mine\n\n{{"borrower": "{ONE}"}}\n{{"borrower": "{TWO}"}}\n',
        f'{{"borrower": "{ONE}"}}\n{{"x": 1, "id": "{TWO.upper().replace("0X", "0x")}"}}\n',
    ],
)
def test_reads_the_usual_forms(tmp_path, text):
    """CSV with or without a header, JSON lines of strings or objects; each address once, lower-case, in order."""
    path = tmp_path / "borrowers"
    path.write_text(text, encoding="utf-8")
    assert read_addresses(path) == [ONE, TWO]


@pytest.mark.parametrize("as_json", [True, False])
def test_reads_what_it_wrote(tmp_path, as_json):
    """Export and import are one another's inverse."""
    path = tmp_path / "borrowers"
    path.write_text("\n".join(write_addresses([ONE, TWO], as_json=as_json)))
    assert read_addresses(path) == [ONE, TWO]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"{ONE}\nnobody\n", 2),
        (f"borrower\n{ONE}\n\n0x12\n", 4),
        (f'{{"borrower": "{ONE}"}}\n{{"a": 1}}\n', 2),
        ("{]", 1),
        (f"{ONE}\n{'a' * 200_000}\n", 2),
        ('{"a":' + "[" * 50_000, 1),
    ],
)
def test_names_the_line_that_is_no_address(tmp_path, text, line):
    """A file with anything else in it is refused whole, and the message says where."""
    path = tmp_path / "borrowers"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"line {line}: .* is no address"):
        read_addresses(path)


def test_shows_foreign_text_safely(tmp_path):
    """Control characters of a hostile file do not reach the terminal."""
    path = tmp_path / "borrowers"
    path.write_text("\x1b[31mred\n")
    with pytest.raises(InputError) as caught:
        read_addresses(path)
    assert "\x1b" not in caught.value.message


def test_a_missing_file_is_unusable_input(tmp_path):
    """A file that is not there, or not text, is exit code 8."""
    with pytest.raises(InputError, match="cannot read"):
        read_addresses(tmp_path / "nothing.csv")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot read"):
        read_addresses(tmp_path / "binary")


@pytest.mark.parametrize("text", ["", "\n \n", "borrower\n", "# nobody yet\n"])
def test_a_file_that_names_nobody_is_refused(tmp_path, text):
    """A new book of nobody would begin at the head of the chain, and everybody in its past be missed."""
    path = tmp_path / "borrowers"
    path.write_text(text)
    with pytest.raises(InputError, match="names nobody"):
        read_addresses(path)
