"""Tcl test files as pytest items: each *.test runs under tclsh, under tkinter, and sanitized.

The host `tkinter` is a Python process that also drives the same library through cffi (tk_host.py),
so that both doors are open at once.  The host `asan` is tclsh with the library of the sanitizers.
What counts is tcltest's closing line: a file that ends without it has failed, whatever its code.
"""

import functools
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.libraries import library
from support.paths import ROOT, memory_folder

TOTALS = re.compile(r"Total\t(\d+)\tPassed\t(\d+)\tSkipped\t(\d+)\tFailed\t(\d+)")
TCLSH = ("tclsh8.6",)
TK_HOST = (sys.executable, str(ROOT / "tests" / "support" / "tk_host.py"))
# host: its command, and the variant of the libraries it loads
HOSTS = {
    "tclsh": (TCLSH, "release"),
    "tkinter": (TK_HOST, "release"),
    "asan": (TCLSH, "asan"),
}
PACKAGES = ("aerostore", "market")
TIMEOUT_S = 300


class TclFailed(Exception):
    """A Tcl test file failed; the text is its output."""


def environment(folder: str, variant: str = "release") -> dict[str, str]:
    """Return the environment of a Tcl process that uses the checkout's packages."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AEROSTORE_")}
    folders = [str(library(package, variant).parent) for package in PACKAGES]
    return {
        **kept,
        "TCLLIBPATH": " ".join(folders),
        "AEROSTORE_TCL_DIR": folders[0],
        "PYTHONPATH": os.pathsep.join([str(ROOT / "python"), str(ROOT / "codegen")]),
        "TMPDIR": folder,
        **(sanitizer() if variant == "asan" else {}),
    }


@functools.cache
def sanitizer() -> dict[str, str]:
    """Return what makes an ordinary tclsh load a library that was built with sanitizers."""
    find = ["gcc", "-print-file-name=libasan.so"]
    runtime = subprocess.run(find, capture_output=True, text=True, check=True).stdout.strip()
    return {
        "LD_PRELOAD": runtime,
        # The interpreter keeps memory until it ends; that is no leak of ours.
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:abort_on_error=0",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    }


class TclFile(pytest.File):
    """One file of tests for tcltest."""

    def collect(self) -> Iterator[pytest.Item]:
        for host in HOSTS:
            item = TclItem.from_parent(self, name=host)
            item.host = host
            yield item


class TclItem(pytest.Item):
    """One run of a file under one host."""

    host: str

    def runtest(self) -> None:
        with tempfile.TemporaryDirectory(dir=memory_folder(), prefix="aerostore-tcl-") as folder:
            host, variant = HOSTS[self.host]
            done = subprocess.run([*host, str(self.path)], cwd=folder, check=False,
                                  env=environment(folder, variant), capture_output=True,
                                  text=True, errors="replace", stdin=subprocess.DEVNULL,
                                  timeout=TIMEOUT_S)
        output = done.stdout + done.stderr
        totals = TOTALS.search(done.stdout)
        if totals is None:
            raise TclFailed(f"ended before its totals, exit code {done.returncode}\n{output}")
        total, passed, skipped, failed = map(int, totals.groups())
        if failed or done.returncode != 0 or total == 0 or passed + skipped != total:
            raise TclFailed(f"exit code {done.returncode}\n{output}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException],
                     style: object = None) -> str:
        if isinstance(excinfo.value, TclFailed):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, f"{self.path.name} under {self.host}"


def collect(parent: pytest.Collector, path: Path) -> TclFile | None:
    """Make a collector of a Tcl test file."""
    return TclFile.from_parent(parent, path=path) if path.suffix == ".test" else None
