"""Callbacks of the engine into Python, whose exceptions are raised again after the call.

A signal's handler runs where Python begins to run code, so a Ctrl-C may be raised before the first
line of a callback: no `try` inside it would see that.  Only cffi does, and tells it here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Callback:
    """A C function pointer to a Python function; an exception of it answers 1, which means: stop.

    Attributes:
        pointer: to be handed to the engine, and kept alive while it may be called.
        raised: what the function raised and `check` has not raised again.
    """

    def __init__(self, ffi: Any, kind: str, function: Callable[..., int]) -> None:
        self.raised: list[BaseException] = []
        raised = self.raised  # no reference to this object: it shall go at once when it is dropped

        def failed(_kind: object, error: BaseException, _trace: object) -> None:
            raised.append(error)

        self.pointer = ffi.callback(kind, function, error=1, onerror=failed)

    def check(self) -> None:
        """Raise what the function raised, if it did."""
        if self.raised:
            first = self.raised[0]
            self.raised.clear()
            raise first
