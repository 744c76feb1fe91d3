import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqcli.chain.versions import version_of

FUNCTIONS = {
    (3, 0, 2): 0,
    (3, 1): 1,
    (3, 2): 2,
    (3, 3): 3,
    (3, 4): 3,
    (3, 5): 3,
    (3, 6): 4,
    (3, 7): 5,
}
REVISIONS = {1: (3, 0, 2), 2: (3, 0, 2), 3: (3, 0, 2), 4: (3, 1), 5: (3, 2), 6: (3, 2), 7: (3, 3), 8: (3, 4), 9: (3, 5)}
REVISIONS |= {10: (3, 6), 11: (3, 7)}


def probes(count):
    """The probed functions in the order of their releases: the first `count` are there."""
    return [index < count for index in range(5)]


@pytest.mark.parametrize(("revision", "version"), REVISIONS.items())
def test_official_revision_is_its_release(revision, version):
    """Each release's own revision with its own functions is that release."""
    assert version_of(revision, probes(FUNCTIONS[version])) == version


@given(st.integers(0, 2**256 - 1), st.integers(0, 5))
def test_functions_outweigh_the_revision(revision, count):
    """Whatever a fork calls its revision, the release found has exactly the functions that answered."""
    version = version_of(revision, probes(count))
    assert FUNCTIONS[version] == count
    if FUNCTIONS.get(REVISIONS.get(revision)) == count:
        assert version == REVISIONS[revision]
