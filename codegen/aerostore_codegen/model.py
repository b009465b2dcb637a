"""The compiler's model of a schema: immutable, complete, checked, and free of C spelling.

`lower` makes it from declarations, `layout` adds offsets, `emit` reads it.  Anything that C or Tcl
calls by another name is spelled in `coltypes`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from aerostore._declaration import Location

# What a default becomes: the raw value of the column's kind (see aero_column.get).
Default = bool | int | float | bytes


class Kind(enum.IntEnum):
    """Storage types with the numbers of enum aero_kind; fingerprints rest on them."""

    BOOL = 1
    INT8 = 2
    INT16 = 3
    INT32 = 4
    INT64 = 5
    UINT8 = 6
    UINT16 = 7
    UINT32 = 8
    UINT64 = 9
    FLOAT32 = 10
    FLOAT64 = 11
    TIMESTAMP = 12
    CHAR = 13
    FIXED = 14
    TEXT = 15
    BYTES = 16
    INET = 17
    IPV6 = 18
    MAC = 19


@dataclass(frozen=True, slots=True)
class Column:
    """One column, checked."""

    name: str
    location: Location
    doc: str
    kind: Kind
    aliases: tuple[str, ...]
    nullable: bool
    is_key: bool
    indexed: bool
    unique: bool
    max_length: int  # bytes, of TEXT, BYTES and FIXED; else 0
    default: Default | None  # None: there is none


@dataclass(frozen=True, slots=True)
class Index:
    """A secondary index."""

    name: str
    columns: tuple[int, ...]
    unique: bool


@dataclass(frozen=True, slots=True)
class Table:
    """One table, checked."""

    name: str
    location: Location
    doc: str
    columns: tuple[Column, ...]
    key_column: int
    indexes: tuple[Index, ...]
    ttl_us: int  # 0: none
    ttl_column: int  # -1: the time of the last write


@dataclass(frozen=True, slots=True)
class Schema:
    """All tables of one package."""

    package: str
    version: str
    source: str  # name of the schema file, without its folder
    tables: tuple[Table, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a column lies in the row struct."""

    offset: int
    size: int
    null_index: int  # -1: never null


@dataclass(frozen=True, slots=True)
class RowLayout:
    """The row struct of a table."""

    places: tuple[Place, ...]  # by column
    order: tuple[int, ...]  # columns in the order of their offsets
    null_words: int
    padding: int  # bytes at the end, up to a multiple of 8
    size: int
    fingerprint: int
