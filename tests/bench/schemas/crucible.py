"""The table of the Crucible: keyed rows with one indexed column that every write moves."""

from aerostore.schema import FixedString, Int32, Int64, Key, column, speedtable

PACKAGE = "crucible"
VERSION = "1"


@speedtable
class Event:
    """What is known of one thing that keeps changing."""

    id: Key = column(max_length=12)
    altitude: Int32
    event_ts: Int64 = column(indexed=True)
    """The next value of a counter of everybody, at each write."""
    payload: FixedString = column(size=32)
    """A number of 32 digits."""
