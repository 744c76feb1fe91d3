"""Compiles the inner loops of reading a log while liqcli is installed or built.

Without a C compiler nothing is compiled (setuptools warns), and liqcli reads logs with numpy.
"""

import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import sys_tags
from setuptools import Distribution, Extension

OLDEST_PYTHON = "0x030B0000"
KERNEL = Extension(
    "liqcli.lag._kernel",
    ["liqcli/lag/kernel.c"],
    define_macros=[("Py_LIMITED_API", OLDEST_PYTHON)],
    extra_compile_args=["-O3"],
    py_limited_api=True,
    optional=True,
)


class CompileKernel(BuildHookInterface):
    """Puts the compiled module beside its source, and from there into a wheel, which is then for one platform."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  the hook's interface
        """Compile, and tell the wheel builder what came of it."""
        command = Distribution({"ext_modules": [KERNEL]}).get_command_obj("build_ext")
        with tempfile.TemporaryDirectory() as scratch:
            command.inplace, command.build_temp, command.build_lib = True, scratch, scratch
            command.ensure_finalized()
            compiled = Path(command.get_ext_filename(KERNEL.name))
            compiled.unlink(missing_ok=True)
            command.run()
        if compiled.exists():
            build_data["artifacts"].append(f"/{compiled}")
            build_data["pure_python"] = False
            build_data["tag"] = f"cp311-abi3-{next(sys_tags()).platform}"
