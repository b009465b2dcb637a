"""Waiting for what another process or thread is about to do."""

import time
from collections.abc import Callable

PATIENCE_S = 90


def until(condition: Callable[[], object], every_s: float = 0.01) -> None:
    """Wait for a condition, which must come; a loaded machine may take its time."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(every_s)
