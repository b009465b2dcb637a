"""Stores whose history is known: after commit n the rows are exactly `states[n]`."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import aerostore

FILES = {
    "shared": ("aerostore.wal", "occ_checkpoint.dat"),
    "embedded": ("wal.log", "checkpoint.dat"),
    "logical": ("aerostore_logical.wal", "snapshot.dat"),
}
PROFILES = tuple(FILES)

Row = tuple[object, ...]
State = dict[str, Row]


def row(key: str, number: int) -> dict[str, object]:
    """Make a row that tells by itself which write it is of."""
    return {
        "flight_id": key,
        "lat": float(number),
        "lon": -float(number),
        "altitude": None if number % 3 == 0 else number * 10,
        "updated_at": number,
        "typ": None if number % 2 else f"type {number} " + "x" * (number % 40),
    }


def contents(db: aerostore.Database) -> State:
    """Read all rows of FlightState by key."""
    names = ("lat", "lon", "altitude", "gs", "updated_at", "typ", "dest")
    return {each.flight_id: tuple(getattr(each, name) for name in names)
            for each in db["FlightState"].search()}


@dataclass
class History:
    """A store that was written by one session, commit by commit."""

    directory: Path
    profile: str
    states: list[State] = field(default_factory=lambda: [{}])

    def open(self, directory: Path | None = None, **options: object) -> aerostore.Database:
        """Open the store, or a copy of it, in private memory."""
        return aerostore.open(directory or self.directory, self.profile, "256MiB",
                              memory="private", **options)

    def write(self, db: aerostore.Database, commits: int) -> None:
        """Make commits of one to five writes each: inserts, updates, deletes."""
        table = db["FlightState"]
        for number in range(len(self.states), len(self.states) + commits):
            with db.transaction():
                for write in range(1 + number % 5):
                    key = f"F{(number * 7 + write * 3) % 23}"
                    if (number + write) % 6 == 5:
                        table.delete(key)
                    elif (number + write) % 6 == 4 and key in table:
                        table.update(key, dest=f"D{number}", altitude=number)
                    else:
                        table.upsert(row(key, number))
            self.states.append(contents(db))

    def copy(self, target: Path) -> Path:
        """Copy the files."""
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.directory, target)
        return target


def make(directory: Path, profile: str, before: int = 12, after: int = 10) -> History:
    """Write a store with a checkpoint in its middle."""
    history = History(directory, profile)
    with history.open() as db:
        history.write(db, before)
        if after:
            assert db.checkpoint().rows == len(history.states[-1])
            history.write(db, after)
    return history


def snapshot(directory: Path) -> dict[str, bytes]:
    """Read every file but the lock's."""
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())
            if path.is_file() and path.name != "aerostore.lock"}


def crc32c(data: bytes) -> int:
    """CRC-32C, bit by bit."""
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
