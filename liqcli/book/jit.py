"""The one way functions are compiled here: by numba, ahead of their first call, kept on disk for the next start."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile to machine code; a division by zero gives inf or nan, as in numpy, and products may be fused into sums.

    Nothing else of IEEE 754 is given up: nan stays nan, because here it means unknown.
    """
    compile_: Callable[..., Any] = numba.njit(cache=True, error_model="numpy", fastmath={"contract"}, nogil=True)
    return cast("Callable[P, R]", compile_(function))
