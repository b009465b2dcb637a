"""Show each cmocka test of test_*.c as a pytest item; harness.h tells how a file is written."""

from pathlib import Path

import pytest

from support import c_items


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    return c_items.collect(parent, file_path)
