"""Recovery gives back what was committed: from the log, from a checkpoint, from both."""

import signal
import threading
import time
from pathlib import Path

import pytest

import aerostore
from durable import stores
from support.patience import until


def test_rows_come_back_from_the_log_alone(place, profile):
    """Goal: no checkpoint was taken; every commit of the log is there again, twice over."""
    history = stores.make(place / "s", profile, before=30, after=0)
    for _ in range(2):
        before = stores.snapshot(place / "s")
        with history.open() as db:
            assert stores.contents(db) == history.states[-1]
            assert 20 < db.stats()["recovered_commits"] <= 30
            db.verify()
        assert stores.snapshot(place / "s") == before


def test_rows_come_back_from_checkpoint_and_log(place, profile):
    """Goal: what the checkpoint has is not replayed, the rest is."""
    history = stores.make(place / "s", profile, before=30, after=9)
    with history.open() as db:
        assert stores.contents(db) == history.states[-1]
        assert 5 < db.stats()["recovered_commits"] <= 9
        history.write(db, 5)
    with history.open() as db:
        assert stores.contents(db) == history.states[-1]


def test_files_have_the_names_of_their_profile(place, profile):
    """Goal: the names users know; the log is cut by a checkpoint, the plain name is used again."""
    log, checkpoint = stores.FILES[profile]
    history = stores.make(place / "s", profile, before=5, after=0)
    assert set(stores.snapshot(place / "s")) == {log}
    with history.open() as db:
        for _ in range(3):
            history.write(db, 3)
            db.checkpoint()
            names = set(stores.snapshot(place / "s"))
            assert checkpoint in names and len(names) == 2
    with history.open() as db:
        assert stores.contents(db) == history.states[-1]


def test_a_database_that_was_only_read_leaves_no_files(place):
    """Goal: opening and reading creates the directory, nothing in it."""
    with aerostore.open(place / "s", memory="private", size="64MiB") as db:
        assert len(db["FlightState"]) == 0
    assert list((place / "s").iterdir()) == []


def test_a_large_transaction_comes_back_whole(place, profile):
    """Goal: a transaction far larger than a ring of the log spans frames, and is all there."""
    with aerostore.open(place / "s", profile, "512MiB", memory="private") as db:
        table = db["FlightState"]
        with db.transaction():
            for number in range(30_000):
                table.upsert({**stores.row(f"K{number}", number), "dest": "d" * 100})
        with db.transaction():
            table.upsert(stores.row("last", 1))
    with aerostore.open(place / "s", profile, "512MiB", memory="private") as db:
        assert len(db["FlightState"]) == 30_001
        assert db["FlightState"]["K29999"].lat == 29_999.0


def test_a_torn_tail_is_cut_and_told(place, profile):
    """Goal: bytes that were never acknowledged end the log; the file is not touched."""
    history = stores.make(place / "s", profile, before=12, after=0)
    log = place / "s" / stores.FILES[profile][0]
    log.write_bytes(log.read_bytes() + b"EROW" + b"\xa5" * 100)
    before = stores.snapshot(place / "s")
    assert aerostore.verify_files(place / "s").cut_bytes == 104
    with history.open() as db:
        assert stores.contents(db) == history.states[-1]
        assert db.stats()["recovered_cut_bytes"] == 104
        assert stores.snapshot(place / "s") == before
        history.write(db, 4)
    with history.open() as db:
        assert stores.contents(db) == history.states[-1]
        assert db.stats()["recovered_cut_bytes"] == 0


def test_damage_of_what_was_durable_is_refused(place, profile):
    """Goal: a flipped bit in the middle of the log names file and offset, and changes nothing."""
    history = stores.make(place / "s", profile, before=20, after=0)
    log = place / "s" / stores.FILES[profile][0]
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 4
    log.write_bytes(data)
    before = stores.snapshot(place / "s")
    with pytest.raises(aerostore.CorruptionError, match=rf"{log.name}, offset \d+") as told:
        history.open()
    assert "durable up to" in str(told.value)
    assert stores.snapshot(place / "s") == before


def test_missing_files_are_refused(place, profile):
    """Goal: neither half of a pair is believed without the other."""
    history = stores.make(place / "s", profile)
    checkpoint = stores.FILES[profile][1]
    [log] = set(stores.snapshot(place / "s")) - {checkpoint}
    for name in (log, checkpoint):
        copy = history.copy(place / "copy")
        (copy / name).unlink()
        before = stores.snapshot(copy)
        with pytest.raises(aerostore.CorruptionError, match="missing"):
            history.open(copy)
        assert stores.snapshot(copy) == before


def test_logs_of_the_format_before_are_read_and_later_ones_refused(place, profile):
    """Goal: what an older engine wrote comes back; what a newer one may write is not guessed at.
    Method: the first frame of a log with another number of format, and a checksum that fits."""
    history = stores.make(place / "s", profile, before=9, after=0)
    log = place / "s" / stores.FILES[profile][0]
    data = bytearray(log.read_bytes())
    length = int.from_bytes(data[8:12], "little")
    for version, read in ((1, True), (3, False), (0, False)):
        data[64:68] = version.to_bytes(4, "little")
        data[4:8] = stores.crc32c(bytes(data[8:length])).to_bytes(4, "little")
        log.write_bytes(data)
        if not read:
            with pytest.raises(aerostore.LayoutMismatch, match=f"has format {version}"):
                history.open()
            continue
        with history.open() as db:
            assert stores.contents(db) == history.states[-1]


def test_files_of_other_stores_and_times_are_refused(place, profile):
    """Goal: an older checkpoint with a newer log, and another store's log, are told apart."""
    checkpoint = stores.FILES[profile][1]
    history = stores.make(place / "s", profile)
    old = history.copy(place / "old")
    with history.open() as db:
        history.write(db, 3)
        db.checkpoint()
    mixed = history.copy(place / "mixed")
    (mixed / checkpoint).write_bytes((old / checkpoint).read_bytes())
    with pytest.raises(aerostore.Error, match=r"missing|no file of the log") as told:
        history.open(mixed)
    assert isinstance(told.value, aerostore.CorruptionError | aerostore.LayoutMismatch)
    other = stores.make(place / "other", profile)
    mixed = history.copy(place / "mixed")
    (mixed / checkpoint).write_bytes((other.directory / checkpoint).read_bytes())
    with pytest.raises(aerostore.LayoutMismatch, match="different stores"):
        history.open(mixed)


def test_another_profile_or_package_is_refused(place, market_library):
    """Goal: files are opened only as what they are."""
    stores.make(place / "s", "shared")
    with pytest.raises(aerostore.LayoutMismatch, match="another profile"):
        aerostore.open(place / "s", "logical", memory="private")
    with pytest.raises(aerostore.LayoutMismatch, match="package aerostore, not market"):
        aerostore.open(place / "s", memory="private", package="market")


def test_a_store_in_private_memory_has_one_owner(place):
    """Goal: two writers on one log cannot be; the second is told so."""
    with (aerostore.open(place / "s", "embedded", "64MiB"),
          pytest.raises(aerostore.UsageError, match="in use")):
        aerostore.open(place / "s", "embedded", "64MiB")
    aerostore.open(place / "s", "embedded", "64MiB").close()


def test_asynchronous_commits_are_there_after_close(place, profile):
    """Goal: closing writes out what was not flushed yet."""
    history = stores.History(place / "s", profile)
    with history.open(synchronous_commit=False) as db:
        history.write(db, 20)
    with history.open() as db:
        assert stores.contents(db) == history.states[-1]


def test_an_asynchronous_commit_is_on_disk_after_the_interval(place, profile):
    """Goal: a copy of the files, made while the database is open, soon has the commit."""
    history = stores.History(place / "s", profile)
    with history.open(synchronous_commit=False) as db:
        db.set_config("aerostore.flush_interval_ms", "20")
        history.write(db, 3)
        until(lambda: db.stats()["log_durable_number"] >= db.stats()["commit_clock"])
        copy = history.copy(place / "copy")
    with history.open(copy) as db:
        assert stores.contents(db) == history.states[-1]


def test_checkpoints_are_taken_by_interval_and_by_size(place):
    """Goal: nobody asks for them; the daemon, or the thread of private memory, does it."""
    history = stores.History(place / "s", "embedded")
    with history.open() as db:
        db.set_config("aerostore.checkpoint_interval_secs", "1")
        db.set_config("aerostore.flush_interval_ms", "10")
        deadline = time.monotonic() + 60
        while db.stats()["checkpoints"] == 0:
            history.write(db, 1)
            assert time.monotonic() < deadline
            time.sleep(0.02)
        db.set_config("aerostore.checkpoint_interval_secs", "0")
        db.set_config("aerostore.checkpoint_wal_bytes", "2000")
        taken = db.stats()["checkpoints"]
        while db.stats()["checkpoints"] == taken:
            history.write(db, 5)
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_checkpoint_in_a_transaction_is_refused(place):
    """Goal: it would wait for its own snapshot."""
    with aerostore.open(place / "s", memory="private", size="64MiB") as db:
        with db.transaction(), pytest.raises(aerostore.UsageError, match="transaction"):
            db.checkpoint()
        assert db.checkpoint().rows == 0


def test_too_small_a_segment_says_so(place):
    """Goal: recovery into less memory than the rows need is StorageFull, and names the file."""
    with aerostore.open(place / "s", memory="private", size="64MiB") as db, db.transaction():
        for number in range(60_000):
            db["FlightState"].upsert(stores.row(f"K{number}", number))
    with pytest.raises(aerostore.StorageFull, match=r"too small for what .*aerostore\.wal"):
        aerostore.open(place / "s", memory="private", size="8MiB")


def test_too_small_a_segment_for_commits_says_so(place):
    """Goal: the same where rows of many small commits are put in frame by frame."""
    text = "x" * 3000
    with aerostore.open(place / "s", memory="private", size="64MiB",
                        synchronous_commit=False) as db:
        for number in range(4_000):
            db["FlightState"].upsert({**stores.row(f"K{number}", number), "dest": text})
    before = stores.snapshot(place / "s")
    with pytest.raises(aerostore.StorageFull, match=r"too small for what .*aerostore\.wal"):
        aerostore.open(place / "s", memory="private", size="8MiB")
    assert stores.snapshot(place / "s") == before


def test_a_backup_is_a_store_of_its_own(place, profile):
    """Goal: made while the database is open; takes commits; never mixes with the first."""
    history = stores.make(place / "s", profile)
    with history.open() as db:
        assert db.backup(place / "b").rows == len(history.states[-1])
        with pytest.raises(aerostore.UsageError, match="not empty"):
            db.backup(place / "b")
    copy = stores.History(place / "b", profile, [*history.states])
    with copy.open() as db:
        assert stores.contents(db) == history.states[-1]
        copy.write(db, 3)
    with copy.open() as db:
        assert stores.contents(db) == copy.states[-1]
    checkpoint = stores.FILES[profile][1]
    (place / "b" / checkpoint).write_bytes((place / "s" / checkpoint).read_bytes())
    with pytest.raises(aerostore.LayoutMismatch):
        copy.open()


def test_an_earlier_time_is_restored(place, profile):
    """Goal: with kept logs each commit number gives exactly its state; too early is NOT_FOUND."""
    history = stores.History(place / "s", profile)
    with history.open() as db:
        db.set_config("aerostore.keep_log", "on")
        numbers = {}
        for _ in range(3):
            history.write(db, 6)
            numbers[db.stats()["commit_clock"]] = len(history.states) - 1
            db.checkpoint()
        middle = time.time()
        time.sleep(0.01)
        history.write(db, 4)
    for number, state in numbers.items():
        target = place / f"at-{number}"
        assert aerostore.restore(place / "s", target, number=number).number <= number
        with history.open(target) as db:
            assert stores.contents(db) == history.states[state]
    # After the last commit there is nothing more to take, and the report says where it ended.
    everything = aerostore.restore(place / "s", place / "all")
    beyond = aerostore.restore(place / "s", place / "beyond", number=2**40)
    assert beyond.number == everything.number < 2**40
    for name in ("all", "beyond"):
        with history.open(place / name) as db:
            assert stores.contents(db) == history.states[-1]
    aerostore.restore(place / "s", place / "then", time=middle)
    with history.open(place / "then") as db:
        assert stores.contents(db) == history.states[18]


def test_interrupt_key_ends_a_recovery(place):
    """Goal: Ctrl-C during a recovery is not lost, and changes nothing.  Method: another thread
    sends it once the recovery has begun; then it is opened after all."""
    begun = threading.Event()
    with aerostore.open(place / "s", "embedded", "256MiB", synchronous_commit=False) as db:
        db["FlightState"].ingest_tsv(
            b"".join(b"F%d\t1\t2\t\t\t1\n" % number for number in range(50_000)))
    before = stores.snapshot(place / "s")

    def press():
        begun.wait()
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    thread = threading.Thread(target=press)
    with pytest.raises(KeyboardInterrupt):
        thread.start()
        aerostore.open(place / "s", "embedded", "256MiB", progress=lambda *_told: begun.set())
    thread.join()
    assert stores.snapshot(place / "s") == before
    with aerostore.open(place / "s", "embedded", "256MiB") as db:
        assert len(db["FlightState"]) == 50_000


def test_a_restore_tells_the_last_commit_taken(place, profile):
    """Goal: numbers between commits, before the first and after the last are told as what was
    reached, though a recovery commits for itself.  Method: each number."""
    history = stores.History(place / "s", profile)
    taken = [0]
    with history.open() as db:
        db.set_config("aerostore.keep_log", "on")
        table = db[db.tables[0]]
        for number in range(8):
            table.upsert(stores.row(f"F{number}", number))
            taken.append(db.stats()["commit_clock"])
            table.create_index("gs")
            table.drop_index("gs")  # both move the clock
    for number in range(taken[-1] + 5):
        report = aerostore.restore(place / "s", place / f"at-{number}", number=number)
        assert report.number == max(each for each in taken if each <= number)
        assert report.commits == sum(0 < each <= number for each in taken)


def test_times_between_kept_checkpoints_and_before_all_of_them(place, profile):
    """Goal: a time leads to the checkpoint before it; what is older than all kept ones is refused
    and named.  Method: a time after each of three checkpoints, then a time and a number that lie
    before the only checkpoint of a store that keeps no log."""
    history = stores.History(place / "s", profile)
    times = {}
    with history.open() as db:
        db.set_config("aerostore.keep_log", "on")
        for _ in range(3):
            history.write(db, 4)
            db.checkpoint()
            history.write(db, 2)
            time.sleep(0.01)
            times[time.time()] = len(history.states) - 1
            time.sleep(0.01)
    for moment, state in times.items():
        target = place / f"at-{state}"
        aerostore.restore(place / "s", target, time=moment)
        with history.open(target) as db:
            assert stores.contents(db) == history.states[state]
    stores.make(place / "single", profile)
    before = stores.snapshot(place / "single")
    for goal in ({"time": 1.0}, {"number": 1}):
        with pytest.raises(aerostore.RowNotFound, match="younger than what is asked"):
            aerostore.restore(place / "single", place / "never", **goal)
        assert not any((place / "never").iterdir())
    assert stores.snapshot(place / "single") == before


def test_an_earlier_time_is_restored_over_a_checkpoint_that_failed(place, profile):
    """Goal: one that fails when it is named leaves no gap between those that are kept."""
    history = stores.History(place / "s", profile)
    checkpoint = place / "s" / stores.FILES[profile][1]
    with history.open() as db:
        history.write(db, 3)
        db.checkpoint()  # the log does not begin at 0 any more
        db.set_config("aerostore.keep_log", "on")
        numbers = []
        for turn in range(5):
            history.write(db, 3)
            numbers.append(int(db.stats()["commit_clock"]))
            if turn == 2:
                aside = checkpoint.rename(place / "aside")
                checkpoint.mkdir()
                with pytest.raises(aerostore.StorageError):
                    db.checkpoint()
                checkpoint.rmdir()
                aside.rename(checkpoint)
            else:
                db.checkpoint()
    for turn, number in enumerate(numbers):
        aerostore.restore(place / "s", place / f"at-{number}", number=number)
        with history.open(place / f"at-{number}") as db:
            assert stores.contents(db) == history.states[6 + 3 * turn]


def test_what_is_kept_goes_when_it_is_of_no_use(place, profile):
    """Goal: with keep_log off again, the next checkpoint removes older logs and checkpoints."""
    history = stores.History(place / "s", profile)
    with history.open() as db:
        db.set_config("aerostore.keep_log", "on")
        for _ in range(4):
            history.write(db, 2)
            db.checkpoint()
        assert len(stores.snapshot(place / "s")) > 6
        db.set_config("aerostore.keep_log", "off")
        db.checkpoint()
        assert len(stores.snapshot(place / "s")) == 2
    with history.open() as db:
        assert stores.contents(db) == history.states[-1]


def test_repair_keeps_what_is_good_and_the_original(place, profile):
    """Goal: a damaged log gives the commits before the damage; the files are kept aside."""
    history = stores.make(place / "s", profile, before=20, after=0)
    log = place / "s" / stores.FILES[profile][0]
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 4
    log.write_bytes(data)
    before = stores.snapshot(place / "s")
    report = aerostore.repair(place / "s")
    assert report.damaged
    assert stores.snapshot(Path(report.aside)) == before
    with history.open() as db:
        assert stores.contents(db) in history.states[:-1]
        assert stores.contents(db) != {}
        db["FlightState"].upsert(stores.row("after", 1))
    with history.open() as db:
        assert "after" in db["FlightState"]


def test_deleted_rows_and_padding_are_not_written(place, profile):
    """Goal: row M16: a marker in rows that are deleted is in no checkpoint and no later log."""
    marker = b"secret-marker-of-a-row"
    with aerostore.open(place / "s", profile, "64MiB", memory="private") as db:
        table = db["FlightState"]
        for number in range(50):
            table.upsert({**stores.row(f"K{number}", number), "dest": marker.decode() * 3})
        assert any(marker in data for data in stores.snapshot(place / "s").values())
        for number in range(50):
            table.delete(f"K{number}")
        table.upsert(stores.row("kept", 1))
        db.checkpoint()
        table.upsert(stores.row("more", 2))
        assert not any(marker in data for data in stores.snapshot(place / "s").values())


def test_files_are_ours_alone(place, profile):
    """Goal: row F1: every file is 0600 whatever the umask."""
    import os

    old = os.umask(0)
    try:
        stores.make(place / "s", profile)
    finally:
        os.umask(old)
    modes = {path.name: path.stat().st_mode & 0o7777 for path in (place / "s").iterdir()}
    assert set(modes.values()) == {0o600} and len(modes) == 3, modes
    assert (place / "s").stat().st_mode & 0o7777 == 0o700


def test_indexes_are_made_of_what_was_recovered(place, profile):
    """Goal: an index has an entry for each recovered row, and for no value of before; many blocks
    of rows are loaded by several threads.
    """
    with aerostore.open(place / "s", profile, "256MiB", memory="private",
                        synchronous_commit=False) as db:
        table = db["FlightState"]
        table.upsert_many(stores.row(f"F{number}", number) for number in range(20_000))
        db.checkpoint()
        table.upsert_many(stores.row(f"F{number}", number + 50_000) for number in range(500))
        for number in range(500, 520):
            table.delete(f"F{number}")
        expected = stores.contents(db)
    for _ in range(2):
        with aerostore.open(place / "s", profile, "256MiB", memory="private") as db:
            table = db["FlightState"]
            assert db.stats()["recovered_rows"] >= 20_000
            assert stores.contents(db) == expected
            db.verify()
            for number in (510, 1_000, 50_000, 50_499, 19_999, 100):
                search = table.search([("=", "altitude", number * 10)])
                assert "altitude" in str(search.explain()) and "index" in str(search.explain())
                assert {row.flight_id for row in search} == {
                    key for key, row in expected.items() if row[2] == number * 10}
            table.upsert(stores.row("F1", 778))
            assert {row.flight_id for row in table.search([("=", "altitude", 7_780)])} == {
                "F1", "F778"}
            db.verify()
            table.upsert(stores.row("F1", 50_001))


def many(directory, profile):
    """Make a store with a checkpoint and a log behind it, 100,000 rows in all."""
    with aerostore.open(directory, profile, "512MiB", memory="private") as db:
        for part in range(2):
            with db.transaction():
                for number in range(part * 50_000, (part + 1) * 50_000):
                    db["FlightState"].upsert(stores.row(f"K{number}", number))
            if part == 0:
                db.checkpoint()


def test_a_recovery_tells_how_far_it_is_and_can_be_ended(place):
    """Goal: growing bytes up to the whole; what the callback raises ends it, files as they were."""
    many(place / "s", "shared")
    before = stores.snapshot(place / "s")
    told: list[tuple[str, int, int]] = []

    def note(*step):
        told.append(step)

    def stop_in(phase):
        def stop(*step):
            if step[0] == phase:
                raise RuntimeError("enough")
        return stop

    for phase in ("checkpoint", "indexes"):
        with pytest.raises(RuntimeError, match="enough"):
            aerostore.open(place / "s", memory="private", progress=stop_in(phase))
        assert stores.snapshot(place / "s") == before
    with aerostore.open(place / "s", memory="private", progress=note) as db:
        assert len(db["FlightState"]) == 100_000
    phases = [phase for phase, _, _ in told]
    assert phases == sorted(phases, key=("checkpoint", "log", "indexes").index)
    assert told[0][:2] == ("checkpoint", 0)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    [whole] = {whole for _, _, whole in told}
    assert told[-1] == ("indexes", whole, whole)
    assert whole == sum(len(data) for data in before.values())
