"""The demo: forked writers feed one shared segment while a reader searches it.

Some hundred simulated flights move on great circles between real airports; or a recorded TSV is
replayed.  It needs nothing but the package: the store lives in a temporary folder and is gone
afterwards.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from aerostore._demo_feed import TABLE, Feed, Simulation, Team, open_feed
from aerostore._demo_view import Reader, View
from aerostore.database import Database
from aerostore.database import open as open_database
from aerostore.errors import Error

__all__ = ["Summary", "WriterError", "demo", "run"]

SECONDS = 20.0  # of a simulation when nothing is said
LOOK_S = 0.02  # between two rounds of searches: the writers need the processor too
SEGMENT_SIZE = "512MiB"
SIMULATION_SPEED = 240.0  # a flight of eight hours takes two minutes


class WriterError(Exception):
    """A writer process ended before its time; the text says why."""


@dataclass(frozen=True, slots=True)
class Summary:
    """How a run ended.

    Attributes:
        rows: position reports written.
        landed: flights that landed and were deleted.
        flights: rows in the table at the end.
        searches: searches the reader ran.
        uneven: looks at the table in which the number of flights was not what it must be.
        seconds: how long it took.
        mean_us: mean time of a search, in microseconds.
    """

    rows: int
    landed: int
    flights: int
    searches: int
    uneven: int
    seconds: float
    mean_us: float


def run(database: Database, plan: Simulation | Feed, *, writers: int, seconds: float | None,
        view: View) -> Summary:
    """Run the demo on an open database and verify the segment at the end.

    Args:
        database: an empty one.
        plan: what the writers do.
        writers: how many processes write.
        seconds: when to end; None is when the feed ends.
        view: where to show it.

    Raises:
        WriterError: a writer met an error, or died.
        CorruptionError: the verification found a contradiction.
    """
    reader = Reader(database.table(TABLE))
    view.began = began = time.monotonic()
    team = Team(multiprocessing.get_context("fork"), database, plan, writers)
    uneven = 0
    complete = False
    try:
        while team.running() and team.trouble() is None:
            elapsed = time.monotonic() - began
            if seconds is not None and elapsed >= seconds:
                break
            reader.look()
            if isinstance(plan, Simulation):
                complete = complete or reader.total == plan.flights
                uneven += complete and reader.total != plan.flights
            view.show(progress(plan, team, elapsed, seconds), reader, team.rows())
            time.sleep(LOOK_S)
    finally:
        team.finish()
    if (trouble := team.trouble()) is not None:
        raise WriterError(trouble)
    took = time.monotonic() - began
    reader.look()
    database.verify()
    return Summary(sum(team.rows()), team.deleted(), reader.total, reader.searches, uneven, took,
                   reader.mean_us())


def progress(plan: Simulation | Feed, team: Team, elapsed: float, seconds: float | None) -> float:
    """Return how much of the whole is done, 0 to 1."""
    by_time = elapsed / seconds if seconds else 0.0
    return max(by_time, team.position()) if isinstance(plan, Feed) else by_time


@contextlib.contextmanager
def temporary_store() -> Iterator[Database]:
    """Open a database that is gone afterwards, in memory where the machine has a tmpfs."""
    tmpfs = Path("/dev/shm")  # noqa: S108 - where segments belong; the folder in it is made safely
    place = tmpfs if tmpfs.is_dir() and os.access(tmpfs, os.W_OK) else None
    with (
        tempfile.TemporaryDirectory(prefix="aerostore-demo-", dir=place) as folder,
        open_database(Path(folder) / "data", size=SEGMENT_SIZE,
                      shm_path=Path(folder) / "segment") as database,
    ):
        yield database


def terminate(number: int, _frame: object) -> NoReturn:
    """End in an orderly way when asked to by a signal."""
    raise SystemExit(128 + number)


def demo(
    feed: Annotated[
        Path | None, typer.Option(help="replay this TSV (plain or .gz) instead of simulating")
    ] = None,
    speed: Annotated[
        float, typer.Option(min=0, help="of a replay: times real time; 0 is flat out")
    ] = 0.0,
    writers: Annotated[int, typer.Option(min=1, max=64, help="processes that write")] = 4,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="when to end [20, or the end of the feed]")
    ] = None,
    flights: Annotated[int, typer.Option(min=1, max=100_000, help="simulated flights")] = 400,
    plain: Annotated[bool, typer.Option(help="lines instead of a live table")] = False,
) -> None:
    """Show it at work: forked writers feed a shared table while a reader searches it."""
    console = Console()
    signal.signal(signal.SIGTERM, terminate)
    try:
        plan: Simulation | Feed
        if feed is not None:
            plan = open_feed(feed, speed)
        else:
            plan = Simulation(flights, SIMULATION_SPEED, seed=time.time_ns(), start=time.time())
            seconds = SECONDS if seconds is None else seconds
        with (
            temporary_store() as database,
            View(console, live=console.is_terminal and not plain) as view,
        ):
            summary = run(database, plan, writers=writers, seconds=seconds, view=view)
    except KeyboardInterrupt:
        console.print("stopped")
        raise typer.Exit(130) from None
    except (Error, WriterError, OSError) as error:
        Console(stderr=True).print(f"demo: {error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    report(console, plan, writers, summary)
    if summary.uneven:
        raise typer.Exit(1)


def report(console: Console, plan: Simulation | Feed, writers: int, summary: Summary) -> None:
    """Print how it ended."""
    what = f"replayed {plan.path.name}" if isinstance(plan, Feed) else "simulated the sky"
    rate = summary.rows / max(summary.seconds, 1e-9)
    lines = [
        f"{what} for {summary.seconds:.1f} s with {writers} writer processes",
        f"  rows in    {summary.rows:,}   {rate:,.0f} a second",
        f"  searches   {summary.searches:,}   {summary.mean_us:,.0f} us each, while they wrote",
        f"  flights    {summary.flights:,}",
    ]
    if isinstance(plan, Simulation):
        lines[-1] += f"   {summary.landed:,} landed and left"
        lines.append(f"  looks that saw a wrong number of flights: {summary.uneven}")
    lines.append("  the segment was verified: every row, index entry and block is accounted for")
    console.print("\n".join(lines), highlight=False, soft_wrap=True)
