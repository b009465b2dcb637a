"""Copies of a store's directory are stores of their own: whatever both come to, neither takes the
other's files or positions for its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import aerostore
from durable import stores


def opened(directory: Path, profile: str) -> aerostore.Database:
    return aerostore.open(directory, profile, "64MiB", memory="private")


def write(directory: Path, profile: str, keys: Iterable[str]) -> list[str]:
    """Upsert rows, a commit each, in a session of their own; return the positions."""
    with opened(directory, profile) as db:
        table = db["FlightState"]
        with table.watch(timeout=0) as watch:
            for key in keys:
                table.upsert(stores.row(key, 2))
            return [event.position for event in watch]


def keys_of(directory: Path, profile: str) -> set[str]:
    with opened(directory, profile) as db:
        db.verify()
        return set(stores.contents(db))


def logs(directory: Path, profile: str) -> list[Path]:
    """Parts of the log in their order: by base, which stands in the first frame."""
    return sorted(directory.glob(stores.FILES[profile][0] + "*"),
                  key=lambda path: path.read_bytes()[88:96][::-1])


def test_a_copy_goes_on_by_itself(place, profile):
    """Goal: original and copy are both used on, recovered, and checkpointed."""
    one, two = place / "one", place / "two"
    write(one, profile, ("a",))
    shutil.copytree(one, two)
    for _ in range(2):  # the files of a copy that was written to have two identities
        write(one, profile, ("b",))
        write(two, profile, ("c",))
    assert keys_of(one, profile) == {"a", "b"}
    assert keys_of(two, profile) == {"a", "c"}
    with opened(two, profile) as db:
        db.checkpoint()
    write(two, profile, ("d",))
    third = shutil.copytree(two, place / "third")
    write(third, profile, ("e",))
    assert keys_of(third, profile) == {"a", "c", "d", "e"}
    assert keys_of(two, profile) == {"a", "c", "d"}
    assert aerostore.verify_files(third).rows == 4


def test_logs_of_original_and_copy_do_not_mix(place, profile):
    """Goal: a file of one among those of the other is refused, although numbers, lengths and
    positions agree.  Method: the same commits of other keys in both."""
    one, two = place / "one", place / "two"
    write(one, profile, ("a",))
    shutil.copytree(one, two)
    for number in range(2):
        write(one, profile, (f"b{number}",))
        write(two, profile, (f"c{number}",))
    ours, theirs = logs(one, profile), logs(two, profile)
    assert [path.stat().st_size for path in ours] == [path.stat().st_size for path in theirs]
    before = theirs[2].read_bytes()
    shutil.copy2(ours[2], theirs[2])
    state = stores.snapshot(two)
    with pytest.raises(aerostore.LayoutMismatch, match="different stores"):
        keys_of(two, profile)
    assert stores.snapshot(two) == state
    theirs[2].write_bytes(before)
    assert keys_of(two, profile) == {"a", "c0", "c1"}


def test_a_checkpoint_does_not_go_with_the_others_log(place, profile):
    """Goal: likewise for checkpoints, in both directions."""
    one, two = place / "one", place / "two"
    write(one, profile, ("a",))
    shutil.copytree(one, two)
    for directory, key in ((one, "b"), (two, "c")):
        write(directory, profile, (key,))
        with opened(directory, profile) as db:
            db.checkpoint()
        write(directory, profile, (key + "2",))
    checkpoint = stores.FILES[profile][1]
    for here, there in ((one, two), (two, one)):
        mixed = shutil.copytree(here, place / f"mixed {here.name}")
        shutil.copy2(there / checkpoint, mixed / checkpoint)
        with pytest.raises(aerostore.LayoutMismatch, match="different stores"):
            keys_of(mixed, profile)


def test_positions_of_original_and_copy_do_not_mix(place, profile):
    """Goal: a position counts where it was given, also after the directory was moved, and not in a
    copy, whose own positions count there."""
    one, two = place / "one", place / "two"
    write(one, profile, ("a",))
    shutil.copytree(one, two)
    ours = write(one, profile, ("b", "b2"))
    theirs = write(two, profile, ("c", "c2"))
    assert ours[0].rpartition("-")[2] == theirs[0].rpartition("-")[2]
    one = one.rename(place / "moved")
    for directory, own, foreign in ((one, ours[0], theirs[0]), (two, theirs[0], ours[0])):
        with opened(directory, profile) as db:
            table = db["FlightState"]
            with table.watch(start=own, timeout=0) as watch:
                assert len(list(watch)) == 1
            with pytest.raises(aerostore.LayoutMismatch):
                table.watch(start=foreign, timeout=0)


def test_copies_of_a_backup_differ(place, profile):
    """Goal: a backup may be used more than once.  Method: two copies of one, and a file of one's
    log among those of the other's."""
    write(place / "s", profile, ("a",))
    with opened(place / "s", profile) as db:
        db.backup(place / "backup")
    names = ("one", "two")
    for name in names:
        shutil.copytree(place / "backup", place / name)
        for number in range(2):
            write(place / name, profile, (f"{name}{number}",))
    assert keys_of(place / "one", profile) == {"a", "one0", "one1"}
    ours, theirs = (logs(place / name, profile) for name in names)
    shutil.copy2(ours[1], theirs[1])
    with pytest.raises(aerostore.LayoutMismatch, match="different stores"):
        keys_of(place / "two", profile)


def test_a_copy_of_a_store_in_use(place):
    """Goal: `cp -a` of a live store, both open at once in shared memory."""
    with aerostore.open(place / "one", size="64MiB", shm_path=place / "segment1") as db:
        db["FlightState"].upsert(stores.row("a", 1))
        shutil.copytree(place / "one", place / "two")
        with aerostore.open(place / "two", size="64MiB", shm_path=place / "segment2") as other:
            db["FlightState"].upsert(stores.row("b", 1))
            other["FlightState"].upsert(stores.row("c", 1))
            with aerostore.open(place / "two", size="64MiB", shm_path=place / "segment2") as again:
                assert again.boot == "warm" and set(stores.contents(again)) == {"a", "c"}
            position = other.stats().commit_clock - 1
            with other["FlightState"].watch(start=position, timeout=0) as watch:
                assert [event.key for event in watch] == ["c"]
        assert set(stores.contents(db)) == {"a", "b"}
    (place / "segment2").unlink()
    with aerostore.open(place / "two", size="64MiB", shm_path=place / "segment2") as other:
        assert other.boot == "cold" and set(stores.contents(other)) == {"a", "c"}


def test_a_copy_in_the_place_of_the_directory_in_use_is_not_written_to(place):
    """Goal: somebody moves the directory of a store in use and puts a copy there.  Nobody writes
    into that: its log has the same identity, and the store's commits would be here and there."""
    one, moved = place / "one", place / "moved"
    acknowledged = {"first"}
    refusals: list[str] = []

    def attempt(table: aerostore.Table, key: str) -> None:
        try:
            table.upsert(stores.row(key, 1))
            acknowledged.add(key)
        except (aerostore.NotDurable, aerostore.StorageError) as refused:
            refusals.append(str(refused))

    with aerostore.open(one, shm_path=place / "segment", size="64MiB") as db:
        table = db["FlightState"]
        table.upsert(stores.row("first", 1))
        one.rename(moved)
        shutil.copytree(moved, one)
        before = stores.snapshot(one)
        attempt(table, "by who has the file open")
        with ThreadPoolExecutor(1) as others:  # a session of its own, which has yet to open it
            others.submit(attempt, table, "by another").result()
        with pytest.raises(aerostore.StorageError, match="moved"):
            db.checkpoint()
        attempt(table, "again")
        assert stores.snapshot(one) == before
        assert refusals and all("moved" in text for text in refusals), refusals
        shutil.rmtree(one)
        moved.rename(one)
        attempt(table, "moved back")
        db.checkpoint()
        attempt(table, "last")
        assert {"moved back", "last"} <= acknowledged
    (place / "segment").unlink(missing_ok=True)
    assert acknowledged <= keys_of_shared(one, place / "segment")


def keys_of_shared(directory: Path, segment: Path) -> set[str]:
    with aerostore.open(directory, shm_path=segment, size="64MiB") as db:
        db.verify()
        return set(stores.contents(db))
