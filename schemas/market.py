"""The package `market`: instruments and orders, one column of nearly every type."""

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
    index,
    speedtable,
)

PACKAGE = "market"
VERSION = "0.1"


@speedtable(indexes=[("sector", "currency")])
class Instrument:
    """Something that is traded."""

    symbol: Key = column(max_length=16, aliases=("ticker",))
    """Name on the exchange."""
    isin: FixedString | None = column(size=12, unique=True)
    """International number of the security."""
    title: Text = column(default="", max_length=1000)
    """What it is called, in full."""
    sector: Int16 = column(default=-1)
    """Code of the branch of industry."""
    currency: FixedString = column(size=3, default="EUR")
    """Currency of its prices."""
    tick: Float32 = column(default=0.01)
    """Smallest step of its price."""
    grade: Char | None
    """Rating, one letter."""
    open_for_trade: Bool = column(default=True, indexed=True)
    """False while trading is halted."""
    logo: Bytes | None = column(max_length=100_000)
    """Picture in PNG format."""


@speedtable(ttl=86_400, ttl_column="placed_at", indexes=[index("symbol", "price")])
class Trade:
    """An order that was placed."""

    trade_id: UInt64 = column(key=True)
    """Number of the order."""
    symbol: Text = column(max_length=16)
    """What is bought or sold."""
    price: Float64 | None = column(indexed=True)
    """Limit; null for an order at market price."""
    amount: Int64
    """Pieces; negative when sold."""
    filled: UInt32 = column(default=0)
    """Pieces done so far."""
    side: Char = column(default="B")
    """B or S."""
    urgency: Int8 | None
    """Higher is sooner."""
    lot: UInt8 = column(default=1)
    """Pieces in a lot."""
    venue: UInt16 | None = column(indexed=True)
    """Number of the exchange."""
    account: Int32
    """Number of the account."""
    placed_at: Timestamp = column(indexed=True)
    """When it was placed."""
    gateway: Inet | None
    """IPv4 address it came from."""
    gateway6: IPv6 | None = column(default="::1")
    """IPv6 address it came from."""
    terminal: Mac | None
    """Address of the machine it came from."""
    note: Text | None = column(max_length=4000)
    """Anything the trader said."""
