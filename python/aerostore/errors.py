"""The exceptions of Aerostore: one class for each status of the engine.

Their names and numbers are those of the engine's `errors.def`, which also names the words of
Tcl's errorCode; a test holds the two lists together.

    aerostore.Error
    ├── UsageError            the call itself is wrong
    ├── TypeMismatch          a value does not convert to its column's type
    ├── NotNullViolation      a column that is not nullable has no value
    ├── ValueTooLong          a text or bytes value exceeds its column's length
    ├── UniqueViolation       the key, or a unique value, exists already
    ├── RowNotFound           no row has this key
    ├── UnknownName           no such table, column, setting or savepoint
    ├── ParseError            a query text or a TSV line is malformed
    ├── SchemaError           a declaration is wrong, or does not fit the data
    ├── SerializationFailure  another transaction got there first (retryable)
    ├── TooManyTransactions   all transaction slots are in use (retryable)
    ├── TransactionCancelled  ended by another process or a setting (retryable)
    ├── LockTimeout           a lock was not free in time (retryable)
    ├── StorageFull           the segment or its file system is full
    ├── LimitExceeded         a bound of the engine would be exceeded
    ├── StaleHandle           closed, of another thread, or of a fork's parent
    ├── ReadOnlyError         a write in a read-only transaction
    ├── Interrupted           a callback asked to stop
    ├── StorageError          the operating system refused a file operation
    ├── CorruptionError       stored data contradicts itself
    ├── LayoutMismatch        made by another version, schema, machine or store
    ├── AccessDenied          owner, mode or type of a path is not safe
    ├── InternalError         an invariant of the engine does not hold
    ├── OutOfMemory           private memory could not be allocated
    └── NotDurable            committed and seen, but it may be lost: the log failed
"""

# ruff: noqa: N818 - the names are those of errors.def, for people to read in an except clause

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from aerostore.ingest import IngestReport


class Error(Exception):
    """Base of everything Aerostore raises; never raised itself.

    Attributes:
        code: the word for this kind of error, as in Tcl's errorCode ("CONFLICT").
        number: its stable number.
        retryable: True when the same transaction may succeed if it is run again.
        table: name of the table concerned, or None.
        field: name of the column concerned, or None.
        line: 1-based line of a TSV input, 0-based byte position in a query text, or None.
        column: 1-based column of a TSV line, or None.
        aborted: True when the open transaction can only be rolled back now.
        columns: names of the columns whose values must be unique together (of a UniqueViolation;
            `field` is the first of them), else ().
        reason: why a transaction conflicted ("write", "read", …), or None.
        report: what an ingest had committed (in a transaction: written) before the error, or None.
    """

    code: ClassVar[str] = ""
    number: ClassVar[int] = 0
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        table: str | None = None,
        field: str | None = None,
        line: int | None = None,
        column: int | None = None,
        aborted: bool = False,
        reason: str | None = None,
        columns: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.table = table
        self.field = field
        self.line = line
        self.column = column
        self.aborted = aborted
        self.reason = reason
        self.columns = columns
        self.report: IngestReport | None = None


class UsageError(Error):
    """The call itself is wrong: an argument, an option, or the state it is made in."""

    code, number = "USAGE", 1


class TypeMismatch(Error):
    """A value does not convert to its column's type, or is out of its range."""

    code, number = "TYPE", 2


class NotNullViolation(Error):
    """A column that is not nullable has no value."""

    code, number = "NULL_VALUE", 3


class ValueTooLong(Error):
    """A text or bytes value is longer than its column allows."""

    code, number = "LENGTH", 4


class UniqueViolation(Error):
    """A row with the same key, or the same unique value, exists."""

    code, number = "EXISTS", 5


class RowNotFound(Error, KeyError):
    """No row has this key; also a KeyError, as of any mapping."""

    code, number = "NOT_FOUND", 6

    __str__ = Exception.__str__  # a KeyError's would quote the message


class UnknownName(Error):
    """No table, column, setting or savepoint has this name."""

    code, number = "NAME", 7


class ParseError(Error):
    """A query text or a TSV line is malformed."""

    code, number = "PARSE", 8


class SchemaError(Error):
    """A declaration is wrong, or does not fit the data it meets."""

    code, number = "SCHEMA", 9


class SerializationFailure(Error):
    """Another transaction got there first; run this one again (`Database.run` does)."""

    code, number, retryable = "CONFLICT", 20, True


class TooManyTransactions(Error):
    """All transaction slots are in use; try again."""

    code, number, retryable = "NO_SLOT", 21, True


class StorageFull(Error):
    """The segment or its file system has no room left."""

    code, number = "FULL", 22


class LimitExceeded(Error):
    """A bound of the engine would be exceeded."""

    code, number = "LIMIT", 23


class TransactionCancelled(Error):
    """The transaction was ended by another process or by a setting."""

    code, number, retryable = "CANCELLED", 24, True


class LockTimeout(Error):
    """A lock or a resource was not free in time."""

    code, number, retryable = "TIMEOUT", 25, True


class StaleHandle(Error):
    """The handle was closed, or belongs to another thread, or to the parent of a fork."""

    code, number = "STALE", 26


class ReadOnlyError(Error):
    """A write in a read-only transaction or database."""

    code, number = "READ_ONLY", 27


class Interrupted(Error):
    """A callback asked to stop."""

    code, number = "INTERRUPTED", 28


class StorageError(Error):
    """The operating system refused a file operation."""

    code, number = "IO", 40


class CorruptionError(Error):
    """Data on disk or in the segment contradicts itself."""

    code, number = "CORRUPT", 41


class LayoutMismatch(Error):
    """A segment, file or library was made by another version, schema, machine or store."""

    code, number = "MISMATCH", 42


class AccessDenied(Error):
    """Owner, mode or file type of a path is not what safety asks for."""

    code, number = "PERMISSION", 43


class InternalError(Error):
    """An invariant of the engine does not hold; the segment is poisoned."""

    code, number = "PANIC", 44


class OutOfMemory(Error):
    """Private memory could not be allocated."""

    code, number = "NO_MEMORY", 45


class NotDurable(Error):
    """The transaction is committed and seen by all, but the log failed: it may be lost."""

    code, number = "NOT_DURABLE", 46


def error_class(number: int) -> type[Error]:
    """Return the class for a status number; InternalError for one this version does not know."""
    for candidate in Error.__subclasses__():
        if candidate.number == number:
            return candidate
    return InternalError
