"""Time to live: never early, gone in the end, told to watches once, also across restarts."""

import os
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import aerostore
from aerostore import Ttl, TypeMismatch, UnknownName, UsageError
from support.patience import until

PATIENCE = 60.0  # on a loaded machine; a quiet one takes two intervals


def flight(key: str, updated_at: object = 3) -> dict[str, object]:
    return {"flight_id": key, "lat": 1.0, "lon": 2.0, "updated_at": updated_at}


def await_empty(table: aerostore.Table) -> float:
    """Return when the last row was gone, at the latest."""
    deadline = time.monotonic() + PATIENCE
    while len(table):
        assert time.monotonic() < deadline, f"{len(table)} rows live for ever"
        time.sleep(0.005)
    return time.monotonic()


def quick(db: aerostore.Database) -> None:
    db.set_config("aerostore.ttl_sweep_interval_ms", "20")


def test_a_row_goes_by_itself_and_never_early(db, fs):
    """Goal: rows with a time to live go, told once as `expire`; by the keeper, nobody calls."""
    quick(db)
    fs.set_ttl(0.3)
    assert fs.ttl() == Ttl(timedelta(seconds=0.3), None)
    with fs.watch(timeout=0) as watch:
        began = time.monotonic()
        fs.insert(flight("a"))
        fs.insert(flight("b"))
        assert await_empty(fs) - began >= 0.3
        events = list(watch)
    assert [event.kind for event in events] == ["insert"] * 2 + ["expire"] * 2
    assert {event.key for event in events[2:]} == {"a", "b"}
    assert all(event.old is not None and event.new is None for event in events[2:])
    assert db.stats()["expired"] == 2


def test_writing_a_row_lets_it_live_on(db, fs):
    """Goal: the time counts from the last write.  Method: one row of two is written until the
    other has gone."""
    db.set_config("aerostore.ttl_sweep_interval_ms", "0")
    fs.set_ttl(0.2)
    fs.insert(flight("left alone"))
    deadline = time.monotonic() + PATIENCE
    while "left alone" in fs:
        fs.upsert(flight("written"))
        fs.sweep()
        assert "written" in fs and time.monotonic() < deadline


def test_a_column_counts(db, fs):
    """Goal: a Timestamp column, and sweeping on demand.  Method: old and young timestamps."""
    db.set_config("aerostore.ttl_sweep_interval_ms", "0")
    now = datetime.now(UTC)
    fs.insert(flight("old", now - timedelta(hours=2)))
    fs.insert(flight("young", now))
    fs.insert(flight("future", now + timedelta(days=400)))
    fs.set_ttl(timedelta(hours=1), column="updated_at")
    assert fs.ttl() == Ttl(timedelta(hours=1), "updated_at")
    assert db.sweep() == 1
    assert sorted(row.flight_id for row in fs) == ["future", "young"]
    fs.set_ttl(None)
    assert fs.ttl() is None and fs.sweep() == 0


@pytest.mark.parametrize(("after", "column", "error"), [
    (0, None, TypeMismatch), (-1, None, TypeMismatch), (float("nan"), None, TypeMismatch),
    (float("inf"), None, TypeMismatch), ("3", None, TypeMismatch), (True, None, TypeMismatch),
    (1e-6, None, TypeMismatch), (1e12, None, TypeMismatch), (1, "altitude", TypeMismatch),
    (1, "nonsense", UnknownName),
])
def test_what_is_no_time_to_live_is_refused(fs, after, column, error):
    """Goal: bad times and columns change nothing."""
    with pytest.raises(error):
        fs.set_ttl(after, column=column)
    assert fs.ttl() is None


def test_a_sweep_is_no_part_of_a_transaction(db, fs):
    """Goal: an error, and the transaction goes on."""
    with db.transaction():
        fs.insert(flight("a"))
        with pytest.raises(UsageError):
            fs.sweep()
    assert "a" in fs


@pytest.mark.parametrize("restart", ["warm", "log", "checkpoint"])
def test_rows_expire_across_a_restart(aerostore_library, store, restart):
    """Goal: not early and not never, when the segment stays, and when it is made anew from the log
    or a checkpoint.  The time to live is set again: it is a setting of the segment."""
    with aerostore.open(store.data_dir, size="64MiB", shm_path=store.shm_path) as db:
        db.set_config("aerostore.ttl_sweep_interval_ms", "0")
        began = time.monotonic()
        db.table("FlightState").insert(flight("a"))
        if restart == "checkpoint":
            db.checkpoint()
        if restart != "warm":
            Path(store.shm_path).unlink()
    with aerostore.open(store.data_dir, size="64MiB", shm_path=store.shm_path) as db:
        fs = db.table("FlightState")
        assert len(fs) == 1 and fs.ttl() is None
        quick(db)
        fs.set_ttl(0.5)
        assert await_empty(fs) - began >= 0.5
        assert db.verify().rows == 0


def test_opening_replaces_a_keeper_that_was_killed(aerostore_library, store):
    """Goal: nobody commits, so nobody but who opens can see that the keeper is dead; it does so at
    once, not when the keeper would have been missed."""
    with aerostore.open(store.data_dir, size="64MiB", shm_path=store.shm_path) as db:
        fs = db.table("FlightState")
        quick(db)
        fs.set_ttl(1)
        until(lambda: db.stats()["keeper_pid"] and db.stats()["keeper_alive"])
        fs.insert(flight("a"))
        keeper = db.stats()["keeper_pid"]
    os.kill(keeper, signal.SIGKILL)
    with aerostore.open(store.data_dir, size="64MiB", shm_path=store.shm_path) as db:
        assert db.boot == "warm"
        await_empty(db.table("FlightState"))
        # The row may have gone before the keeper did, on a slow machine.
        until(lambda: db.stats()["keeper_pid"] != keeper)


def test_time_of_the_log_counts_after_recovery(aerostore_library, store):
    """Goal: a row that was written long before recovery does not live its time anew.  Method: a
    pause longer than the time to live, and one sweep right after recovery."""
    with aerostore.open(store.data_dir, size="64MiB", shm_path=store.shm_path) as db:
        db.table("FlightState").insert(flight("a"))
        Path(store.shm_path).unlink()
    time.sleep(0.3)  # the time that has to pass is what is tested
    with aerostore.open(store.data_dir, size="64MiB", shm_path=store.shm_path) as db:
        fs = db.table("FlightState")
        db.set_config("aerostore.ttl_sweep_interval_ms", "0")
        fs.set_ttl(0.2)
        assert fs.sweep() == 1


def test_what_has_expired_stays_gone_after_recovery(aerostore_library, store):
    """Goal: an expiry is logged as a delete.  Method: one of two rows expires, the segment is made
    anew from the log, and nothing has a time to live then."""
    now = datetime.now(UTC)
    with aerostore.open(store.data_dir, size="64MiB", shm_path=store.shm_path) as db:
        fs = db.table("FlightState")
        db.set_config("aerostore.ttl_sweep_interval_ms", "0")
        fs.insert(flight("old", now - timedelta(hours=2)))
        fs.insert(flight("young", now))
        fs.set_ttl(3600, column="updated_at")
        assert fs.sweep() == 1
        Path(store.shm_path).unlink()
    with aerostore.open(store.data_dir, size="64MiB", shm_path=store.shm_path) as db:
        fs = db.table("FlightState")
        assert fs.ttl() is None
        assert [row.flight_id for row in fs] == ["young"]
