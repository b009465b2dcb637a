"""Time to live: rows that delete themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta

from aerostore.errors import TypeMismatch


@dataclass(frozen=True, slots=True)
class Ttl:
    """How long rows of a table live.

    Attributes:
        after: the time to live.
        column: name of the Timestamp it counts from; None: from the last write.
    """

    after: timedelta
    column: str | None


def microseconds(after: float | timedelta | None) -> int:
    """Return a time to live in microseconds, 0 for none.

    Raises:
        TypeMismatch: it is no number of seconds above 0.
    """
    if after is None:
        return 0
    if isinstance(after, timedelta):
        after = after.total_seconds()
    if isinstance(after, bool) or not isinstance(after, (int, float)):
        raise TypeMismatch(
            f"a time to live is seconds, a timedelta or None, not {type(after).__name__}"
        )
    if math.isnan(after) or after <= 0 or after > 9e12:
        raise TypeMismatch(f"a time to live is above 0 s and at most a century, not {after!r}")
    return max(1, round(after * 1_000_000))
