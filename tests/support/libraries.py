"""The libraries tests load: built once per package and variant, whoever asks first."""

import functools
from pathlib import Path

from support import coverage
from support.cbuild import CACHE, locked
from support.paths import BUILD, GENERATED


@functools.cache
def library(package: str, variant: str = "release") -> Path:
    """Build a package of generated/ and return the path of its shared library."""
    from aerostore_codegen import build  # C tests run without what the compiler imports

    with locked(CACHE / f"library-{package}-{variant}"):
        if coverage.FOLDER and variant == "release":
            # ... where everybody looks; the next `invoke build` puts the usual one back.
            variant = "coverage"
            build.build_package(GENERATED / package, BUILD / package, variant=variant)
        # Release builds are the checkout's own; others lie where no package path looks.
        out = None if variant == "release" else CACHE / "lib" / variant / package
        return Path(build.build_package(GENERATED / package, out, variant=variant))
