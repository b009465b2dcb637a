"""Step three: give every column its place in the row struct, and the table its fingerprint."""

from __future__ import annotations

import hashlib

from .model import Column, Kind, Place, RowLayout, Schema, Table

# A version with its row must fit the engine's slabs several times.
ROW_SIZE_MAX = 32 << 10

_CELL_SIZE = 16
_CELL_ALIGN = 8
ROW_ALIGN = 8

_SIZES: dict[Kind, int] = {
    Kind.BOOL: 1, Kind.INT8: 1, Kind.INT16: 2, Kind.INT32: 4, Kind.INT64: 8,
    Kind.UINT8: 1, Kind.UINT16: 2, Kind.UINT32: 4, Kind.UINT64: 8,
    Kind.FLOAT32: 4, Kind.FLOAT64: 8, Kind.TIMESTAMP: 8, Kind.CHAR: 4,
    Kind.TEXT: _CELL_SIZE, Kind.BYTES: _CELL_SIZE, Kind.INET: 4, Kind.IPV6: 16, Kind.MAC: 6,
}


def column_size(column: Column) -> int:
    """Return the bytes of a column in the row struct."""
    return column.max_length if column.kind is Kind.FIXED else _SIZES[column.kind]


def column_align(column: Column) -> int:
    """Return the alignment of a column in the row struct."""
    if column.kind in (Kind.TEXT, Kind.BYTES):
        return _CELL_ALIGN
    if column.kind in (Kind.FIXED, Kind.IPV6, Kind.MAC):
        return 1  # arrays of bytes
    return _SIZES[column.kind]


def lay_out(table: Table) -> RowLayout:
    """Place the columns: null words first, then by falling alignment, so that no holes appear.

    The one hole there could be, behind an odd number of null words, is filled with the columns that
    fit it, the most aligned first.
    """
    nullable = [at for at, column in enumerate(table.columns) if column.nullable]
    null_words = (len(nullable) + 31) // 32
    waiting = sorted(
        range(len(table.columns)), key=lambda at: (-column_align(table.columns[at]), at)
    )
    offset = 4 * null_words
    offsets: dict[int, int] = {}
    while waiting:
        largest = column_align(table.columns[waiting[0]])
        hole = -offset % largest
        chosen = waiting[0]
        if hole:
            chosen = next(
                (
                    at for at in waiting
                    if column_size(table.columns[at]) <= hole
                    and offset % column_align(table.columns[at]) == 0
                ),
                -1,
            )
        if chosen < 0:  # nothing fits: leave the hole
            offset += hole
            continue
        waiting.remove(chosen)
        offsets[chosen] = offset
        offset += column_size(table.columns[chosen])
    places = tuple(
        Place(offsets[at], column_size(column), nullable.index(at) if column.nullable else -1)
        for at, column in enumerate(table.columns)
    )
    padding = -offset % ROW_ALIGN
    size = offset + padding
    order = tuple(sorted(offsets, key=lambda at: offsets[at]))
    return RowLayout(
        places, order, null_words, padding, size, _table_fingerprint(table, places, size)
    )


def schema_fingerprint(schema: Schema, abi: int) -> int:
    """Return the fingerprint of all tables: what two programs must agree on to share a segment."""
    lines = [f"abi {abi}"]
    lines += [f"{table.name} {lay_out(table).fingerprint:016x}" for table in schema.tables]
    return _digest(lines)


def _table_fingerprint(table: Table, places: tuple[Place, ...], size: int) -> int:
    """Digest what lies in memory and on disk; documentation, aliases and defaults are not part."""
    lines = [f"table {table.name} size {size} key {table.key_column}"]
    for column, place in zip(table.columns, places, strict=True):
        lines.append(
            f"column {column.name} kind {column.kind.value} offset {place.offset} "
            f"size {place.size} null {place.null_index} max {column.max_length}"
        )
    for index in table.indexes:
        lines.append(f"index {index.columns} unique {int(index.unique)}")
    return _digest(lines)


def _digest(lines: list[str]) -> int:
    text = "\n".join(lines).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big")
