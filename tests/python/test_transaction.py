"""Transactions: commit, rollback, nesting, conflicts and repetition."""

import functools
import threading
import time

import pytest

import aerostore
from support.patience import until

SMALL = {"lat": 1.0, "lon": 2.0, "updated_at": 0}


def put(fs, key, **more):
    fs.upsert({**SMALL, "flight_id": key, **more})


def elsewhere(call):
    """Run a call in another thread, hence in another session; hand back its result."""
    box = []

    def work():
        try:
            box.append((call(), None))
        except BaseException as error:
            box.append((None, error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert box, "the other thread hangs"
    result, error = box[0]
    if error is not None:
        raise error
    return result


def test_commit_and_rollback(db, fs):
    """Goal: a block's end commits, an exception undoes; watched from another session."""
    with db.transaction():
        put(fs, "A")
        assert "A" in fs
        assert not elsewhere(lambda: "A" in fs)
    assert elsewhere(lambda: "A" in fs)
    with pytest.raises(KeyError), db.transaction():
        put(fs, "B")
        fs.delete("A")
        raise KeyError
    assert "A" in fs and "B" not in fs
    for way_out in (SystemExit, KeyboardInterrupt, GeneratorExit):
        with pytest.raises(way_out), db.transaction():
            put(fs, "B")
            raise way_out
        assert "B" not in fs


def test_another_thread_cannot_leave_a_transaction(db, fs):
    """Goal: leaving it elsewhere is refused, whatever the way, and its own thread still leaves it:
    nothing stays open."""
    for error in (None, KeyError("x")):
        block = db.transaction()
        with block:
            put(fs, "A")
            arguments = (None, None, None) if error is None else (KeyError, error, None)
            if error is None:
                with pytest.raises(aerostore.StaleHandle):
                    elsewhere(functools.partial(block.__exit__, *arguments))
            else:
                elsewhere(functools.partial(block.__exit__, *arguments))
            put(fs, "B")
        assert elsewhere(lambda: "A" in fs and "B" in fs)
        assert db.stats()["slots_in_use"] == 0
        fs.clear()


def test_nested_blocks_are_savepoints(db, fs):
    """Goal: an inner rollback keeps the outer writes; nests three deep, with equal siblings."""
    with db.transaction():
        put(fs, "A")
        with pytest.raises(KeyError), db.transaction():
            put(fs, "B")
            with db.transaction():
                put(fs, "C")
            raise KeyError
        with db.transaction():
            put(fs, "D")
            with pytest.raises(KeyError), db.transaction():
                fs.delete("A")
                fs.update("D", altitude=1)
                raise KeyError
        assert sorted(row.flight_id for row in fs) == ["A", "D"]
    assert sorted(row.flight_id for row in fs) == ["A", "D"]
    assert fs["D"].altitude is None
    with pytest.raises(KeyError), db.transaction():
        with db.transaction():
            put(fs, "E")
        raise KeyError
    assert "E" not in fs


def test_isolation_words(db, fs):
    """Goal: the three levels work and others are refused; read_only refuses writes."""
    put(fs, "A")
    with db.transaction(isolation="snapshot"):
        put(fs, "B")
    with db.transaction(isolation="read_only"):
        assert len(fs) == 2
        with pytest.raises(aerostore.ReadOnlyError):
            put(fs, "C")
    assert len(fs) == 2
    with pytest.raises(aerostore.UsageError, match="serializable"):
        db.transaction(isolation="dirty")


def test_a_transaction_sees_one_snapshot(db, fs):
    """Goal: repeatable reads; another session changes a row between two reads."""
    put(fs, "A", altitude=1)
    with db.transaction(isolation="read_only"):
        assert fs["A"].altitude == 1
        elsewhere(lambda: put(fs, "A", altitude=2))
        elsewhere(lambda: put(fs, "B"))
        assert fs["A"].altitude == 1 and len(fs) == 1
    assert fs["A"].altitude == 2 and len(fs) == 2


def test_lost_updates_are_conflicts(db, fs):
    """Goal: the second updater fails with a retryable error and the handle stays usable."""
    put(fs, "A", altitude=1)
    with pytest.raises(aerostore.SerializationFailure) as caught, db.transaction():
        assert fs["A"].altitude == 1
        elsewhere(lambda: fs.update("A", altitude=5))
        fs.update("A", altitude=2)
    assert caught.value.retryable and caught.value.code == "CONFLICT"
    assert fs["A"].altitude == 5
    with db.transaction():
        fs.update("A", altitude=6)
    assert fs["A"].altitude == 6


def test_run_repeats_until_it_commits(db, fs):
    """Goal: run() retries conflicts only, and at most as often as asked; counts attempts."""
    put(fs, "A", altitude=0)
    attempts = []

    def move():
        attempts.append(1)
        altitude = fs["A"].altitude
        if len(attempts) < 4:
            elsewhere(lambda: fs.update("A", altitude=10))
        fs.update("A", altitude=altitude + 1)
        return "done"

    assert db.run(move) == "done"
    assert len(attempts) == 4 and fs["A"].altitude == 11

    def always():
        attempts.append(1)
        fs["A"]
        elsewhere(lambda: fs.incr("A", "altitude"))
        fs.update("A", altitude=0)

    attempts.clear()
    with pytest.raises(aerostore.SerializationFailure):
        db.run(always, retries=2)
    assert len(attempts) == 3

    def broken():
        attempts.append(1)
        put(fs, "B")
        raise ValueError("mine")

    attempts.clear()
    with pytest.raises(ValueError, match="mine"):
        db.run(broken)
    assert len(attempts) == 1 and "B" not in fs
    assert db.run(lambda database: database is db)
    with pytest.raises(aerostore.UsageError):
        db.run(move, retries=-1)


def test_run_inside_a_transaction_does_not_repeat(db, fs):
    """Goal: only the outermost transaction can be repeated; an inner run passes conflicts on."""
    put(fs, "A", altitude=0)
    inner, outer = [], []

    def change():
        inner.append(1)
        if len(outer) == 1:
            elsewhere(lambda: fs.incr("A", "altitude"))
        fs.update("A", altitude=fs["A"].altitude + 100)

    def whole():
        outer.append(1)
        fs["A"]
        db.run(change)

    db.run(whole)
    assert len(outer) == len(inner) == 2
    assert fs["A"].altitude == 101


def test_threads_increment_without_loss(db, fs):
    """Goal: read-modify-write under run() loses nothing; four threads, one row."""
    put(fs, "A", altitude=0)

    def bump():
        fs.update("A", altitude=fs["A"].altitude + 1)

    threads = [threading.Thread(target=lambda: [db.run(bump, retries=1000) for _ in range(50)])
               for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert fs["A"].altitude == 200
    db.verify()


def test_misuse_of_the_block(db, fs):
    """Goal: entering twice, leaving from another thread, closing inside: errors, nothing stuck."""
    block = db.transaction()
    with block:
        with pytest.raises(aerostore.UsageError):
            block.__enter__()
        put(fs, "A")
    assert "A" in fs
    other = db.transaction()
    other.__enter__()
    put(fs, "B")
    with pytest.raises(aerostore.StaleHandle):
        elsewhere(lambda: other.__exit__(None, None, None))
    db._session().rollback()
    assert "B" not in fs
    with pytest.raises(aerostore.UsageError):
        db.transaction().__exit__(None, None, None)


def test_close_inside_a_block_rolls_back(db, fs, store):
    """Goal: close() wins over the block; the writes are gone and leaving tells so."""
    with pytest.raises(aerostore.StaleHandle), db.transaction():
        put(fs, "A")
        db.close()
    with aerostore.open(store.data_dir, shm_path=store.shm_path) as again:
        assert len(again["FlightState"]) == 0


def test_lock_for_update_returns_the_row_and_others_wait(db, fs):
    """Goal: the lock gives the row, needs a transaction, and makes a writer in another session wait
    for its end.  Method: another thread counts up while the row is locked."""
    put(fs, "A", altitude=1)
    with pytest.raises(aerostore.UsageError):
        fs.lock_for_update("A")
    db.set_config("aerostore.lock_timeout_ms", "60000")
    other = threading.Thread(target=lambda: fs.incr("A", "altitude", 10))
    with db.transaction():
        assert fs.lock_for_update("B") is None
        row = fs.lock_for_update("A")
        assert row is not None
        assert row.altitude == 1
        other.start()
        fs.update("A", altitude=row.altitude + 1)
    other.join(60)
    assert fs.get("A").altitude == 12
    assert db.stats()["conflicts_lock"] == 0


def test_a_transaction_open_too_long_is_cancelled_while_nobody_works(store, aerostore_library):
    """Goal: the keeper sees to it where nobody else commits.  Method: nothing but waiting."""
    with aerostore.open(store.data_dir, size="64MiB", shm_path=store.shm_path,
                        synchronous_commit=False) as db:
        fs = db.table("FlightState")
        put(fs, "A")  # which starts the keeper
        db.set_config("aerostore.transaction_timeout_secs", "1")
        with pytest.raises(aerostore.TransactionCancelled), db.transaction():
            put(fs, "B")
            until(lambda: db.stats()["cancelled"] > 0)
            assert "B" in fs
        assert "B" not in fs


def test_a_transaction_open_too_long_is_cancelled(db, fs):
    """Goal: the setting ends an idle transaction while others work, and it is told.  Method: one
    second, and writes by another thread until the statistics say so."""
    put(fs, "A", altitude=1)
    db.set_config("aerostore.transaction_timeout_secs", "1")

    def write_on():
        end = time.monotonic() + 60
        while db.stats()["cancelled"] == 0 and time.monotonic() < end:
            fs.incr("A", "altitude")
        return db.stats()["cancelled"]

    with pytest.raises(aerostore.TransactionCancelled), db.transaction():
        assert fs.get("A").altitude == 1
        put(fs, "B")
        assert elsewhere(write_on) >= 1
        fs.get("A")
    assert "B" not in fs
    assert fs.get("A").altitude > 1
