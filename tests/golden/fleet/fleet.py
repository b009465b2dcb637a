"""The schema whose generated text is kept beside it."""

from aerostore.schema import FixedString, Float64, Key, Text, column, speedtable

VERSION = "1.2"


@speedtable(ttl=3600, indexes=[("depot", "km")])
class Truck:
    """A truck. Hostile text: */ ??/ %s \\ "quoted"."""

    plate: Key = column(max_length=12, aliases=("licence",))
    """Number plate."""
    km: Float64 | None = column(indexed=True)
    depot: FixedString = column(size=3, default="??/")
    note: Text | None = column(max_length=100)
    """Free text; may be anything, even a trigraph like ??= or the end of a comment */."""
