"""Databases: opening one, its tables, its transactions."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

from aerostore import _arguments
from aerostore._ffi.library import load
from aerostore._ffi.session import Session, Store
from aerostore._locate import find_package
from aerostore.errors import Error, StaleHandle, TypeMismatch, UnknownName, UsageError
from aerostore.stats import Statistics, collect
from aerostore.table import Table
from aerostore.transaction import Transaction, run

_Result = TypeVar("_Result")

_SIZE = re.compile(r"([0-9]+)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
_SIZE_DEFAULT = "4GiB"
_SYNCHRONOUS_COMMIT = "aerostore.synchronous_commit"


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a clean verification walked over: rows of all tables, blocks of the segment."""

    rows: int
    blocks: int


@dataclass(frozen=True, slots=True)
class CheckpointReport:
    """What a checkpoint wrote.

    Attributes:
        rows: rows of all tables.
        bytes: size of the file.
        number: commits up to this one are in it.
        elapsed: seconds it took.
    """

    rows: int
    bytes: int
    number: int
    elapsed: float


def open(  # noqa: A001 - the name is the contract: aerostore.open
    path: str | os.PathLike[str],
    profile: str | None = "shared",
    size: int | str | None = "4GiB",
    synchronous_commit: bool | None = True,
    package: str | os.PathLike[str] | None = "aerostore",
    *,
    memory: str | None = None,
    shm_path: str | os.PathLike[str] | None = None,
    progress: Callable[[str, int, int], object] | None = None,
    create: bool | None = True,
) -> Database:
    """Open a database, making it if it is not there.

    Any number of processes may open the same one, from Python and from Tcl.

    Args:
        path: data directory; it names the database.
        profile: "shared" (processes share it), "embedded" (this process alone) or "logical".
        size: most memory its segment may grow to: bytes, or a text like "512MiB" (units are powers
            of 1024).  Memory is taken as it is needed.  A segment that exists keeps its own.
        synchronous_commit: whether a commit waits for the disk in profiles that write to it.
        package: name of a compiled schema package, or the directory `aerostore compile` made.
        memory: "shared" or "private" instead of the profile's.
        shm_path: the segment's file; None for $AEROSTORE_SHM_PATH, or one derived from path.
        progress: called during a recovery with what is read ("checkpoint", "log", "indexes"), bytes
            done and bytes in all: at the beginning, at the end, and some times a second between.
            What it raises ends the opening, with all files as they were.
        create: False: where there is no database, none is made.

    Raises:
        RowNotFound: there is no database, and create is False.
        UsageError: an argument is wrong.
        SchemaError: there is no such package.
        LayoutMismatch: package, segment or data directory were made by something else.
        AccessDenied, StorageError, CorruptionError, StorageFull: the files are not usable.

    Example:
        >>> with aerostore.open("var/flights") as db:
        ...     db.table("FlightState").ingest_tsv("positions.tsv")
    """
    library = load(find_package(package))
    if progress is not None and not callable(progress):
        raise UsageError(f"progress is a function of a text and two numbers, not {progress!r}")
    store = Store(
        library,
        data_dir=_arguments.path("path", path),
        profile=_arguments.text("profile", profile, "shared"),
        memory=None if memory is None else _arguments.text("memory", memory, ""),
        shm_path=None if shm_path is None else _arguments.path("shm_path", shm_path),
        size=parse_size(_SIZE_DEFAULT if size is None else size),
        create=create is None or bool(create),
        progress=progress,
    )
    database = Database(store)
    try:
        wanted = synchronous_commit is None or synchronous_commit
        database.set_config(_SYNCHRONOUS_COMMIT, "on" if wanted else "off")
    except Error:
        database.close()
        raise
    return database


def parse_size(size: int | str) -> int:
    """Return a size in bytes: an int, or a text such as "512M", "4GiB" or "1048576"."""
    if isinstance(size, str):
        match = _SIZE.fullmatch(size.strip())
        if match is None:
            raise UsageError(f'size is bytes or a text like "512MiB", not {size!r}')
        size = int(match[1]) << (10 * " kmgt".index(match[2].lower() or " "))
    if not isinstance(size, int) or isinstance(size, bool) or not 0 < size < 2**64:
        raise UsageError(f"size is a number of bytes above 0, not {size!r}")
    return size


class Database:
    """An open database.  Made by `aerostore.open`; a context manager that closes it.

    It may be used from several threads; each gets a session of its own on its first call.  After a
    fork the child may go on using it.  It cannot be pickled: open it again by its path.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._local = threading.local()
        # No Table is kept: it refers to its database, and a dropped database should close at once.
        self._tables = {info.name: info for info in store.library.package.tables}
        self._path, self._boot, self._orphans = store.about()

    def _session(self) -> Session:
        """Return the calling thread's session, opening it on the first call."""
        session: Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = Session(self._store)
        return session

    @property
    def path(self) -> str:
        """Absolute path of the data directory."""
        return self._path

    @property
    def boot(self) -> str:
        """How it was opened: "warm" (an existing segment was attached) or "cold"."""
        return self._boot

    @property
    def orphans_cleared(self) -> int:
        """How many dead processes' transactions opening it cleared away."""
        return self._orphans

    @property
    def package(self) -> str:
        """Name of the schema package."""
        return self._store.library.package.name

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables."""
        return tuple(self._tables)

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._store.closed

    def table(self, name: str) -> Table:
        """Return a table by its name; also `db[name]`.

        Raises:
            UnknownName: the package has no such table.
        """
        try:
            info = self._tables[name]
        except (KeyError, TypeError):
            raise UnknownName(
                f"package {self.package} has no table {name!r}; it has {', '.join(self._tables)}"
            ) from None
        return Table(self, info)

    def __getitem__(self, name: str) -> Table:
        return self.table(name)

    def __contains__(self, name: object) -> bool:
        return name in self.tables

    def __iter__(self) -> Iterator[str]:
        return iter(self.tables)

    def transaction(self, isolation: str | None = "serializable") -> Transaction:
        """Begin a transaction as a context manager; inside another one, a savepoint.

        The block's end commits, an exception rolls back.

        Args:
            isolation: "serializable"; "snapshot" (reads are not validated, so write skew is
                possible); or "read_only".  A nested block has the isolation of the outermost.

        Raises:
            SerializationFailure: when entered or left, or by any call in it: another transaction
                got there first; `run` repeats such blocks.
            TooManyTransactions: no slot is free.

        Example:
            >>> with db.transaction():
            ...     flights.update("UAL123", dest="KSFO")
            ...     flights.delete("UAL9")
        """
        return Transaction(self, isolation)

    def run(self, fn: Callable[..., _Result], retries: int | None = 16) -> _Result:
        """Run a function in a transaction, again when it fails with a retryable error.

        Pauses between attempts grow, with jitter.  Inside an open transaction the function runs
        once, under a savepoint, because only the whole transaction can be repeated.

        Args:
            fn: called without arguments, or with the database if it has a required parameter.
            retries: most repetitions, at least 0.

        Returns:
            What fn returned in the attempt that committed.

        Raises:
            SerializationFailure: it failed retries + 1 times; or what fn raises.

        Example:
            >>> db.run(lambda: flights.incr("UAL123", "altitude", 100))
        """
        result: _Result = run(self, fn, retries)
        return result

    def stats(self) -> Statistics:
        """Return statistics, by attribute or by name; those of tables under `tables`, by name.

        Cheap enough to be asked for at any time.  Sizes are in bytes, times in microseconds.

        Example:
            >>> db.stats().tables["FlightState"].rows
        """
        return collect(self._session().stats(), self._tables)

    def sweep(self) -> int:
        """Delete the rows of all tables whose time to live is over; return how many.

        It is done by itself every `aerostore.ttl_sweep_interval_ms`.

        Raises:
            UsageError: inside a transaction.
        """
        return self._session().ttl_sweep(None)

    def verify(self) -> VerifyReport:
        """Walk every structure of the segment and account for every block.

        Meant for a quiet database: concurrent writers are waited out.

        Raises:
            CorruptionError: the first contradiction found that lasts.
            LockTimeout: too much is written for every block to be accounted for; nothing is known
                to be wrong.
        """
        return VerifyReport(*self._session().verify())

    def checkpoint(self) -> CheckpointReport:
        """Write all rows to a new checkpoint, while others go on, and cut the log behind it.

        Raises:
            UsageError: inside a transaction.
            StorageError, StorageFull: a file could not be written; the previous checkpoint counts.
            LockTimeout: another process has been taking one for a minute.

        Example:
            >>> db.checkpoint().rows
        """
        rows, size, number, elapsed_ms = self._session().checkpoint()
        return CheckpointReport(rows, size, number, elapsed_ms / 1000)

    def backup(self, target: str | os.PathLike[str]) -> CheckpointReport:
        """Make a store of its own of what is there now, while others go on.

        Args:
            target: a directory that is made, or empty.

        Raises:
            UsageError: inside a transaction, or the directory is not empty.
            StorageError, StorageFull: a file could not be written.

        Example:
            >>> db.backup("monday").rows
        """
        rows, size, number, elapsed_ms = self._session().backup(_arguments.path("target", target))
        return CheckpointReport(rows, size, number, elapsed_ms / 1000)

    def set_config(self, key: str, value: str | bool | int) -> None:
        """Change a setting, of this process or of the database.

        Args:
            key: its name, as in "aerostore.synchronous_commit".
            value: as text; a bool for what is on or off, an int for what is a number.

        Raises:
            UnknownName: there is no such setting.
            TypeMismatch: the value does not fit; nothing changed.

        Example:
            >>> db.set_config("aerostore.synchronous_commit", "off")
        """
        if isinstance(value, bool):
            value = "on" if value else "off"
        if not isinstance(key, str) or not isinstance(value, str | int):
            raise TypeMismatch(f"a setting is a text, a bool or an int, not {key!r}: {value!r}")
        self._session().config_set(key, str(value))

    def get_config(self, key: str) -> str:
        """Return a setting as text.

        Raises:
            UnknownName: there is no such setting.
        """
        if not isinstance(key, str):
            raise TypeMismatch(f"a setting's name is a text, not {key!r}")
        return self._session().config_get(key)

    def close(self) -> None:
        """Close: roll back this thread's open transaction and detach.  Twice does nothing.

        Other threads' sessions refuse further use; the memory is unmapped when the last of them is
        gone.  The shared segment stays for other processes.
        """
        if self._store.closed:
            return
        session: Session | None = getattr(self._local, "session", None)
        if session is not None:
            session.close()
        self._store.close()
        # Sessions of other threads go with this, each when no call of its thread is under way.
        self._local = threading.local()

    def __enter__(self) -> Database:
        if self._store.closed:
            raise StaleHandle("the database is closed")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise UsageError(
            f"a database cannot be pickled; open {self._path!r} again in the other process"
        )

    def __repr__(self) -> str:
        state = "closed" if self._store.closed else self._boot
        return f"<aerostore database {self._path!r}, package {self.package}, {state}>"
