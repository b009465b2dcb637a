"""Step five, the only one that touches the disk: bring a folder in line with what was emitted."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

MANIFEST = "MANIFEST.json"
# A manifest is read back, so its names are input: nothing but plain file names is ever deleted.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.]*")
_MANIFEST_SIZE_MAX = 1 << 20
MARK = b"aerostore-compile"  # somewhere at the top of every file the compiler writes


class ForeignFileError(Exception):
    """A file in the way belongs to somebody else."""


def write_files(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Write the files that changed and delete those the old manifest alone knows.

    Args:
        folder: Where to; made if missing.  Nothing outside of it is touched.
        files: Text by name, the manifest among them.

    Returns:
        Names of the files written or deleted.

    Raises:
        ForeignFileError: A file of somebody else is in the way; nothing was written.
    """
    for name in files:
        if not _PLAIN_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a plain file name")
    folder.mkdir(parents=True, exist_ok=True)
    listed = _listed(folder)
    stale = [name for name in listed if name not in files]
    for name in files:
        if name not in listed:
            refuse_foreign(folder / name)
    changed = []
    # The manifest goes last: until then the old one still owns what is there.
    for name in sorted(files, key=lambda name: (name == MANIFEST, name)):
        if write_file(folder / name, files[name]):
            changed.append(name)
    for name in stale:
        path = folder / name
        if path.is_file() and not path.is_symlink():
            path.unlink()
            changed.append(name)
    return changed


def differing(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Return the names whose content is not what was emitted, strays included."""
    found = [
        name
        for name, text in files.items()
        if not (folder / name).is_file() or (folder / name).read_bytes() != text.encode()
    ]
    present = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    return sorted([*found, *(present - set(files))])


def _listed(folder: Path) -> list[str]:
    """Return the names in the folder's manifest that this compiler would use itself."""
    try:
        with (folder / MANIFEST).open("rb") as file:
            content = json.loads(file.read(_MANIFEST_SIZE_MAX))
    except (OSError, ValueError, RecursionError):
        return []
    names = content.get("files") if isinstance(content, dict) else None
    if not isinstance(names, dict):
        return []
    return [name for name in names if _PLAIN_NAME.fullmatch(name) and name != MANIFEST]


def refuse_foreign(path: Path) -> None:
    """Refuse to replace a file that does not say it was written by the compiler.

    Raises:
        ForeignFileError: It does not.
    """
    if not path.exists() and not path.is_symlink():
        return
    if path.is_file():
        with path.open("rb") as file:
            if MARK in file.read(4096):
                return
    raise ForeignFileError(
        f"{path} exists and was not written by aerostore-compile; choose another folder, "
        "or move it away"
    )


def write_file(path: Path, text: str) -> bool:
    """Replace a file as a whole, if it differs; a link is replaced, never followed."""
    data = text.encode()
    if path.is_file() and not path.is_symlink() and path.read_bytes() == data:
        return False
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return True
