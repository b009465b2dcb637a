"""Build hook: compile the default package into `aerostore/_lib` of the wheel.

Everything else is in pyproject.toml.  The wheel holds a shared library and so is made for one
platform, but it uses no symbol of Python and so serves every version of it.
"""

import sys
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


class BuildWithLibrary(build_py):
    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return  # a checkout finds the library of `invoke build` under build/
        sys.path[:0] = [str(ROOT / "codegen"), str(ROOT / "python")]
        from aerostore_codegen.build import build_installed

        build_installed(ROOT / "generated" / "aerostore", Path(self.build_lib) / "aerostore/_lib")


class PlatformWheel(bdist_wheel):
    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


class BinaryDistribution(Distribution):
    def has_ext_modules(self) -> bool:
        return True


setup(
    cmdclass={"build_py": BuildWithLibrary, "bdist_wheel": PlatformWheel},
    distclass=BinaryDistribution,
)
