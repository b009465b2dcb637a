"""The anomalies by name, each as the steps of its transactions (Adya, 1999; Berenson et al., 1995;
Fekete et al., 2004; names of the cursor-free ones as in the Hermitage suite)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from isolation.actors import Step

ROLLBACK: Step = ("rollback",)
READS = ("read", "scan", "sweep", "count")


@dataclass(frozen=True)
class Case:
    """Rows before, and the transactions; each commits at its end unless it rolls back."""

    before: Mapping[str, int]
    transactions: Sequence[Sequence[Step]]


_TWO = {"x": 10, "y": 20}

TWO = {
    "G0 dirty write": Case(
        _TWO, [[("write", "x", 11), ("write", "y", 21)], [("write", "x", 12), ("write", "y", 22)]]
    ),
    "G1a aborted read": Case(
        _TWO, [[("write", "x", 101), ROLLBACK], [("read", "x"), ("read", "x")]]
    ),
    "G1b intermediate read": Case(
        _TWO, [[("write", "x", 101), ("write", "x", 11)], [("read", "x"), ("read", "x")]]
    ),
    "G1c circular information flow": Case(
        _TWO, [[("write", "x", 11), ("read", "y")], [("write", "y", 22), ("read", "x")]]
    ),
    "OTV observed transaction vanishes": Case(
        _TWO, [[("write", "x", 11), ("write", "y", 19)], [("read", "x"), ("read", "y")]]
    ),
    "PMP predicate-many-preceders, read": Case(
        _TWO, [[("scan", 30, 40), ("scan", 0, 100)], [("write", "w", 30)]]
    ),
    "PMP predicate-many-preceders, write": Case(
        _TWO, [[("add", "x", 10), ("add", "y", 10)], [("delete where", 20, 21)]]
    ),
    "P4 lost update": Case(_TWO, [[("add", "x", 1)], [("add", "x", 2)]]),
    "G-single read skew": Case(
        _TWO, [[("read", "x"), ("read", "y")], [("write", "x", 12), ("write", "y", 18)]]
    ),
    "G-single read skew by predicate": Case(
        _TWO, [[("scan", 0, 15), ("scan", 15, 100)], [("write", "x", 12), ("write", "y", 18)]]
    ),
    "G-single read skew by a predicate write": Case(
        _TWO, [[("read", "x"), ("delete where", 20, 21)], [("write", "x", 12), ("write", "y", 18)]]
    ),
    "G2-item write skew": Case(
        _TWO,
        [
            [("read", "x"), ("read", "y"), ("write", "x", 11)],
            [("read", "x"), ("read", "y"), ("write", "y", 21)],
        ],
    ),
    "G2 anti-dependency cycle through predicates": Case(
        _TWO, [[("scan", 30, 40), ("write", "v", 30)], [("scan", 30, 40), ("write", "w", 30)]]
    ),
    "write skew through an index range": Case(
        _TWO, [[("scan", 5, 25), ("write", "x", 99)], [("scan", 5, 25), ("write", "y", 99)]]
    ),
    "write skew through a scan": Case(
        _TWO, [[("sweep", 5, 25), ("write", "x", 99)], [("sweep", 5, 25), ("write", "y", 99)]]
    ),
    "phantoms through a scan": Case(
        _TWO, [[("sweep", 30, 40), ("write", "v", 30)], [("sweep", 30, 40), ("write", "w", 30)]]
    ),
    "write skew through a count": Case(
        _TWO, [[("count",), ("write", "v", 50)], [("count",), ("write", "w", 50)]]
    ),
    "write skew through absence": Case(
        _TWO, [[("read", "a"), ("write", "b", 1)], [("read", "b"), ("write", "a", 1)]]
    ),
    "deleted and born again": Case(
        _TWO,
        [[("delete", "x"), ("write", "x", 30)], [("read", "x"), ("delete", "y"), ("read", "x")]],
    ),
    "insert against insert": Case(
        _TWO, [[("read", "n"), ("write", "n", 1)], [("read", "n"), ("write", "n", 2)]]
    ),
    "row moves out of a range": Case(
        _TWO, [[("scan", 0, 15)], [("write", "x", 50), ("scan", 0, 2)]]
    ),
}

# Conflicts that stand in TWO already, met by another way of reading.
OTHER_PATHS = ("write skew through a scan", "phantoms through a scan")

# The same with a reader that also writes a row nobody else touches: it has to be validated then.
WRITING_READERS = {
    f"{name}, reader writes elsewhere": Case(
        case.before,
        [
            [*steps, ("write", "z", 1)]
            if all(step[0] in READS for step in steps)
            else steps
            for steps in case.transactions
        ],
    )
    for name, case in TWO.items()
    if any(all(step[0] in READS for step in steps) for steps in case.transactions)
}

THREE = {
    "read-only anomaly": Case(
        {"x": 0, "y": 0},
        [
            [("read", "x"), ("read", "y"), ("add", "x", -11)],
            [("add", "y", 20)],
            [("read", "x"), ("read", "y")],
        ],
    ),
    "OTV observed transaction vanishes, two writers": Case(
        _TWO,
        [
            [("write", "x", 11), ("write", "y", 19)],
            [("write", "x", 12), ("write", "y", 18)],
            [("read", "x"), ("read", "y"), ("read", "x"), ("read", "y")],
        ],
    ),
    "cycle of three skews": Case(
        {"x": 1, "y": 2, "z": 3},
        [
            [("read", "x"), ("write", "y", 20)],
            [("read", "y"), ("write", "z", 30)],
            [("read", "z"), ("write", "x", 10)],
        ],
    ),
}
