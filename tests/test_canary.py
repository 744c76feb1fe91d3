"""The search for the live tests' key after the whole run would find it."""

import pytest

from tests.canary import CANARY, forms, leaks_in


@pytest.mark.parametrize("form", forms(CANARY))
def test_a_leak_would_be_seen(form):
    """Each form of the key is found in the middle of other bytes, and nothing is found where there is none."""
    assert leaks_in(b"before" + form + b"after")
    assert not leaks_in(b"before" + form[:-1] + b"after")
