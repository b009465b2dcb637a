"""Signals at random instants: an interrupted program, and one whose calls are cut short."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.paths import ROOT

INTERRUPTS = int(os.environ.get("AEROSTORE_INTERRUPTS", "200"))

# Writes two rows alike in each transaction.  The signal may come at any time, and raises once for
# each turn; then the rows must be alike, nothing may be open, and the next transaction must work.
WORKER = """
import os, signal, sys
import aerostore

parent = os.getppid()

def row(key, n):
    return {"flight_id": key, "lat": 0, "lon": 0, "updated_at": 0, "altitude": n}

def transactions():
    global count, armed
    armed = True
    # An interrupt in a destructor is swallowed, and ends the turn here.
    while armed and os.getppid() == parent:
        count += 1
        if count % 3:
            with db.transaction():
                fs.upsert(row("a", count))
                with db.transaction():
                    fs.upsert(row("b", count))
        else:
            def both():
                fs.upsert(row("a", count))
                fs.upsert(row("b", count))
            db.run(both)

def interrupt(number, frame):
    global armed
    if armed:
        armed = False
        raise KeyboardInterrupt

armed, count = False, 0
with aerostore.open(sys.argv[1], shm_path=sys.argv[2], size="32MiB") as db:
    fs = db["FlightState"]
    fs.upsert(row("a", 0)); fs.upsert(row("b", 0))
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    print("ready", flush=True)
    for turn in range(int(sys.argv[3])):
        try:
            transactions()
        except KeyboardInterrupt:
            pass
        a, b = fs.get("a")["altitude"], fs.get("b")["altitude"]
        assert a == b, (a, b)
        assert a in (count, count - 1), (a, count)
        count = a
        assert db.stats()["slots_in_use"] == 0
        with db.transaction():  # outermost: it commits
            fs.upsert(row("c", turn))
        with aerostore.open(sys.argv[1], shm_path=sys.argv[2]) as other:
            assert other["FlightState"].get("c")["altitude"] == turn
    db.verify()
signal.signal(signal.SIGINT, signal.SIG_IGN)  # or the end of the interpreter would meet them
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("good", flush=True)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_interrupts_leave_whole_transactions(aerostore_library: Path, store, name: str) -> None:
    """Goal: row P13, committed or not, never half.  Method: interrupt a worker at random."""
    seed = int(os.environ.get("AEROSTORE_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
    print("seed", seed)
    dice = random.Random(seed)
    arguments = [str(store.data_dir), str(store.shm_path), str(INTERRUPTS)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    with subprocess.Popen([sys.executable, "-c", WORKER, *arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, env=environment,
                          preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        while child.poll() is None:
            child.send_signal(getattr(signal, name))
            time.sleep(dice.uniform(0, 0.004))  # a random instant, not a synchronisation
        said = child.stdout.read()
    print(said[-4000:])
    assert child.returncode == 0
    assert said.endswith("good\n")
