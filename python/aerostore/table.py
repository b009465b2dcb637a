"""Tables: rows by key, many rows at once, searches."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from aerostore import _arguments
from aerostore._model import Column, Index, TableInfo
from aerostore.errors import Error, RowNotFound, UsageError
from aerostore.ingest import BATCH_SIZE, IngestReport, Progress, Source, ingest
from aerostore.query import Condition, PreparedSearch, SearchResult, make_plan
from aerostore.rows import Row, row_class
from aerostore.ttl import Ttl, microseconds
from aerostore.watch import Watch

if TYPE_CHECKING:
    from aerostore._ffi.session import Session
    from aerostore.database import Database


class Table:
    """One table of a database.  Made by `Database.table`.

    `key in table`, `len(table)`, `table[key]` and iteration over all rows work as one expects.
    Outside a transaction each call is a transaction of its own, repeated inside when it conflicts.

    Values given may be bool, int, float, str, bytes, None, aware datetimes (for Timestamps),
    ipaddress objects and Decimals.  They are converted to the column's type exactly or refused.

    Every method raises StaleHandle after the database was closed.

    Example:
        >>> flights = db.table("FlightState")
        >>> flights.upsert({"flight_id": "UAL123", "lat": 37.6, "lon": -122.4, "updated_at": 0})
        >>> flights["UAL123"].lat
    """

    def __init__(self, database: Database, info: TableInfo) -> None:
        self._database = database
        self._session = database._session
        self._info = info
        self._row = row_class(info, tuple(range(len(info.columns))))

    @property
    def name(self) -> str:
        """The table's name."""
        return self._info.name

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns, in the order of TSV lines."""
        return self._info.columns

    @property
    def key(self) -> str:
        """Name of the primary key column."""
        return self._info.key.name

    def __repr__(self) -> str:
        return f"<table {self._info.name}>"

    # ---- reading ----

    def get(self, key: object) -> Row | None:
        """Return the row with this key, or None.

        Raises:
            TypeMismatch: the key does not convert to the key column's type.

        Example:
            >>> row = flights.get("UAL123")
        """
        values = self._session().get(self._info, key)
        return None if values is None else self._row(values)

    def __getitem__(self, key: object) -> Row:
        row = self.get(key)
        if row is None:
            raise RowNotFound(f"table {self.name} has no row with key {key!r}", table=self.name)
        return row

    def __contains__(self, key: object) -> bool:
        return self._session().exists(self._info, key)

    def __len__(self) -> int:
        return self._session().count(self._info)

    def __bool__(self) -> bool:
        # Without this, truth would be the number of rows, and `if table` a scan.
        return True

    def __iter__(self) -> Iterator[Row]:
        return iter(self.search())

    def search(
        self,
        clauses: Iterable[Condition] | str | None = (),
        *,
        sort: Sequence[str] | str | None = (),
        limit: int | None = None,
        offset: int | None = 0,
        fields: Sequence[str] | None = None,
        using: str | None = "",
    ) -> SearchResult:
        """Search for rows that meet every clause.

        Args:
            clauses: one condition or a list of them: `(">", "altitude", 10000)`,
                `("in", "typ", ["A320"])`, `("range", "lat", 46, 48)` (low ≤ x < high),
                `("null", "dest")`, `("match", "flight_id", "UAL*")`.  Operators: = == != <> < <= >
                >= in range null notnull true false match notmatch match_case notmatch_case.  None
                never matches a comparison.  A str is a clause list as in Tcl:
                `"{> altitude 10000} {null dest}"`.
            sort: columns to sort by; "-lat" is descending.  None sorts last either way.
            limit: most rows wanted; None for all.
            offset: rows to skip first.
            fields: columns the rows shall have; None for all.
            using: a way to the rows to be preferred: "scan", "key", "index altitude" (an index
                that begins with this column) or "intersection".  The planner chooses well by
                itself; the rows are the same.

        Returns:
            The rows, read when they are asked for.  Without `sort` their order is not specified.

        Raises:
            UnknownName: there is no such column.
            UsageError: a clause, limit or offset is not of this form.
            TypeMismatch: a value does not convert to its column's type.
            ParseError: a Tcl clause list is malformed.

        Example:
            >>> for row in flights.search([("<", "altitude", 1000)], sort=["-gs"], limit=5): ...
        """
        plan = make_plan(self._info, clauses, sort, limit, offset, fields, using)
        return SearchResult(self._session, plan)

    def watch(
        self,
        clauses: Iterable[Condition] | str | None = (),
        *,
        start: str | int | None = "now",
        timeout: float | None = None,
    ) -> Watch:
        """Watch rows change, in commit order, whichever process writes them.

        Args:
            clauses: as in `search`; a change is told when the row meets them before or after it.
            start: "now"; "snapshot", which gives every row that is there first, then "live", then
                what commits after that; or a position of an earlier event, or the number of a
                commit of this store, to go on from there.
                What memory no longer keeps is read from the log, back to the newest checkpoint
                (or further, with the setting `aerostore.keep_log`), also after a restart; that
                takes private memory for the table and the time of a recovery.
            timeout: iteration ends when nothing came for so many seconds; None: never.

        Returns:
            An iterator of events, for `for` and `async for`.

        Raises:
            UsageError: inside a transaction, or the start is none of these.
            RowNotFound: what was committed after the position is not kept any more.
            LayoutMismatch: the position is of another store.
            LimitExceeded: 64 watches are open.

        Example:
            >>> for event in flights.watch([("=", "dest", "KSFO")], start="snapshot"):
            ...     print(event.kind, event.key)
        """
        plan = make_plan(self._info, clauses, (), None, 0, None, "")
        return Watch(self._session, plan, "now" if start is None else start, timeout)

    def prepare(
        self,
        clauses: Iterable[Condition],
        *,
        sort: Sequence[str] | str | None = (),
        limit: int | None = None,
        offset: int | None = 0,
        fields: Sequence[str] | None = None,
        using: str | None = "",
    ) -> PreparedSearch:
        """Prepare a search that is run many times: parsed and planned once, bound at each run.

        Args:
            clauses: as for `search`; values may be `Parameter("name")`, also the whole list of an
                `in`.
            sort: as for `search`.
            limit: as for `search`.
            offset: as for `search`.
            fields: as for `search`.
            using: as for `search`.

        Returns:
            A function of the parameters that returns a SearchResult.

        Raises:
            UnknownName, UsageError, TypeMismatch: as for `search`.

        Example:
            >>> near = flights.prepare([("range", "lat", Parameter("south"), Parameter("north"))])
            >>> near(south=46, north=48).count()
        """
        plan = make_plan(self._info, clauses, sort, limit, offset, fields, using)
        return PreparedSearch(self._session, plan)

    # ---- indexes ----

    def create_index(self, *columns: str, unique: bool = False) -> None:
        """Make an ordered index while the table is in use; searches use it by themselves.

        Indexes declared in the schema are there from the beginning; one that is made lasts until
        the memory is made anew from the files.

        Args:
            columns: its columns, in order.
            unique: refuse rows with equal values; None equals nothing.

        Raises:
            UniqueViolation: there is such an index, or two rows have equal values.
            UsageError: inside a transaction.
            UnknownName: there is no such column.

        Example:
            >>> flights.create_index("dest", "altitude")
        """
        self._session().index_create(self._info, self._column_numbers(columns), bool(unique))

    def drop_index(self, *columns: str) -> None:
        """Take the index over these columns down.

        Raises:
            RowNotFound: there is no index over just these columns.
            UsageError: inside a transaction.
        """
        self._session().index_drop(self._info, self._column_numbers(columns))

    def indexes(self) -> tuple[Index, ...]:
        """Return the indexes that searches can use now."""
        return tuple(self._session().index_list(self._info))

    def span(self, *columns: str) -> tuple[Any, Any] | None:
        """Return the least and the greatest value of a column, read from its index.

        Args:
            columns: the columns of an index; the values are those of the first.

        Returns:
            (least, greatest), or None when every row has None there.

        Raises:
            RowNotFound: there is no index over just these columns.

        Example:
            >>> lowest, highest = flights.span("altitude")
        """
        return self._session().index_span(self._info, self._column_numbers(columns))

    def _column_numbers(self, columns: Sequence[str]) -> list[int]:
        return [self._info.column_index(name) for name in columns]

    # ---- writing ----

    def insert(self, row: Mapping[str, object]) -> None:
        """Insert a new row.

        Args:
            row: values by column name or alias; missing columns take their default or None.
                A column is given once, and an empty text is a key like any other.

        Raises:
            UsageError: a column is given twice, by its name and an alias.
            UniqueViolation: its key exists already.
            UnknownName, TypeMismatch, NotNullViolation, ValueTooLong: a value does not fit.
            SerializationFailure: in a transaction, another one got there first.
            StorageFull, LimitExceeded: there is no room.
        """
        self._write(self._session(), "insert", row)

    def upsert(self, row: Mapping[str, object]) -> bool:
        """Insert a row, or change just the given columns of the row that has its key.

        Returns:
            True when the row is new.

        Raises:
            As insert, except for UniqueViolation of the key.

        Example:
            >>> flights.upsert({"flight_id": "UAL123", "altitude": 35000})
        """
        return self._write(self._session(), "upsert", row)

    def replace(self, row: Mapping[str, object]) -> bool:
        """Insert a row, or put it in the place of the whole row that has its key.

        Returns:
            True when the row is new.

        Raises:
            As insert, except for UniqueViolation of the key.
        """
        return self._write(self._session(), "replace", row)

    def _write(self, session: Session, how: str, row: Mapping[str, object]) -> bool:
        if not isinstance(row, Mapping):
            raise UsageError(
                f"a row is a mapping of columns to values, not {type(row).__name__}",
                table=self.name,
            )
        return session.write(how, self._info, tuple(row), tuple(row.values()))

    def upsert_many(
        self, rows: Iterable[Mapping[str, object]], *, batch_size: int | None = 1024
    ) -> IngestReport:
        """Upsert rows in batches: one transaction each, or all in the open one.

        Args:
            rows: mappings as for upsert.
            batch_size: rows in a transaction, at least 1.

        Raises:
            As upsert.  Nothing of the failing batch is applied outside a transaction; the error's
            `report` tells what was, and its `line` is the 1-based place of the row.
        """
        batch_size = _arguments.count("batch_size", batch_size, BATCH_SIZE, 1)
        if not isinstance(rows, Iterable):
            raise UsageError(f"rows are a list of mappings, not {rows!r}", table=self.name)
        started = time.perf_counter()
        seen = inserted = batches = 0

        def report() -> IngestReport:
            elapsed = time.perf_counter() - started
            return IngestReport(seen, inserted, seen - inserted, batches, elapsed)

        source = iter(rows)
        while batch := list(itertools.islice(source, min(batch_size, sys.maxsize))):
            try:
                inserted += self._database.run(self._batch_writer(batch, seen))
            except Error as error:
                error.report = report()
                raise
            seen += len(batch)
            batches += 1
        return report()

    def _batch_writer(self, batch: list[Mapping[str, object]], before: int) -> Callable[[], int]:
        def write() -> int:
            session, new = self._session(), 0
            for place, row in enumerate(batch):
                try:
                    new += self._write(session, "upsert", row)
                except Error as error:
                    error.line = before + place + 1
                    raise
            return new

        return write

    def update(self, key: object, /, **changes: object) -> bool:
        """Change columns of the row with this key.

        Args:
            key: the key; it cannot change.
            changes: new values by column name or alias.

        Returns:
            False when there is no such row.

        Raises:
            As insert, except for UniqueViolation of the key.

        Example:
            >>> flights.update("UAL123", altitude=36000, dest=None)
        """
        session = self._session()
        return session.update(self._info, key, tuple(changes), tuple(changes.values()))

    def incr(self, key: object, column: str, amount: object = 1) -> Any:
        """Add to a numeric column in one step; None counts as 0.

        Returns:
            The new value, or None when there is no such row.

        Raises:
            TypeMismatch: the column is not numeric, or the sum is out of its range.
        """
        index = self._info.column_index(column)
        return self._session().increment(self._info, key, index, amount)[1]

    def lock_for_update(self, key: object) -> Row | None:
        """Lock a row until the open transaction ends, and return it; None when there is none.

        Other writers of the row wait for the transaction's end, each at most the setting
        `aerostore.lock_timeout_ms`; readers do not notice.  As the first thing a transaction does
        it waits for who has the row, and the transaction's later write of it meets no conflict.
        The lock dies with its process.

        Raises:
            UsageError: no transaction is open.
            SerializationFailure: another transaction has the row and keeps it, or has written it
                since this one began to look; `run` repeats such blocks.

        Example:
            >>> with db.transaction():
            ...     row = flights.lock_for_update("UAL123")
            ...     flights.update("UAL123", altitude=row.altitude + 1000)
        """
        session = self._session()
        return self.get(key) if session.lock_row(self._info, key) else None

    def delete(self, key: object) -> bool:
        """Delete the row with this key; return False when there is none."""
        return self._session().delete(self._info, key)

    def clear(self) -> int:
        """Delete every row in one transaction; return how many there were."""
        return self._session().reset(self._info)

    # ---- time to live ----

    def ttl(self) -> Ttl | None:
        """Return how long rows live, or None: for ever."""
        after, column = self._session().ttl_get(self._info)
        name = None if column < 0 else self._info.columns[column].name
        return Ttl(timedelta(microseconds=after), name) if after else None

    def set_ttl(self, after: float | timedelta | None, column: str | None = None) -> None:
        """Change how long rows live, for all processes, until the memory is made anew from files.

        Args:
            after: seconds or a timedelta, or None: for ever.
            column: the Timestamp from which it counts; None: from the row's last write.

        Raises:
            TypeMismatch: no such time, or the column is not a Timestamp.
            UnknownName: there is no such column.

        Example:
            >>> flights.set_ttl(3600, column="updated_at")
        """
        number = -1 if column is None else self._info.column_index(column)
        self._session().ttl_set(self._info, microseconds(after), number)

    def sweep(self) -> int:
        """Delete the rows that are due now; return how many.

        Raises:
            UsageError: inside a transaction.
        """
        return self._session().ttl_sweep(self._info)

    def ingest_tsv(
        self,
        source: Source,
        batch_size: int | None = 1024,
        *,
        columns: Sequence[str] | None = None,
        header: bool = False,
        separator: str | None = "\t",
        null: str | None = None,
        progress: Progress | None = None,
    ) -> IngestReport:
        r"""Upsert rows from tab-separated text.

        Args:
            source: the path of a file, or the text itself as bytes, or an open file.
            batch_size: rows in a transaction, at least 1.
            columns: names of the cells' columns, in order; None for all as declared.
            header: skip the first line.
            separator: between cells, instead of a tab.
            null: the text that stands for None, instead of an empty cell or `\N`.
            progress: called after each batch as progress(report, size), size being the bytes of
                input in all, 0 when unknown.  What it raises stops the ingest.

        Returns:
            What was done.

        Raises:
            ParseError, TypeMismatch, NotNullViolation, ValueTooLong: a line is wrong; `line` and
                `column` say where.  Nothing of its batch is applied; `report` says what was.
            StorageError: the file cannot be read.
            StorageFull, LimitExceeded: there is no room.

        Example:
            >>> report = flights.ingest_tsv("positions.tsv", batch_size=4096)
            >>> report.rows_seen, report.inserted
        """
        return ingest(
            self._session(),
            self._info,
            source,
            batch_size=batch_size,
            columns=columns,
            header=header,
            separator=separator,
            null=null,
            progress=progress,
        )
