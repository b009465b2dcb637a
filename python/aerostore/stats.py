"""Statistics of a database: what `Database.stats` returns.

Each figure is an attribute, and also found by its name as in a dict; `as_dict` gives plain dicts
and lists.  Counters count since the segment was made; sizes are in bytes, times in microseconds.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

_Figures = TypeVar("_Figures", bound="Figures")


def _gauge(text: str, default: Any = 0) -> Any:
    return dataclasses.field(default=default, metadata={"help": text})


def _counter(text: str) -> Any:
    return dataclasses.field(default=0, metadata={"help": text, "counter": True})


def _several(text: str) -> Any:
    return dataclasses.field(default=(), metadata={"help": text})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Figures(Mapping[str, Any]):
    """Figures as attributes and as a mapping.

    Attributes:
        other: figures that this version has no attribute for.
    """

    other: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls: type[_Figures], values: Mapping[str, Any]) -> _Figures:
        """Make one of figures by name; unknown names go to `other`."""
        known = cls.__dataclass_fields__
        if values.keys() <= known.keys() and "other" not in values:
            return cls(**values)
        other = {name: value for name, value in values.items()
                 if name not in known or name == "other"}
        return cls(other=other, **{name: value for name, value in values.items()
                                   if name not in other})

    def __getitem__(self, name: str) -> Any:
        if name != "other" and name in self.__dataclass_fields__:
            return getattr(self, name)
        return self.other[name]

    def __iter__(self) -> Iterator[str]:
        yield from (each.name for each in dataclasses.fields(self) if each.name != "other")
        yield from self.other

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as a dict of plain values, lists and dicts."""
        return {name: _plain(self[name]) for name in self}


def _plain(value: Any) -> Any:
    if isinstance(value, Figures):
        return value.as_dict()
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IndexStatistics(Figures):
    """An ordered index; both sizes are estimates from a few of its nodes."""

    name: str = _gauge("Columns, comma-separated.", "")
    entries: int = _gauge("Entries, about.")
    bytes: int = _gauge("Bytes of its nodes, about.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TableStatistics(Figures):
    """One table."""

    rows: int = _gauge("Committed rows.")
    bytes_versions: int = _gauge("Bytes of pages that hold versions of rows.")
    bytes_anchors: int = _gauge("Bytes of pages that hold anchors, one a row.")
    bytes_key_index: int = _gauge("Bytes of the key index, about.")
    indexes: tuple[IndexStatistics, ...] = _several("Ordered indexes.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TransactionStatistics(Figures):
    """An open transaction or cursor, of any process."""

    slot: int = _gauge("Its slot.")
    pid: int = _gauge("Process that has it.")
    age_us: int = _gauge("Time since it began; 0 of a single statement.")
    snapshot: int = _gauge("Commit number it sees; 0 before its first statement.")
    lag: int = _gauge("Commits made since its snapshot.")
    writes: int = _gauge("Writes so far.")
    state: str = _gauge("idle, active, committing, committed or aborted.", "")
    resting: int = _gauge("1 while no call of it is under way.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WatchStatistics(Figures):
    """A watch, of any process."""

    pid: int = _gauge("Process that has it; 0 when it has ended and may be resumed.")
    state: str = _gauge('"following", "overflow" (fell behind) or "left" (its process ended).', "")
    position: int = _gauge("Commits up to this number have been told.")
    lag: int = _gauge("Commits that have not been told.")
    pinned: int = _gauge("Commits whose old versions are kept for it.")
    events: int = _counter("Events told.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BlockClassStatistics(Figures):
    """Blocks of one size: index nodes, key shards, long texts, lists of writes, the log."""

    size: int = _gauge("Bytes of a block.")
    bytes: int = _gauge("Bytes of pages that hold them.")
    free: int = _gauge("Bytes of free ones among them, about.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FlushStatistics(Figures):
    """Flushes of the log by how long they took, each counted in the first class it fits."""

    below_us: int = _gauge("Upper bound of the class; 0: none.")
    count: int = _counter("Flushes.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Statistics(Figures):
    """A database's statistics; the page about statistics explains each figure.

    Example:
        >>> stats = db.stats()
        >>> stats.commits, stats.tables["FlightState"].rows, stats["log_lag_commits"]
    """

    profile: str = _gauge("shared, embedded or logical.", "")
    data_dir: str = _gauge("Data directory.", "")
    segment_path: str = _gauge("File of the segment; empty when memory is private.", "")
    segment_size: int = _gauge("Most the segment may grow to.")
    segment_used: int = _gauge("Bytes handed out.")
    segment_reserved: int = _gauge("Bytes with storage behind them.")
    segment_free: int = _gauge("Bytes that have never been handed out.")
    bytes_fixed: int = _gauge("Bytes of fixed structures: process table, queue, directories.")
    bytes_queue: int = _gauge("Of them, the commit queue.")
    bytes_log_fixed: int = _gauge("Of them, the log's part.")
    bytes_log_rings: int = _gauge("Bytes of the log's rings, which are blocks.")
    bytes_blocks: int = _gauge("Bytes of pages that hold blocks.")
    bytes_free: int = _gauge("Bytes of free objects in all pages, about.")
    rows: int = _gauge("Committed rows of all tables.")
    versions: int = _gauge("Versions of rows, dead and unfinished ones included, about.")
    dead_versions: int = _gauge("Versions that wait until no snapshot needs them.")
    sessions: int = _gauge("Attached sessions.")
    slots_in_use: int = _gauge("Open transactions and cursors.")
    commit_clock: int = _gauge("Number of the last decided commit.")
    horizon: int = _gauge("What ended at or before this number is kept for nobody.")
    oldest_snapshot: int = _gauge("The oldest snapshot anybody holds.")
    oldest_snapshot_kind: str = _gauge("transaction, read, watch or none.", "none")
    oldest_snapshot_pid: int = _gauge("Process that holds it.")
    oldest_snapshot_age_us: int = _gauge("Time since that transaction began.")
    oldest_snapshot_lag: int = _gauge("Commits since it: what they replaced is kept for it.")
    commits: int = _counter("Committed transactions that wrote.")
    rollbacks: int = _counter("Transactions rolled back.")
    retries: int = _counter("Single statements that were run again after a conflict.")
    conflicts_write: int = _counter("Aborts: another transaction had written the row.")
    conflicts_read: int = _counter("Aborts: a row that was read had changed.")
    conflicts_predicate: int = _counter("Aborts: a row entered or left what was searched.")
    conflicts_stalled: int = _counter("Aborts: stopped too long while committing.")
    conflicts_window: int = _counter("Aborts: the snapshot was too old to be validated.")
    conflicts_cancelled: int = _counter("Aborts: cancelled.")
    conflicts_lock: int = _counter("Aborts: another transaction had locked the row.")
    row_latches: int = _counter("Row locks taken.")
    cancelled: int = _counter("Transactions cancelled because they were open too long.")
    expired: int = _counter("Rows deleted because their time to live was over.")
    reaped_slots: int = _counter("Transactions of dead processes cleared away.")
    reaped_sessions: int = _counter("Sessions of dead processes cleared away.")
    watches_open: int = _gauge("Watches.")
    log_lsn: int = _gauge("Position of the log: bytes written.")
    log_number: int = _gauge("Commits written to the log.")
    log_durable_lsn: int = _gauge("Bytes of the log that are on disk.")
    log_durable_number: int = _gauge("Commits that are on disk.")
    log_lag_bytes: int = _gauge("Bytes written and not yet on disk.")
    log_lag_commits: int = _gauge("Commits not yet on disk.")
    log_failed_errno: int = _gauge("0, or the error after which nothing is written any more.")
    log_flushes: int = _counter("Flushes of the log to disk.")
    log_flush_total_us: int = _counter("Time they took together.")
    checkpoints: int = _counter("Checkpoints taken.")
    checkpoint_number: int = _gauge("Last commit in the newest checkpoint.")
    checkpoint_age_us: int = _gauge("Time since the newest checkpoint, or since memory was made.")
    keeper_pid: int = _gauge("Process of the daemon; 0: none.")
    keeper_alive: int = _gauge("1 while there is a daemon, or the thread of private memory.")
    keeper_role: str = _gauge("daemon, thread or none.", "none")
    recovered_rows: int = _gauge("Rows that recovery found in the checkpoint.")
    recovered_commits: int = _gauge("Commits that recovery found in the log behind it.")
    recovered_cut_bytes: int = _gauge("Bytes of a torn end of the log that were left out.")
    recovered_us: int = _gauge("Time that recovery took.")
    block_classes: tuple[BlockClassStatistics, ...] = _several("Blocks by size.")
    transactions: tuple[TransactionStatistics, ...] = _several("Open transactions and cursors.")
    watches: tuple[WatchStatistics, ...] = _several("Watches.")
    flush_latency: tuple[FlushStatistics, ...] = _several("Flushes by how long they took.")
    tables: Mapping[str, TableStatistics] = dataclasses.field(
        default_factory=dict, metadata={"help": "Tables by name."}
    )


_ELEMENTS: dict[str, type[Figures]] = {
    "block_classes": BlockClassStatistics,
    "transactions": TransactionStatistics,
    "watches": WatchStatistics,
    "flush_latency": FlushStatistics,
    "indexes": IndexStatistics,
}


# Of a list: its figures by their names, element by element.
_Lists = dict[str, list[dict[str, Any]]]


@functools.cache
def _field(name: str) -> tuple[str, str]:
    """Return list and field of a name such as "watches.lag"."""
    of, _, field = name.partition(".")
    return of, field


def _values(plain: dict[str, Any], lists: _Lists) -> dict[str, Any]:
    for name, elements in lists.items():
        kind = _ELEMENTS.get(name, Figures)
        plain[name] = tuple(kind.of(each) for each in elements)
    return plain


def collect(entries: Iterable[tuple[str, int, int, Any]], tables: Iterable[str]) -> Statistics:
    """Make statistics of the library's list: (name, table or -1, element or -1, value)."""
    names = tuple(tables)
    # The last ones, to which index -1 leads, are those of the database.
    plain: list[dict[str, Any]] = [{} for _ in (*names, "")]
    lists: list[_Lists] = [{} for _ in (*names, "")]
    for name, table, item, value in entries:
        if item < 0:
            plain[table][name] = value
            continue
        of, field = _field(name)
        elements = lists[table].setdefault(of, [])
        if item == len(elements):
            elements.append({})
        elements[item][field] = value
    values = _values(plain[-1], lists[-1])
    values["tables"] = {
        name: TableStatistics.of(_values(plain[number], lists[number]))
        for number, name in enumerate(names)
    }
    return Statistics.of(values)
