"""What the demo shows: a progress bar and a live table, or plain lines when nobody looks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table as Grid

if TYPE_CHECKING:
    from aerostore.table import Table

__all__ = ["Reader", "View"]

TOP = 10
EUROPE = [("range", "lat", 36.0, 71.0), ("range", "lon", -11.0, 40.0)]
HIGH_FT = 30_000


@dataclass(slots=True)
class Reader:
    """Runs the searches and remembers what they found.

    Attributes:
        flights: the table.
        total: rows at the last look.
        high: rows at or above HIGH_FT.
        europe: rows over Europe.
        fastest: the TOP fastest rows.
        searches: searches run so far.
        spent_s: seconds they took.
    """

    flights: Table
    total: int = 0
    high: int = 0
    europe: int = 0
    fastest: Sequence[Any] = ()
    searches: int = 0
    spent_s: float = 0.0

    def look(self) -> None:
        """Run one round of searches."""
        start = time.perf_counter()
        self.total = self.flights.search().count()
        self.high = self.flights.search([(">=", "altitude", HIGH_FT)]).count()
        self.europe = self.flights.search(EUROPE).count()
        self.fastest = list(
            self.flights.search([("notnull", "gs")], sort=["-gs", "flight_id"], limit=TOP)
        )
        self.searches += 4
        self.spent_s += time.perf_counter() - start

    def mean_us(self) -> float:
        """Return the mean time of a search, in microseconds."""
        return self.spent_s / max(1, self.searches) * 1e6


@dataclass
class View:
    """A window on the demo; a context manager."""

    console: Console
    live: bool
    began: float = field(default_factory=time.monotonic)
    _last_line: float = 0.0
    _screen: Live | None = None

    def __post_init__(self) -> None:
        """Prepare the bar."""
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=None), TaskProgressColumn(),
            TimeElapsedColumn(), console=self.console)
        self._task = self._progress.add_task("flying", total=1.0)

    def __enter__(self) -> View:
        """Begin to show."""
        if self.live:
            # No thread of its own: the demo forks, and refreshes when it has news.
            self._screen = Live(self._progress, console=self.console, auto_refresh=False,
                                transient=True)
            self._screen.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Give the terminal back."""
        if self._screen is not None:
            self._screen.__exit__(kind, error, trace)

    def show(self, done: float, reader: Reader, written: Sequence[int]) -> None:
        """Show how far it is and what the reader sees.

        Args:
            done: share of the whole, 0 to 1.
            reader: what to show.
            written: rows so far, by writer.
        """
        elapsed = max(1e-6, time.monotonic() - self.began)
        rate = sum(written) / elapsed
        if self._screen is not None:
            self._progress.update(self._task, completed=min(1.0, done))
            self._screen.update(Group(self._progress, self._facts(reader, written, rate),
                                      self._fastest(reader)), refresh=True)
        elif elapsed - self._last_line >= 1.0:
            self._last_line = elapsed
            self.console.print(
                f"{elapsed:5.1f} s  {sum(written):>10,} rows in ({rate:,.0f}/s)  "
                f"{reader.total:,} flights, {reader.high:,} above {HIGH_FT:,} ft  "
                f"{reader.searches:,} searches ({reader.mean_us():,.0f} us each)",
                soft_wrap=True, highlight=False)

    def _facts(self, reader: Reader, written: Sequence[int], rate: float) -> Grid:
        facts = Grid(box=None, show_header=False, padding=(0, 2, 0, 0))
        facts.add_column(style="dim")
        facts.add_column()
        facts.add_row("rows in", f"{sum(written):,}   {rate:,.0f} a second, "
                      f"{len(written)} writer processes")
        facts.add_row("searches", f"{reader.searches:,}   {reader.mean_us():,.0f} us each")
        facts.add_row("flights", f"{reader.total:,}   {reader.high:,} above {HIGH_FT:,} ft, "
                      f"{reader.europe:,} over Europe")
        return facts

    def _fastest(self, reader: Reader) -> Grid:
        grid = Grid(title="fastest now", title_justify="left")
        for name in ("flight", "type", "to"):
            grid.add_column(name)
        for name in ("latitude", "longitude", "feet", "knots"):
            grid.add_column(name, justify="right")
        for row in reader.fastest:
            altitude = "" if row["altitude"] is None else f"{row['altitude']:,}"
            grid.add_row(row["flight_id"], row["typ"] or "", row["dest"] or "",
                         f"{row['lat']:.3f}", f"{row['lon']:.3f}", altitude, f"{row['gs']:.0f}")
        return grid
