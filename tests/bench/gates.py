"""The gates of the system before this one, each a bar; what is not here has a benchmark of its own.

Elsewhere: a snapshot after ten million transactions (`transactions`), optimism against queueing on
a hot row (`contention`), synchronous against asynchronous commits, checkpoints and recovery by
number of rows, replay of the log (`durable`, `commit`).
"""

from __future__ import annotations

import shutil

from bench.core import Bar, Outcome, Work


def gates(work: Work) -> Outcome:
    """Index against scan, one key from four processes, a hot row, a child's scan, allocation."""
    outcome = Outcome("gates")
    count = 50_000 if work.quick else 1_000_000
    commands = [
        [str(work.driver("gates")), "index", str(work.rounds)],
        [str(work.driver("gates")), "forked", str(work.rounds)],
        [str(work.engine_driver("allocate")), str(count), str(work.rounds)],
    ]
    for command in commands:
        folder = work.folder("gates")
        work.measure(outcome, [*command, str(folder)])
        shutil.rmtree(folder)
    outcome.bars = [
        Bar("equality look-up by index >= 3 x a scan of 60,000 rows", "equality look-up",
            "scan of the table", "index", 3.0),
        Bar("range look-up by index, 1 %, >= 2 x a scan", "range look-up", "scan of the table",
            "index", 2.0),
        Bar("each of 12 operators and selectivities by index >= 1.2 x a scan", "selectivities",
            "least of 12", "", 1.2),
        Bar("the mean of the 12 >= 2 x a scan", "selectivities", "mean of 12", "", 2.0),
        Bar("four processes putting one key >= 0.2 x the rate of one", "puts of one key",
            "one process", "four processes", 0.2),
        Bar("16 processes, 1,000 updates each of one row: >= 10,000 a second", "one hot row",
            "16 processes", "", 100_000.0, False),
        Bar("range scan in a forked child <= 1.5 x the parent's", "forked range scan", "child",
            "parent", 1.5, False),
        Bar("1 M rows' memory in at most 50 ms", "allocation", "aerostore", "", 50.0, False),
    ]
    return outcome
