"""Is a set of histories what some serial order of the committed transactions would have given?

The question is answered by trying all orders on a plain dict: exact, and independent of the engine.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from isolation.actors import History, Step

Rows = dict[str, int]


def act(rows: Rows, step: Step) -> Any:
    """Do a step on a dict; return what `actors.carry_out` would."""
    kind, *rest = step
    if kind == "read":
        return rows.get(rest[0])
    if kind in ("scan", "sweep"):
        return sorted((key, value) for key, value in rows.items() if rest[0] <= value < rest[1])
    if kind == "count":
        return len(rows)
    if kind == "write":
        inserted = rest[0] not in rows
        rows[rest[0]] = rest[1]
        return inserted
    if kind == "add":
        old = rows.get(rest[0])
        if old is not None:
            rows[rest[0]] = old + rest[1]
        return old
    if kind == "delete":
        return rows.pop(rest[0], None) is not None
    if kind == "delete where":
        keys = sorted(key for key, value in rows.items() if rest[0] <= value < rest[1])
        for key in keys:
            del rows[key]
        return keys
    raise AssertionError(f"no such step: {step}")


def replays(order: Sequence[History], before: Mapping[str, int], after: Mapping[str, int]) -> bool:
    """Would this order have given these outcomes and this end?"""
    rows = dict(before)
    for history in order:
        for step, outcome in zip(history.steps, history.outcomes, strict=True):
            if act(rows, step) != outcome:
                return False
    return rows == after


def respects_time(order: Sequence[History]) -> bool:
    """No transaction stands behind one that began after it had ended (strictness)."""
    return all(
        later.ended_at > earlier.begun_at
        for place, earlier in enumerate(order)
        for later in order[place + 1 :]
    )


def explained(
    histories: Sequence[History], before: Mapping[str, int], after: Mapping[str, int]
) -> bool:
    """Is there a strict serial order of the committed ones that explains everything seen?"""
    committed = [history for history in histories if history.state == "committed"]
    return any(
        respects_time(order) and replays(order, before, after)
        for order in itertools.permutations(committed)
    )
