"""Turn Python values into the engine's and back.

Into the engine: a ValueBuffer is one reusable array of aero_value with an arena for texts; it is
filled with struct.pack_into, which costs a third of setting the fields of a cffi struct.
Out of it: a row decoder unpacks a whole private row image at once; decode_column turns one column
of a batch into a list.  Nothing decoded refers to the engine's memory any more.
"""

from __future__ import annotations

import datetime
import ipaddress
import itertools
import numbers
import operator
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from aerostore._model import Column, TableInfo

NULL, BOOL, INT, UINT, DOUBLE, TEXT, BYTES, TIME, PARAMETER = range(9)

_VALUE_SIZE = 16
_pack_int = struct.Struct("=iIq").pack_into
_pack_uint = struct.Struct("=iIQ").pack_into
_pack_real = struct.Struct("=iId").pack_into

# Texts are copied into the arena while they fit, which is cheap; others are passed where they lie.
_ARENA_SIZE = 4096
_SHORT = _ARENA_SIZE // 4  # characters whose UTF-8 fits in any case
_LENGTH_MAX = 2**32 - 1
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)


class Unfit(Exception):  # noqa: N818 - internal; the session turns it into a TypeMismatch
    """A Python value that no engine value can carry.  `index` is its place in the list."""

    def __init__(self, index: int, text: str) -> None:
        super().__init__(text)
        self.index = index


class ValueBuffer:
    """Room for `count` engine values; `pointer` is what C functions take."""

    __slots__ = ("_arena", "_arena_address", "_ffi", "_keep", "_view", "pointer")

    def __init__(self, ffi: Any, count: int) -> None:
        self._ffi = ffi
        # bytearrays: writing into them is quicker than into cffi's buffers.
        self._view = bytearray(_VALUE_SIZE * max(count, 1))
        self.pointer = ffi.from_buffer("aero_value[]", self._view)
        self._arena = bytearray(_ARENA_SIZE)
        self._keep: list[Any] = [ffi.from_buffer("char[]", self._arena)]
        self._arena_address = int(ffi.cast("uintptr_t", self._keep[0]))

    def fill_one(self, value: object) -> None:
        """Store a single value; quick for a short text, which most keys are.  Raises Unfit."""
        if type(value) is str and len(value) < _SHORT:
            data = _encode(value, 0)
            length = len(data)
            self._arena[:length] = data
            _pack_uint(self._view, 0, TEXT, length, self._arena_address)
        else:
            self.fill((value,))

    def fill(self, values: Sequence[object]) -> None:
        """Store values from the first place on.  Raises Unfit; REQUIRES: they are not too many."""
        view, arena = self._view, self._arena
        at = used = 0
        if len(self._keep) > 1:
            del self._keep[1:]
        value: Any
        for value in values:
            kind = type(value)
            if kind not in _NATIVE:
                value, kind = _plain(value, at // _VALUE_SIZE)
            if kind is float:
                _pack_real(view, at, DOUBLE, 0, value)
            elif kind is int:
                _pack_integer(view, at, value)
            elif value is None:
                _pack_int(view, at, NULL, 0, 0)
            elif kind is str or kind is bytes:
                data = value if kind is bytes else _encode(value, at // _VALUE_SIZE)
                end = used + len(data)
                if end <= _ARENA_SIZE:
                    arena[used:end] = data
                    address = self._arena_address + used
                    used = end
                else:
                    address = self._outside(data, at)
                _pack_uint(view, at, TEXT if kind is str else BYTES, len(data), address)
            elif kind is bool:
                _pack_int(view, at, BOOL, 0, value)
            else:  # datetime
                _pack_int(view, at, TIME, 0, _microseconds(value, at // _VALUE_SIZE))
            at += _VALUE_SIZE

    def fill_parameter(self, place: int, number: int) -> None:
        """Let a place stand for a parameter of a query."""
        _pack_int(self._view, place * _VALUE_SIZE, PARAMETER, 0, number)

    def _outside(self, data: bytes, at: int) -> int:
        """Keep long data where it is until the next fill; return its address."""
        if len(data) > _LENGTH_MAX:
            raise Unfit(at // _VALUE_SIZE, f"{len(data)} bytes are too long for any column")
        self._keep.append(self._ffi.from_buffer("char[]", data))
        return int(self._ffi.cast("uintptr_t", self._keep[-1]))


_NATIVE = frozenset({str, float, int, type(None), bytes, bool, datetime.datetime})


def _encode(value: Any, index: int) -> bytes:
    try:
        return bytes(value.encode())
    except UnicodeEncodeError as error:
        raise Unfit(index, f"the text has a lone surrogate at position {error.start}") from None


def _pack_integer(view: bytearray, at: int, value: int) -> None:
    try:
        _pack_int(view, at, INT, 0, value)
    except struct.error:
        if not 0 <= value < 2**64:
            text = "the integer does not fit in 64 bits"
            raise Unfit(at // _VALUE_SIZE, text) from None
        _pack_uint(view, at, UINT, 0, value)


def _microseconds(value: Any, index: int) -> int:
    if value.tzinfo is None:
        raise Unfit(index, "a datetime without a time zone is ambiguous; add tzinfo")
    return int((value - _EPOCH) // _MICROSECOND)


def _plain(value: Any, index: int) -> tuple[Any, type]:
    """Bring a value of another type to one of _NATIVE, without losing anything."""
    if isinstance(value, datetime.datetime):
        return value, datetime.datetime
    base: Any
    for base in (int, float, str, bytes):
        if isinstance(value, base):
            return base(value), base
    if isinstance(value, bytearray | memoryview):
        return bytes(value), bytes
    if isinstance(value, Decimal | ipaddress.IPv4Address | ipaddress.IPv6Address):
        return str(value), str
    if hasattr(value, "__index__"):
        return operator.index(value), int
    if isinstance(value, numbers.Real):
        return float(value), float
    raise Unfit(index, f"a value of type {type(value).__name__} cannot be stored")


# ---- whole rows --------------------------------------------------------------------------------

_Memory = Callable[[int, int], bytes]
RowDecoder = Callable[[Any], tuple[Any, ...]]
_FORMATS = {
    "bool": "?",
    "int8": "b",
    "int16": "h",
    "int32": "i",
    "int64": "q",
    "uint8": "B",
    "uint16": "H",
    "uint32": "I",
    "uint64": "Q",
    "float32": "f",
    "float64": "d",
    "timestamp": "q",
    "char": "I",
    "inet": "I",
}


_CONVERSIONS = {
    "timestamp": "{0} / 1e6",
    "char": "chr({0})",
    "fixed": "fixed({0})",
    "inet": "inet({0})",
    "ipv6": "ipv6({0})",
    "mac": "{0}.hex(':')",
    # The length and the twelve inline bytes of a cell; a longer value is where its last eight say.
    "text": "({0}[:{0}n] if {0}n <= 12 else far({0}, {0}n)).decode()",
    "bytes": "{0}[:{0}n] if {0}n <= 12 else far({0}, {0}n)",
}


def row_decoder(table: TableInfo, memory: _Memory) -> RowDecoder:
    """Make the function that turns a row image (a buffer of row_size bytes) into a tuple of values.

    The function is put together from text, as dataclasses does it: a loop over columns would take
    five times as long.  Nothing of the schema's own words enters the text, only numbers.

    Args:
        table: the table whose images it decodes.
        memory: reads bytes at an address; long texts lie outside the image.
    """
    layout = f"={table.null_words}I"
    names = [f"w{word}" for word in range(table.null_words)]
    end = 4 * table.null_words
    for column in sorted(table.columns, key=lambda each: each.offset):
        layout += f"{column.offset - end}x"
        if column.kind in ("text", "bytes"):
            layout += "I12s"
            names.append(f"c{column.index}n")
        else:
            layout += _FORMATS.get(column.kind, f"{column.size}s")
        names.append(f"c{column.index}")
        end = column.offset + column.size
    values = ", ".join(_expression(column) for column in table.columns)
    text = f"def decode(image):\n ({', '.join(names)},) = unpack(image)\n return ({values},)\n"
    scope: dict[str, Any] = {
        "unpack": struct.Struct(layout).unpack_from,
        "far": lambda cell, length: memory(int.from_bytes(cell[4:], sys.byteorder), length),
        "fixed": lambda data: data.partition(b"\0")[0].decode(),
        "inet": lambda number: socket.inet_ntoa(number.to_bytes(4, "big")),
        "ipv6": lambda data: socket.inet_ntop(socket.AF_INET6, data),
    }
    exec(text, scope)  # noqa: S102 - see above
    decode: RowDecoder = scope["decode"]
    return decode


def _expression(column: Column) -> str:
    value = _CONVERSIONS.get(column.kind, "{0}").format(f"c{column.index}")
    if column.null_index < 0:
        return value
    word, bit = divmod(column.null_index, 32)
    return f"None if w{word} & {1 << bit} else {value}"


# ---- single values and columns of a batch ------------------------------------------------------


def decode_value(ffi: Any, value: Any, errors: str = "strict") -> Any:
    """Decode one aero_value; TIME becomes float seconds.  `errors` is as in bytes.decode."""
    kind = value.type
    if kind == NULL:
        return None
    if kind in (TEXT, BYTES):
        data = bytes(ffi.buffer(value.u.data, value.length)) if value.length else b""
        return data.decode(errors=errors) if kind == TEXT else data
    if kind == DOUBLE:
        return value.u.real
    if kind == UINT:
        return value.u.natural
    if kind == TIME:
        return value.u.integer / 1e6
    return bool(value.u.integer) if kind == BOOL else value.u.integer


def decode_column(ffi: Any, data: Any, rows: int) -> list[Any]:
    """Decode one column of a fetched batch into a list of `rows` values."""
    kind = data.type
    nulls = data.null_count
    if nulls == rows or kind == NULL:
        return [None] * rows
    values: list[Any]
    if kind == DOUBLE:
        values = ffi.unpack(data.reals, rows)
    elif kind in (TEXT, BYTES):
        values = _texts(ffi, data, rows, kind == TEXT)
    elif kind == UINT:
        values = ffi.unpack(ffi.cast("uint64_t *", data.integers), rows)
    else:
        values = ffi.unpack(data.integers, rows)
        if kind == TIME:
            values = [value / 1e6 for value in values]
        elif kind == BOOL:
            values = list(map(bool, values))
    if nulls:
        _blank(values, ffi.buffer(data.nulls, rows)[:])
    return values


def _blank(values: list[Any], marks: bytes) -> None:
    at = marks.find(1)
    while at >= 0:
        values[at] = None
        at = marks.find(1, at + 1)


def _texts(ffi: Any, data: Any, rows: int, decode: bool) -> list[Any]:
    blob = ffi.buffer(data.text, data.text_length)[:]
    values: list[Any]
    if not data.has_nul:
        values = blob.decode().split("\0") if decode else blob.split(b"\0")
        values.pop()  # each value is followed by a NUL, so an empty piece comes last
        return values
    offsets = ffi.unpack(data.offsets, rows + 1)
    values = [blob[start : end - 1] for start, end in itertools.pairwise(offsets)]
    return [value.decode() for value in values] if decode else values
