"""Latency from a commit to the callback of a watch in another process, in Tcl and in asyncio.

watch_latency.py TCL_DIRECTORY FOLDER SAMPLES ROUNDS: a row is updated every two milliseconds, with
the time of the clock in it; the watcher looks at the clock first of all.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import aerostore

HERE = Path(__file__).resolve().parent


def measure(db: aerostore.Database, command: list[str], samples: int) -> list[int]:
    """Return microseconds from before each update to its event."""
    flights = db["FlightState"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watcher:
        assert watcher.stdout is not None
        if watcher.stdout.readline() != "ready\n":
            sys.exit("the watcher did not begin")
        for _ in range(samples):
            time.sleep(0.002)
            flights.update("one", gs=float(time.time_ns() // 1000))
        flights.update("one", altitude=-1)
        spans = [int(word) for word in watcher.stdout.readline().split()]
    if watcher.returncode != 0 or len(spans) != samples:
        sys.exit(f"the watcher saw {len(spans)} of {samples} updates")
    return sorted(spans)


def main(tcl_directory: str, folder: str, samples: str, rounds: str) -> None:
    """Print a line of JSON for each percentile."""
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    segment = f"{folder}/segment"
    tclsh = shutil.which("tclsh")
    doors = {"asyncio": [sys.executable, str(HERE / "watch_latency_asyncio.py"), folder, segment]}
    if tclsh is not None:
        doors["tcl"] = [tclsh, str(HERE / "watch_latency.tcl"), tcl_directory, folder, segment]
    with aerostore.open(folder, shm_path=segment, size="64MiB", synchronous_commit=False) as db:
        for number in range(int(rounds)):
            for door, command in doors.items():
                row = {"flight_id": "one", "lat": 1, "lon": 2, "altitude": 1, "updated_at": 3}
                db["FlightState"].upsert(row)
                spans = measure(db, command, int(samples))
                cuts = statistics.quantiles(spans, n=100)
                for peer, span in (("median", cuts[49]), ("99th percentile", cuts[98])):
                    print(json.dumps({"what": f"latency in {door}", "peer": peer, "value": span,
                                      "round": number, "unit": "us"}), flush=True)


main(*sys.argv[1:])
