"""The daemon is killed again and again while six processes wait for their synchronous commits."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import aerostore
from durable import stores
from support.paths import ROOT
from support.patience import until

WORKERS = 6
KILLS = int(os.environ.get("AEROSTORE_DAEMON_KILLS", "8"))
# A commit that waits for nobody dead; a machine with much else to do gets some seconds more.
LONGEST_S = 2.0
BUSY_S = 12.0

# Counts a row of its own up, and says each number when it has been acknowledged, with the longest
# time that one took.
WORKER = """
import sys, time
import aerostore
name = sys.argv[3]
with aerostore.open(sys.argv[1], shm_path=sys.argv[2], size="64MiB",
                    synchronous_commit=True) as db:
    table = db["FlightState"]
    longest = 0.0
    number = 0
    while True:
        number += 1
        before = time.monotonic()
        table.upsert({"flight_id": name, "lat": 1, "lon": 2, "altitude": number,
                      "updated_at": 3})
        longest = max(longest, time.monotonic() - before)
        print(number, longest, flush=True)
"""


def start(place: Path, name: str) -> tuple[subprocess.Popen[bytes], Path]:
    """Start a worker; what it says, and why it ends if it does, goes to a file."""
    path = os.pathsep.join(str(ROOT / folder) for folder in ("python", "codegen"))
    said = place / f"{name}.said"
    with said.open("wb") as output:
        worker = subprocess.Popen(
            [sys.executable, "-c", WORKER, place / "s", place / "segment", name],
            stdout=output, stderr=output, env={**os.environ, "PYTHONPATH": path})
    return worker, said


def last_said(said: Path) -> tuple[int, float]:
    """Return the last acknowledged number and the longest wait; a torn last line is not one."""
    lines = said.read_text().rpartition("\n")[0].splitlines()
    number, longest = lines[-1].split() if lines else ("0", "0")
    return int(number), float(longest)


def test_killed_daemons_neither_lose_nor_hold_up_a_synchronous_commit(place):
    """Goal: none of six committers is told of a commit that is not on the disk, and none waits for
    a dead daemon.  Method: kill the daemon whenever there is one; at last kill everybody at once,
    take the memory away, and compare the files to what each was told."""
    with aerostore.open(place / "s", shm_path=place / "segment", size="64MiB",
                        synchronous_commit=False) as db:
        workers = [start(place, f"W{number}") for number in range(WORKERS)]
        killed: list[int] = []

        def another() -> bool:
            # Synchronous commits need no daemon; an asynchronous one has it started.
            db["FlightState"].upsert(stores.row("mine", len(killed)))
            return db.stats()["keeper_pid"] not in (0, *killed[-1:])

        for _ in range(KILLS):
            until(another)
            pid = int(db.stats()["keeper_pid"])
            before = [last_said(said)[0] for _, said in workers]
            killed.append(pid)
            os.kill(pid, signal.SIGKILL)
            # Everybody goes on.
            began = time.monotonic()
            until(lambda seen=before: all(last_said(said)[0] > number for (_, said), number
                                          in zip(workers, seen, strict=True)))
            assert time.monotonic() - began < BUSY_S
        last = int(db.stats()["keeper_pid"])
    # Nobody is left who could write what a worker was told too early.
    for worker, said in workers:
        assert worker.poll() is None, said.read_text()[-2000:]
        worker.send_signal(signal.SIGSTOP)
    with contextlib.suppress(ProcessLookupError):
        os.kill(last, signal.SIGKILL)
    for worker, _ in workers:
        worker.kill()
        worker.wait()
    (place / "segment").unlink()
    with aerostore.open(place / "s", shm_path=place / "segment", size="64MiB") as db:
        assert db.boot == "cold"
        for index, (_, said) in enumerate(workers):
            number, longest = last_said(said)
            assert number > KILLS and longest < BUSY_S
            # At most the commit that was under way is there besides.
            found = db["FlightState"][f"W{index}"].altitude
            assert number <= found <= number + 1
        db.verify()
    waits = sorted(last_said(said)[1] for _, said in workers)
    assert waits[0] < LONGEST_S, waits
