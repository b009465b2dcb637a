"""Replay transactions with searches in the order of their commits, on a plain dict.

A watch tells the order in which the transactions that wrote were committed.  It is not believed: if
the dict gives, in this order, every result that each of them has seen, then this is a serial order,
whoever named it.  Those that wrote nothing, or did not commit, must have seen one moment of it, not
before what was acknowledged when they began.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

NEVER = 1 << 62
Rows = dict[str, list[Any]]  # symbol: isin, sector, currency
COLUMNS = ("isin", "sector", "currency")
FRESH = [None, -1, "EUR"]


@dataclass(slots=True)
class Deed:
    """One transaction as its worker saw it: steps, each with its result."""

    name: int
    begun: int
    ended: int  # NEVER: its worker was killed before it heard
    state: str  # "ok", "aborted", "unknown"
    steps: list[tuple[list[Any], Any]] = field(default_factory=list)


class Unlike(AssertionError):
    """The dict gives another result."""


def _true(clause: Sequence[Any], row: list[Any]) -> bool:
    kind, value = clause[0], row[COLUMNS.index(clause[1])]
    if kind == "null":
        return value is None
    if value is None:
        return False
    if kind == "=":
        return bool(value == clause[2])
    if kind == "in":
        return value in clause[2]
    if kind == "range":
        return bool(clause[2] <= value < clause[3])
    raise AssertionError(f"no such clause: {clause}")


def _found(rows: Rows, clauses: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [
        [symbol, *row]
        for symbol, row in sorted(rows.items())
        if all(_true(clause, row) for clause in clauses)
    ]


def _write(rows: Rows, symbol: str, changes: dict[str, Any], before: list[Any]) -> bool:
    row = [changes.get(name, old) for name, old in zip(COLUMNS, before, strict=True)]
    if row[0] is not None and any(
        other[0] == row[0] for key, other in rows.items() if key != symbol
    ):
        return False
    rows[symbol] = row
    return True


def act(rows: Rows, step: Sequence[Any]) -> Any:
    """Do a step on the dict and return its result."""
    kind, *rest = step
    if kind == "get":
        return rows.get(rest[0])
    if kind == "find":
        clauses, descending, limit = rest
        found = _found(rows, clauses)
        return (found[::-1] if descending else found)[:limit]
    if kind == "count":
        return len(_found(rows, rest[0]))
    if kind == "delete":
        return rows.pop(rest[0], None) is not None
    symbol, changes = rest
    old = rows.get(symbol)
    if (kind == "insert" and old is not None) or (kind == "update" and old is None):
        return "exists" if kind == "insert" else False
    if not _write(rows, symbol, changes, FRESH if old is None else old):
        return "exists"
    return True if kind == "update" else old is None


def run(rows: Rows, deed: Deed) -> Rows:
    """Return what the dict is after a transaction; Unlike if it saw something else."""
    rows = dict(rows)
    marks: list[Rows] = []
    for step, seen in deed.steps:
        if step[0] == "mark":
            marks.append(dict(rows))
        elif step[0] == "undo":
            rows = marks.pop()
        elif step[0] == "keep":
            marks.pop()
        else:
            result = act(rows, step)
            if result != seen:
                raise Unlike(f"transaction {deed.name}, {step}: {seen}, should be {result}")
    return rows


def _earliest(deeds: Sequence[Deed], place: dict[int, int]) -> Iterator[tuple[Deed, int]]:
    """Give with each transaction the last place that was acknowledged before it began."""
    ends = sorted((deed.ended, place[deed.name]) for deed in deeds if deed.name in place)
    highest: list[int] = []
    for _, one in ends:
        highest.append(max(one, highest[-1] if highest else 0))
    times = [end for end, _ in ends]
    for deed in deeds:
        known = bisect_left(times, deed.begun)
        yield deed, highest[known - 1] if known else 0


def check(order: Sequence[int], deeds: Sequence[Deed], last: Rows) -> tuple[int, int]:
    """Raise Unlike for the first anomaly; return how many committed, and how many only looked."""
    place = {name: number + 1 for number, name in enumerate(order)}
    by_name = {deed.name: deed for deed in deeds}
    waiting: dict[int, list[Deed]] = defaultdict(list)
    for deed, known in _earliest(deeds, place):
        if deed.name in place:
            if deed.state == "aborted" or place[deed.name] <= known:
                raise Unlike(f"transaction {deed.name} has a place in the order, {deed.state}")
        else:
            waiting[known].append(deed)
    rows: Rows = {}
    looking: list[tuple[Deed, str]] = []
    for number in range(len(order) + 1):
        if number:
            rows = run(rows, by_name[order[number - 1]])
        still = []
        for deed, _ in [*looking, *((deed, "") for deed in waiting[number])]:
            try:
                run(rows, deed)
            except Unlike as error:
                still.append((deed, str(error)))
        # Who had ended when the next one began has not seen that one.
        later = by_name[order[number]].begun if number < len(order) else NEVER
        for deed, why in still:
            if deed.ended < later:
                raise Unlike(f"no moment explains it: {why}")
        looking = still
    if looking:
        raise Unlike(f"no moment explains it: {looking[0][1]}")
    if rows != last:
        raise Unlike("the table is not what the transactions made of it")
    return len(order), len(deeds) - len(order)
