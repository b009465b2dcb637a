"""An attached database, and one thread's session on it, without cdata in their signatures.

Lifetime: a Session holds its Store, a query or cursor holds its Session, so reference counts
close them in the right order even when nobody calls close().  Destructors may run in any thread,
while the C handles belong to one: a query or cursor dropped elsewhere is parked in
`Session.parked` and closed by the session's own thread at its next call.

Fork: a child may use the session of the thread that forked; it starts without a transaction.
Destructors in a child leave what the parent opened alone.
"""

from __future__ import annotations

import itertools
import os
import struct
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from aerostore._ffi.callback import Callback
from aerostore._ffi.library import Library
from aerostore._ffi.values import INT, Unfit, ValueBuffer, decode_value
from aerostore._model import Index, TableInfo
from aerostore.errors import StaleHandle, TypeMismatch, UsageError, error_class

# What a long recovery tells: "checkpoint", "log" or "indexes", bytes done, bytes in all.
Recovering = Callable[[str, int, int], object]
# An aero_stat: name, table, item; type, length and word of its value.
_STAT = struct.Struct("=QiiiIq")
_PHASES = {1: "checkpoint", 2: "log", 3: "indexes"}


class Store:
    """One attached database (an aero_db)."""

    def __init__(
        self,
        library: Library,
        *,
        data_dir: str,
        profile: str | None,
        memory: str | None,
        shm_path: str | None,
        size: int,
        create: bool,
        progress: Recovering | None = None,
    ) -> None:
        self.library = library
        self.closed = False
        self._pid = os.getpid()
        self._handle: Any = None
        self._sessions: set[int] = set()
        ffi = library.ffi
        texts = [c_string(ffi, text) for text in (data_dir, profile, memory, shm_path)]
        options = ffi.new("aero_open_options *", (*texts, size))
        options.must_exist = not create

        def recovering(_context: Any, phase: int, done: int, total: int) -> int:
            if progress is not None:
                progress(_PHASES[phase], int(done), int(total))
            return 0

        # It is always there: it is also where Python handles Ctrl-C in a long recovery.
        callback = Callback(ffi, "aero_recovering", recovering)
        options.progress = callback.pointer
        out = ffi.new("aero_db **")
        error = ffi.new("aero_error *")
        failed = library.lib.aero_open(options, out, error)
        try:
            callback.check()
        except BaseException:
            if not failed:
                library.lib.aero_close(out[0], ffi.new("aero_error *"))
            raise
        if failed:
            raise library.exception(error)
        self._handle = out[0]

    @property
    def handle(self) -> Any:
        """The C handle; StaleHandle after close."""
        if self.closed or self._handle is None:
            raise StaleHandle("the database is closed")
        return self._handle

    def about(self) -> tuple[str, str, int]:
        """Return the data directory, "warm" or "cold", and how many orphans the attach cleared."""
        library = self.library
        return (
            os.fsdecode(library.ffi.string(library.lib.aero_data_dir(self.handle))),
            library.text(library.lib.aero_boot(self.handle)),
            int(library.lib.aero_orphans_cleared(self.handle)),
        )

    # A session announces itself before it asks for the handle, and close() sets `closed` before it
    # looks for sessions: each under the interpreter lock, so one of the two sees the other.

    def enter(self, session: int) -> None:
        """Announce a session about to be opened; StaleHandle when the database is closed."""
        self._sessions.add(session)
        if self.closed:
            self.leave(session)
            raise StaleHandle("the database is closed")

    def leave(self, session: int) -> None:
        """A session is closed; the last one out of a closed database detaches."""
        self._sessions.discard(session)
        if self.closed and not self._sessions:
            self._detach()

    def close(self) -> None:
        """Refuse all further use; detach now, or when the last other thread's session ends."""
        self.closed = True
        if not self._sessions:
            self._detach()

    def _detach(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            library = self.library
            library.lib.aero_close(handle, library.ffi.new("aero_error *"))

    def __del__(self) -> None:
        if self._pid == os.getpid():
            self._detach()


def c_string(ffi: Any, text: str | None) -> Any:
    """Return a path or a name as the engine takes it; None is a NULL pointer."""
    if text is None:
        return ffi.NULL
    try:
        data = os.fsencode(text)
    except UnicodeEncodeError:
        raise UsageError(f"half a surrogate pair in {text!r}") from None
    if b"\0" in data:
        raise UsageError(f"a NUL byte in {text!r}")
    return ffi.new("char[]", data)


class Session:
    """One thread's way into a database (an aero_session).  Made by Database, one per thread."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.library = store.library
        self.thread = threading.get_ident()
        self.blocks = 0  # transaction blocks entered and not left
        self.busy = False  # a C call that calls back into Python is under way
        # C handles of queries and cursors, each with the function that closes it.
        self.owned: dict[int, tuple[Any, Any]] = {}
        self.parked: deque[tuple[Any, Any]] = deque()
        self._numbers = itertools.count(1)
        self._pid = os.getpid()
        self._handle: Any = None
        library = self.library
        ffi, lib = library.ffi, library.lib
        self._begin = lib.aero_begin
        self._commit = lib.aero_commit
        out = ffi.new("aero_session **")
        error = ffi.new("aero_error *")
        store.enter(id(self))
        if lib.aero_session_open(store.handle, out, error):
            store.leave(id(self))
            raise library.exception(error)
        self._handle = out[0]
        # Where Python handles Ctrl-C while a call waits for other transactions.
        self._waiting = Callback(ffi, "aero_waiting", lambda _context: 0)
        self._raised = self._waiting.raised
        waits = ffi.new("int32_t const **")
        self.check(lib.aero_session_waiting(self._handle, self._waiting.pointer, ffi.NULL, waits))
        self._waits = waits[0]
        # What every call needs is made once: a get then allocates nothing but its result.
        most = max(len(table.columns) for table in library.package.tables)
        self._key = ValueBuffer(ffi, 1)
        self._values = ValueBuffer(ffi, most)
        self._columns = ffi.new("uint32_t[]", most)
        self._row = ffi.new("void const **")
        self._flag = ffi.new("int32_t *")
        self._number = ffi.new("uint64_t *")
        self._number2 = ffi.new("uint64_t *")
        self._result = ffi.new("aero_value *")
        self._buffer = ffi.buffer
        self._get_row = lib.aero_get_row
        self._exists = lib.aero_exists

    # ---- handles and errors ----

    @property
    def handle(self) -> Any:
        """The C handle, after a check that it may be used now and here."""
        if self._handle is None or self.store.closed:
            raise StaleHandle("the database is closed")
        if threading.get_ident() != self.thread:
            raise StaleHandle("a session belongs to the thread that opened it")
        if self.busy:
            raise UsageError(
                "this thread is in the middle of an ingest; its callback cannot do this"
            )
        if self._waits[0]:
            raise UsageError(
                "this thread waits for another transaction in a call; a signal's handler cannot "
                "use the database meanwhile"
            )
        if self.parked:
            self.close_parked()
        return self._handle

    @property
    def idle(self) -> bool:
        """Whether no C call of the session is under way: the caller is of its own thread."""
        return not self.busy and not self._waits[0]

    def check(self, status: int) -> None:
        """Raise the session's error if status is not 0: the one place where codes become errors."""
        if status or self._raised:
            self.fail(status)

    def fail(self, status: int) -> NoReturn:
        """Raise what aero_session_error describes, or what interrupted the call."""
        self._waiting.check()
        library = self.library
        error = library.lib.aero_session_error(self._handle)
        if error and error.code == status:
            raise library.exception(error)
        # The engine could not write its text; what the code means is still known.
        info = library.lib.aero_error_lookup(status)
        sentence = library.text(info.sentence) if info else f"unknown status {status}"
        raise error_class(status)(sentence)

    def fill(
        self,
        buffer: ValueBuffer,
        values: Sequence[object],
        names: Sequence[str],
        table: TableInfo,
    ) -> None:
        """Fill a buffer; a value that nothing can carry is a TypeMismatch naming its column."""
        try:
            buffer.fill(values)
        except Unfit as error:
            name = names[min(error.index, len(names) - 1)]
            raise TypeMismatch(
                f'table {table.name}, column "{name}": {error}', table=table.name, field=name
            ) from None

    def _fill_key(self, table: TableInfo, key: object) -> None:
        try:
            self._key.fill_one(key)
        except Unfit:
            self.fill(self._key, (key,), (table.key.name,), table)

    def close_parked(self) -> None:
        """Close what destructors in other threads could not."""
        while self.parked:
            handle, close = self.parked.popleft()
            close(handle)

    def own(self, handle: Any, close: Any) -> int:
        """Take over the C handle of a query or cursor; return its number in `owned`."""
        number = next(self._numbers)
        self.owned[number] = (handle, close)
        return number

    def close(self) -> None:
        """Roll back, close queries and cursors, then the session.  Its own thread only."""
        if self._handle is None:
            return
        if not self.idle:
            raise UsageError(
                "this thread is in the middle of an ingest or a wait; what it calls cannot close it"
            )
        while self.owned:
            handle, close = self.owned.popitem()[1]  # the youngest first: cursors before queries
            close(handle)
        self.close_parked()
        handle, self._handle = self._handle, None
        self.library.lib.aero_session_close(handle)
        self.store.leave(id(self))

    def __del__(self) -> None:
        # Nothing refers to the session any more, so no call on it is under way in any thread.
        if self._handle is not None and self._pid == os.getpid():
            self.close()

    # ---- transactions ----

    def begin(self, isolation: int) -> None:
        """Begin a transaction."""
        handle = self._handle
        if handle is None or self.store.closed or self.busy or self.parked:
            handle = self.handle
        status = self._begin(handle, isolation)  # which checks the thread, too
        if status or self._raised:
            self.fail(status)

    def commit(self) -> None:
        """Commit; on SerializationFailure it is rolled back already."""
        handle = self._handle
        if handle is None or self.store.closed or self.busy or self.parked:
            handle = self.handle
        status = self._commit(handle)
        if status:
            self.fail(status)

    def rollback(self) -> None:
        """Roll back the whole transaction."""
        self.check(self.library.lib.aero_rollback(self.handle))

    def depth(self) -> int:
        """Return 0 outside a transaction, else 1 + the number of open savepoints."""
        return int(self.library.lib.aero_depth(self.handle))

    def savepoint(self, name: bytes) -> None:
        """Open a savepoint."""
        self.check(self.library.lib.aero_savepoint(self.handle, name, len(name)))

    def rollback_to(self, name: bytes) -> None:
        """Undo what was written since a savepoint; it stays open."""
        self.check(self.library.lib.aero_rollback_to(self.handle, name, len(name)))

    def release(self, name: bytes) -> None:
        """Forget a savepoint, keeping what was written."""
        self.check(self.library.lib.aero_release(self.handle, name, len(name)))

    # ---- rows ----

    def get(self, table: TableInfo, key: object) -> tuple[Any, ...] | None:
        """Return the values of the row with this key, in column order, or None."""
        handle = self.handle
        self._fill_key(table, key)
        status = self._get_row(handle, table.index, self._key.pointer, self._row)
        if status:
            self.fail(status)
        image = self._row[0]
        if not image:
            return None
        return self.library.decoders[table.index](self._buffer(image, table.row_size))

    def exists(self, table: TableInfo, key: object) -> bool:
        """Return whether a row has this key."""
        handle = self.handle
        self._fill_key(table, key)
        self.check(self._exists(handle, table.index, self._key.pointer, self._flag))
        return bool(self._flag[0])

    def write(
        self, how: str, table: TableInfo, names: Sequence[str], values: Sequence[object]
    ) -> bool:
        """Insert, upsert or replace a row; return whether it is new."""
        handle = self.handle
        count = self._assign(table, names, values)
        lib = self.library.lib
        if how == "upsert":
            status = lib.aero_upsert(
                handle, table.index, count, self._columns, self._values.pointer, self._flag
            )
        elif how == "replace":
            status = lib.aero_replace(
                handle, table.index, count, self._columns, self._values.pointer, self._flag
            )
        else:
            self._flag[0] = 1
            status = lib.aero_insert(
                handle, table.index, count, self._columns, self._values.pointer
            )
        self.check(status)
        return bool(self._flag[0])

    def update(
        self, table: TableInfo, key: object, names: Sequence[str], values: Sequence[object]
    ) -> bool:
        """Change columns of a row; return whether there is one."""
        handle = self.handle
        self._fill_key(table, key)
        count = self._assign(table, names, values)
        self.check(
            self.library.lib.aero_update(
                handle,
                table.index,
                self._key.pointer,
                count,
                self._columns,
                self._values.pointer,
                self._flag,
            )
        )
        return bool(self._flag[0])

    def _assign(self, table: TableInfo, names: Sequence[str], values: Sequence[object]) -> int:
        by_name, columns = table.by_name, self._columns
        if len(names) > len(table.columns):
            self._refuse_twice(table, names)
            raise UsageError(
                f"table {table.name} has {len(table.columns)} columns, {len(names)} values given",
                table=table.name,
            )
        try:
            for place, name in enumerate(names):
                columns[place] = by_name[name]
            if not table.aliases.isdisjoint(names):  # without them a mapping has no name twice
                self._refuse_twice(table, names)
        except (KeyError, TypeError):
            table.column_index(name)
            raise
        self.fill(self._values, values, names, table)
        return len(names)

    @staticmethod
    def _refuse_twice(table: TableInfo, names: Sequence[str]) -> None:
        seen: dict[int, str] = {}
        for name in names:
            other = seen.setdefault(table.column_index(name), name)
            if other != name:
                raise UsageError(
                    f"{other!r} and {name!r} are the same column; give it once", table=table.name
                )

    def increment(
        self, table: TableInfo, key: object, column: int, delta: object
    ) -> tuple[bool, Any]:
        """Add to a numeric column; return whether the row exists, and the new value."""
        handle = self.handle
        self._fill_key(table, key)
        self.fill(self._values, (delta,), (table.columns[column].name,), table)
        self.check(
            self.library.lib.aero_incr(
                handle,
                table.index,
                self._key.pointer,
                column,
                self._values.pointer,
                self._result,
                self._flag,
            )
        )
        if not self._flag[0]:
            return False, None
        return True, decode_value(self.library.ffi, self._result)

    def lock_row(self, table: TableInfo, key: object) -> bool:
        """Lock a row for the open transaction; return whether there is one."""
        handle = self.handle
        self._fill_key(table, key)
        call = self.library.lib.aero_lock_row
        self.check(call(handle, table.index, self._key.pointer, self._flag))
        return bool(self._flag[0])

    def delete(self, table: TableInfo, key: object) -> bool:
        """Delete a row; return whether there was one."""
        handle = self.handle
        self._fill_key(table, key)
        self.check(self.library.lib.aero_delete(handle, table.index, self._key.pointer, self._flag))
        return bool(self._flag[0])

    def reset(self, table: TableInfo) -> int:
        """Delete every row; return how many there were."""
        self.check(self.library.lib.aero_reset(self.handle, table.index, self._number))
        return int(self._number[0])

    def ttl_get(self, table: TableInfo) -> tuple[int, int]:
        """Return a table's time to live in microseconds (0: none) and its column (-1: writes)."""
        column = self.library.ffi.new("int32_t *")
        ttl = self.library.ffi.new("int64_t *")
        self.check(self.library.lib.aero_ttl_get(self.handle, table.index, ttl, column))
        return int(ttl[0]), int(column[0])

    def ttl_set(self, table: TableInfo, microseconds: int, column: int) -> None:
        """Change a table's time to live."""
        self.check(
            self.library.lib.aero_ttl_set(self.handle, table.index, microseconds, column)
        )

    def ttl_sweep(self, table: TableInfo | None) -> int:
        """Delete what is due, of a table or of all; return how many rows."""
        index = -1 if table is None else table.index
        self.check(self.library.lib.aero_ttl_sweep(self.handle, index, self._number))
        return int(self._number[0])

    def count(self, table: TableInfo) -> int:
        """Return the number of rows."""
        self.check(self.library.lib.aero_count(self.handle, table.index, self._number))
        return int(self._number[0])

    # ---- indexes ----

    def index_create(self, table: TableInfo, columns: Sequence[int], unique: bool) -> None:
        """Make an ordered index."""
        wanted = self.library.ffi.new("uint32_t[]", columns)
        self.check(
            self.library.lib.aero_index_create(
                self.handle, table.index, len(columns), wanted, unique
            )
        )

    def index_drop(self, table: TableInfo, columns: Sequence[int]) -> None:
        """Take an ordered index down."""
        wanted = self.library.ffi.new("uint32_t[]", columns)
        self.check(
            self.library.lib.aero_index_drop(self.handle, table.index, len(columns), wanted)
        )

    def index_list(self, table: TableInfo) -> list[Index]:
        """Return the indexes that searches can use."""
        most = 64
        out = self.library.ffi.new("aero_index_info[]", most)
        count = self.library.ffi.new("uint32_t *")
        self.check(self.library.lib.aero_index_list(self.handle, table.index, most, out, count))
        return [
            Index(
                tuple(table.columns[each.columns[i]].name for i in range(each.column_count)),
                bool(each.unique),
                int(each.entries),
                int(each.distinct),
            )
            for each in (out[number] for number in range(min(count[0], most)))
        ]

    def index_span(self, table: TableInfo, columns: Sequence[int]) -> tuple[Any, Any] | None:
        """Return the least and greatest value of an index's first column, or None."""
        ffi = self.library.ffi
        wanted = ffi.new("uint32_t[]", columns)
        ends = ffi.new("aero_value[]", 2)
        found = ffi.new("int32_t *")
        self.check(
            self.library.lib.aero_index_span(
                self.handle, table.index, len(columns), wanted, ends, ends + 1, found
            )
        )
        return (decode_value(ffi, ends[0]), decode_value(ffi, ends[1])) if found[0] else None

    # ---- files ----

    def checkpoint(self) -> tuple[int, int, int, float]:
        """Write a checkpoint; return its rows, bytes, last commit and milliseconds."""
        report = self.library.ffi.new("aero_checkpoint_report *")
        self.check(self.library.lib.aero_checkpoint(self.handle, report))
        return int(report.rows), int(report.bytes), int(report.number), float(report.elapsed_ms)

    def backup(self, target: str) -> tuple[int, int, int, float]:
        """Write a store of its own; return its rows, bytes, last commit and milliseconds."""
        ffi = self.library.ffi
        report = ffi.new("aero_checkpoint_report *")
        self.check(self.library.lib.aero_backup(self.handle, c_string(ffi, target), report))
        return int(report.rows), int(report.bytes), int(report.number), float(report.elapsed_ms)

    # ---- the database ----

    def stats(self) -> list[tuple[str, int, int, Any]]:
        """Return statistics as (name, table index or -1, element or -1, value)."""
        ffi = self.library.ffi
        out = ffi.new("aero_stat const **")
        count = ffi.new("uint32_t *")
        self.check(self.library.lib.aero_stats(self.handle, out, count))
        names = self.library.stat_names
        entries = []
        data = ffi.buffer(out[0], count[0] * ffi.sizeof("aero_stat"))
        for number, (at, table, item, kind, _, word) in enumerate(_STAT.iter_unpack(data)):
            name = names.get(at)
            if name is None:
                name = names[at] = self.library.text(out[0][number].name)
            # The names of files need not be UTF-8.
            value = word if kind == INT else decode_value(ffi, out[0][number].value, "replace")
            entries.append((name, table, item, value))
        return entries

    def verify(self) -> tuple[int, int]:
        """Walk every structure; return the rows and blocks seen."""
        self.check(self.library.lib.aero_verify(self.handle, self._number, self._number2))
        return int(self._number[0]), int(self._number2[0])

    def config_set(self, key: str, value: str) -> None:
        """Change a setting."""
        ffi = self.library.ffi
        self.check(
            self.library.lib.aero_config_set(
                self.handle, c_string(ffi, key), c_string(ffi, value)
            )
        )

    def config_get(self, key: str) -> str:
        """Return a setting as text."""
        ffi = self.library.ffi
        out = ffi.new("char const **")
        self.check(self.library.lib.aero_config_get(self.handle, c_string(ffi, key), out))
        return self.library.text(out[0])
