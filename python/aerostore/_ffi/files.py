"""The functions on stores that are not open, without cdata in their signatures."""

from __future__ import annotations

import os
from typing import Any

from aerostore._ffi.library import Library
from aerostore._ffi.session import c_string

_PATH_MAX = 4096

# rows, commits, number, lsn, cut_bytes, damaged, seconds, aside
Figures = tuple[int, int, int, int, int, bool, float, str]


class Files:
    """Calls on data directories with one package's library."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def _options(self, path: str) -> tuple[Any, ...]:
        ffi = self._library.ffi
        text = c_string(ffi, path)
        options = ffi.new("aero_open_options *", (text, ffi.NULL, ffi.NULL, ffi.NULL, 0))
        # The text is kept alive beside what points to it.
        return options, ffi.new("aero_files_report *"), ffi.new("aero_error *"), text

    def _figures(self, status: int, report: Any, error: Any, aside: str = "") -> Figures:
        if status:
            raise self._library.exception(error)
        return (
            int(report.rows),
            int(report.commits),
            int(report.number),
            int(report.lsn),
            int(report.cut_bytes),
            bool(report.damage),
            float(report.elapsed_ms) / 1000,
            aside,
        )

    def verify(self, path: str) -> Figures:
        """Read everything."""
        options, report, error, _text = self._options(path)
        status = self._library.lib.aero_files_verify(options, report, error)
        return self._figures(status, report, error)

    def repair(self, path: str) -> Figures:
        """Keep what is good; the last figure says where the files went."""
        options, report, error, _text = self._options(path)
        ffi = self._library.ffi
        aside = ffi.new("char[]", _PATH_MAX)
        status = self._library.lib.aero_files_repair(options, aside, _PATH_MAX, report, error)
        return self._figures(status, report, error, os.fsdecode(ffi.string(aside)))

    def restore(self, path: str, target: str, number: int, time_us: int) -> Figures:
        """Copy a state into a new directory."""
        options, report, error, _text = self._options(path)
        place = c_string(self._library.ffi, target)
        status = self._library.lib.aero_files_restore(
            options, place, number, time_us, report, error
        )
        return self._figures(status, report, error)
