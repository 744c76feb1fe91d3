"""Logs are read by the compiled loops, or by numpy where these could not be compiled: both must say the same."""

import shutil

import pytest

from liqcli.lag import scout, shapes, survey
from liqcli.lag.search import kernel

READERS = ["numpy", "compiled"] if kernel is not None or shutil.which("cc") else ["numpy"]


@pytest.fixture(scope="module", params=READERS)
def reader(request):
    """What reads the logs of a module's tests."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "numpy":
            for module in (scout, shapes, survey):
                patch.setattr(module, "kernel", None)
        else:
            assert kernel is not None, "there is a C compiler, but nothing was compiled: make setup"
        yield request.param
