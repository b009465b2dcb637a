"""Show each fuzz_*.c as a pytest item that runs for a few seconds."""

from pathlib import Path

import pytest

from support import fuzz_items


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    return fuzz_items.collect(parent, file_path)
