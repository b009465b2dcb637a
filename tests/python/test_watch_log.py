"""Watches that begin at a position memory no longer keeps: they are fed from the log's files, and
go on with what is committed, without a gap and without a repetition."""

import multiprocessing
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

import aerostore
from aerostore import RowNotFound

PROFILES = ("shared", "logical")


def flight(ident, altitude=None):
    return {"flight_id": ident, "lat": 1.0, "lon": 2.0, "altitude": altitude, "updated_at": 5}


@contextmanager
def opened(store, profile="shared", size="8MiB", sync=False):
    with aerostore.open(store.data_dir, profile, size, sync, shm_path=store.shm_path) as db:
        yield db


def number_of(event):
    return int(event.position.rpartition("-")[2])


def told(events):
    return [(each.kind, each.key, each.old and each.old.altitude, each.new and each.new.altitude,
             each.columns, each.number, each.position) for each in events]


def forget(store):
    """Everybody has left; the memory goes, as when the machine is started anew."""
    store.shm_path.unlink()


def change(db, rounds, seed):
    """Commits of all kinds: single ones and transactions, inserts, updates, deletes, new lives,
    texts that take blocks, things undone."""
    fs = db.table("FlightState")
    pick = random.Random(seed)
    for number in range(rounds):
        if pick.random() < 0.6:
            _change_one(fs, pick, number)
            continue
        with db.transaction():
            for _ in range(pick.randrange(1, 9)):
                _change_one(fs, pick, number)
            if pick.random() < 0.2:
                with pytest.raises(ZeroDivisionError), db.transaction():
                    _change_one(fs, pick, -number)
                    _ = 1 / 0


def _change_one(fs, pick, number):
    key = f"k{pick.randrange(20)}"
    if pick.random() < 0.2:
        fs.delete(key)
    else:
        fs.upsert({**flight(key, number), "dest": "K" * pick.choice((0, 3, 40)) or None})


@pytest.mark.parametrize("profile", PROFILES)
def test_history_is_what_was_seen(store, aerostore_library, profile):
    """Goal: the log tells what a watch told that was there: kinds, images, columns, numbers and
    positions.  Method: random changes, watched; then the same from the log, after a recovery."""
    seed = random.randrange(2**32)
    print("seed", seed)
    with opened(store, profile) as db, db.table("FlightState").watch(timeout=0) as watch:
        start = db.stats().commit_clock
        change(db, 300, seed)
        seen = told(watch)
    assert len(seen) > 200
    with opened(store, profile) as db, db.table("FlightState").watch(start=start,
                                                                     timeout=0) as watch:
        assert db.boot == "warm"
        assert told(watch) == seen
    forget(store)
    with opened(store, profile) as db:
        assert db.boot == "cold"
        fs = db.table("FlightState")
        with fs.watch(start=start, timeout=0) as watch:
            assert told(watch) == seen
            fs.upsert(flight("new", 1))
            assert [(each.kind, each.key) for each in watch] == [("insert", "new")]
        # In the middle of it, in the middle of a transaction even, and with a filter.
        for place in (seen[17], seen[len(seen) // 2], seen[-1]):
            with fs.watch(start=place[-1], timeout=0) as watch:
                rest = [each for each in seen if each[-2] > int(place[-1].rpartition("-")[2])]
                assert told(watch)[:-1] == rest
        with fs.watch(["<", "altitude", 100], start=start, timeout=0) as watch:
            wanted = [each for each in seen if any(
                altitude is not None and altitude < 100 for altitude in each[2:4])]
            assert [each[:5] for each in told(watch)][:-1] == [each[:5] for each in wanted]


def test_more_than_the_queue_and_more_than_a_ring(store, aerostore_library):
    """Goal: longer histories than memory has places for, and transactions that are written in
    pieces, told as one.  Method: 6,000 commits and one of 5,000 rows in 8 MiB."""
    with opened(store) as db:
        fs = db.table("FlightState")
        for number in range(3000):
            fs.upsert(flight("a", number))
        with db.transaction():
            fs.upsert_many(flight(f"many{number}", number) for number in range(5000))
        with db.transaction():
            for key in ["a", *(f"many{number}" for number in range(5000))]:
                fs.delete(key)
        for number in range(3000):
            fs.upsert(flight("a", number))
        with fs.watch(start=1, timeout=0) as watch:
            events = list(watch)
    kinds = [each.kind for each in events]
    assert kinds == ["insert"] + ["update"] * 2999 + ["insert"] * 5000 + ["delete"] * 5001 + [
        "insert"] + ["update"] * 2999
    many = events[3000:8000]
    assert {each.number for each in many} == {many[0].number}
    assert {number_of(each) for each in many[:-1]} == {many[0].number - 1}
    assert number_of(many[-1]) == many[0].number
    updates = [*events[1:3000], *events[-2999:]]
    assert all(each.new.altitude == each.old.altitude + 1 for each in updates)


def test_what_a_checkpoint_cut_is_gone(store, aerostore_library):
    """Goal: a clear refusal when the log has been cut, unless it is kept by the setting."""
    with opened(store) as db:
        fs = db.table("FlightState")
        fs.upsert(flight("a", 1))
        first = db.stats().commit_clock
        fs.upsert(flight("a", 2))
        db.checkpoint()
        second = db.stats().commit_clock
        fs.upsert(flight("a", 3))
        with pytest.raises(RowNotFound, match="not kept any more"):
            fs.watch(start=first)
        with pytest.raises(RowNotFound):
            fs.watch(start=db.stats().commit_clock + 1)
        assert db.stats().watches_open == 0
        db.set_config("aerostore.keep_log", "on")
        for altitude in (4, 5):
            db.checkpoint()
            fs.upsert(flight("a", altitude))
        with fs.watch(start=second, timeout=0) as watch:
            assert [each[2:4] for each in told(watch)] == [(2, 3), (3, 4), (4, 5)]
    forget(store)
    with opened(store) as db, db.table("FlightState").watch(start=second, timeout=0) as watch:
        assert [each[2:4] for each in told(watch)] == [(2, 3), (3, 4), (4, 5)]


def test_a_position_of_now_needs_no_log(store, aerostore_library):
    """Goal: nothing has been committed since: the watch begins at once."""
    with opened(store) as db:
        fs = db.table("FlightState")
        fs.upsert(flight("a", 1))
        db.checkpoint()
        with fs.watch(start=db.stats().commit_clock, timeout=0) as watch:
            fs.upsert(flight("a", 2))
            assert [each[2:4] for each in told(watch)] == [(1, 2)]


def _write(directory, shm_path, commits):
    with aerostore.open(directory, synchronous_commit=False, shm_path=shm_path) as db:
        fs = db.table("FlightState")
        for number in range(commits):
            fs.incr("a", "altitude", 1)
            if number % 1000 == 500:
                db.checkpoint()


def test_catching_up_with_a_writer(store, aerostore_library):
    """Goal: from the log to memory while another process commits and takes checkpoints: each
    commit once, or an overflow when the log was cut beneath the reader.  Method: every altitude
    follows the one before."""
    with opened(store, size="16MiB") as db:
        fs = db.table("FlightState")
        fs.upsert(flight("a", 0))
        start = db.stats().commit_clock
        for _ in range(4000):
            fs.incr("a", "altitude", 1)
        context = multiprocessing.get_context("spawn")
        child = context.Process(target=_write,
                                args=(str(store.data_dir), str(store.shm_path), 3000))
        with fs.watch(start=start, timeout=30) as watch:
            child.start()
            last = 0
            for event in watch:
                if event.kind == "overflow":
                    watch.resync()
                    continue
                if event.kind == "live":
                    continue
                if event.kind == "snapshot":
                    assert event.new.altitude >= last
                else:
                    assert event.old.altitude == last
                last = event.new.altitude
                if last == 7000:
                    break
        child.join()
        assert child.exitcode == 0


_WATCH_AND_DIE = """
import os, signal, sys
import aerostore
with (aerostore.open(sys.argv[1], shm_path=sys.argv[2]) as db,
      db.table("FlightState").watch(start=1, timeout=0) as watch):
    for event in watch:
        print(event.new.altitude, event.position, flush=True)
        if event.new.altitude == 50:
            os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_reader_of_the_log_may_die(store, aerostore_library, python_environment):
    """Goal: killed while it reads the log, it goes on from its last position; after a restart of
    everything, too."""
    with opened(store) as db:
        fs = db.table("FlightState")
        for altitude in range(100):
            fs.upsert(flight("a", altitude))
        done = subprocess.run(
            [sys.executable, "-c", _WATCH_AND_DIE, str(store.data_dir), str(store.shm_path)],
            env=python_environment(), capture_output=True, text=True, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr
        lines = [line.split() for line in done.stdout.splitlines()]
        assert [int(altitude) for altitude, _ in lines] == list(range(51))
        with fs.watch(start=lines[-1][1], timeout=0) as watch:
            assert [each.new.altitude for each in watch] == list(range(51, 100))
    forget(store)
    with opened(store) as db, db.table("FlightState").watch(start=lines[-1][1],
                                                            timeout=0) as watch:
        assert [each.new.altitude for each in watch] == list(range(51, 100))
        db.verify()


def test_handles_end_well(store, aerostore_library):
    """Goal: closing early, a new snapshot instead, and the database closed under it."""
    with opened(store) as db:
        fs = db.table("FlightState")
        for altitude in range(100):
            fs.upsert(flight("a", altitude))
        with fs.watch(start=1, timeout=0) as watch:
            assert watch.poll().kind == "insert"
        assert db.stats().watches_open == 0
        watch = fs.watch(start=1, timeout=0)
        assert watch.poll().new.altitude == 0
        watch.resync()
        assert [(each.kind, each.new and each.new.altitude) for each in watch] == [
            ("snapshot", 99), ("live", None)]
        left = fs.watch(start=1, timeout=0)
        left.poll()
    with pytest.raises(aerostore.StaleHandle):
        left.poll()


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("rows", (1, 3))
def test_the_log_tells_what_expired(profile, rows, store, aerostore_library):
    """Goal: an expired row is told as "expire" from the log too, alone and with others, and a
    deleted one as "delete"; both are gone after a recovery."""
    with opened(store, profile) as db:
        fs = db.table("FlightState")
        for number in range(rows):
            fs.upsert(flight(f"old{number}", number))
        fs.upsert(flight("deleted"))
        position = db.stats().commit_clock
        fs.delete("deleted")
        fs.set_ttl(0.001)
        deadline = time.monotonic() + 20
        while len(fs) > 0 and time.monotonic() < deadline:
            fs.sweep()
        fs.set_ttl(None)
        fs.upsert(flight("old0", 7))
    forget(store)
    with opened(store, profile) as db:
        fs = db.table("FlightState")
        with fs.watch(start=position, timeout=0) as watch:
            events = [(each.kind, each.key) for each in watch]
        assert events[0] == ("delete", "deleted")
        assert sorted(events[1:-1]) == [("expire", f"old{number}") for number in range(rows)]
        assert events[-1] == ("insert", "old0")
        assert [row.flight_id for row in fs] == ["old0"]
