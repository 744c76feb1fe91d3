"""The one way functions are compiled here: by numba, ahead of their first call, kept on disk for the next start."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
from numba import types
from numba.extending import intrinsic

from liqcli.place import data_directory

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile to machine code; a division by zero gives inf or nan, as in numpy, and products may be fused into sums.

    Nothing else of IEEE 754 is given up: nan stays nan, because here it means unknown. Arrays belong to the caller and
    none can be made, and what is called becomes part of the caller: to count references and to hand arrays over takes
    two thirds of the time where functions call functions. The code is kept beside the source or in the user's cache;
    where neither can be written in the data directory, and else it is not kept.
    """
    try:
        return _jit(function, cache=True)
    except RuntimeError:  # numba found no place of its own to write to
        numba.config.CACHE_DIR = str(data_directory() / "compiled")  # type: ignore[attr-defined]  # made at run time
    try:
        return _jit(function, cache=True)
    except RuntimeError:
        return _jit(function, cache=False)


def _octet(_: Any, raw: Any, at: Any) -> Any:  # noqa: ARG001 - numba passes the type of each argument
    """How numba is told to write what its Python has no word for."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        kind = context.get_value_type(types.uint64).as_pointer()
        return builder.load(builder.bitcast(builder.gep(array.data, [arguments[1]]), kind), align=1)

    return types.uint64(raw, types.int64), generate


octet = cast("Callable[[npt.NDArray[np.uint8], int], np.uint64]", intrinsic(_octet))
"""The eight bytes of an array from a place on, as one number, the first lowest; for compiled code, without bounds."""


def _jit(function: Callable[P, R], *, cache: bool) -> Callable[P, R]:
    options: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}, "nogil": True, "_nrt": False}
    compile_: Callable[..., Any] = numba.njit(cache=cache, forceinline=True, **options)
    return cast("Callable[P, R]", compile_(function))
