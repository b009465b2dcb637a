"""Commits with and without waiting for the disk, and writes beside a checkpoint.

Usage: gates.py FLIGHTS.TSV MEMORY DISK ROUNDS

Four kinds of commits, each acknowledged from the disk and from memory: a row inserted, a row of a
thousand replaced, a transaction that rolls back three of four savepoints, and a row inserted under
the logical profile.  Then updates in one process while another takes a checkpoint, which has a
processor of its own if there are two.
"""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "codegen")]

import aerostore  # noqa: E402  the path above makes it importable

SPAN_S = 0.4
CHECKPOINTER = """
import os, sys
sys.path[:0] = sys.argv[3:]
import aerostore
os.sched_setaffinity(0, range(os.cpu_count()))
with aerostore.open(sys.argv[1], shm_path=sys.argv[2]) as db:
    print("ready", flush=True)
    for line in sys.stdin:
        db.checkpoint()
        print("done", flush=True)
"""


def tell(what: str, peer: str, nanoseconds: float) -> None:
    print(json.dumps({"what": what, "peer": peer, "value": nanoseconds, "unit": "ns/commit"}))


def flight(key: str, number: int) -> dict[str, object]:
    return {"flight_id": key, "lat": 1.0, "lon": 2.0, "altitude": number % 40_000,
            "updated_at": number}


def timed(step: Callable[[int], object], first: int) -> tuple[float, int]:
    """Repeat a step for a while; return nanoseconds a step, and the next number."""
    began = time.perf_counter_ns()
    number = first
    while time.perf_counter_ns() - began < SPAN_S * 1e9:
        step(number)
        number += 1
    return (time.perf_counter_ns() - began) / (number - first), number


def steps(db: aerostore.Database) -> dict[str, Callable[[int], object]]:
    """Return the kinds of commits."""
    table = db["FlightState"]

    def churn(number: int) -> None:
        with db.transaction():
            table.upsert(flight(f"S{number % 1000}", number))
            for inner in range(3):
                try:
                    with db.transaction():
                        table.upsert(flight(f"S{(number + inner) % 1000}", inner))
                        raise KeyError  # back to the savepoint
                except KeyError:
                    pass

    return {"plain": lambda number: table.insert(flight(f"P{number}", number)),
            "keyed upserts": lambda number: table.upsert(flight(f"K{number % 1000}", number)),
            "savepoint churn": churn}


def gates(db: aerostore.Database, kinds: dict[str, Callable[[int], object]], rounds: int) -> None:
    """Measure each kind with the disk and without, in turns."""
    for kind, step in kinds.items():
        number = 0
        for _ in range(rounds):
            for peer, setting in (("sync", "on"), ("async", "off")):
                db.set_config("aerostore.synchronous_commit", setting)
                cost, number = timed(step, number)
                tell(f"gate {kind}", peer, cost)


def beside(db: aerostore.Database, directory: Path, segment: Path, keys: list[str],
           rounds: int) -> None:
    """Update while another process takes a checkpoint, and before."""
    table = db["FlightState"]
    command = [sys.executable, "-c", CHECKPOINTER, str(directory), str(segment), *sys.path[:2]]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          bufsize=1) as other:
        if other.stdin is None or other.stdout is None or other.stdout.readline() != "ready\n":
            raise SystemExit("the checkpointer did not start")
        number = 0

        def step(at: int) -> None:
            table.update(keys[at % len(keys)], altitude=at % 40_000)

        for _ in range(rounds):
            cost, number = timed(step, number)
            tell("beside a checkpoint", "without", cost)
            other.stdin.write("go\n")
            began, first = time.perf_counter_ns(), number
            while not select.select([other.stdout], [], [], 0)[0]:
                for _ in range(100):
                    step(number)
                    number += 1
            tell("beside a checkpoint", "with", (time.perf_counter_ns() - began) / (number - first))
            other.stdout.readline()
        other.stdin.close()


def main(flights: Path, memory: Path, disk: Path, rounds: int) -> None:
    segment = memory / "gates"
    with aerostore.open(disk / "g", size="1GiB", shm_path=segment) as db:
        gates(db, steps(db), rounds)
    segment.unlink()
    with aerostore.open(disk / "l", "logical", "1GiB", shm_path=segment) as db:
        gates(db, {"logical": steps(db)["plain"]}, rounds)
    segment.unlink()
    with aerostore.open(disk / "c", size="8GiB", shm_path=segment,
                        synchronous_commit=False) as db:
        db["FlightState"].ingest_tsv(flights)
        keys = [row.flight_id for row in db["FlightState"].search(limit=10_000)]
        beside(db, disk / "c", segment, keys, rounds)
    segment.unlink()


os.environ.pop("BENCH_CLOCK", None)  # waiting for a disk takes no processor time
main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
