"""Defaults of columns: from what a schema file says to the raw value a row would store.

A default is judged as strictly as a value that arrives later: exactly convertible, in range, valid
UTF-8, not too long.
"""

from __future__ import annotations

import ipaddress
import math
import re
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

from .model import Default, Kind
from .problems import quoted

# Literals live in the library and in one line of C; a longer default is a mistake.
LITERAL_MAX = 4096

INTEGER_RANGES: dict[Kind, tuple[int, int]] = {
    Kind.INT8: (-(1 << 7), (1 << 7) - 1),
    Kind.INT16: (-(1 << 15), (1 << 15) - 1),
    Kind.INT32: (-(1 << 31), (1 << 31) - 1),
    Kind.INT64: (-(1 << 63), (1 << 63) - 1),
    Kind.UINT8: (0, (1 << 8) - 1),
    Kind.UINT16: (0, (1 << 16) - 1),
    Kind.UINT32: (0, (1 << 32) - 1),
    Kind.UINT64: (0, (1 << 64) - 1),
}


class BadDefaultError(Exception):
    """A default does not fit its column; the text says why."""


def convert_default(kind: Kind, value: object, max_length: int) -> Default:
    """Convert a default to the raw value of a kind.

    Raises:
        BadDefaultError: It does not convert, or is out of range.
    """
    if kind in INTEGER_RANGES:
        return _integer(kind, value)
    if kind in (Kind.TEXT, Kind.FIXED):
        return _text(kind, value, max_length)
    if kind is Kind.BYTES:
        return _bytes(value, max_length)
    return _CONVERTERS[kind](value)


def _wrong(value: object, wanted: str) -> BadDefaultError:
    return BadDefaultError(f"default {quoted(value)} is not {wanted}")


def _integer(kind: Kind, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(value, "an integer")
    low, high = INTEGER_RANGES[kind]
    if not low <= value <= high:
        shown = "the number" if abs(value) > 10**40 else str(value)
        raise BadDefaultError(f"default {shown} is outside {low} to {high}")
    return int(value)


def _bool(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise _wrong(value, "True or False")


def _real(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(value, "a number")
    try:
        real = float(value)
    except OverflowError:
        real = math.inf
    if not math.isfinite(real):
        raise BadDefaultError("default is not a finite number")
    return real + 0.0  # -0.0 is stored as 0.0


def _float(value: object) -> float:
    try:
        packed = struct.pack("<f", _real(value))
    except OverflowError:
        raise _wrong(value, "in the range of 32-bit numbers") from None
    single: float = struct.unpack("<f", packed)[0]
    return single + 0.0


def _timestamp(value: object) -> int:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise _wrong(value, "a moment: it has no time zone")
        delta = value - datetime(1970, 1, 1, tzinfo=UTC)
        return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(value, "Unix seconds or a datetime")
    _real(value)  # finite, and small enough to be written out below
    micro = round(Decimal(repr(value)) * 1_000_000)
    if not -(1 << 63) <= micro < 1 << 63:
        raise BadDefaultError("default is not in the range of timestamps")
    return micro


def _char(value: object) -> int:
    if not isinstance(value, str) or len(value) != 1:
        raise _wrong(value, "one character")
    _encode(value)
    return ord(value)


def _encode(value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise BadDefaultError("default is not valid Unicode: it holds a lone surrogate") from None


def _text(kind: Kind, value: object, max_length: int) -> bytes:
    if not isinstance(value, str):
        raise _wrong(value, "text")
    data = _encode(value)
    if kind is Kind.FIXED and data.endswith(b"\0"):
        raise BadDefaultError("default of a FixedString ends in NUL")
    return _fits(data, max_length)


def _bytes(value: object, max_length: int) -> bytes:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise _wrong(value, "bytes")
    return _fits(bytes(value), max_length)


def _fits(data: bytes, max_length: int) -> bytes:
    if len(data) > max_length:
        raise BadDefaultError(f"default has {len(data):,} bytes, the column holds {max_length:,}")
    if len(data) > LITERAL_MAX:
        raise BadDefaultError(f"default has {len(data):,} bytes, at most {LITERAL_MAX:,} can be")
    return data


def _inet(value: object) -> int:
    try:
        return int(ipaddress.IPv4Address(_address(value)))
    except ValueError:
        raise _wrong(value, "an IPv4 address") from None


def _ipv6(value: object) -> bytes:
    try:
        address = ipaddress.IPv6Address(_address(value))
    except ValueError:
        raise _wrong(value, "an IPv6 address") from None
    if address.scope_id is not None:
        raise _wrong(value, "an IPv6 address without a zone")
    return address.packed


def _address(value: object) -> str:
    if isinstance(value, ipaddress.IPv4Address | ipaddress.IPv6Address | str):
        return str(value)
    raise _wrong(value, "an address")


def _mac(value: object) -> bytes:
    if not isinstance(value, str) or not re.fullmatch(
        r"[0-9A-Fa-f]{2}([:-])[0-9A-Fa-f]{2}(\1[0-9A-Fa-f]{2}){4}", value
    ):
        raise _wrong(value, 'a MAC address such as "00:1b:44:11:3a:b7"')
    return bytes.fromhex(re.sub("[:-]", "", value))


_CONVERTERS: dict[Kind, Callable[[object], Default]] = {
    Kind.BOOL: _bool,
    Kind.FLOAT32: _float,
    Kind.FLOAT64: _real,
    Kind.TIMESTAMP: _timestamp,
    Kind.CHAR: _char,
    Kind.INET: _inet,
    Kind.IPV6: _ipv6,
    Kind.MAC: _mac,
}
