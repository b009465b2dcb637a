"""How fast it is here (`aerostore bench`): the usual operations from Python, on rows of its own."""

from __future__ import annotations

import contextlib
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import aerostore
from aerostore.table import Table

# Operations of one kind, at most, and the seconds after which a kind ends.
_OPERATIONS = 100_000
_SECONDS = 1.0
_TYPES = 30


@dataclass(frozen=True, slots=True)
class Measured:
    """One kind of operation.

    Attributes:
        what: its name.
        unit: what was counted: rows, look-ups …
        count: how many there were.
        seconds: how long they took together.
    """

    what: str
    unit: str
    count: int
    seconds: float

    @property
    def rate(self) -> float:
        """How many a second."""
        return self.count / max(self.seconds, 1e-9)


@contextlib.contextmanager
def _database(folder: Path | None) -> Iterator[aerostore.Database]:
    """Open a database whose files and segment are gone afterwards."""
    shared = Path("/dev/shm")  # noqa: S108 - where segments belong; the folder is made safely
    with (
        tempfile.TemporaryDirectory(prefix="aerostore-bench-", dir=folder) as place,
        tempfile.TemporaryDirectory(
            prefix="aerostore-bench-", dir=shared if os.access(shared, os.W_OK) else None
        ) as memory,
        aerostore.open(place, shm_path=Path(memory) / "segment") as database,
    ):
        yield database


def _lines(rows: int) -> bytes:
    draw = random.Random(1)
    return "".join(
        f"F{number}\t{draw.uniform(-90, 90):.4f}\t{draw.uniform(-180, 180):.4f}"
        f"\t{draw.randrange(45_000)}\t{draw.randrange(600)}\t{1_533_099_600 + number}"
        f"\tB{number % _TYPES}\tK{draw.randrange(400)}\n"
        for number in range(rows)
    ).encode()


def _repeat(what: str, unit: str, step: Callable[[int], int]) -> Measured:
    """Measure a step, given its number and returning what it counts, until either bound is met."""
    count = steps = 0
    began = time.perf_counter()
    while steps < _OPERATIONS and time.perf_counter() - began < _SECONDS:
        count += step(steps)
        steps += 1
    return Measured(what, unit, count, time.perf_counter() - began)


def _reads(flights: Table, rows: int) -> Iterator[Measured]:
    draw = random.Random(2)
    keys = [f"F{draw.randrange(rows)}" for _ in range(_OPERATIONS)]
    yield _repeat("get by key", "rows", lambda step: flights.get(keys[step]) is not None)
    narrow = flights.prepare(
        [("range", "altitude", aerostore.Parameter("low"), aerostore.Parameter("high"))],
        fields=["flight_id", "lat", "lon"],
    )

    def search(step: int) -> int:
        low = step * 7919 % 45_000
        return sum(1 for _ in narrow(low=low, high=low + 45).tuples())

    yield _repeat("search by index, a thousandth of the rows", "rows", search)
    scan = flights.search([(">", "lat", 0.0), ("<", "gs", 300.0)])
    yield _repeat("scan with two conditions", "rows looked at", lambda _: rows * (scan.count() > 0))
    three = flights.search(fields=["lat", "lon", "altitude"])
    yield _repeat("read three columns", "rows", lambda _: sum(1 for _ in three.tuples()))


def measure(rows: int, folder: Path | None = None) -> Iterator[Measured]:
    """Measure one kind of operation after the other, on a table of so many rows.

    Args:
        rows: how many, at least 1.
        folder: where the files lie for the time being; else where temporary files do.
    """
    if rows < 1:
        raise aerostore.UsageError(f"rows is at least 1, not {rows}")
    lines = _lines(rows)
    with _database(folder) as database:
        flights = database.table("FlightState")
        database.set_config("aerostore.synchronous_commit", False)
        began = time.perf_counter()
        flights.ingest_tsv(lines)
        yield Measured("ingest, four indexes", "rows", rows, time.perf_counter() - began)
        yield from _reads(flights, rows)
        yield _repeat("update by key", "commits", lambda step: flights.update(
            f"F{step * 7919 % rows}", gs=float(step)))
        yield _repeat("update of an indexed column", "commits", lambda step: flights.update(
            f"F{step * 7919 % rows}", altitude=step))
        database.set_config("aerostore.synchronous_commit", True)
        yield _repeat("update, on disk before it returns", "commits", lambda step: flights.update(
            f"F{step * 7919 % rows}", gs=-float(step)))
