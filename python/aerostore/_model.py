"""What a compiled package says about itself, as plain immutable values.

Read once from the library's descriptors by `_ffi.library`; everything above works on these.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from aerostore.errors import UnknownName

# Storage kinds by the engine's number (enum aero_kind); the numbers never change.
KIND_NAMES = {
    1: "bool",
    2: "int8",
    3: "int16",
    4: "int32",
    5: "int64",
    6: "uint8",
    7: "uint16",
    8: "uint32",
    9: "uint64",
    10: "float32",
    11: "float64",
    12: "timestamp",
    13: "char",
    14: "fixed",
    15: "text",
    16: "bytes",
    17: "inet",
    18: "ipv6",
    19: "mac",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        name: the column's name.
        kind: its storage type: "int32", "float64", "text", "timestamp", …
        doc: what the schema says about it, or "".
        aliases: other names it answers to.
        nullable: True when it may be None.
        is_key: True for the table's primary key.
        max_length: most bytes of a text or bytes value, 0 for other kinds.
        index: its place in the declaration, from 0.
        offset: bytes from the beginning of the row's struct.
        size: bytes it takes there.
        null_index: its bit among the null bits, below 0 when it is not nullable.
    """

    name: str
    kind: str
    doc: str
    aliases: tuple[str, ...]
    nullable: bool
    is_key: bool
    max_length: int
    index: int = field(repr=False)
    offset: int = field(repr=False)
    size: int = field(repr=False)
    null_index: int = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class TableInfo:
    """One table of a package, with the lookup from names and aliases to column indexes.

    There is one object for each table of a loaded library, so identity is equality.
    """

    index: int
    name: str
    doc: str
    columns: tuple[Column, ...]
    key: Column
    row_size: int
    null_words: int
    by_name: dict[str, int] = field(repr=False)
    aliases: frozenset[str] = field(repr=False)

    def column_index(self, name: str) -> int:
        """Return the index of the column with this name or alias; UnknownName if there is none."""
        try:
            return self.by_name[name]
        except (KeyError, TypeError):
            known = ", ".join(column.name for column in self.columns)
            raise UnknownName(
                f"table {self.name} has no column {name!r}; its columns are {known}",
                table=self.name,
            ) from None


@dataclass(frozen=True, slots=True)
class Index:
    """An ordered index of a table.

    Attributes:
        columns: names of its columns, in order.
        unique: whether two rows may not have equal values.
        entries: about how many entries it has: one a row, and some that older snapshots need.
        distinct: about how many different values they have.
    """

    columns: tuple[str, ...]
    unique: bool
    entries: int
    distinct: int


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value that a prepared search is given when it is run; see `Table.prepare`.

    Attributes:
        name: what the value is called when it is given.

    Example:
        >>> above = flights.prepare([(">", "altitude", Parameter("floor"))])
        >>> above(floor=10000).count()
    """

    name: str


@dataclass(frozen=True, slots=True)
class PackageInfo:
    """A compiled package: its name, versions, fingerprint and tables."""

    name: str
    version: str
    compiler_version: str
    fingerprint: int
    tables: tuple[TableInfo, ...]
