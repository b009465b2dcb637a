"""The Crucible: workers that upsert and scan, beside PostgreSQL and beside a mutex.

What a worker does stands at the top of drivers/crucible.c.  A run of one peer, number of workers
and size of segment is a process of its own; peers alternate.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.core import OUTPUT, Bar, Outcome, Work, note_missing
from bench.servers import postgres

MIDDLE = 1024  # MB, of most runs
LONG_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Load:
    """One run: how many workers, for how long, in how large a segment."""

    peer: str
    workers: int
    megabytes: int = MIDDLE
    seconds: int = 0

    @property
    def what(self) -> str:
        """What the driver calls it."""
        return f"crucible, {self.workers} workers, {self.megabytes} MB"


def loads(work: Work) -> list[Load]:
    """Return the runs of one round."""
    if work.quick:
        return [Load("simple", 2), Load("aerostore", 2), Load("aerostore", 2, 512),
                Load("postgresql", 2)]
    every = (1, 2, 4, 16)
    sizes = (512, MIDDLE, 2048)
    return [
        *(Load(peer, workers) for workers in every for peer in ("aerostore", "simple")),
        *(Load("postgresql", workers) for workers in (every if work.full else (2, 16))),
        *(Load("aerostore", workers, size) for workers in (every if work.full else (2,))
          for size in sizes if size != MIDDLE),
    ]


def crucible(work: Work) -> Outcome:
    """Upsert and scan 50,000 keyed rows from 1 to 16 processes, one index moving."""
    outcome = Outcome("crucible")
    program = str(work.driver("crucible", work.package("crucible")))
    seconds = work.seconds or (1 if work.quick else 20 if work.full else 3)
    disk = Path(tempfile.mkdtemp(prefix="crucible-", dir=OUTPUT))
    segment = work.folder("crucible") / "segment"

    def run(load: Load, server: str | None) -> None:
        if load.peer == "postgresql" and server is None:
            return
        files = disk / "files"
        work.measure(outcome, [program, load.peer, str(load.workers),
                               str(load.seconds or seconds), "1", str(load.megabytes),
                               str(files), str(segment),
                               *([server] if load.peer == "postgresql" and server else [])])
        shutil.rmtree(files, ignore_errors=True)
        segment.unlink(missing_ok=True)

    try:
        with postgres(work, synchronous_commit="off", fsync="on", wal_writer_delay="10s") as server:
            for turn in range(1 if work.full or work.quick else min(work.rounds, 3)):
                todo = loads(work)
                for step in range(len(todo)):
                    run(todo[(step + turn * 5) % len(todo)], server)
        if work.full:
            run(Load("aerostore", 2, MIDDLE + 1, LONG_SECONDS), None)
    finally:
        shutil.rmtree(disk)
        shutil.rmtree(segment.parent)
    note_missing(outcome, [(f"{Load('', 2).what}: rate", "postgresql")])
    outcome.bars = bars(work)
    return outcome


def bars(work: Work) -> list[Bar]:
    """Return the claims, as far as this run has measured what they need."""
    two, many = Load("", 2).what, Load("", 16).what
    small, large = Load("", 2, 512).what, Load("", 2, 2048).what
    against = [
        Bar("Crucible, 2 workers >= 15 x PostgreSQL", f"{two}: rate", "aerostore", "postgresql",
            15.0),
        Bar("Crucible, 2 workers: 99th percentile <= 0.15 x PostgreSQL", f"{two}: any p99",
            "aerostore", "postgresql", 0.15, False),
    ]
    if work.quick:
        return against
    against += [
        Bar("Crucible, 16 workers >= 15 x PostgreSQL", f"{many}: rate", "aerostore", "postgresql",
            15.0),
        Bar("Crucible, 16 workers: 99th percentile <= 0.1 x PostgreSQL", f"{many}: any p99",
            "aerostore", "postgresql", 0.1, False),
        Bar("Crucible, 16 workers >= 0.9 x 2 workers", f"{many}: rate", "aerostore", "aerostore",
            0.9, under_what=f"{two}: rate"),
        Bar("Crucible, 512 MB >= 0.9 x 2 GB", f"{small}: rate", "aerostore", "aerostore", 0.9,
            under_what=f"{large}: rate"),
        *(Bar(f"Crucible, {workers} workers >= {bound} x a mutex around a hash and a B-tree",
              f"{Load('', workers).what}: rate", "aerostore", "simple", bound)
          for workers, bound in ((1, 0.6), (2, 1.2), (4, 1.2), (16, 1.2))),
    ]
    if work.full:
        long = Load("", 2, MIDDLE + 1).what
        against += [
            Bar("Crucible, 5 minutes: the last >= 0.95 x the second", f"{long}: last minute",
                "aerostore", "aerostore", 0.95, under_what=f"{long}: second minute"),
            Bar("Crucible, 5 minutes: memory at the end <= 1.05 x that after one",
                f"{long}: memory at the end, of that after a minute", "aerostore", "", 1.05,
                False),
        ]
    return against
