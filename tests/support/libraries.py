"""The libraries tests load: built once per package and variant, whoever asks first."""

import functools
from pathlib import Path

from support.cbuild import CACHE, locked
from support.paths import GENERATED


@functools.cache
def library(package: str, variant: str = "release") -> Path:
    """Build a package of generated/ and return the path of its shared library."""
    from aerostore_codegen import build  # C tests run without what the compiler imports

    with locked(CACHE / f"library-{package}-{variant}"):
        # Release builds are the checkout's own; others lie where no package path looks.
        out = None if variant == "release" else CACHE / "lib" / variant / package
        return Path(build.build_package(GENERATED / package, out, variant=variant))
