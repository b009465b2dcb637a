"""The writers of the demo: forked processes that feed one shared table.

A writer either flies a share of the simulated world or replays its share of a recorded file.  The
parent watches them through a small array of counters in shared memory; what goes wrong in one comes
back as text.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import signal
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.context import ForkContext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aerostore._demo_world import World
from aerostore.errors import Error, UsageError

if TYPE_CHECKING:
    from aerostore.database import Database

__all__ = ["TABLE", "Feed", "Simulation", "Team", "Writer", "open_feed"]

TABLE = "FlightState"
TICK_S = 0.04  # a position report of every flight each tick; real ones come every 0.5 to 10 s
LINE_MAX = 1 << 16  # bytes; far beyond any position report
BATCH_MAX = 1024  # lines of a replay in one transaction
TIME_CELL = 5  # updated_at, in the order of FlightState's TSV

# Counters of one writer, 64 bits each, written by it alone.
ROWS, DELETED, POSITION, COUNTERS = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class Simulation:
    """What to fly: number of flights, simulated seconds in a second, and the seed."""

    flights: int
    speed: float
    seed: int
    start: float


@dataclass(frozen=True, slots=True)
class Feed:
    """What to replay: the file, times real time (0: flat out), and the time of its first line."""

    path: Path
    speed: float
    start: float
    size: int


class Writer:
    """One writer process, seen from inside."""

    def __init__(self, database: Database, share: int, shares: int, counters: Any,
                 stop: Any) -> None:
        """Prepare; called in the child.

        Args:
            database: the parent's handle, which works here too.
            share: number of this writer.
            shares: how many there are.
            counters: the array shared with the parent.
            stop: event that the parent sets.
        """
        self.database, self.table = database, database.table(TABLE)
        self.share, self.shares = share, shares
        self.counters, self.stop = counters, stop
        self.parent = os.getppid()

    def count(self, counter: int, amount: int) -> None:
        """Add to one of this writer's counters."""
        self.counters[self.share * COUNTERS + counter] += amount

    def ended(self) -> bool:
        """Tell whether to stop: asked to, or the parent is gone."""
        return self.stop.is_set() or os.getppid() != self.parent

    def simulate(self, plan: Simulation) -> None:
        """Fly a share of the world until the end.

        Each tick is one transaction: landed flights leave and new ones appear together with
        everybody's movement, so a reader never counts one too many or too few.
        """
        count = plan.flights // self.shares + (self.share < plan.flights % self.shares)
        world = World(count, self.share, plan.start, plan.seed)
        began = time.monotonic()
        tick = 0
        while not self.ended():
            now = plan.start + (time.monotonic() - began) * plan.speed
            gone = world.advance(now)
            report = world.tsv(now).encode()

            def write(gone: list[str] = gone, report: bytes = report) -> None:
                for callsign in gone:
                    self.table.delete(callsign)
                self.table.ingest_tsv(report)

            self.database.run(write)
            self.count(ROWS, count)
            self.count(DELETED, len(gone))
            tick += 1
            self.stop.wait(max(0.0, began + tick * TICK_S - time.monotonic()))

    def replay(self, feed: Feed) -> None:
        """Replay this writer's share of a file: the keys whose checksum falls to it."""
        began = time.monotonic()
        batch: list[bytes] = []
        numbers: list[int] = []
        for number, line, position in read_feed(feed.path):
            self.counters[self.share * COUNTERS + POSITION] = position
            if zlib.crc32(line.partition(b"\t")[0]) % self.shares != self.share:
                continue
            due = 0.0
            if feed.speed > 0:
                due = began + (line_time(line, number) - feed.start) / feed.speed
            if batch and (len(batch) >= BATCH_MAX or due > time.monotonic()):
                self._ingest(batch, numbers)
            while due > time.monotonic() and not self.ended():
                self.stop.wait(min(0.2, max(0.0, due - time.monotonic())))
            if self.ended():
                return
            batch.append(line)
            numbers.append(number)
        if batch:
            self._ingest(batch, numbers)
        self.counters[self.share * COUNTERS + POSITION] = feed.size

    def _ingest(self, batch: list[bytes], numbers: list[int]) -> None:
        """Write a batch and empty it; an error names the line of the file."""
        try:
            report = self.table.ingest_tsv(b"".join(batch), batch_size=BATCH_MAX)
        except Error as error:
            if error.line is None or not 0 < error.line <= len(numbers):
                raise
            here, there = f"line {error.line}", f"line {numbers[error.line - 1]}"
            raise UsageError(str(error).replace(here, there, 1)) from error
        self.count(ROWS, report.rows_seen)
        batch.clear()
        numbers.clear()


def read_feed(path: Path) -> Iterator[tuple[int, bytes, int]]:
    """Yield line number, line with its newline, and how far into the file it was read.

    Raises:
        UsageError: the file is no TSV, or a damaged gzip file.
    """
    with path.open("rb") as raw, contextlib.ExitStack() as stack:
        source: Any = raw
        if path.suffix == ".gz":
            source = stack.enter_context(gzip.GzipFile(fileobj=raw))
        lines = io.BufferedReader(source, 1 << 16) if source is not raw else raw
        number = 0
        try:
            while line := lines.readline(LINE_MAX):
                number += 1
                if len(line) == LINE_MAX:
                    raise UsageError(f"line {number} is longer than {LINE_MAX} bytes")
                if line.strip(b"\r\n"):
                    yield number, line if line.endswith(b"\n") else line + b"\n", raw.tell()
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UsageError(f"after line {number}: {error}") from error


def line_time(line: bytes, number: int) -> float:
    """Return the time of a position report, Unix seconds.

    Raises:
        UsageError: the line has no such cell.
    """
    cells = line.split(b"\t")
    try:
        return float(cells[TIME_CELL])
    except (IndexError, ValueError):
        raise UsageError(
            f"line {number}: column {TIME_CELL + 1} (updated_at) is not a time"
        ) from None


def open_feed(path: Path, speed: float) -> Feed:
    """Look at a file before anything is started.

    Raises:
        UsageError: it cannot be read, or its first line is no position report.
    """
    try:
        size = path.stat().st_size
        for number, line, _ in read_feed(path):
            return Feed(path, speed, line_time(line, number), size)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    raise UsageError(f"{path} has no lines")


class Team:
    """The writer processes, seen from the parent."""

    def __init__(self, context: ForkContext, database: Database, plan: Simulation | Feed,
                 count: int) -> None:
        """Fork `count` writers; they begin at once."""
        self.plan, self.shares = plan, count
        self._database = database
        self._counters = context.RawArray("Q", count * COUNTERS)
        self._stop = context.Event()
        self._errors = context.SimpleQueue()
        self._trouble: str | None = None
        self._processes = [
            context.Process(target=self._run, args=(share,), daemon=True) for share in range(count)
        ]
        for process in self._processes:
            process.start()

    def _run(self, share: int) -> None:
        """Live as writer number `share`."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        writer = Writer(self._database, share, self.shares, self._counters, self._stop)
        try:
            if isinstance(self.plan, Feed):
                writer.replay(self.plan)
            else:
                writer.simulate(self.plan)
        except (Error, OSError) as error:
            self._errors.put(f"writer {share}: {error}")

    def rows(self) -> list[int]:
        """Rows written so far, by writer."""
        return list(self._counters[ROWS::COUNTERS])

    def deleted(self) -> int:
        """Rows deleted so far."""
        return sum(self._counters[DELETED::COUNTERS])

    def position(self) -> float:
        """Share of a replayed file that every writer has passed, 0 to 1."""
        assert isinstance(self.plan, Feed)
        return float(min(self._counters[POSITION::COUNTERS]) / max(1, self.plan.size))

    def running(self) -> bool:
        """Tell whether any writer still works."""
        return any(process.is_alive() for process in self._processes)

    def trouble(self) -> str | None:
        """Return what went wrong first in a writer, or None."""
        if self._trouble is None and not self._errors.empty():
            self._trouble = str(self._errors.get())
        for share, process in enumerate(self._processes):
            if self._trouble is None and process.exitcode not in (None, 0):
                self._trouble = f"writer {share} ended with status {process.exitcode}"
        return self._trouble

    def finish(self) -> None:
        """Ask everybody to stop and wait until they have."""
        self._stop.set()
        for process in self._processes:
            process.join(5.0)
            if process.is_alive():
                process.kill()
                process.join()
