"""Show each *.test as two pytest items: under tclsh and under tkinter."""

from pathlib import Path

import pytest

from support import tcl_items


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    return tcl_items.collect(parent, file_path)
