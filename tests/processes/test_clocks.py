"""Transactions do not ask what time it is: orders, waits and deaths under a calendar that jumps."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import aerostore
from support.cbuild import CACHE, make
from support.paths import ENGINE, ROOT

FALSE_CLOCK = Path(__file__).with_name("false_clock.c")
DAY = 86_400
NOW = int(time.time())
CLOCKS = {
    "ten days ago": {"FALSE_CLOCK_SHIFT": -10 * DAY},
    "in ten years": {"FALSE_CLOCK_SHIFT": 3652 * DAY},
    "at the end of 32 bits": {"FALSE_CLOCK_SHIFT": 2**31 - 1 - NOW},
    "before 1970": {"FALSE_CLOCK_SHIFT": -NOW - DAY},
    "a second back with each look": {"FALSE_CLOCK_BACK": 1},
}

# Counts one row up with the other workers, in transactions that conflict, and says how often.
COUNTER = """
import sys, time
import aerostore
db = aerostore.open(sys.argv[1], shm_path=sys.argv[2], size="32MiB")
fs = db["FlightState"]
def once():
    n = fs.get("hot")["altitude"]
    fs.update("hot", altitude=n + 1)
print(int(time.time()), flush=True)
for turn in range(int(sys.argv[3])):
    db.run(once, retries=1000)
db.close()
print("good", flush=True)
"""

# Dies with a transaction open, as soon as it gets the row.
DYING = """
import os, signal, sys
import aerostore
db = aerostore.open(sys.argv[1], shm_path=sys.argv[2], size="32MiB")
def once():
    db["FlightState"].update("hot", altitude=-1)
    os.kill(os.getpid(), signal.SIGKILL)
db.run(once, retries=1000)
"""


@pytest.fixture(scope="module")
def false_clock() -> Path:
    """Build the library that lies about the time."""
    output = CACHE / "false_clock.so"
    command = ["cc", "-O1", "-shared", "-fPIC", "-D_GNU_SOURCE", str(FALSE_CLOCK), "-o",
               str(output)]
    return make(output, command, [str(FALSE_CLOCK)])


def start(program: str, *arguments: object, **variables: object) -> subprocess.Popen[str]:
    """Start a Python program with more variables in its environment."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python"),
                   **{name: str(value) for name, value in variables.items()}}
    return subprocess.Popen([sys.executable, "-c", program, *map(str, arguments)], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)


@pytest.mark.parametrize("name", CLOCKS)
def test_the_calendar_does_not_matter(aerostore_library, false_clock, store, name: str) -> None:
    """Goal: row P14.  Method: a worker whose clock lies counts with one whose clock is right;
    one with a false clock dies inside a transaction; nothing is lost, and nobody waits for it."""
    turns = 100
    places = (store.data_dir, store.shm_path)
    lies = {"LD_PRELOAD": false_clock, **CLOCKS[name]}
    with aerostore.open(store.data_dir, shm_path=store.shm_path, size="32MiB") as db:
        table = db["FlightState"]
        table.upsert({"flight_id": "hot", "lat": 0, "lon": 0, "updated_at": 0, "altitude": 0})
        workers = [start(COUNTER, *places, turns, **lies), start(COUNTER, *places, turns)]
        dying = start(DYING, *places, **lies)
        said = dying.communicate(timeout=120)[0]
        assert dying.returncode == -signal.SIGKILL, said
        for worker in workers:
            said = worker.communicate(timeout=240)[0]
            assert worker.returncode == 0, said
            assert said.endswith("good\n"), said
            if worker is workers[0] and "FALSE_CLOCK_SHIFT" in lies:
                wrong = int(said.split()[0]) - time.time() - int(lies["FALSE_CLOCK_SHIFT"])
                assert abs(wrong) < 1000, "the clock did not lie"
        row = table.get("hot")
        assert row is not None and row["altitude"] == 2 * turns
        db.verify()
        assert db.stats()["slots_in_use"] == 0


def test_only_the_user_reads_the_calendar() -> None:
    """Goal: no wait and no order can depend on it.  Method: who in the engine reads the clock."""
    calendar = re.compile(r"CLOCK_REALTIME|gettimeofday|\btime\(NULL\)|ae_os_wall_us")
    # age.c compares it with the steady clock, to tell its jumps: timestamps of users need that.
    allowed = {"base/os.h", "base/os_time.c", "txn/age.c"}
    readers = {
        str(path.relative_to(ENGINE))
        for path in ENGINE.rglob("*.[ch]")
        if calendar.search(path.read_text())
    }
    transactional = {name for name in readers - allowed
                     if name.split("/")[0] in ("base", "shm", "proc", "index", "txn", "table")}
    assert not transactional
