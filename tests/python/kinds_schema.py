"""A package with every kind of column, compiled by the tests as a user would compile their own."""

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

PACKAGE = "kinds"


@speedtable()
class Everything:
    """One nullable column of each kind, and some that are not."""

    name: Key = column(max_length=300)
    flag: Bool | None
    i8: Int8 | None
    i16: Int16 | None
    i32: Int32 | None = column(indexed=True, aliases=("whole", "int"))
    i64: Int64 | None
    u8: UInt8 | None
    u16: UInt16 | None
    u32: UInt32 | None
    u64: UInt64 | None
    f32: Float32 | None
    f64: Float64 | None
    seen: Timestamp | None
    letter: Char | None
    code: FixedString | None = column(size=4)
    body: Text | None = column(max_length=2000)
    blob: Bytes | None = column(max_length=2000)
    addr: Inet | None
    six: IPv6 | None
    hw: Mac | None
    note: Text = column(default="none")
    level: Int32 = column(default=7)


@speedtable()
class Numbered:
    """A table whose key is a number and whose columns answer to awkward names."""

    number: Int64 = column(key=True)
    amount: Int32 | None = column(aliases=("keys", "lambda"))
    label: Text | None = column(aliases=("items",))
    yields: Float64 | None


@speedtable()
class Wide:
    """Rows that are larger than what processes keep at hand."""

    name: Key
    number: Int32 = column(indexed=True)
    first: FixedString = column(size=4096)
    second: FixedString | None = column(size=4096)
    text: Text | None = column(max_length=50_000)
