"""Searches: what to look for, and the results in the shape that suits."""

from __future__ import annotations

import dataclasses
import io
import itertools
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from aerostore import _arguments
from aerostore._ffi.query import Clause, Plan, Query
from aerostore._ffi.session import Session
from aerostore._model import Parameter, TableInfo
from aerostore.errors import UsageError
from aerostore.rows import Row, maker, row_class

if TYPE_CHECKING:
    import pyarrow

_Item = TypeVar("_Item")

# Rows a foreign call brings: enough to make its cost vanish, few enough to stay in the cache.
_BATCH = 2048

_VALUE_COUNTS = {"range": 2, "null": 0, "notnull": 0, "true": 0, "false": 0}
_OPERATORS = {
    "=": 1,
    "==": 1,
    "!=": 2,
    "<>": 2,
    "<": 3,
    "<=": 4,
    ">": 5,
    ">=": 6,
    "in": 7,
    "range": 8,
    "null": 9,
    "notnull": 10,
    "true": 11,
    "false": 12,
    "match": 13,
    "notmatch": 14,
    "match_case": 15,
    "notmatch_case": 16,
}

# Functions of pyarrow that make the type of a column, by kind.
_ARROW_TYPES = {
    "bool": "bool_",
    "int8": "int8",
    "int16": "int16",
    "int32": "int32",
    "int64": "int64",
    "uint8": "uint8",
    "uint16": "uint16",
    "uint32": "uint32",
    "uint64": "uint64",
    "float32": "float32",
    "float64": "float64",
    "timestamp": "float64",
    "char": "string",
    "fixed": "string",
    "text": "string",
    "bytes": "binary",
    "inet": "string",
    "ipv6": "string",
    "mac": "string",
}

Condition = Sequence[Any] | str


def make_plan(
    table: TableInfo,
    clauses: Iterable[Condition] | str | None,
    sort: Sequence[str] | str | None,
    limit: int | None,
    offset: int | None,
    fields: Sequence[str] | None,
    using: str | None = None,
) -> Plan:
    """Resolve names and check shapes; values are checked by the engine, with their columns."""
    sort = () if sort is None else sort
    order = [sort] if isinstance(sort, str) else _arguments.names("sort", sort, '["-lat"]')
    columns: Sequence[int] = range(len(table.columns))
    if fields is not None:
        wanted = _arguments.names("fields", fields, '["lat", "lon"]')
        columns = [table.column_index(name) for name in wanted]
    if not columns:
        raise UsageError("fields names no column; leave it out to have all", table=table.name)
    if len(set(columns)) != len(columns):
        raise UsageError("a column occurs twice in fields", table=table.name)
    return Plan(
        table=table,
        clauses=tuple(_clause(table, clause) for clause in _clause_list(table, clauses)),
        sort=tuple(
            (table.column_index(name.removeprefix("-")), name.startswith("-")) for name in order
        ),
        limit=_arguments.count("limit", limit, -1),
        offset=_arguments.count("offset", offset, 0),
        columns=tuple(columns),
        using=_arguments.text("using", using, ""),
    )


def _clause_list(table: TableInfo, clauses: object) -> Iterable[Any]:
    if clauses is None:
        return ()
    if isinstance(clauses, str):
        return [clauses]
    if not isinstance(clauses, Iterable):
        raise UsageError(f"clauses are a list of clauses, not {clauses!r}", table=table.name)
    # One bare clause, as in Tcl: an operator alone is no clause, so nothing else looks like it.
    first = clauses[0] if isinstance(clauses, tuple | list) and clauses else None
    return [clauses] if isinstance(first, str) and first.lower() in _OPERATORS else clauses


def _lists_values(value: object) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes)


def _clause(table: TableInfo, clause: object) -> Clause | str:
    if isinstance(clause, str):
        return clause
    parts = tuple(clause) if isinstance(clause, Iterable) else ()
    if len(parts) < 2 or not isinstance(parts[0], str):
        raise UsageError(
            'a clause is (operator, column, values…), as in (">", "altitude", 10000), '
            f"not {clause!r}",
            table=table.name,
        )
    word = parts[0].lower()
    if word not in _OPERATORS:
        raise UsageError(
            f"unknown operator {parts[0]!r}; there are {' '.join(_OPERATORS)}", table=table.name
        )
    column = table.column_index(parts[1])
    values = parts[2:]
    if word == "in":
        if len(values) == 1 and isinstance(values[0], Parameter):
            return Clause(_OPERATORS[word], column, values)
        if len(values) != 1 or not _lists_values(values[0]):
            raise UsageError(
                f'"in" takes one list of values: ("in", "{parts[1]}", [...])', table=table.name
            )
        values = tuple(values[0])
    elif len(values) != _VALUE_COUNTS.get(word, 1):
        raise UsageError(
            f'"{parts[0]}" takes {_VALUE_COUNTS.get(word, 1)} value(s) after the column, '
            f"{len(values)} given",
            table=table.name,
        )
    return Clause(_OPERATORS[word], column, values)


class SearchResult(Iterable[Row]):
    """The rows of a search.  Made by `Table.search`; nothing is read until it is asked for.

    Each iteration runs the search anew, on one snapshot of its own, and sees no write made after it
    began, the caller's included.  Outside a transaction an unfinished iteration holds a transaction
    slot; it is given back when the iterator ends, is closed or is dropped.

    Example:
        >>> high = flights.search([(">", "altitude", 30000)], sort=["-altitude"], limit=10)
        >>> high.count(), [row.flight_id for row in high]
    """

    def __init__(self, session: Callable[[], Session], plan: Plan) -> None:
        self._session = session
        self._plan = plan
        # Compiled here: a value that does not fit its column is an error of search() itself.
        self._compiled = Query(session(), plan)

    def _query(self) -> Query:
        """Return the query compiled for the calling thread's session."""
        session = self._session()
        if self._compiled.session is not session or not self._compiled.usable:
            self._compiled = Query(session, self._plan)
        return self._compiled

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the columns each row has, in order."""
        return tuple(self._plan.table.columns[index].name for index in self._plan.columns)

    def _batches(self, shape: Callable[[int, list[list[Any]]], _Item]) -> Iterator[_Item]:
        cursor = self._query().open()
        try:
            count, columns = cursor.fetch(_BATCH)
            while count:
                item = shape(count, columns)
                # A short batch is most likely the last: looking ahead gives the transaction slot
                # back now, although the caller may take its time over these rows.
                ahead = cursor.fetch(_BATCH) if count < _BATCH else None
                if ahead is not None and ahead[0] == 0:
                    cursor.close()
                yield item
                count, columns = cursor.fetch(_BATCH) if ahead is None else ahead
        finally:
            cursor.close()

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows.

        Raises:
            TooManyTransactions: no transaction slot is free.
            StaleHandle: the database was closed, or the process forked, during the iteration.
        """
        row = maker(row_class(self._plan.table, self._plan.columns))
        return itertools.chain.from_iterable(
            self._batches(lambda _count, columns: map(row, zip(*columns, strict=True)))
        )

    def tuples(self) -> Iterator[tuple[Any, ...]]:
        """Yield plain tuples of values in the order of `fields`: the fastest way to read many rows.

        Example:
            >>> for lat, lon in flights.search(fields=["lat", "lon"]).tuples(): ...
        """
        return itertools.chain.from_iterable(
            self._batches(lambda _count, columns: zip(*columns, strict=True))
        )

    def columns(self) -> dict[str, list[Any]]:
        """Return all rows as one list of values per column, by name.

        Example:
            >>> mean = statistics.fmean(flights.search(fields=["gs"]).columns()["gs"])
        """
        whole: list[list[Any]] = [[] for _ in self._plan.columns]
        for batch in self._batches(lambda _count, columns: columns):
            for column, values in zip(whole, batch, strict=True):
                column.extend(values)
        return dict(zip(self.fields, whole, strict=True))

    def to_arrow(self) -> pyarrow.Table:
        """Return all rows as a pyarrow Table.

        Raises:
            ImportError: pyarrow is not installed.
        """
        import pyarrow  # an optional companion, and slow to import

        # Types come from the columns: values say nothing when there are none, or all are None.
        columns = [self._plan.table.columns[index] for index in self._plan.columns]
        types = [getattr(pyarrow, _ARROW_TYPES[column.kind])() for column in columns]
        schema = pyarrow.schema(list(zip(self.fields, types, strict=True)))
        return pyarrow.table(self.columns(), schema=schema)

    def write_tsv(
        self,
        file: IO[bytes] | str | os.PathLike[str],
        *,
        header: bool = False,
        separator: str | None = "\t",
        null: str | None = None,
    ) -> int:
        """Write the rows as TSV lines that `Table.ingest_tsv` reads back to the same values.

        Args:
            file: a binary file open for writing, or a path.
            header: write a first line with the columns' names.
            separator: between cells, instead of a tab.
            null: the text that stands for None, instead of an empty cell.

        Returns:
            The number of rows written.

        Example:
            >>> with open("out.tsv", "wb") as file:
            ...     flights.search(sort=["flight_id"]).write_tsv(file)
        """
        separator = _arguments.text("separator", separator, "\t")
        null = None if null is None else _arguments.text("null", null, "")
        if isinstance(file, str | os.PathLike):
            with Path(_arguments.path("file", file)).open("wb") as opened:
                return self.write_tsv(opened, header=header, separator=separator, null=null)
        anything: object = file
        if isinstance(anything, io.TextIOBase) or not hasattr(anything, "write"):
            raise UsageError(f"write_tsv takes a path or a binary file, not {anything!r}")
        cursor = self._query().open()
        try:
            return cursor.write_tsv(file.write, bool(header), separator, null)
        finally:
            cursor.close()

    def count(self) -> int:
        """Return the number of rows matched, after offset and limit, without reading them."""
        return self._query().count()

    def first(self) -> Row | None:
        """Return the first row, or None."""
        plan = self._plan
        limit = 1 if plan.limit < 0 else min(1, plan.limit)
        only = dataclasses.replace(plan, limit=limit)
        return next(iter(SearchResult(self._session, only)), None)

    def explain(self, *, execute: bool = False) -> str:
        """Return how the search is done, as text for people.

        Args:
            execute: also run it, and tell how many rows were met and the time taken.
        """
        return self._query().explain(bool(execute))

    def __repr__(self) -> str:
        return f"<search of {self._plan.table.name}: {len(self._plan.clauses)} clauses>"


class PreparedSearch:
    """A search planned once and run with many values.  Made by `Table.prepare`.

    Calling it with a value for each parameter gives a SearchResult.  It may be used from several
    threads, and again while an earlier result is still being read.

    Example:
        >>> above = flights.prepare([(">", "altitude", Parameter("floor"))], limit=10)
        >>> for row in above(floor=30000): ...
    """

    def __init__(self, session: Callable[[], Session], plan: Plan) -> None:
        self._session = session
        self._plan = plan
        self._own = threading.local()
        self._own.query = Query(session(), plan)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the values it takes."""
        return self._plan.parameters

    def __call__(self, **values: object) -> SearchResult:
        """Return the search's result for these values; a list for a parameter of `in`.

        Raises:
            UsageError: a value is missing, or there is no such parameter.
            TypeMismatch: a value does not convert to its column's type.
        """
        if set(values) != set(self.parameters):
            raise UsageError(
                f"the search takes the values {', '.join(self.parameters) or '(none)'}, "
                f"given are {', '.join(values) or '(none)'}",
                table=self._plan.table.name,
            )
        return _BoundResult(self, values)

    def _query(self) -> Query:
        """Return a query of the calling thread's session that no cursor is using."""
        session = self._session()
        query: Query | None = getattr(self._own, "query", None)
        if query is None or query.session is not session or not query.usable or query.running:
            query = self._own.query = Query(session, self._plan)
        return query

    def __repr__(self) -> str:
        return f"<prepared search of {self._plan.table.name}: {', '.join(self.parameters)}>"


class _BoundResult(SearchResult):
    """A prepared search with its values."""

    def __init__(self, prepared: PreparedSearch, values: dict[str, object]) -> None:
        self._session = prepared._session
        self._plan = prepared._plan
        self._prepared = prepared
        self._values = {
            name: list(value) if isinstance(value, set | frozenset | range) else value
            for name, value in values.items()
        }
        self._query()  # a value that does not fit is an error of the call

    def _query(self) -> Query:
        query = self._prepared._query()
        query.bind(self._values)
        return query

    def first(self) -> Row | None:
        """Return the first row, or None."""
        found = iter(self)
        try:
            return next(found, None)
        finally:
            del found  # gives the transaction slot back
