"""Checks of arguments: what is wrong is a UsageError that names the argument.

None stands for an argument that was not given wherever it can mean nothing else.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable

from aerostore.errors import UsageError

COUNT_MAX = 2**63 - 1


def count(
    name: str, value: object, default: int, least: int = 0, most: int | None = None
) -> int:
    """Return a whole number from `least` to `most`; without `most`, all too large ones are one."""
    if value is None:
        return default
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise UsageError(f"{name} is an integer, not {value!r}") from None
    if number < least:
        bound = "cannot be negative" if least == 0 else f"is at least {least}"
        raise UsageError(f"{name} {bound}: {number}")
    if most is not None and number > most:
        raise UsageError(f"{name} is at most {most}: {number}")
    return min(number, COUNT_MAX)


def text(name: str, value: object, default: str) -> str:
    """Return a text."""
    if value is None:
        return default
    if not isinstance(value, str):
        raise UsageError(f"{name} is a text, not {value!r}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{name} holds half a surrogate pair: {value!r}") from None
    return value


def names(name: str, value: object, example: str) -> list[str]:
    """Return a list of names."""
    found = list(value) if isinstance(value, Iterable) and not isinstance(value, str) else None
    if found is None or not all(isinstance(each, str) for each in found):
        raise UsageError(f"{name} is a list of column names, as in {name}={example}, not {value!r}")
    return found


def path(name: str, value: object) -> str:
    """Return a path as a str."""
    try:
        encoded = os.fsencode(value)  # type: ignore[arg-type]
    except (TypeError, UnicodeEncodeError):
        raise UsageError(f"{name} is a path, not {value!r}") from None
    if b"\0" in encoded:
        raise UsageError(f"{name} cannot hold a NUL byte: {value!r}")
    return os.fsdecode(encoded)


def seconds(name: str, value: object) -> float:
    """Return a time in seconds, which may be infinite."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
        raise UsageError(f"{name} is a number of seconds, not {value!r}")
    return float(value)
