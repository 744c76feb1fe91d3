"""`liq book` as a user runs it, on a sandbox that it attaches to."""

import json

import pytest


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """A place with a sandbox that is up, and nothing else."""
    from tests.cli.conftest import Place

    place = Place(tmp_path_factory.mktemp("quiet"))
    with place.start("sandbox", "up") as process:
        for line in process.stdout:
            if "RPC" in line or "rpc" in line:
                break
        yield place
        process.terminate()
        process.communicate(timeout=20)


def test_audit_all_is_exact(quiet):
    """Every account of a market that changes all the time equals the pool's word, and the exit code is 0."""
    done = quiet.liq("book", "audit", "--all", "--sandbox", "--json")
    assert done.code == 0, done.err
    assert done.json["mismatches"] == []
    assert done.json["unknown"] == []
    assert done.json["checked"] >= 200
    assert done.json["block"] > 0


def test_audit_of_a_sample_says_how_many(quiet):
    """A sample is as large as asked for."""
    done = quiet.liq("book", "audit", "--sample", "7", "--sandbox")
    assert done.code == 0, done.err
    assert "7 accounts compared, all exact" in done.out


def test_export_goes_back_in(quiet, tmp_path):
    """What is exported can be imported; who is known already is not new."""
    exported = quiet.liq("book", "export", "--sandbox", "--jsonl")
    lines = [json.loads(line)["borrower"] for line in exported.out.splitlines()]
    assert len(lines) >= 200
    file = tmp_path / "borrowers.jsonl"
    file.write_text(exported.out)
    done = quiet.liq("book", "import", str(file), "--sandbox", "--json")
    assert done.code == 0, done.err
    assert (done.json["read"], done.json["new"], done.json["unknown"]) == (len(lines), 0, 0)


def test_a_new_book_of_some_says_that_it_does_not_know_the_others(quiet, tmp_path):
    """Imported where there is no book yet, a list is all that is known: that is told, and one that is there grows."""
    assert quiet.liq("book", "export", "--sandbox").code == 0
    (checkpoint,) = (quiet.directory / "data" / "book").glob("*.book")
    whole, first = checkpoint.read_bytes(), quiet.liq("book", "export", "--sandbox").out.split()[1]
    checkpoint.unlink()
    file = tmp_path / "one.csv"
    file.write_text(f"{first}\n")
    try:
        new, known = (quiet.liq("book", "import", str(file), "--sandbox") for _ in range(2))
    finally:
        checkpoint.write_bytes(whole)
    assert "a new book from block" in new.err
    assert "1 of them new" in new.err
    assert "a new book" not in known.err


def test_a_torn_checkpoint_is_told_and_rebuilt(quiet):
    """A damaged checkpoint does not stop an audit: it is named, set aside, and the book comes from the chain."""
    assert quiet.liq("book", "export", "--sandbox").code == 0
    (checkpoint,) = (quiet.directory / "data" / "book").glob("*.book")
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    done = quiet.liq("book", "audit", "--sandbox")
    assert done.code == 0, done.err
    assert "is torn" in done.err
    assert "all exact" in done.out


def test_import_of_anything_else_is_refused(place, tmp_path):
    """A file without addresses is unusable input: exit code 8, before any node is asked."""
    file = tmp_path / "words.csv"
    file.write_text("hello\nworld\n")
    done = place.liq("book", "import", str(file), "--sandbox")
    assert done.code == 8
    assert "is no address" in done.err
