"""Watches: events in commit order, snapshots, positions, both kinds of iteration, and their end."""

import asyncio
import contextlib
import gc
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import aerostore
from aerostore import Event, LayoutMismatch, LimitExceeded, RowNotFound, StaleHandle, UsageError


def flight(key: str, altitude: int | None = None) -> dict[str, object]:
    return {"flight_id": key, "lat": 1.0, "lon": 2.0, "altitude": altitude, "updated_at": 3}


def number_of(event: Event) -> int:
    return int(event.position.rpartition("-")[2])


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
    assert first.number == second.number == number_of(second)
    assert number_of(first) == first.number - 1


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
    for start in ("then", -1, 2**64, 1.5):
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
    assert {event["number"] for event in events} == {int(events[0]["position"].split("-")[1])}


# ---- hostile users -----------------------------------------------------------------------------


def test_a_slow_task_does_not_make_the_loop_spin(fs):
    """Goal: with events waiting, a task that sleeps costs nothing.  Method: processor time."""
    async def main() -> float:
        with fs.watch(timeout=60) as watch:
            fs.upsert(flight("a", 1))
            fs.upsert(flight("b", 1))
            async for _ in watch:
                before = time.process_time()
                await asyncio.sleep(0.5)
                return time.process_time() - before
        return 60.0

    assert asyncio.run(main()) < 0.25


def test_a_cancelled_task_loses_no_event(fs):
    """Goal: cancelling while it waits, and leaving early; the next one goes on.  Method: both."""
    async def first(watch: aerostore.Watch) -> object:
        async for event in watch:
            return event.key
        return None

    async def main() -> list[object]:
        with fs.watch(timeout=60) as watch:
            task = asyncio.create_task(first(watch))
            await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            fs.upsert_many([flight("a"), flight("b")])
            fs.upsert(flight("c"))
            return [await first(watch) for _ in range(3)]

    assert asyncio.run(main()) == ["a", "b", "c"]


@pytest.mark.parametrize("what", ["watch", "database"])
def test_closing_wakes_a_waiting_task(store, aerostore_library, what):
    """Goal: a clear error, not for ever asleep; the loop is usable.  Method: close in a task."""
    async def main() -> None:
        db = aerostore.open(store.data_dir, size="16MiB", shm_path=store.shm_path)
        watch = db.table("FlightState").watch()

        async def wait() -> None:
            async for _ in watch:
                pass

        task = asyncio.create_task(wait())
        await asyncio.sleep(0.05)
        (watch if what == "watch" else db).close()
        with pytest.raises(StaleHandle):
            await asyncio.wait_for(task, 60)
        ends = [os.pipe() for _ in range(8)]  # the numbers of the closed descriptors, among others
        for number, (here, there) in enumerate(ends):
            woken = asyncio.Event()
            asyncio.get_running_loop().add_reader(here, woken.set)
            os.write(there, bytes([number]))
            await asyncio.wait_for(woken.wait(), 60)
            asyncio.get_running_loop().remove_reader(here)
        for pair in ends:
            os.close(pair[0])
            os.close(pair[1])
        watch.close()
        db.close()

    asyncio.run(main())


def test_one_task_waits_for_a_watch(fs):
    """Goal: a second one is told, the first goes on.  Method: two tasks on one watch."""
    async def first(watch: aerostore.Watch) -> object:
        async for event in watch:
            return event.key
        return None

    async def main() -> object:
        with fs.watch(timeout=60) as watch:
            task = asyncio.create_task(first(watch))
            await asyncio.sleep(0)
            with pytest.raises(UsageError, match="another task"):
                await first(watch)
            fs.upsert(flight("a"))
            return await task

    assert asyncio.run(main()) == "a"


def test_other_tasks_run_beside_many_events(fs):
    """Goal: a stream of events does not starve the loop.  Method: count a task's turns."""
    fs.upsert_many(flight(f"f{number}") for number in range(2000))
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def main() -> int:
        task = asyncio.create_task(other())
        with fs.watch(start="snapshot", timeout=0) as watch:
            seen = [event async for event in watch]
        task.cancel()
        return len(seen)

    assert asyncio.run(main()) == 2001
    assert turns >= 10


def test_the_timeout_is_about_events(db, fs):
    """Goal: commits that the filter leaves out do not put it off.  Method: a busy writer."""
    stop = threading.Event()

    def write() -> None:
        table = db.table("FlightState")
        while not stop.is_set():
            table.upsert(flight("low", 1))

    async def count(watch: aerostore.Watch) -> int:
        return len([event async for event in watch])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with fs.watch([(">", "altitude", 100)], timeout=0.2) as watch:
            assert list(watch) == []
            assert asyncio.run(count(watch)) == 0
    finally:
        stop.set()
        writer.join()


def test_lost_watches_give_their_places_back(fs):
    """Goal: 64 places are enough for who forgets to close.  Method: drop watches, half-read."""
    for _ in range(3):
        watches = [fs.watch(start="snapshot", timeout=0) for _ in range(64)]
        for watch in watches:
            next(iter(watch))
        del watches, watch
        gc.collect()
    for clause in [("=", "nothing", 1), ("=", "altitude", "x"), "{= altitude", "{frob alt 1}"]:
        for _ in range(70):
            with pytest.raises(aerostore.Error):
                fs.watch([clause])
    fs.watch().close()


def test_a_forked_child_is_refused(fs):
    """Goal: the parent's watch is the parent's.  Method: use and close it in a child of fork."""
    with fs.watch(timeout=0) as watch:
        child = os.fork()
        if child == 0:
            code = 1
            with contextlib.suppress(BaseException):
                try:
                    watch.poll()
                except StaleHandle:
                    watch.close()
                    code = 0
            os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        fs.upsert(flight("a", 1))
        assert told(watch) == [("insert", "a", None, 1)]


def test_errors_in_the_body_leave_it_usable(db, fs):
    """Goal: an exception, a transaction and a close in the middle of iterating.  Method: each."""
    with fs.watch(timeout=0) as watch:
        fs.upsert_many([flight("a", 1)])
        fs.upsert_many([flight("b", 2)])
        with pytest.raises(ZeroDivisionError):
            for _ in watch:
                _ = 1 / 0
        with db.transaction():
            fs.upsert(flight("c", 3))
            assert [event.key for event in watch] == ["b"]
            with pytest.raises(UsageError, match="transaction"):
                watch.resync()
        with pytest.raises(StaleHandle, match="the watch is closed"):
            for event in watch:
                assert event.key == "c"
                watch.close()


def test_a_transaction_larger_than_anything_is_told(db, fs):
    """Goal: one event a row, in order, all of one commit.  Method: 30,000 rows at once."""
    with fs.watch(timeout=0) as watch:
        with db.transaction():
            fs.upsert_many(flight(f"f{number:05}", number) for number in range(30_000))
        events = list(watch)
    assert [event.new.altitude for event in events] == list(range(30_000))
    assert len({event.number for event in events}) == 1
    assert {number_of(event) for event in events[:-1]} == {events[0].number - 1}
    assert number_of(events[-1]) == events[0].number


def test_a_watch_begins_beside_checkpoints(db, fs):
    """Goal: neither disturbs the other.  Method: snapshots while another thread checkpoints."""
    stop = threading.Event()

    def checkpoint() -> None:
        while not stop.is_set():
            db.checkpoint()

    fs.upsert_many(flight(f"f{number}", 0) for number in range(500))
    thread = threading.Thread(target=checkpoint)
    thread.start()
    try:
        for turn in range(1, 6):
            with fs.watch(start="snapshot", timeout=0) as watch:
                for number in range(0, 500, 7):
                    fs.update(f"f{number}", altitude=turn)
                rows = {event.key: event.new.altitude for event in watch if event.new is not None}
            assert rows == {f"f{n}": turn if n % 7 == 0 else 0 for n in range(500)}
    finally:
        stop.set()
        thread.join()


def _alone(directory: str, shm_path: str, pipe) -> None:
    with aerostore.open(directory, size="16MiB", shm_path=shm_path) as db:
        table = db.table("FlightState")
        with table.watch() as watch:
            for number in range(4):
                table.upsert(flight("a", number))
            events = [next(iter(watch)) for _ in range(3)]
            pipe.send([event.position for event in events])
            pipe.recv()  # until it is killed


def test_a_position_of_another_store_is_refused(tmp_path, aerostore_library):
    """Goal: a position counts in its own store only, whatever numbers others have come to; texts
    that are none are refused; the order of texts is that of positions."""
    positions = []
    for name in ("one", "other"):
        with aerostore.open(tmp_path / name, memory="private", synchronous_commit=False) as db:
            fs = db.table("FlightState")
            with fs.watch(timeout=0) as watch:
                for altitude in range(12):
                    fs.upsert(flight("a", altitude))
                events = list(watch)
            positions.append(events[3].position)
            assert [each.position for each in events] == sorted(each.position for each in events)
            if name == "one":
                with fs.watch(start=positions[0], timeout=0) as watch:
                    assert told(watch)[0] == ("update", "a", 3, 4)
    with aerostore.open(tmp_path / "other", memory="private") as db:
        fs = db.table("FlightState")
        with fs.watch(start=positions[1], timeout=0) as watch:  # read from the log
            assert told(watch)[0] == ("update", "a", 3, 4)
        with pytest.raises(LayoutMismatch, match="of another store"):
            fs.watch(start=positions[0], timeout=0)
        good = positions[1]
        for bad in ("", "later", good[:-1], good + "0", " " + good[1:], good.upper() + "X",
                    good.replace("-", "+"), good[:17] + "9" * 20, good[:17] + "\x00" * 20,
                    "é" * 37):
            with pytest.raises(UsageError, match="no position"):
                fs.watch(start=bad, timeout=0)


@pytest.mark.parametrize("memory", ["kept", "lost"])
def test_positions_after_everybody_was_killed(store, aerostore_library, memory):
    """Goal: a warm restart goes on, and so does a recovery: from the log.

    Method: the only process is killed; with `lost` its segment is removed, as by a power failure.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    child = context.Process(target=_alone, args=(str(store.data_dir), str(store.shm_path), there))
    child.start()
    positions = here.recv()
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    if memory == "lost":
        Path(store.shm_path).unlink()
    with aerostore.open(store.data_dir, size="16MiB", shm_path=store.shm_path) as db:
        table = db.table("FlightState")
        if memory == "lost":
            with pytest.raises(RowNotFound):
                table.watch(start=2**63)
            with table.watch(start=positions[1], timeout=0) as watch:
                assert [event.new.altitude for event in watch] == [2, 3]
            with table.watch(start="snapshot", timeout=0) as watch:
                assert told(watch) == [("snapshot", "a", None, 3), ("live", None, None, None)]
        else:
            with pytest.raises(RowNotFound):
                table.watch(start=2**63)
            with table.watch(start=positions[1], timeout=0) as watch:
                table.upsert(flight("a", 9))
                assert [event.new.altitude for event in watch] == [2, 3, 9]
