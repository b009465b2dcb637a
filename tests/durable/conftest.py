"""Fixtures: a folder on tmpfs, where a sync costs nothing; the tests are not about a disk."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from durable import stores
from support import c_items
from support.paths import memory_folder


@pytest.fixture
def place(tmp_path: Path, aerostore_library: Path) -> Iterator[Path]:
    """Give a test a folder in memory."""
    folder = memory_folder() / f"aerostore-test-{os.getpid()}-{tmp_path.name}-durable"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=stores.PROFILES)
def profile(request: pytest.FixtureRequest) -> str:
    """Run a test for each stack."""
    return str(request.param)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    return c_items.collect(parent, file_path)
