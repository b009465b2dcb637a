"""Checkpoint, recovery and warm attach; print one JSON object a measurement.

Usage: durable.py FLIGHTS.TSV MEMORY DISK ROUNDS

Rows come from the file; their store's files lie in DISK, its segment in MEMORY.  Recovery is
measured from a checkpoint, and from a log of one-row commits, a fifth as many as rows.  The peer
of the checkpoint is a file of its size, written in blocks and synced.
"""

import json
import os
import shutil
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "codegen")]

import aerostore  # noqa: E402  the path above makes it importable
from aerostore._ffi.library import load  # noqa: E402
from aerostore._ffi.session import Store  # noqa: E402
from aerostore._locate import find_package  # noqa: E402

now_ns = time.process_time_ns if os.environ.get("BENCH_CLOCK") == "cpu" else time.perf_counter_ns


def tell(what: str, peer: str, nanoseconds: float, unit: str) -> None:
    print(json.dumps({"what": what, "peer": peer, "value": nanoseconds, "unit": unit}))


def write_plain(path: Path, size: int) -> int:
    """Write and sync a file of this size; return nanoseconds."""
    block = os.urandom(256 << 10)
    began = now_ns()
    with path.open("wb") as file:
        for _ in range(size // len(block) + 1):
            file.write(block)
        file.flush()
        os.fdatasync(file.fileno())
    return now_ns() - began


def main(flights: Path, memory: Path, disk: Path, rounds: int) -> None:
    segment = memory / "segment"
    options = {"size": "8GiB", "shm_path": segment, "synchronous_commit": False}
    for _ in range(rounds):
        with aerostore.open(disk / "s", **options) as db:
            rows = db["FlightState"].ingest_tsv(flights).rows_seen
            began = now_ns()
            report = db.checkpoint()
            tell("checkpoint", "aerostore", (now_ns() - began) / rows, "ns/row")
            tell("checkpoint", "plain write", write_plain(disk / "plain", report.bytes) / rows,
                 "ns/row")
        segment.unlink()
        began = now_ns()
        with aerostore.open(disk / "s", **options) as db:
            loading = now_ns() - began
            tell("recovery", "checkpoint", loading / rows, "ns/row")
            keys = [row.flight_id for row in db["FlightState"].search(limit=rows // 5)]
            for number, key in enumerate(keys):
                db["FlightState"].update(key, altitude=number % 40_000)
        library = load(find_package("aerostore"))
        began = now_ns()
        store = Store(library, data_dir=str(disk / "s"), profile="shared", memory=None,
                      shm_path=str(segment), size=0)
        tell("attach", "aerostore", now_ns() - began, "ns")
        store.close()
        segment.unlink()
        began = now_ns()
        with aerostore.open(disk / "s", **options):
            more = now_ns() - began - loading
            tell("replay", "log", max(more, 1) / len(keys), "ns/commit")
        segment.unlink()
        shutil.rmtree(disk / "s")


main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
