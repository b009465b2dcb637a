"""Watches: events in commit order, snapshots, positions, both kinds of iteration, and their end."""

import asyncio
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading

import pytest

import aerostore
from aerostore import Event, LimitExceeded, RowNotFound, StaleHandle, UsageError


def flight(key: str, altitude: int | None = None) -> dict[str, object]:
    return {"flight_id": key, "lat": 1.0, "lon": 2.0, "altitude": altitude, "updated_at": 3}


def told(events) -> list[tuple[object, ...]]:
    return [(event.kind, event.key, event.old and event.old.altitude,
             event.new and event.new.altitude) for event in events]


def test_events_name_kind_images_and_columns(fs):
    """Goal: what an event carries; one change of each kind."""
    with fs.watch(timeout=0) as watch:
        assert watch.poll() is None and watch.position is None
        fs.insert(flight("a", 1))
        fs.update("a", altitude=2)
        fs.delete("a")
        inserted, updated, deleted = list(watch)
    assert told([inserted, updated, deleted]) == [
        ("insert", "a", None, 1), ("update", "a", 1, 2), ("delete", "a", 2, None)]
    assert updated.columns == ("altitude",) and inserted.columns == ()
    assert inserted.position < updated.position < deleted.position
    assert dict(inserted.new) == dict(updated.old)


def test_a_transaction_is_told_whole_or_not_at_all(db, fs):
    """Goal: rows once each after the commit, nothing of what was undone."""
    with fs.watch(timeout=0) as watch:
        with db.transaction():
            fs.insert(flight("a", 1))
            fs.update("a", altitude=5)
            with pytest.raises(ZeroDivisionError), db.transaction():
                fs.insert(flight("undone"))
                _ = 1 / 0
            fs.insert(flight("b", 2))
            assert watch.poll() is None
        first, second = list(watch)
    assert told([first, second]) == [("insert", "a", None, 5), ("insert", "b", None, 2)]
    assert first.number == second.number == second.position
    assert first.position == first.number - 1


def test_a_filter_is_about_before_or_after(fs):
    """Goal: clauses as in a search; a row enters, moves inside and leaves."""
    with fs.watch([(">", "alt", 100), ("match", "ident", "UAL*")], timeout=0) as watch:
        for altitude in (50, 200, 10, 5):
            fs.upsert(flight("UAL1", altitude))
            fs.upsert(flight("DAL1", 300))
        assert told(watch) == [("update", "UAL1", 50, 200), ("update", "UAL1", 200, 10)]


def test_a_snapshot_comes_first(fs):
    """Goal: rows that are there, "live", then changes: no gap, no repeat."""
    fs.upsert_many(flight(f"f{number}", number) for number in range(3000))
    with fs.watch([("<", "altitude", 2500)], start="snapshot", timeout=0) as watch:
        events = iter(watch)
        first = next(events)
        fs.update("f2", altitude=1)  # before the snapshot is read to its end
        rest = list(events)
    kinds = [event.kind for event in (first, *rest)]
    assert kinds == ["snapshot"] * 2500 + ["live", "update"]
    assert {event.key for event in (first, *rest)} == {f"f{i}" for i in range(2500)} | {None}
    assert rest[-1].old.altitude == 2


def test_iteration_waits_for_other_threads(db, fs):
    """Goal: a `for` sleeps until something is committed; another thread commits."""
    def write() -> None:
        for number in range(20):
            db.table("FlightState").upsert(flight("a", number))

    with fs.watch(timeout=60) as watch:
        writer = threading.Thread(target=write)
        writer.start()
        seen = []
        for event in watch:
            seen.append(event.new.altitude)
            if seen[-1] == 19:
                break
        writer.join()
    assert seen == list(range(20))


def test_async_iteration(fs):
    """Goal: `async for` lets the loop run; a task commits while another watches."""
    async def watcher(watch: aerostore.Watch) -> list[int]:
        seen = []
        async for event in watch:
            seen.append(event.new.altitude)
            if seen[-1] == 9:
                break
        return seen

    async def main() -> list[int]:
        with fs.watch(timeout=60) as watch:
            task = asyncio.create_task(watcher(watch))
            for number in range(10):
                fs.upsert(flight("a", number))
                await asyncio.sleep(0)
            return await task

    assert asyncio.run(main()) == list(range(10))


def test_async_iteration_ends_by_timeout(fs):
    """Goal: the timeout of the iterator; nothing is written."""
    async def main() -> list[Event]:
        return [event async for event in fs.watch(timeout=0.01)]

    assert asyncio.run(main()) == []


def test_falling_behind_is_told(store, aerostore_library):
    """Goal: overflow, then a new snapshot; more commits than the queue of a small segment has."""
    with aerostore.open(store.data_dir, size="8MiB", shm_path=store.shm_path) as db:
        fs = db.table("FlightState")
        with fs.watch(timeout=0) as watch:
            for number in range(5000):
                fs.upsert(flight("a", number))
            events = list(watch)
            assert [event.kind for event in events] == ["overflow"]
            watch.resync()
            assert told(watch) == [("snapshot", "a", None, 4999), ("live", None, None, None)]


def _watch_and_tell(directory: str, shm_path: str, pipe) -> None:
    with (aerostore.open(directory, shm_path=shm_path) as db,
          db.table("FlightState").watch() as watch):
        pipe.send("ready")
        for event in watch:
            pipe.send((event.new.altitude, event.position))


def test_a_killed_watch_is_resumed(db, fs, store):
    """Goal: a position survives its process; the watcher is killed, another goes on."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    child = context.Process(target=_watch_and_tell,
                            args=(str(store.data_dir), str(store.shm_path), there))
    child.start()
    assert here.recv() == "ready"
    for number in range(3):
        fs.upsert(flight("a", number))
    told_there = [here.recv() for _ in range(3)]
    assert [altitude for altitude, _ in told_there] == [0, 1, 2]
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    fs.upsert(flight("a", 3))
    with fs.watch(start=told_there[1][1], timeout=0) as watch:
        assert [event.new.altitude for event in watch] == [2, 3]
    db.checkpoint()
    with pytest.raises(RowNotFound, match="not kept"):
        fs.watch(start=told_there[1][1])


def test_refusals_and_ends(db, fs):
    """Goal: clear errors for what cannot be; each wrong way once."""
    for start in ("then", -1, 2**64, 1.5, None):
        with pytest.raises(UsageError):
            fs.watch(start=start)
    with pytest.raises(UsageError):
        fs.watch(timeout=-1)
    with db.transaction(), pytest.raises(UsageError, match="inside a transaction"):
        fs.watch()
    watches = [fs.watch() for _ in range(64)]
    with pytest.raises(LimitExceeded):
        fs.watch()
    watches[0].close()
    watches[0].close()
    with pytest.raises(StaleHandle):
        watches[0].poll()
    fs.watch().close()
    db.close()
    with pytest.raises(StaleHandle):
        watches[1].poll()


def test_the_command_line_prints_json(fs, store, python_environment):
    """Goal: `aerostore watch`: a line an event, for other programs; a snapshot of two rows."""
    fs.upsert_many([flight("a", 1), flight("b", None)])
    done = subprocess.run(
        [sys.executable, "-m", "aerostore", "watch", str(store.data_dir), "FlightState",
         "--start", "snapshot", "--timeout", "0", "--shm-path", str(store.shm_path)],
        env=python_environment(), capture_output=True, text=True, check=True)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(event["kind"], event["key"]) for event in events] == [
        ("snapshot", "a"), ("snapshot", "b"), ("live", None)]
    assert events[0]["new"]["altitude"] == 1 and events[1]["new"]["altitude"] is None
