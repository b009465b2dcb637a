"""Warm restart: a segment that is left is used as it is, unless it does not belong to the files."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import aerostore
from durable import stores
from durable import test_goals as goals
from support.paths import ROOT

WORKER = """
import os, sys
import aerostore
db = aerostore.open(sys.argv[1], shm_path=sys.argv[2], size="64MiB")
table = db["FlightState"]
table.upsert({"flight_id": "A", "lat": 1, "lon": 2, "updated_at": 3})
open_one = db.transaction()
open_one.__enter__()
table.upsert({"flight_id": "B", "lat": 1, "lon": 2, "updated_at": 3})
print("ready", flush=True)
sys.stdin.read()
"""


def connect(place: Path, **options: object) -> aerostore.Database:
    return aerostore.open(place / "s", shm_path=place / "segment", size="64MiB", **options)


def killed_worker(place: Path) -> None:
    """Let a process commit A, leave B open, and kill it."""
    path = os.pathsep.join(str(ROOT / folder) for folder in ("python", "codegen"))
    with subprocess.Popen([sys.executable, "-c", WORKER, place / "s", place / "segment"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          env={**os.environ, "PYTHONPATH": path}) as worker:
        assert worker.stdout is not None and worker.stdout.readline() == "ready\n"
        worker.send_signal(signal.SIGKILL)


def test_after_the_death_of_all_nothing_is_replayed(place):
    """Goal: the segment is attached, the orphan is cleared, the rows are those of the files."""
    killed_worker(place)
    with connect(place) as db:
        # By us, or by the daemon, which may have come first.
        assert (db.boot, db.stats()["reaped_slots"]) == ("warm", 1) and db.orphans_cleared <= 1
        warm = stores.contents(db)
        assert set(warm) == {"A"}
        db.verify()
    (place / "segment").unlink()
    with connect(place) as db:
        assert (db.boot, db.stats()["recovered_commits"]) == ("cold", 1)
        assert stores.contents(db) == warm


RESTARTS = 12
CYCLE = """
import os, sys
import aerostore
db = aerostore.open(sys.argv[1], shm_path=sys.argv[2], size="64MiB")
number = int(sys.argv[3])
table = db["FlightState"]
assert db.boot == "warm", db.boot
assert {row.altitude for row in table.search()} == {number - 1} and len(table) == 500
with db.transaction():
    for key in table.search(fields=["flight_id"]).tuples():
        table.update(key[0], altitude=number, dest="D" * (number % 24))
print(db.stats()["segment_used"], flush=True)
if number % 2:
    os._exit(9)
db.close()
"""


def test_many_restarts_keep_the_rows_and_the_memory(place):
    """Goal: a segment outlives any number of generations of processes and does not grow by it.
    Method: a dozen processes one after the other, every other without a good-bye; each finds what
    the one before has written, and writes all rows anew."""
    with connect(place) as db:
        db["FlightState"].upsert_many({**stores.row(f"F{number}", number), "altitude": 0}
                                      for number in range(500))
    path = os.pathsep.join(str(ROOT / folder) for folder in ("python", "codegen"))
    used = []
    for number in range(1, RESTARTS + 1):
        done = subprocess.run([sys.executable, "-c", CYCLE, place / "s", place / "segment",
                               str(number)], capture_output=True, text=True, check=False,
                              env={**os.environ, "PYTHONPATH": path})
        assert done.returncode == (9 if number % 2 else 0), done.stderr
        used.append(int(done.stdout))
    assert max(used[5:]) <= 1.1 * used[4], used
    with connect(place) as db:
        assert (db.boot, len(db["FlightState"])) == ("warm", 500)
        db.verify()


def test_attaching_touches_no_file(place):
    """Goal: a warm start neither reads the log nor changes it.  Method: its bytes and times, and
    those of the checkpoint, before and after ten openings that write nothing."""
    with connect(place) as db:
        db["FlightState"].upsert(stores.row("A", 1))
        db.checkpoint()
        db["FlightState"].upsert(stores.row("B", 2))

    def files() -> list[tuple[str, bytes, int, int]]:
        return [(path.name, path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino)
                for path in sorted((place / "s").iterdir()) if path.stat().st_size > 0]

    before = files()
    assert len(before) > 1
    for _ in range(10):
        with connect(place) as db:
            assert (db.boot, set(stores.contents(db))) == ("warm", {"A", "B"})
            assert db.stats()["recovered_commits"] == 0
    assert files() == before


def test_a_segment_of_other_files_is_not_used(place):
    """Goal: files replaced under a segment that nobody uses: the files count."""
    with connect(place) as db:
        db["FlightState"].upsert(stores.row("old", 1))
    with aerostore.open(place / "other", memory="private", size="64MiB") as db:
        db["FlightState"].upsert(stores.row("new", 2))
    for path in (place / "s").iterdir():
        path.unlink()
    shutil.copy2(place / "other" / "aerostore.wal", place / "s" / "aerostore.wal")
    with connect(place) as db:
        assert db.boot == "cold" and set(stores.contents(db)) == {"new"}


@pytest.mark.parametrize("gone", ("copied back", "cut", "zeroed"))
def test_a_segment_that_is_ahead_of_its_files_is_not_used(place, gone):
    """Goal: an older copy of the files put back under a segment that nobody uses counts, and what
    is committed from then on is there after a recovery; likewise when the log's end is missing."""
    with connect(place) as db:
        db["FlightState"].upsert(stores.row("early", 1))
    log = place / "s" / "aerostore.wal"
    early = log.read_bytes()
    with connect(place) as db:
        assert db.boot == "warm"
        db["FlightState"].upsert(stores.row("late", 2))
    late = log.read_bytes()
    assert late.startswith(early) and len(late) > len(early)
    copy = {"copied back": early, "cut": late[:-8],
            "zeroed": early + bytes(len(late) - len(early))}[gone]
    log.write_bytes(copy)
    with connect(place) as db:
        assert db.boot == "cold" and set(stores.contents(db)) == {"early"}
        db["FlightState"].upsert(stores.row("new", 3))
    (place / "segment").unlink()
    with connect(place) as db:
        assert set(stores.contents(db)) == {"early", "new"}


def test_a_segment_whose_files_are_gone_is_not_used(place):
    """Goal: whoever removes the files removes the rows."""
    with connect(place) as db:
        db["FlightState"].upsert(stores.row("old", 1))
    for path in (place / "s").iterdir():
        path.unlink()
    with connect(place) as db:
        assert db.boot == "cold" and stores.contents(db) == {}


def test_a_segment_in_use_is_not_taken_away(place):
    """Goal: with somebody attached, files that do not fit are an error, and nobody is disturbed."""
    with connect(place) as db:
        db["FlightState"].upsert(stores.row("old", 1))
        kept = (place / "s" / "aerostore.wal").rename(place / "aside")
        with pytest.raises(aerostore.LayoutMismatch, match="attached"):
            connect(place)
        kept.rename(place / "s" / "aerostore.wal")
        db["FlightState"].upsert(stores.row("more", 2))
        with connect(place) as again:
            assert set(stores.contents(again)) == {"old", "more"}


def test_many_open_at_once_and_one_recovers(place):
    """Goal: twelve processes open a store without a segment; all see all rows."""
    history = stores.make(place / "s", "shared")
    path = os.pathsep.join(str(ROOT / folder) for folder in ("python", "codegen"))
    code = ("import sys, aerostore\n"
            "with aerostore.open(sys.argv[1], shm_path=sys.argv[2], size='64MiB') as db:\n"
            "    print(len(db['FlightState']), db.boot)\n")
    started = [subprocess.Popen([sys.executable, "-c", code, place / "s", place / "segment"],
                                stdout=subprocess.PIPE, text=True,
                                env={**os.environ, "PYTHONPATH": path}) for _ in range(12)]
    answers = [each.communicate(timeout=240)[0].split() for each in started]
    assert {answer[0] for answer in answers} == {str(len(history.states[-1]))}
    assert [answer[1] for answer in answers].count("cold") == 1


def test_a_segment_that_missed_commits_is_not_used(place):
    """Goal: files that were written in private memory since count, not the segment of before."""
    with connect(place) as db:
        db["FlightState"].upsert(stores.row("old", 1))
    with aerostore.open(place / "s", memory="private", size="64MiB") as db:
        db["FlightState"].upsert(stores.row("new", 2))
    with connect(place) as db:
        assert db.boot == "cold" and set(stores.contents(db)) == {"old", "new"}
    with connect(place) as db:
        assert db.boot == "warm"


def test_a_restored_backup_is_shared_before_its_first_commit(place):
    """Goal: a store without a log yet is attached by others like any."""
    history = stores.make(place / "first", "shared")
    with history.open() as db:
        db.backup(place / "s")
    with connect(place) as one, connect(place) as two:
        assert (one.boot, two.boot) == ("cold", "warm")
        two["FlightState"].upsert(stores.row("new", 2))
        with connect(place) as three:
            assert three["FlightState"]["new"].lat == 2.0


def test_a_segment_of_a_backup_that_was_damaged_since_is_not_used(place):
    """Goal: where there is no log yet, the checkpoint says whose files these are."""
    history = stores.make(place / "first", "shared")
    with history.open() as db:
        db.backup(place / "s")
    with connect(place) as db:
        assert db.boot == "cold"
    checkpoint = place / "s" / stores.FILES["shared"][1]
    data = bytearray(checkpoint.read_bytes())
    data[20] ^= 1
    checkpoint.write_bytes(data)
    with pytest.raises(aerostore.CorruptionError, match=checkpoint.name):
        connect(place)
    assert checkpoint.read_bytes() == data
    data[20] ^= 1
    checkpoint.write_bytes(data)
    with connect(place) as db:
        assert stores.contents(db) == history.states[-1]


def test_a_directory_that_was_moved_to_where_its_files_have_no_path(place):
    """Goal: a segment goes with its directory wherever that is; what cannot be written is told."""
    with connect(place) as db:
        assert db.boot == "cold"
    with goals.deep(place, goals.PATH_MAX - len("/aerostore.wal") - 2) as path:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        os.rename(place / "s", "s", dst_dir_fd=fd)
        os.close(fd)
        with aerostore.open(f"{path}/s", shm_path=place / "segment", size="64MiB") as db:
            assert db.boot == "warm" and len(db["FlightState"]) == 0
            with pytest.raises(aerostore.NotDurable, match="cannot make a file of the log"):
                db["FlightState"].upsert(stores.row("A", 1))


def test_a_segment_removed_under_its_users_is_not_replaced(place):
    """Goal: two segments never write to one log: the second opener waits, then is told why."""
    with connect(place) as db:
        db["FlightState"].upsert(stores.row("old", 1))
        (place / "segment").unlink()
        with pytest.raises(aerostore.LayoutMismatch, match="not through the segment"):
            connect(place)
        db["FlightState"].upsert(stores.row("more", 2))
    with connect(place) as db:
        assert db.boot == "cold" and set(stores.contents(db)) == {"old", "more"}
