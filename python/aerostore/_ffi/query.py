"""Queries, cursors and TSV input of a session."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from aerostore._ffi.callback import Callback
from aerostore._ffi.session import Session
from aerostore._ffi.values import ValueBuffer, decode_column
from aerostore._model import Parameter, TableInfo
from aerostore.errors import StaleHandle, UsageError


@dataclass(frozen=True, slots=True)
class Clause:
    """One condition: operator number (enum aero_operator), column, its constants."""

    operator: int
    column: int
    values: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """A search as asked for, with names resolved and nothing of the engine in it."""

    table: TableInfo
    clauses: tuple[Clause | str, ...]
    sort: tuple[tuple[int, bool], ...]
    limit: int
    offset: int
    columns: tuple[int, ...]
    using: str = ""

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of its parameters, each once, in the order they occur."""
        values = (
            value
            for clause in self.clauses
            if isinstance(clause, Clause)
            for value in clause.values
            if isinstance(value, Parameter)
        )
        return tuple(dict.fromkeys(value.name for value in values))


class _Handle:
    """A C handle of one session, closed once, by the session's thread and in its process.

    The session owns the C handle, this object only has its number there: whoever comes first, a
    close(), a destructor or the end of the session, takes it out and closes it.
    """

    _number = 0  # until the constructor has one; the destructor looks
    _noun = "cursor"  # for messages

    def __init__(self, session: Session, make: Any, arguments: tuple[Any, ...], close: Any) -> None:
        """Call `make`, whose last argument is the place for the handle, and own that."""
        self.session = session
        self._pid = os.getpid()
        out = arguments[-1]
        try:
            session.check(make(*arguments))
            self._number = session.own(out[0], close)
        except BaseException:
            # An interrupt, right after the call: nobody else knows the handle.
            if out[0] and all(handle != out[0] for handle, _ in session.owned.values()):
                close(out[0])
            raise

    @property
    def handle(self) -> Any:
        """The C handle; StaleHandle when it may not be used now and here."""
        _ = self.session.handle  # checks thread and database
        if self._pid != os.getpid():
            raise StaleHandle(f"the {self._noun} belongs to the parent of this process")
        owned = self.session.owned.get(self._number)
        if owned is None:
            raise StaleHandle(f"the {self._noun} is closed")
        return owned[0]

    @property
    def usable(self) -> bool:
        """Whether it is open and was made by this process."""
        return self._number in self.session.owned and self._pid == os.getpid()

    def close(self) -> None:
        """Close; a second time does nothing."""
        if self._number:
            owned = self.session.owned.pop(self._number, None)
            if owned is None or self._pid != os.getpid():
                return
            if threading.get_ident() == self.session.thread and self.session.idle:
                owned[1](owned[0])
            else:
                self.session.parked.append(owned)

    def __del__(self) -> None:
        self.close()


class Query(_Handle):
    """A compiled query (an aero_query) of one session."""

    def __init__(self, session: Session, plan: Plan) -> None:
        lib = session.library.lib
        out = session.library.ffi.new("aero_query **")
        arguments = (session.handle, plan.table.index, out)
        super().__init__(session, lib.aero_query_new, arguments, lib.aero_query_free)
        self.plan = plan
        self.running = 0  # open cursors: nothing can be bound meanwhile
        self._numbers = {name: number for number, name in enumerate(plan.parameters)}
        self._names = {  # a column for each parameter, for messages
            value.name: plan.table.columns[clause.column].name
            for clause in plan.clauses
            if isinstance(clause, Clause)
            for value in clause.values
            if isinstance(value, Parameter)
        }
        for clause in plan.clauses:
            self._add(clause)
        for column, descending in plan.sort:
            session.check(lib.aero_query_sort(self.handle, column, descending))
        session.check(lib.aero_query_limit(self.handle, plan.limit, plan.offset))
        if plan.using:
            way = plan.using.encode("utf-8", "surrogatepass")
            session.check(lib.aero_query_using(self.handle, way, len(way)))

    def _add(self, clause: Clause | str) -> None:
        session, lib = self.session, self.session.library.lib
        if isinstance(clause, str):
            data = clause.encode("utf-8", "surrogatepass")
            session.check(lib.aero_query_compare(self.handle, data, len(data)))
            return
        table = self.plan.table
        values = ValueBuffer(session.library.ffi, len(clause.values))
        name = table.columns[clause.column].name
        constants = [None if isinstance(value, Parameter) else value for value in clause.values]
        session.fill(values, constants, [name] * max(1, len(constants)), table)
        for place, value in enumerate(clause.values):
            if isinstance(value, Parameter):
                values.fill_parameter(place, self._numbers[value.name])
        session.check(
            lib.aero_query_clause(
                self.handle, clause.operator, clause.column, len(clause.values), values.pointer
            )
        )

    def bind(self, values: dict[str, object]) -> None:
        """Give the parameters their values: a tuple or list for one that `in` takes."""
        session, lib = self.session, self.session.library.lib
        for name, number in self._numbers.items():
            value = values[name]
            given = tuple(value) if isinstance(value, tuple | list) else (value,)
            buffer = ValueBuffer(session.library.ffi, len(given))
            session.fill(buffer, given, [self._names[name]] * max(1, len(given)), self.plan.table)
            session.check(lib.aero_query_bind(self.handle, number, len(given), buffer.pointer))

    def count(self) -> int:
        """Return the number of rows matched, after offset and limit."""
        out = self.session.library.ffi.new("uint64_t *")
        self.session.check(self.session.library.lib.aero_query_count(self.handle, out))
        return int(out[0])

    def explain(self, execute: bool) -> str:
        """Return the plan as text."""
        ffi = self.session.library.ffi
        text, length = ffi.new("char const **"), ffi.new("size_t *")
        lib = self.session.library.lib
        self.session.check(lib.aero_query_explain(self.handle, execute, text, length))
        return bytes(ffi.buffer(text[0], length[0])).decode("utf-8", "replace")

    def open(self) -> Cursor:
        """Run the query."""
        return Cursor(self)


class Cursor(_Handle):
    """A running query (an aero_cursor), read in batches of columns."""

    def __init__(self, query: Query) -> None:
        session = query.session
        ffi, lib = session.library.ffi, session.library.lib
        arguments = (query.handle, ffi.new("aero_cursor **"))
        super().__init__(session, lib.aero_cursor_open, arguments, lib.aero_cursor_close)
        self._query = query  # a cursor's query must outlive it
        query.running += 1
        columns = query.plan.columns
        self._count = len(columns)
        self._columns = ffi.new("uint32_t[]", columns)
        self._data = ffi.new("aero_column_data[]", max(1, self._count))
        self._rows = ffi.new("uint32_t *")

    def close(self) -> None:
        """Close; a second time does nothing."""
        if self._number:
            self._query.running -= 1
        super().close()
        self._number = 0

    def fetch(self, most: int) -> tuple[int, list[list[Any]]]:
        """Return up to `most` (1..65536) more rows as (count, one list per column)."""
        session = self.session
        ffi = session.library.ffi
        status = session.library.lib.aero_cursor_fetch(
            self.handle, most, self._count, self._columns, self._data, self._rows
        )
        session.check(status)
        rows = int(self._rows[0])
        if rows == 0:
            return 0, []
        return rows, [decode_column(ffi, self._data[i], rows) for i in range(self._count)]

    def write_tsv(
        self, write: Callable[[bytes], object], header: bool, separator: str, null: str | None
    ) -> int:
        """Hand the remaining rows to `write` as pieces of TSV; return how many rows."""
        session = self.session
        ffi = session.library.ffi

        def piece(_context: Any, data: Any, length: int) -> int:
            write(bytes(ffi.buffer(data, length)))
            return 0

        keep = [_text(ffi, null), _text(ffi, separator)]
        writer = Callback(ffi, "aero_writer", piece)
        options = ffi.new("aero_tsv_options *")
        options.column_count, options.columns = self._count, self._columns
        options.null_text, options.separator = keep[0], keep[1]
        options.header = header
        rows = ffi.new("uint64_t *")
        handle = self.handle
        session.busy = True
        try:
            status = session.library.lib.aero_write_tsv(
                handle, options, writer.pointer, ffi.NULL, rows
            )
        finally:
            session.busy = False
        writer.check()
        session.check(status)
        return int(rows[0])


# ---- TSV input ---------------------------------------------------------------------------------

Report = tuple[int, int, int, int, float]
Progress = Callable[[Report, int], object]


class TsvInput:
    """Options of one ingest, and the running of it."""

    def __init__(
        self,
        session: Session,
        table: TableInfo,
        *,
        columns: Sequence[int],
        null_text: str | None,
        separator: str,
        header: bool,
        batch_size: int,
        progress: Progress | None,
    ) -> None:
        self._session = session
        self._table = table
        self._progress = progress
        self.report: Report = (0, 0, 0, 0, 0.0)
        ffi = session.library.ffi
        self._out = ffi.new("aero_ingest_report *")
        # A callback is always there: it is also where Python handles Ctrl-C between batches.
        self._callback = Callback(ffi, "aero_progress", self._between_batches)
        self._keep = [ffi.new("uint32_t[]", columns), _text(ffi, null_text), _text(ffi, separator)]
        self._options = ffi.new("aero_tsv_options *")
        self._options.column_count = len(columns)
        self._options.columns = self._keep[0]
        self._options.null_text = self._keep[1]
        self._options.separator = self._keep[2]
        self._options.header = header
        self._options.batch_size = batch_size
        self._options.progress = self._callback.pointer

    def _between_batches(self, _context: Any, report: Any, total: int) -> int:
        self.report = _report(report)
        if self._progress is not None:
            self._progress(self.report, int(total))
        return 0

    def _finish(self, status: int) -> Report:
        self._callback.check()
        self._session.check(status)
        return self.report

    def data(self, data: Any) -> Report:
        """Ingest a bytes-like object."""
        session = self._session
        # No memoryview here: before 3.11.8 the collector crashes on one that an exception keeps.
        try:
            view = session.library.ffi.from_buffer("char[]", data)
        except TypeError:
            raise UsageError(
                f"cannot ingest a {type(data).__name__}; pass a path, bytes or a file object"
            ) from None
        except (BufferError, ValueError):  # not contiguous
            view = session.library.ffi.from_buffer("char[]", bytes(data))
        with self._running() as handle:
            status = session.library.lib.aero_ingest_tsv(
                handle, self._table.index, view, len(view), self._options, self._out
            )
        self.report = _report(self._out)
        return self._finish(status)

    def file(self, path: str) -> Report:
        """Ingest a file by its path."""
        encoded = os.fsencode(path)
        with self._running() as handle:
            status = self._session.library.lib.aero_ingest_file(
                handle, self._table.index, encoded, self._options, self._out
            )
        self.report = _report(self._out)
        return self._finish(status)

    def pieces(self, pieces: Iterable[bytes]) -> Report:
        """Ingest pieces cut anywhere."""
        session = self._session
        ffi, lib = session.library.ffi, session.library.lib
        out = ffi.new("aero_ingest **")
        with self._running() as handle:
            status = lib.aero_ingest_open(handle, self._table.index, self._options, out)
            session.check(status)
            try:
                for piece in pieces:
                    view = ffi.from_buffer("char[]", piece)
                    self._finish(lib.aero_ingest_feed(out[0], view, len(view)))
                self._finish(lib.aero_ingest_finish(out[0], self._out))
                self.report = _report(self._out)
            finally:
                lib.aero_ingest_free(out[0])
        return self.report

    @contextlib.contextmanager
    def _running(self) -> Iterator[Any]:
        """Mark the session busy: Python code that runs meanwhile must not use it."""
        session = self._session
        handle = session.handle
        session.busy = True
        try:
            yield handle
        finally:
            session.busy = False


def _text(ffi: Any, text: str | None) -> Any:
    return ffi.NULL if text is None else ffi.new("char[]", text.encode())


def _report(report: Any) -> Report:
    return (
        int(report.rows_seen),
        int(report.inserted),
        int(report.updated),
        int(report.batches),
        report.elapsed_ms / 1000.0,
    )
