"""Find the files of a compiled package: by name, or in the directory the compiler wrote."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from aerostore.errors import SchemaError, UsageError

_HERE = Path(__file__).resolve().parent
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_MANIFEST = "MANIFEST.json"


@dataclass(frozen=True, slots=True)
class PackageFiles:
    """What is needed to load a package.

    Attributes:
        library: the shared library.
        declarations: the row structs as cffi reads them, or None.
        fingerprint: the schema fingerprint they were written with, or None.
        stamp: inode and modification time, so that a rebuilt library is another one.
    """

    library: Path
    declarations: Path | None
    fingerprint: int | None
    stamp: tuple[int, int]


def find_package(package: str | os.PathLike[str] | None) -> PackageFiles:
    """Find a package by its name (installed, or built in a checkout) or its directory.

    Raises:
        SchemaError: there is none, with the places looked at.
        UsageError: the argument is neither a name nor a path.
    """
    package = "aerostore" if package is None else package
    text = os.fspath(package) if isinstance(package, str | os.PathLike) else None
    if not isinstance(text, str) or not text or "\0" in text:
        raise UsageError(f"package is a name or a directory, not {package!r}")
    folders = []
    # A plain name is the package itself before it is a folder of that name lying about.
    if isinstance(package, str) and _NAME.fullmatch(text):
        folders = [_HERE / "_lib", _HERE.parent.parent / "build" / text]
        for folder in folders:
            library = folder / f"lib{text}.so"
            if library.is_file():
                return _files(library)
    folders.append(Path(text))
    found = _library(folders[-1])
    if found is not None:
        return _files(found)
    looked = ", ".join(str(folder) for folder in folders)
    raise SchemaError(f"there is no compiled package {text!r} (looked in {looked})")


def _library(folder: Path) -> Path | None:
    found = sorted(folder.glob("lib*.so"))
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise SchemaError(f"{folder} holds more than one library: {names}")
    return found[0].resolve() if found else None


def _files(library: Path) -> PackageFiles:
    name = library.name.removeprefix("lib").removesuffix(".so")
    status = library.stat()
    declarations = library.with_name(f"{name}.cdef.h")
    return PackageFiles(
        library=library,
        declarations=declarations if declarations.is_file() else None,
        fingerprint=_fingerprint(library.with_name(_MANIFEST)),
        stamp=(status.st_ino, status.st_mtime_ns),
    )


def _fingerprint(manifest: Path) -> int | None:
    try:
        text = manifest.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        return int(json.loads(text)["fingerprint"], 16)
    except (ValueError, KeyError, TypeError) as error:
        raise SchemaError(f"{manifest} is not a package manifest: {error!r}") from None
