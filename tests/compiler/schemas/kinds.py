"""A column of every kind: never null, nullable, and with a default."""

from aerostore.schema import (
    Bool,
    Bytes,
    Char,
    FixedString,
    Float32,
    Float64,
    Inet,
    Int8,
    Int16,
    Int32,
    Int64,
    IPv6,
    Key,
    Mac,
    Text,
    Timestamp,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    column,
    speedtable,
)


@speedtable
class Kinds:
    name: Key
    c_bool: Bool
    c_int8: Int8
    c_int16: Int16
    c_int32: Int32
    c_int64: Int64
    c_uint8: UInt8
    c_uint16: UInt16
    c_uint32: UInt32
    c_uint64: UInt64
    c_float32: Float32
    c_float64: Float64
    c_timestamp: Timestamp
    c_char: Char
    c_fixed: FixedString = column(size=5)
    c_text: Text = column(max_length=40)
    c_bytes: Bytes = column(max_length=40)
    c_inet: Inet
    c_ipv6: IPv6
    c_mac: Mac
    n_bool: Bool | None
    n_int8: Int8 | None
    n_int16: Int16 | None
    n_int32: Int32 | None
    n_int64: Int64 | None
    n_uint8: UInt8 | None
    n_uint16: UInt16 | None
    n_uint32: UInt32 | None
    n_uint64: UInt64 | None
    n_float32: Float32 | None
    n_float64: Float64 | None
    n_timestamp: Timestamp | None
    n_char: Char | None
    n_fixed: FixedString | None = column(size=5)
    n_text: Text | None = column(max_length=40)
    n_bytes: Bytes | None = column(max_length=40)
    n_inet: Inet | None
    n_ipv6: IPv6 | None
    n_mac: Mac | None


@speedtable
class Defaults:
    number: UInt64 = column(key=True)
    d_bool: Bool = column(default=True)
    d_int8: Int8 = column(default=-128)
    d_int32: Int32 = column(default=-(1 << 31))
    d_int64: Int64 = column(default=-(1 << 63))
    d_uint32: UInt32 = column(default=(1 << 32) - 1)
    d_uint64: UInt64 = column(default=(1 << 64) - 1)
    d_float32: Float32 = column(default=0.1)
    d_float64: Float64 = column(default=-0.0)
    d_timestamp: Timestamp = column(default=1533099600.25)
    d_char: Char = column(default="é")
    d_fixed: FixedString = column(size=5, default='a"?')
    d_text: Text = column(default='says "hi" ??/ \\ %n and more than twelve bytes')
    d_bytes: Bytes | None = column(default=b"\x00\xff*/")
    d_inet: Inet = column(default="10.0.0.1")
    d_ipv6: IPv6 = column(default="fe80::1")
    d_mac: Mac | None = column(default="00:1b:44:11:3a:b7")


@speedtable
class ByFixed:
    code: FixedString = column(size=4, key=True)


@speedtable
class ByBytes:
    blob: Bytes = column(key=True, max_length=100)


@speedtable
class ByTime:
    at: Timestamp = column(key=True)


@speedtable
class ByInet:
    host: Inet = column(key=True)


@speedtable
class ByIPv6:
    host: IPv6 = column(key=True)


@speedtable
class ByMac:
    host: Mac = column(key=True)


@speedtable
class ByInt8:
    number: Int8 = column(key=True)
