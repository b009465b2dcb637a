"""Stores on disk that need not be open: check, repair, restore.

Each of these reads the files as recovery would, into private memory.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from aerostore import _arguments
from aerostore._ffi.files import Files
from aerostore._ffi.library import load
from aerostore._locate import find_package
from aerostore.errors import UsageError

_LAST = 2**64 - 1
_NOW = 2**63 - 1


@dataclass(frozen=True, slots=True)
class FilesReport:
    """What came out of a store's files.

    Attributes:
        rows: rows of all tables.
        commits: commits of the log after the checkpoint.
        number: the last commit.
        lsn: where the log ends.
        cut_bytes: bytes of a torn tail, never acknowledged as durable.
        damaged: whether a repair may have left out acknowledged commits.
        elapsed: seconds it took.
        aside: where a repair put the files it found, else "".
    """

    rows: int
    commits: int
    number: int
    lsn: int
    cut_bytes: int
    damaged: bool
    elapsed: float
    aside: str = ""


def verify_files(
    path: str | os.PathLike[str], *, package: str | os.PathLike[str] | None = "aerostore"
) -> FilesReport:
    """Check a store's files as recovery would read them; nothing is changed.

    Args:
        path: its data directory.
        package: its schema package.

    Raises:
        RowNotFound: there is no store.
        CorruptionError, LayoutMismatch: the files are damaged, or do not belong together.

    Example:
        >>> aerostore.verify_files("var/flights").commits
    """
    return FilesReport(*Files(load(find_package(package))).verify(_arguments.path("path", path)))


def repair(
    path: str | os.PathLike[str], *, package: str | os.PathLike[str] | None = "aerostore"
) -> FilesReport:
    """Make a damaged store usable with what is good of it.

    The files that were found are moved into a new directory inside the store's.

    Args:
        path: its data directory.
        package: its schema package.

    Raises:
        UsageError: the store is in use.
        RowNotFound: there is no store.

    Example:
        >>> aerostore.repair("var/flights").aside
    """
    return FilesReport(*Files(load(find_package(package))).repair(_arguments.path("path", path)))


def restore(
    path: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    number: int | None = None,
    time: float | None = None,
    package: str | os.PathLike[str] | None = "aerostore",
) -> FilesReport:
    """Make a new store of what another one held at some time.

    How far back that goes depends on what is kept: from the last checkpoint on, or, with the
    setting aerostore.keep_log, from the time it was switched on.  What lies after the last commit
    gives all there is: the report's `number` is the last commit taken.

    Args:
        path: data directory of the store to read.
        target: directory of the new one: made, or empty.
        number: the last commit to take, or None for all.
        time: Unix seconds of the last commit to take, or None for all.
        package: the schema package.

    Raises:
        RowNotFound: there is no store, or what is asked is older than what is kept.
        CorruptionError: the files are damaged.

    Example:
        >>> aerostore.restore("var/flights", "var/before", number=1200).number
    """
    if number is not None and _arguments.count("number", number, 0) != number:
        raise UsageError(f"number is a commit's, not {number!r}")
    microseconds = _NOW
    if time is not None:
        microseconds = min(_NOW, round(min(_arguments.seconds("time", time), 1e12) * 1_000_000))
    files = Files(load(find_package(package)))
    last = _LAST if number is None else number
    source, place = _arguments.path("path", path), _arguments.path("target", target)
    return FilesReport(*files.restore(source, place, last, microseconds))
