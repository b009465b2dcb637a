"""Declare tables: the language of schema files.

A schema file is a Python file with one class per table::

    from aerostore.schema import Float64, Int32, Key, column, speedtable

    @speedtable(ttl=None)
    class FlightState:
        \"\"\"Latest known state of a flight.\"\"\"
        flight_id: Key = column(max_length=24, aliases=("flight", "ident"))
        lat: Float64
        altitude: Int32 | None = column(indexed=True, aliases=("alt",))

A type alone is never null, ``| None`` is nullable, and ``column()`` carries options.  A string
below a column is its documentation.  ``PACKAGE = "fleet"`` and ``VERSION = "1.0"`` at the top of
the file name the package; ``aerostore compile`` turns the file into it.

Nothing here judges a declaration: it is only recorded, with the places it was written at, so that
the compiler can report every mistake of a file at once.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ._declaration import ColumnOptions, ColumnType, IndexDeclaration, Location, declare

__all__ = [
    "Bool",
    "Boolean",
    "Bytes",
    "Char",
    "Double",
    "FixedString",
    "Float",
    "Float32",
    "Float64",
    "IPv6",
    "IndexDeclaration",
    "Inet",
    "Int",
    "Int8",
    "Int16",
    "Int32",
    "Int64",
    "Key",
    "Long",
    "Mac",
    "Short",
    "Text",
    "Timestamp",
    "UInt8",
    "UInt16",
    "UInt32",
    "UInt64",
    "VarString",
    "Wide",
    "column",
    "index",
    "speedtable",
]

_Class = TypeVar("_Class", bound=type)


class Bool(ColumnType):
    """True or false."""

    kind = "BOOL"


class Int8(ColumnType):
    """An integer from -128 to 127."""

    kind = "INT8"


class Int16(ColumnType):
    """An integer of 16 bits."""

    kind = "INT16"


class Int32(ColumnType):
    """An integer of 32 bits."""

    kind = "INT32"


class Int64(ColumnType):
    """An integer of 64 bits."""

    kind = "INT64"


class UInt8(ColumnType):
    """An integer from 0 to 255."""

    kind = "UINT8"


class UInt16(ColumnType):
    """An unsigned integer of 16 bits."""

    kind = "UINT16"


class UInt32(ColumnType):
    """An unsigned integer of 32 bits."""

    kind = "UINT32"


class UInt64(ColumnType):
    """An unsigned integer of 64 bits."""

    kind = "UINT64"


class Float32(ColumnType):
    """A finite IEEE number of 32 bits."""

    kind = "FLOAT32"


class Float64(ColumnType):
    """A finite IEEE number of 64 bits."""

    kind = "FLOAT64"


class Timestamp(ColumnType):
    """A moment: Unix seconds, with fractions to the microsecond."""

    kind = "TIMESTAMP"


class Char(ColumnType):
    """One Unicode character."""

    kind = "CHAR"


class FixedString(ColumnType):
    """UTF-8 text of at most ``column(size=n)`` bytes, kept inside the row."""

    kind = "FIXED"


class Text(ColumnType):
    """UTF-8 text of at most ``column(max_length=n)`` bytes (65,535 if not given)."""

    kind = "TEXT"


class Bytes(ColumnType):
    """Any bytes, at most ``column(max_length=n)`` (65,535 if not given)."""

    kind = "BYTES"


class Inet(ColumnType):
    """An IPv4 address."""

    kind = "INET"


class IPv6(ColumnType):
    """An IPv6 address."""

    kind = "IPV6"


class Mac(ColumnType):
    """A MAC address of six bytes."""

    kind = "MAC"


class Key(Text):
    """The table's key: text, unique, never null (255 bytes if ``max_length`` is not given)."""

    is_key = True


# The names speedtables knows these types by.
Boolean = Bool
Short = Int16
Int = Int32
Long = Int64
Wide = Int64
Float = Float32
Double = Float64
VarString = Text


def _caller(depth: int) -> Location:
    frame = sys._getframe(depth + 1)
    return Location(frame.f_code.co_filename, frame.f_lineno)


if TYPE_CHECKING:

    def column(
        *,
        key: bool = False,
        indexed: bool = False,
        unique: bool = False,
        notnull: bool = False,
        default: object = None,
        max_length: int | None = None,
        size: int | None = None,
        aliases: Sequence[str] = (),
        doc: str | None = None,
    ) -> Any:
        """Give a column its options.

        Args:
            key: This column is the table's key.
            indexed: Keep an ordered index over the column.
            unique: Refuse a second row with the same value; implies ``indexed``.
            notnull: Say again that the column is never null.
            default: The value of the column where none is given.
            max_length: Most bytes of a Text, Bytes or Key, 1 to 1,048,576.
            size: Bytes of a FixedString, 1 to 4,096.
            aliases: Other names the column may be addressed by.
            doc: What the column means.
        """

    def index(*columns: str, unique: bool = False) -> IndexDeclaration:
        """Declare an index over several columns, for ``speedtable(indexes=[…])``."""

    @overload
    def speedtable(declared: _Class, /) -> _Class: ...

    @overload
    def speedtable(
        *,
        ttl: float | timedelta | None = None,
        ttl_column: str | None = None,
        indexes: Iterable[IndexDeclaration | Sequence[str]] = (),
    ) -> Callable[[_Class], _Class]: ...

    def speedtable(*args: Any, **options: Any) -> Any:
        """Declare the class below as a table.

        Args:
            ttl: Seconds a row lives after its last write, or None: for ever.
            ttl_column: Name of a Timestamp column from which the time is counted instead.
            indexes: Indexes over several columns: tuples of names, or ``index(…)``.
            args: The class, where the decorator stands without parentheses.
            options: As in the overloads.
        """

else:

    def column(*args, **options):
        """Record the options of a column; the compiler judges them."""
        return ColumnOptions(types.MappingProxyType(options), len(args), _caller(1))

    def index(*columns, unique=False, **_unknown):
        """Record an index over several columns."""
        return IndexDeclaration(columns, unique, _caller(1))

    def speedtable(*args, **options):
        """Record the class below as a table."""
        location = _caller(1)

        def record(declared):
            if not isinstance(declared, type):
                raise TypeError("@speedtable stands over a class with one column a line")
            declare(declared, location, options, len(args))
            return declared

        if len(args) == 1 and not options and callable(args[0]):
            over, args = args[0], ()
            return record(over)

        return record
