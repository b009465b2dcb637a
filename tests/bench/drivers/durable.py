"""Checkpoint, recovery, verify and warm attach; print one JSON object a measurement.

Usage: durable.py FLIGHTS.TSV MEMORY DISK ROUNDS

Rows come from the file; their store's files lie in DISK, its segment in MEMORY.  Recovery is
measured from a checkpoint, also of a hundredth and a tenth of a million rows, and from a log of
one-row commits.  The peer of the checkpoint is a file of its size, written in blocks and synced.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "codegen")]

import aerostore  # noqa: E402  the path above makes it importable
from aerostore._ffi.library import load  # noqa: E402
from aerostore._ffi.session import Store  # noqa: E402
from aerostore._locate import find_package  # noqa: E402

VICTIM = """
import sys
import aerostore
db = aerostore.open(sys.argv[1], shm_path=sys.argv[2])
transaction = db.transaction()
if sys.argv[3] != "0":
    transaction.__enter__()
    db["FlightState"].upsert({"flight_id": "orphan" + sys.argv[3], "lat": 1, "lon": 2,
                              "updated_at": 3})
print("ready", flush=True)
sys.stdin.read()
"""

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


def orphans_make(directory: Path, segment: Path, count: int) -> None:
    """Have processes attach, each with an open transaction but the first, and kill them all."""
    path = os.pathsep.join(sys.path[:2])
    for number in range(count + 1):
        with subprocess.Popen([sys.executable, "-c", VICTIM, str(directory), str(segment),
                               str(number)], stdout=subprocess.PIPE, text=True,
                              env={**os.environ, "PYTHONPATH": path}) as victim:
            if victim.stdout is None or victim.stdout.readline() != "ready\n":
                raise SystemExit("a victim did not start")
            victim.kill()


def attach(directory: Path, segment: Path) -> None:
    """Attach after the death of all, without transactions of the dead and with four of them."""
    library = load(find_package("aerostore"))
    for count, peer in ((0, "nobody's transaction"), (4, "four orphans")):
        orphans_make(directory, segment, count)
        # The victims have had the caches; another store's attach brings the code back to them.
        for _ in range(3):
            Store(library, data_dir=str(directory.parent / "other"), profile="shared", memory=None,
                  shm_path=str(segment.parent / "other"), size=0).close()
        began = now_ns()
        store = Store(library, data_dir=str(directory), profile="shared", memory=None,
                      shm_path=str(segment), size=0)
        tell("attach", peer, now_ns() - began, "ns")
        store.close()


def recovery(lines: list[bytes], memory: Path, disk: Path, label: str) -> None:
    """Take a checkpoint of these rows and recover from it."""
    segment, options = memory / "segment", {"size": "8GiB", "synchronous_commit": False}
    with aerostore.open(disk / "s", shm_path=segment, **options) as db:
        rows = db["FlightState"].ingest_tsv(b"".join(lines)).rows_seen
        began = now_ns()
        report = db.checkpoint()
        tell(f"checkpoint{label}", "aerostore", (now_ns() - began) / rows, "ns/row")
        tell(f"checkpoint{label}", "plain write", write_plain(disk / "plain", report.bytes) / rows,
             "ns/row")
    segment.unlink()
    with aerostore.open(disk / "s", shm_path=segment, **options) as db:
        tell(f"recovery{label}", "checkpoint", db.stats()["recovered_us"] * 1000 / rows, "ns/row")
        began = now_ns()
        db.verify()
        tell(f"verify{label}", "aerostore", now_ns() - began, "ns")
    segment.unlink()
    shutil.rmtree(disk / "s")


def replay(lines: list[bytes], memory: Path, disk: Path) -> None:
    """Recover from a log of one-row commits."""
    segment, options = memory / "segment", {"size": "8GiB", "synchronous_commit": False}
    with aerostore.open(disk / "s", shm_path=segment, **options) as db:
        db["FlightState"].ingest_tsv(b"".join(lines), batch_size=1)
    segment.unlink()
    with aerostore.open(disk / "s", shm_path=segment, **options) as db:
        commits = db.stats()["recovered_commits"]
        tell("replay", "log", db.stats()["recovered_us"] * 1000 / commits, "ns/commit")
    segment.unlink()
    shutil.rmtree(disk / "s")


def main(flights: Path, memory: Path, disk: Path, rounds: int) -> None:
    with flights.open("rb") as file:
        lines = file.readlines()
    for _ in range(rounds):
        for count in (10_000, 100_000):
            if count < len(lines):
                recovery(lines[:count], memory, disk, f" of {count:,}")
        recovery(lines, memory, disk, "")
        replay(lines, memory, disk)
        with aerostore.open(disk / "a", shm_path=memory / "attached", size="1GiB") as db:
            db["FlightState"].ingest_tsv(b"".join(lines[:100_000]))
        attach(disk / "a", memory / "attached")
        (memory / "attached").unlink()
        shutil.rmtree(disk / "a")


os.sched_setaffinity(0, range(os.cpu_count() or 1))  # recovery takes what there is
main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
