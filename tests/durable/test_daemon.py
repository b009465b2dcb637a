"""The daemon: started on demand, one per database, replaced when it dies, gone when unused."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import aerostore
from durable import stores
from support.paths import ROOT
from support.patience import until


def alive(pid: int) -> bool:
    """Tell whether a process lives; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def opened(place: Path) -> Iterator[Callable[..., aerostore.Database]]:
    """Return a function that opens the test's shared database."""
    handles = []

    def connect(**options: object) -> aerostore.Database:
        options = {"size": "64MiB", "synchronous_commit": False, **options}
        handles.append(aerostore.open(place / "s", shm_path=place / "segment", **options))
        return handles[-1]

    yield connect
    for db in handles:
        db.close()


def write(db: aerostore.Database, number: int) -> None:
    db["FlightState"].upsert(stores.row(f"F{number}", number))


def keeper(db: aerostore.Database) -> int:
    return int(db.stats()["keeper_pid"])


def flushed(db: aerostore.Database) -> bool:
    figures = db.stats()
    return bool(figures["log_durable_number"] >= figures["commit_clock"])


def test_it_flushes_and_ends_after_the_last_user(opened, aerostore_library):
    """Goal: an asynchronous commit gets to the disk by itself; no process stays behind."""
    db = opened()
    write(db, 1)
    until(lambda: flushed(db))
    until(lambda: keeper(db))
    pid = keeper(db)
    assert Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].endswith(b"aerostored")
    assert Path(f"/proc/{pid}/exe").resolve() == aerostore_library.with_name("aerostored").resolve()
    assert os.getsid(pid) != os.getsid(0)
    # Nothing of ours is open in it but standard streams, the segment, the directory and its files.
    names = {str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir()}
    assert all(name == "/dev/null" or str(Path(db.path).parent) in name for name in names), names
    db.close()
    until(lambda: not alive(pid))


def test_a_killed_one_is_replaced(opened):
    """Goal: SIGKILL and SIGSTOP of the daemon lose nothing and block nobody."""
    db = opened()
    write(db, 1)
    until(lambda: keeper(db))
    first = keeper(db)
    os.kill(first, signal.SIGKILL)
    until(lambda: not alive(first))

    def replaced() -> bool:
        write(db, 2)
        return keeper(db) not in (0, first)

    until(replaced)
    second = keeper(db)
    os.kill(second, signal.SIGSTOP)
    try:
        db.set_config("aerostore.synchronous_commit", "on")
        write(db, 3)
        assert flushed(db)
    finally:
        os.kill(second, signal.SIGCONT)
    write(db, 4)


def lag_while(db: aerostore.Database, seconds: float, step: Callable[[int], None]) -> float:
    """Take steps for a while; return the longest that a commit was seen to be in memory only."""
    waiting: list[tuple[int, float]] = []
    worst = 0.0
    until_then = time.monotonic() + seconds
    number = 0
    while time.monotonic() < until_then:
        number += 1
        step(number)
        figures = db.stats()
        now = time.monotonic()
        if not waiting or waiting[-1][0] < figures["commit_clock"]:
            waiting.append((int(figures["commit_clock"]), now))
        while waiting and waiting[0][0] <= figures["log_durable_number"]:
            waiting.pop(0)
        worst = max(worst, now - waiting[0][1] if waiting else 0.0)
        time.sleep(0.005)
    return worst


@pytest.fixture
def stopped(opened) -> Iterator[aerostore.Database]:
    """Yield a database whose keeper has been stopped when all was on the disk."""
    db = opened()
    write(db, 1)
    until(lambda: keeper(db) and flushed(db))
    pid = keeper(db)
    os.kill(pid, signal.SIGSTOP)
    yield db
    os.kill(pid, signal.SIGCONT)


def test_a_stopped_one_leaves_the_interval_to_committers(stopped):
    """Goal: who commits beside a stopped keeper flushes for itself, long before it is missed."""
    assert lag_while(stopped, 1.9, lambda number: write(stopped, number)) < 1.0


def test_a_stopped_one_leaves_the_interval_to_who_begins(stopped):
    """Goal: nobody commits any more, but somebody has transactions: that will do."""

    def read(_: int) -> None:
        with stopped.transaction():
            assert "F1" in stopped["FlightState"]

    write(stopped, 2)
    assert lag_while(stopped, 1.5, read) < 1.0
    assert flushed(stopped)


def test_a_stopped_one_is_replaced_and_ends_when_it_goes_on(stopped):
    """Goal: a stopped keeper has its locks; another one takes over, and keeps all by itself."""
    first = keeper(stopped)

    def replaced() -> bool:
        write(stopped, 3)
        return keeper(stopped) not in (0, first)

    until(replaced)
    assert Path(f"/proc/{first}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"
    second = keeper(stopped)
    write(stopped, 4)
    until(lambda: flushed(stopped))  # nobody commits, nobody begins
    os.kill(first, signal.SIGCONT)
    until(lambda: not alive(first))
    assert alive(second) and keeper(stopped) == second


def test_the_last_commit_alone_gets_a_keeper(opened):
    """Goal: a synchronous commit needs none; the asynchronous one after it does, and is the last.
    """
    db = opened(synchronous_commit=True)
    write(db, 1)
    db.set_config("aerostore.synchronous_commit", "off")
    write(db, 2)
    until(lambda: flushed(db))


def test_of_twenty_started_at_once_one_stays(opened, place, aerostore_library):
    """Goal: one wins, the others end with code 3; when the store is left, so does the winner."""
    db = opened(synchronous_commit=True)
    write(db, 1)
    program = aerostore_library.with_name("aerostored")
    command = [program, "--foreground", place / "s", place / "segment", "shared"]
    started = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(20)]
    until(lambda: sum(each.poll() is None for each in started) <= 1)
    codes = sorted(each.returncode for each in started if each.returncode is not None)
    assert codes == [3] * 19
    [winner] = [each for each in started if each.poll() is None]
    assert keeper(db) == winner.pid
    db.close()
    until(lambda: winner.poll() is not None)
    assert winner.returncode == 0
    for each in started:
        each.communicate()


def test_it_never_makes_a_database(place, aerostore_library):
    """Goal: without a segment it ends with an error; it makes no directory and no segment."""
    program = aerostore_library.with_name("aerostored")
    for command, code in (([program], 2),
                          ([program, "--foreground", place / "s", place / "segment", "shared"], 1)):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == code and done.stderr.count("\n") == 1, done.stderr
    (place / "s").mkdir()
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1 and "no database in memory" in done.stderr
    assert list(place.iterdir()) == [place / "s"]


def test_what_was_taken_away_while_it_started_does_not_come_back(place):
    """Goal: a directory that is removed right after its last user has left stays removed, though a
    daemon was just starting.  Method: commit, close, remove, many times; then wait for all."""
    for number in range(30):
        folder = place / f"s{number}"
        with aerostore.open(folder, shm_path=place / f"segment{number}", size="16MiB",
                            synchronous_commit=False) as db:
            write(db, number)
        shutil.rmtree(folder, ignore_errors=True)
    wanted = str(place).encode()

    def keepers() -> list[bytes]:
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                found.append(entry.read_bytes())
        return [line for line in found if b"aerostored" in line and wanted in line]

    until(lambda: not keepers())
    left = [path.name for path in place.iterdir() if path.is_dir() and not any(path.iterdir())]
    assert not left, left


def test_it_ends_when_its_files_are_taken_away(opened, place):
    """Goal: a removed data directory or segment ends it; commits say so, and nothing hangs."""
    db = opened()
    write(db, 1)
    until(lambda: flushed(db) and keeper(db))
    pid = keeper(db)
    shutil.rmtree(place / "s")
    until(lambda: not alive(pid))
    db.set_config("aerostore.synchronous_commit", "on")
    with pytest.raises((aerostore.StorageError, aerostore.NotDurable)):
        write(db, 2)
    assert db["FlightState"]["F1"].lat == 1.0
    with pytest.raises(aerostore.StorageError):
        db.checkpoint()


def test_it_survives_without_its_lock_file(opened, place):
    """Goal: somebody removes the lock file; there is one keeper again after a while."""
    db = opened()
    write(db, 1)
    until(lambda: keeper(db))
    (place / "s" / "aerostore.lock").unlink()

    def goes_on() -> bool:
        """Each commit looks whether there is a keeper; some intervals later it is on the disk."""
        write(db, 2)
        for _ in range(100):
            if flushed(db):
                return True
            time.sleep(0.01)
        return False

    until(goes_on)
    db.checkpoint()


def test_a_copied_store_has_a_daemon_and_a_life_of_its_own(opened, place):
    """Goal: cp -a of a store in use opens beside the first; neither sees the other's rows."""
    db = opened()
    write(db, 1)
    until(lambda: flushed(db))
    shutil.copytree(place / "s", place / "copy")
    with aerostore.open(place / "copy", shm_path=place / "other", size="64MiB",
                        synchronous_commit=False) as other:
        assert stores.contents(other) == stores.contents(db)
        write(other, 7)
        write(db, 8)
        until(lambda: flushed(other) and flushed(db))
        assert "F7" not in db["FlightState"] and "F8" not in other["FlightState"]
        assert keeper(other) != keeper(db)


def test_checkpoints_come_from_the_daemon(opened):
    """Goal: the interval is kept without anybody asking, also for synchronous commits."""
    db = opened(synchronous_commit=True)
    db.set_config("aerostore.checkpoint_interval_secs", "1")

    def taken() -> bool:
        write(db, 1)
        return bool(db.stats()["checkpoints"])

    until(taken)


# The first process of a pid namespace: it commits until it has a keeper, which is in it, too.
ELSEWHERE = """
import sys, time
import aerostore
db = aerostore.open(sys.argv[1], shm_path=sys.argv[2], size="64MiB", synchronous_commit=False)
while db.stats()["keeper_pid"] == 0:
    db["FlightState"].upsert({"flight_id": "there", "lat": 0, "lon": 0, "updated_at": 0})
    time.sleep(0.01)
print("there", flush=True)
sys.stdin.read()
"""


def test_one_that_died_with_its_pid_namespace_is_replaced(opened, place):
    """Goal: a keeper in another container, whose numbers mean nothing here, dies with it."""
    command = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, "-c",
               ELSEWHERE, str(place / "s"), str(place / "segment")]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env,
                          text=True) as other:
        if other.stdout is None or other.stdout.readline() != "there\n":
            pytest.skip("pid namespaces cannot be made here")
        db = opened()
        foreign = keeper(db)
        other.kill()
    write(db, 1)
    assert lag_while(db, 3.5, lambda number: write(db, number)) < 1.0
    until(lambda: write(db, 2) or keeper(db) != foreign)
    write(db, 3)
    until(lambda: flushed(db))


def test_it_makes_huge_pages_of_what_has_grown(opened, place):
    """Goal: what a load got in small pages is huge later, also where all commits are synchronous.

    Method: the segment's header is told that huge pages are dear up to its size; after a load it
    says how many the daemon has been through, and that is all that are reserved.
    """
    db = opened(synchronous_commit=True)
    path = place / "segment"
    huge = 2 << 20

    def header(form: str, offset: int) -> int:
        with path.open("rb") as file:
            return int(struct.unpack_from(form, file.read(256), offset)[0])

    with path.open("r+b") as file:
        file.seek(152)
        file.write(struct.pack("<Q", 64 << 20))
    db["FlightState"].ingest_tsv("".join(
        f"F{number}\t1\t2\t3\t4\t5\tB738\tKJFK\n" for number in range(60_000)).encode())
    assert header("<Q", 136) >= 16 << 20

    def through() -> bool:
        """Who commits looks whether there is something to do."""
        write(db, 1)
        return header("<I", 172) == header("<Q", 136) // huge

    until(through)
    assert keeper(db)
    assert len(list(db["FlightState"].search())) == 60_000
