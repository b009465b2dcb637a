"""How far back a store can be restored, and what stands in the way."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import aerostore
from durable import stores


def clock(db: aerostore.Database) -> int:
    """Return the number of the last commit."""
    return int(db.stats()["commit_clock"])


def restored(history: stores.History, target: Path, number: int) -> stores.State:
    """Return what a store held after a commit."""
    aerostore.restore(history.directory, target, number=number)
    with history.open(target) as db:
        return stores.contents(db)


def test_times_before_the_first_checkpoint_come_from_a_log_that_is_whole(place, profile):
    """Goal: no checkpoint is needed where the log reaches back to the beginning."""
    history = stores.History(place / "s", profile)
    numbers = {}
    with history.open() as db:
        db.set_config("aerostore.keep_log", "on")
        for _ in range(5):
            history.write(db, 1)
            numbers[clock(db)] = history.states[-1]
        for _ in range(2):
            db.checkpoint()
            history.write(db, 2)
    for number, state in numbers.items():
        assert restored(history, place / f"at-{number}", number) == state
    assert restored(history, place / "nothing", 0) == {}


def test_what_is_older_than_all_that_is_kept_is_refused_by_name(place, profile):
    """Goal: however many checkpoints there were; the files are not called damaged for it."""
    history = stores.History(place / "s", profile)
    with history.open() as db:
        history.write(db, 2)
        early = clock(db)
        for _ in range(3):
            history.write(db, 2)
            db.checkpoint()
    before = stores.snapshot(place / "s")
    with pytest.raises(aerostore.RowNotFound, match="younger than what is asked") as caught:
        aerostore.restore(place / "s", place / "never", number=early)
    assert stores.FILES[profile][1] in str(caught.value)
    shutil.rmtree(place / "never")
    # One that stands alone has no log that could reach further back.
    aerostore.restore(place / "s", place / "alone")
    with pytest.raises(aerostore.RowNotFound, match="younger than what is asked"):
        aerostore.restore(place / "alone", place / "never", number=early)
    assert stores.snapshot(place / "s") == before


def test_a_kept_checkpoint_that_is_damaged_is_told(place, profile):
    """Goal: an older time is not made from what comes before it instead."""
    history = stores.History(place / "s", profile)
    with history.open() as db:
        db.set_config("aerostore.keep_log", "on")
        history.write(db, 4)
        db.checkpoint()
        history.write(db, 2)
        number = clock(db)
        history.write(db, 2)
        db.checkpoint()
    name = stores.FILES[profile][1]
    [kept] = place.glob(f"s/{name}.*")
    data = bytearray(kept.read_bytes())
    data[60] ^= 1
    kept.write_bytes(data)
    with pytest.raises(aerostore.CorruptionError, match=kept.name):
        aerostore.restore(place / "s", place / "never", number=number)


def test_a_number_in_the_middle_of_a_frame(place, profile):
    """Goal: commits that were written together can be told apart.  Method: asynchronous ones, which
    lie in one frame after the flush; each number gives its state."""
    history = stores.History(place / "s", profile)
    numbers = {}
    with history.open(synchronous_commit=False) as db:
        db.set_config("aerostore.flush_interval_ms", "60000")
        for _ in range(6):
            history.write(db, 1)
            numbers[clock(db)] = history.states[-1]
        db.set_config("aerostore.synchronous_commit", "on")
        for _ in range(2):  # frames behind the one where it stops
            history.write(db, 1)
            numbers[clock(db)] = history.states[-1]
    for number, state in numbers.items():
        assert restored(history, place / f"at-{number}", number) == state


@contextlib.contextmanager
def deep(place: Path, length: int) -> Iterator[str]:
    """Make a directory whose path has a length, and give that; remove it with all in it."""
    (place / "deep").mkdir()
    path = str(place / "deep")
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        while len(path) < length:
            left = length - len(path) - 1
            name = "d" * (left if left <= 200 else min(200, left - 2))
            os.mkdir(name, dir_fd=fd)
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
            os.close(fd)
            fd, path = inner, f"{path}/{name}"
        assert len(path) == length
        yield path
    finally:
        os.close(fd)
        shutil.rmtree(place / "deep")


def copied(directory: Path, target: str) -> None:
    """Copy files into a directory, also where their paths are too long to be said."""
    fd = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    for path in directory.iterdir():
        with os.fdopen(os.open(path.name, os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=fd), "wb") as to:
            to.write(path.read_bytes())
    os.close(fd)


PATH_MAX = 4096


def test_paths_that_become_too_long_are_told(place):
    """Goal: a directory whose own path can be said, but not those of its files."""
    history = stores.History(place / "s", "embedded")
    with history.open() as db:
        db.set_config("aerostore.keep_log", "on")
        history.write(db, 2)
        db.checkpoint()
        history.write(db, 1)
        number = clock(db)
        history.write(db, 1)
        db.checkpoint()
    longest = PATH_MAX - 1 - len("/checkpoint.dat")
    with deep(place, longest + 1) as path:
        copied(place / "s", path)
        with pytest.raises(aerostore.StorageError, match="path of the checkpoint is too long"):
            aerostore.open(path, "embedded")
    with deep(place, longest) as path:
        copied(place / "s", path)
        with pytest.raises(aerostore.StorageError, match="path of the checkpoint is too long"):
            aerostore.restore(path, place / "never", number=number)
        with pytest.raises(aerostore.StorageError, match=r"path of wal\.log.* is too long"):
            aerostore.open(path, "embedded")
