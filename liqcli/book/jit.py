"""The one way functions are compiled here: by numba, ahead of their first call, kept on disk for the next start."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numba

from liqcli.place import data_directory

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile to machine code; a division by zero gives inf or nan, as in numpy, and products may be fused into sums.

    Nothing else of IEEE 754 is given up: nan stays nan, because here it means unknown. The code is kept beside the
    source or in the user's cache; where neither can be written in the data directory, and else it is not kept.
    """
    try:
        return _jit(function, cache=True)
    except RuntimeError:  # numba found no place of its own to write to
        numba.config.CACHE_DIR = str(data_directory() / "compiled")  # type: ignore[attr-defined]  # made at run time
    try:
        return _jit(function, cache=True)
    except RuntimeError:
        return _jit(function, cache=False)


def _jit(function: Callable[P, R], *, cache: bool) -> Callable[P, R]:
    compile_: Callable[..., Any] = numba.njit(cache=cache, error_model="numpy", fastmath={"contract"}, nogil=True)
    return cast("Callable[P, R]", compile_(function))
