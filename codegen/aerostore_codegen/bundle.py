"""Write a bundle: generated C, the engine, the Tcl door and a Makefile, for people's own builds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import jinja2

from .build import DAEMON, daemon_dir, engine_dir, tcl_dir, tcl_index
from .toolchain import LINK_FLAGS, VARIANTS, WARNINGS
from .write import ForeignFileError, refuse_foreign, write_file, write_files

_SOURCES = ("*.c", "*.h", "*.def")


def write_bundle(output: Path, package: str, version: str, files: Mapping[str, str]) -> Path:
    """Write everything `make` needs to build a package without Python.

    Args:
        output: Folder to write to.
        package: Name of the package.
        version: Its version.
        files: The generated files by name.

    Returns:
        The Makefile.
    """
    for name in ("Makefile", "pkgIndex.tcl"):
        refuse_foreign(output / name)
    write_files(output, files)
    sources = _mirror(engine_dir(), output / "engine")
    sources += _mirror(tcl_dir() / "generic", output / "tcl")
    _mirror(daemon_dir(), output / "daemon")
    write_file(output / "pkgIndex.tcl", tcl_index(package, version))
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("aerostore_codegen"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 (a Makefile, not HTML)
    )
    makefile = output / "Makefile"
    values = {
        "package": package,
        "warnings": " ".join(WARNINGS),
        "release": " ".join(VARIANTS["release"]),
        "link_flags": " ".join((*LINK_FLAGS, "-Wl,-z,defs")),
        "sources": sources,
        "daemon": DAEMON,
    }
    write_file(makefile, environment.get_template("Makefile.jinja").render(values))
    return makefile


def _mirror(source: Path, target: Path) -> list[str]:
    """Copy the sources of a folder; return the C files' names below the bundle."""
    found = []
    for pattern in _SOURCES:
        for path in sorted(source.rglob(pattern)):
            place = target / path.relative_to(source)
            if any(folder.is_symlink() for folder in (target, *place.parents)
                   if folder.is_relative_to(target)):
                raise ForeignFileError(f"{place.parent} is a link; choose another folder")
            place.parent.mkdir(parents=True, exist_ok=True)
            write_file(place, path.read_text())
            if path.suffix == ".c":
                found.append(str(place.relative_to(target.parent)))
    return sorted(found)
