"""Fixtures of the Python tests: an open database, a package of all kinds, scripts to run."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import aerostore
from support.cbuild import locked
from support.paths import ROOT

_SCRIPT_HEAD = """
import os, sys, threading, gc
import aerostore
def connect(**options):
    options.setdefault("size", "256MiB")
    options.setdefault("package", os.environ.get("STORE_PACKAGE", "aerostore"))
    return aerostore.open(os.environ["STORE_DIR"], **options)
def refused(kind, call):
    try:
        call()
    except kind:
        return
    raise AssertionError(f"no {kind.__name__}")
"""


def environment(**more: str) -> dict[str, str]:
    """Return an environment in which a child finds this checkout's packages."""
    path = os.pathsep.join(str(ROOT / folder) for folder in ("python", "codegen"))
    return {**os.environ, "PYTHONPATH": path, **more}


@pytest.fixture(scope="session")
def python_environment() -> Callable[..., dict[str, str]]:
    """Return the function that makes environments for child processes."""
    return environment


@pytest.fixture
def db(aerostore_library: Path, store) -> Iterator[aerostore.Database]:
    """Open a database of the test's own."""
    with aerostore.open(store.data_dir, size="256MiB", shm_path=store.shm_path) as database:
        yield database


@pytest.fixture
def fs(db: aerostore.Database) -> aerostore.Table:
    """Return the table FlightState of `db`."""
    return db.table("FlightState")


@pytest.fixture(scope="session")
def kinds_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile kinds_schema.py with the command line, once for all workers."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "kinds-package"
    schema = Path(__file__).with_name("kinds_schema.py")
    with locked(folder.with_suffix(".lock")):
        if not (folder / "done").exists():
            done = subprocess.run(
                [sys.executable, "-m", "aerostore", "compile", str(schema), "-o", str(folder)],
                env=environment(), capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            (folder / "done").touch()
    return folder


@pytest.fixture
def kinds(kinds_package: Path, store) -> Iterator[aerostore.Database]:
    """Open a database with the package of all kinds."""
    with aerostore.open(store.data_dir, size="256MiB", shm_path=store.shm_path,
                        package=kinds_package) as database:
        yield database


@pytest.fixture
def script(aerostore_library: Path, store) -> Callable[..., str]:
    """Return a function that runs a Python script on the test's store and gives its output.

    The script has connect() and refused(); a crash, a hang or a wrong exit status fails the test.
    """

    def run(text: str, *, status: int = 0, timeout: float = 120, **variables: str) -> str:
        env = environment(STORE_DIR=str(store.data_dir), AEROSTORE_SHM_PATH=str(store.shm_path),
                          **variables)
        file = store.data_dir.parent / "script.py"
        file.write_text(_SCRIPT_HEAD + textwrap.dedent(text))
        done = subprocess.run([sys.executable, "-X", "faulthandler", str(file)], env=env,
                              capture_output=True, text=True, timeout=timeout, check=False)
        assert done.returncode == status, done.stdout + done.stderr
        assert "Exception ignored" not in done.stderr, done.stderr
        return done.stdout

    return run
