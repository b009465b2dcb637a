"""The live view of a database's statistics (`aerostore top`)."""

from __future__ import annotations

import contextlib
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table as Grid

from aerostore.stats import Statistics

_CONFLICTS = ("write", "read", "predicate", "stalled", "window", "cancelled", "lock")
# Lines of transactions and of watches; the rest is counted.
_SHOWN = 8


def _bytes(number: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.2f} GiB"


def _time(microseconds: float) -> str:
    for unit, size in (("µs", 1e3), ("ms", 1e3), ("s", 120.0), ("min", 120.0)):
        if microseconds < size:
            return f"{microseconds:.3g} {unit}"
        microseconds /= size if unit in ("µs", "ms") else 60.0
    return f"{microseconds:.3g} h"


class Top:
    """Draws statistics, with rates against those of the last time."""

    def __init__(self, look: Callable[[], Statistics]) -> None:
        self._look = look
        self._last: tuple[float, Statistics] | None = None

    def frame(self) -> RenderableType:
        """Look once and return what to show."""
        now, stats = time.monotonic(), self._look()
        since, before = self._last or (now, stats)
        self._last = (now, stats)
        seconds = max(now - since, 1e-9) if now > since else 0.0

        def rate(name: str, text: str = "{:,.0f}") -> str:
            moved = stats[name] - before[name]
            return text.format(moved / seconds) + "/s" if seconds else "-"

        parts: list[RenderableType] = [
            _work(stats, rate),
            _memory(stats),
            _tables(stats),
            _transactions(stats),
            _watches(stats),
        ]
        title = f"aerostore {stats.profile} {stats.data_dir}"
        return Panel(Group(*parts), title=title, subtitle="q ends", box=box.ROUNDED)


def _pairs(*pairs: tuple[str, str]) -> Grid:
    grid = Grid.grid(padding=(0, 1))
    for _ in range(2):
        grid.add_column(style="dim", justify="right")
        grid.add_column(justify="left")
    for first in range(0, len(pairs), 2):
        cells = [cell for pair in pairs[first : first + 2] for cell in pair]
        grid.add_row(*cells)
    return grid


def _flush_median(stats: Statistics) -> str:
    half = sum(each.count for each in stats.flush_latency) / 2
    seen = 0
    for each in stats.flush_latency:
        seen += each.count
        if seen and seen >= half:
            return f"< {_time(each.below_us)}" if each.below_us else "long"
    return "-"


def _work(stats: Statistics, rate: Callable[[str], str]) -> Grid:
    reasons = " ".join(
        f"{reason} {stats[f'conflicts_{reason}']:,}"
        for reason in _CONFLICTS
        if stats[f"conflicts_{reason}"]
    )
    oldest = "-"
    if stats.oldest_snapshot_pid:
        oldest = (
            f"{stats.oldest_snapshot_kind} of {stats.oldest_snapshot_pid}, "
            f"{_time(stats.oldest_snapshot_age_us)}, {stats.oldest_snapshot_lag:,} commits"
        )
    keeper = stats.keeper_role + (f" {stats.keeper_pid}" if stats.keeper_pid else "")
    return _pairs(
        ("commits", f"{stats.commits:,} ({rate('commits')})"),
        ("rollbacks", f"{stats.rollbacks:,} ({rate('rollbacks')})"),
        ("retries", f"{stats.retries:,} ({rate('retries')})"),
        ("sessions", f"{stats.sessions}"),
        ("log", f"{_bytes(stats.log_lsn)}"),
        ("not on disk", f"{_bytes(stats.log_lag_bytes)}, {stats.log_lag_commits:,} commits"),
        ("flushes", f"{stats.log_flushes:,} ({rate('log_flushes')}), half {_flush_median(stats)}"),
        ("checkpoint", f"{_time(stats.checkpoint_age_us)} ago, {stats.checkpoints} taken"),
        ("conflicts", reasons or "none"),
        ("oldest", oldest),
        ("keeper", keeper),
        ("reaped", f"{stats.reaped_slots:,} transactions"),
    )


def _memory(stats: Statistics) -> Grid:
    share = 100 * stats.segment_used / max(stats.segment_size, 1)
    return _pairs(
        ("segment", f"{_bytes(stats.segment_used)} of {_bytes(stats.segment_size)}, {share:.0f} %"),
        ("fixed", _bytes(stats.bytes_fixed)),
        ("blocks", _bytes(stats.bytes_blocks)),
        ("free inside", _bytes(stats.bytes_free)),
        ("rows", f"{stats.rows:,}"),
        ("versions", f"{stats.versions:,}"),
        ("dead", f"{stats.dead_versions:,}"),
        ("rings", _bytes(stats.bytes_log_rings)),
    )


def _tables(stats: Statistics) -> Grid:
    grid = Grid("table", "rows", "versions", "anchors", "keys", "indexes", box=box.SIMPLE_HEAD)
    for column in grid.columns[1:]:
        column.justify = "right"
    for name, table in stats.tables.items():
        indexes = sum(index.bytes for index in table.indexes)
        grid.add_row(
            name,
            f"{table.rows:,}",
            _bytes(table.bytes_versions),
            _bytes(table.bytes_anchors),
            _bytes(table.bytes_key_index),
            f"{len(table.indexes)}: {_bytes(indexes)}",
        )
    return grid


def _transactions(stats: Statistics) -> Grid:
    grid = Grid("transaction", "pid", "age", "lag", "writes", "state", box=box.SIMPLE_HEAD)
    oldest = sorted(stats.transactions, key=lambda each: -each.age_us)
    for each in oldest[:_SHOWN]:
        state = f"{each.state}, resting" if each.resting else each.state
        grid.add_row(
            str(each.slot),
            str(each.pid),
            _time(each.age_us),
            f"{each.lag:,}",
            f"{each.writes:,}",
            state,
        )
    if len(oldest) > _SHOWN:
        grid.add_row(f"{len(oldest) - _SHOWN} more")
    return grid


def _watches(stats: Statistics) -> Grid:
    grid = Grid("watch", "pid", "state", "position", "lag", "events", box=box.SIMPLE_HEAD)
    for number, each in list(enumerate(stats.watches))[:_SHOWN]:
        grid.add_row(
            str(number),
            str(each.pid or "-"),
            each.state,
            f"{each.position:,}",
            f"{each.lag:,}",
            f"{each.events:,}",
        )
    if len(stats.watches) > _SHOWN:
        grid.add_row(f"{len(stats.watches) - _SHOWN} more")
    return grid


def _no_key(seconds: float) -> str:
    time.sleep(seconds)
    return ""


@contextlib.contextmanager
def _keys() -> Iterator[Callable[[float], str]]:
    """Give a function that waits for a key, at most so long; nothing is echoed meanwhile."""
    if not sys.stdin.isatty():
        yield _no_key
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def wait(seconds: float) -> str:
        ready, _, _ = select.select([descriptor], [], [], seconds)
        return sys.stdin.read(1) if ready else ""

    tty.setcbreak(descriptor)
    try:
        yield wait
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def show(look: Callable[[], Statistics], interval: float, once: bool) -> None:
    """Draw statistics every so often until q or Ctrl-C; or once."""
    console = Console(highlight=False, markup=False)
    top = Top(look)
    if once:
        console.print(top.frame())
        return
    if not console.is_terminal or console.is_dumb_terminal:
        # Nothing can be drawn over: one below the other, for a file, a pipe or a plain terminal.
        with contextlib.suppress(KeyboardInterrupt), _keys() as key:
            console.print(top.frame())
            while key(interval) not in ("q", "Q"):
                console.print(top.frame())
        return
    with (
        contextlib.suppress(KeyboardInterrupt),
        _keys() as key,
        Live(top.frame(), console=console, screen=True, auto_refresh=False) as live,
    ):
        while key(interval) not in ("q", "Q"):
            live.update(top.frame(), refresh=True)
