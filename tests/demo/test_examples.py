"""The examples of docs/ run as they stand."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ENGINE, ROOT

EXAMPLES = ROOT / "docs" / "examples"


def run(store, *command: str) -> list[str]:
    paths = os.pathsep.join([str(ROOT / "python"), str(ROOT / "codegen")])
    done = subprocess.run(command, env={**store.environment(), "PYTHONPATH": paths},
                          cwd=store.data_dir.parent, capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.fixture(autouse=True)
def built(aerostore_library: Path) -> None:
    """Have the library before an example asks for it."""


def test_the_tcl_example_runs(store):
    """Goal: the example is right.  Method: run it, compare what it prints."""
    lines = run(store, "tclsh8.6", str(EXAMPLES / "positions.tcl"), str(store.data_dir))
    assert lines[0].startswith("rows_seen=3 inserted=3 updated=0 batches=1 ")
    assert lines[1:] == [
        "UAL123 at 31000 ft", "DLH400, altitude unknown", "2 flights to KJFK", "33000 KBOS"]


def test_the_python_example_runs(store):
    """Goal: the example is right.  Method: run it, compare what it prints."""
    lines = run(store, sys.executable, str(EXAMPLES / "positions.py"), str(store.data_dir))
    assert lines == ["3 new flights, 0 known ones", "UAL123 31000", "DLH400 None",
                     "33000 KBOS 2"]


def test_the_c_example_runs(store, aerostore_library, tmp_path):
    """Goal: the example is right.  Method: compile without warnings, run, compare the output."""
    program = tmp_path / "positions"
    subprocess.run(["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", str(EXAMPLES / "positions.c"),
                    f"-I{ENGINE / 'include'}", str(aerostore_library),
                    f"-Wl,-rpath,{aerostore_library.parent}", "-o", str(program)], check=True)
    assert run(store, str(program), str(store.data_dir)) == [
        "UAL123 at 31000 ft, bound for KJFK", "1 flights at or above 30000 ft"]
