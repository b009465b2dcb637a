"""Pids that come again, and pids of another namespace."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ROOT

UNSHARE = ("unshare", "--pid", "--fork", "--mount-proc")

# Runs as the first process of a pid namespace of its own.  A victim dies inside a transaction; the
# next process gets its pid.
REUSE = """
import os, signal, sys, time
import aerostore

def row(key, n):
    return {"flight_id": key, "lat": 0, "lon": 0, "updated_at": 0, "altitude": n}

def started(pid):
    return open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[19]

db = aerostore.open(sys.argv[1], shm_path=sys.argv[2], size="32MiB")
fs = db["FlightState"]
fs.upsert(row("held", 1))
for turn in range(5):
    ready, tell = os.pipe()
    victim = os.fork()
    if victim == 0:
        with db.transaction():
            fs.upsert(row("held", 99))
            os.write(tell, b"x")
            signal.pause()
    os.read(ready, 1)
    birth = started(victim)
    os.kill(victim, signal.SIGKILL)
    os.waitpid(victim, 0)
    hold, release = os.pipe()
    innocent = 0
    deadline = time.monotonic() + 60
    while innocent != victim or started(innocent) == birth:
        if innocent:
            os.kill(innocent, signal.SIGKILL)
            os.waitpid(innocent, 0)
        assert time.monotonic() < deadline
        with open("/proc/sys/kernel/ns_last_pid", "w") as last:
            last.write(str(victim - 1))
        innocent = os.fork()
        if innocent == 0:
            os.read(hold, 1)
            os._exit(7)
    assert db.stats()["slots_in_use"] == 1
    begun = time.monotonic()
    fs.upsert(row("held", 2 + turn))
    took = time.monotonic() - begun
    assert took < 10, took  # a call outside a transaction tries for 30 seconds
    assert fs.get("held")["altitude"] == 2 + turn
    assert db.stats()["slots_in_use"] == 0
    assert os.waitpid(innocent, os.WNOHANG) == (0, 0)  # lives, and is left alone
    os.write(release, b"x")
    assert os.waitstatus_to_exitcode(os.waitpid(innocent, 0)[1]) == 7
    for pipe in (ready, tell, hold, release):
        os.close(pipe)
db.verify()
db.close()
print("good")
"""

# Holds a transaction open until its input ends, then commits it.
HOLDER = """
import os, sys
import aerostore
db = aerostore.open(sys.argv[1], shm_path=sys.argv[2], size="32MiB")
fs = db["FlightState"]
with db.transaction():
    fs.upsert({"flight_id": "held", "lat": 0, "lon": 0, "updated_at": 0, "altitude": 5})
    print(os.getpid(), flush=True)
    sys.stdin.read()
db.close()
print("good")
"""


def python(*words: object, wrapper: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """Start a Python program, in other surroundings if wanted."""
    return subprocess.Popen(
        [*wrapper, sys.executable, "-c", *map(str, words)], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "python")})


@pytest.fixture(scope="module")
def namespaces() -> None:
    """Skip where pid namespaces cannot be made."""
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare(1)")
    tried = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"pid namespaces cannot be made here: {tried.stderr.strip()}")


@pytest.fixture
def next_pids(namespaces: None) -> None:
    """Skip where the next pid cannot be chosen."""
    command = "echo 100 > /proc/sys/kernel/ns_last_pid"
    tried = subprocess.run([*UNSHARE, "sh", "-c", command], capture_output=True, text=True,
                           check=False)
    if tried.returncode != 0:
        pytest.skip(f"the next pid cannot be chosen here: {tried.stderr.strip()}")


@pytest.mark.usefixtures("next_pids")
def test_a_reused_pid_is_not_its_former_owner(aerostore_library: Path, store) -> None:
    """Goal: row P10.  Method: kill an owner and start another process with its pid."""
    with python(REUSE, store.data_dir, store.shm_path, wrapper=UNSHARE) as child:
        said = child.communicate(timeout=300)[0]
    print(said)
    assert child.returncode == 0
    assert said.endswith("good\n")


@pytest.mark.usefixtures("namespaces")
def test_a_living_owner_in_another_namespace_is_left_alone(aerostore_library: Path, store) -> None:
    """Goal: row P9.  Method: an owner whose pid, seen from here, is nobody's or another's."""
    import aerostore

    with python(HOLDER, store.data_dir, store.shm_path, wrapper=UNSHARE) as holder:
        assert holder.stdout is not None
        assert int(holder.stdout.readline()) < 10  # a pid that is another's here
        with aerostore.open(store.data_dir, shm_path=store.shm_path) as db:
            table = db["FlightState"]
            for number in range(2000):
                table.upsert({"flight_id": "other", "lat": 0, "lon": 0, "updated_at": number})
            assert db.stats()["slots_in_use"] == 1  # not reaped
            with pytest.raises(aerostore.SerializationFailure), db.transaction():
                table.upsert({"flight_id": "held", "lat": 0, "lon": 0, "updated_at": 0})
            said = holder.communicate(timeout=120)[0]
            assert said == "good\n"
            assert holder.returncode == 0
            row = table.get("held")
            assert row is not None and row["altitude"] == 5
            db.verify()
