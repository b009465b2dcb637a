"""Fixtures for every folder: built libraries, private stores, recorded data, Tcl interpreters."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support import locales, patience, tcl_items
from support.libraries import library
from support.paths import BUILD, ROOT, memory_folder, shared_data


def pytest_configure() -> None:
    locales.provide()
    # Schemas that tests compile take the engine's objects of the checkout's own packages.
    os.environ["AEROSTORE_OBJECTS"] = str(BUILD / "objects")


# Files that take longest, one after another in one worker each: begun last, they would leave the
# other worker without work at the end.
LONGEST = (
    "bench/test_bench_runs.py", "explore/test_mutants.py", "explore/test_tree.c",
    "explore/test_prune.c", "explore/test_rows.c", "packaging/test_installed.py",
    "isolation/test_histories.py", "isolation/test_anomalies.py", "processes/test_damage.py",
    "durable/test_schema_change.py", "durable/test_damage.py", "crash/test_crash_points.c",
    "crash/test_random_kills.c", "oracle/test_recorded.py", "compiler/test_commands.py",
    "explore/test_reclaim.c", "explore/test_index.c", "unit/test_query_stapi.c",
    "unit/test_tree.c", "unit/test_txn.c", "demo/test_demo.py", "demo/test_examples.py",
    "docs/test_pages.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files; the rest stays as it was collected."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get("/".join(item.path.parts[-2:]), len(places)))


@dataclass(frozen=True, slots=True)
class Store:
    """A data directory and a segment path of one test's own; both are gone after the test."""

    data_dir: Path
    shm_path: Path

    def environment(self) -> dict[str, str]:
        """Return the environment for a child process that opens this store."""
        folder = str(self.data_dir.parent)
        return {**tcl_items.environment(folder), "AEROSTORE_SHM_PATH": str(self.shm_path)}


@pytest.fixture(scope="session")
def aerostore_library() -> Path:
    """Build the package `aerostore` and return its shared library."""
    return library("aerostore")


@pytest.fixture(scope="session")
def market_library() -> Path:
    """Build the package `market` and return its shared library."""
    return library("market")


@pytest.fixture(scope="session")
def built_library() -> Callable[..., Path]:
    """Return a function (package, variant="release") that builds a library and returns its path."""
    return library


def removed(folder: Path) -> bool:
    """Remove a store's folder.  False: its keeper has put one more file there meanwhile."""
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Give a test a store of its own, its segment on tmpfs."""
    shm_path = memory_folder() / f"aerostore-test-{os.getpid()}-{tmp_path.name}"
    # The files too: a test that is not about disks should not wait for one at each commit.
    folder = shm_path.with_name(f"{shm_path.name}-files")
    folder.mkdir()
    yield Store(folder / "data", shm_path)
    patience.until(lambda: removed(folder))
    for leftover in shm_path.parent.glob(f"{shm_path.name}*"):
        leftover.unlink()


@pytest.fixture(scope="session")
def data_file() -> Callable[[str], Path]:
    """Return a function from the name of a recorded file to its path; skips when it is absent."""

    def find(name: str) -> Path:
        folder = shared_data()
        if folder is None or not (folder / name).exists():
            pytest.skip(f"recorded data {name} is not here (set AEROSTORE_TEST_DATA)")
        return folder / name

    return find


@pytest.fixture
def tclsh(aerostore_library: Path, market_library: Path, store: Store) -> Callable[..., str]:
    """Return a function that runs a script in tclsh on the test's store, giving its output."""

    def run(script: str, *arguments: str, timeout: float = 120) -> str:
        done = subprocess.run(
            ["tclsh8.6", "/dev/stdin", *arguments], input=script, capture_output=True, text=True,
            env=store.environment(), cwd=store.data_dir.parent, timeout=timeout, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture
def tkinter_host(aerostore_library: Path, market_library: Path, store: Store,
                 tmp_path: Path) -> Callable[..., str]:
    """Return a function like `tclsh`, inside a Python that drives the same library through cffi."""

    def run(script: str, *arguments: str, timeout: float = 120) -> str:
        file = tmp_path / "host.tcl"
        file.write_text(script)
        host = ROOT / "tests" / "support" / "tk_host.py"
        done = subprocess.run(
            [sys.executable, str(host), str(file), *arguments], capture_output=True, text=True,
            env=store.environment(), cwd=store.data_dir.parent, timeout=timeout, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run
