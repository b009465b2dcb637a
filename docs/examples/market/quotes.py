"""Declaration of the package `quotes`: instruments and the best prices they have now."""

from aerostore.schema import FixedString, Float64, Key, Text, Timestamp, UInt32, column, speedtable

PACKAGE = "quotes"


@speedtable()
class Instrument:
    """Something that is traded."""

    symbol: Key = column(max_length=12, aliases=("ticker",))
    """Name on the exchange."""
    title: Text = column(max_length=80)
    """Name for people."""
    currency: FixedString = column(size=3, default="USD", indexed=True)
    """Currency of its prices."""


@speedtable(indexes=[("symbol", "venue")])
class Quote:
    """Best bid and offer of an instrument at a venue."""

    quote_id: Key = column(max_length=24)
    """Symbol and venue: `ACME@X`."""
    symbol: Text = column(max_length=12)
    """Which instrument."""
    venue: FixedString = column(size=4)
    """Where."""
    bid: Float64 | None = column(indexed=True)
    """Highest price somebody pays; null when nobody does."""
    bid_size: UInt32 = column(default=0)
    """Pieces wanted at that price."""
    ask: Float64 | None = column(indexed=True)
    """Lowest price somebody sells at."""
    ask_size: UInt32 = column(default=0)
    """Pieces offered at that price."""
    quoted_at: Timestamp = column(indexed=True)
    """When the venue said so."""
