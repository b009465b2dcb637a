"""The package `aerostore`: positions of aircraft."""

from aerostore.schema import Float64, Int32, Key, Text, Timestamp, column, speedtable

PACKAGE = "aerostore"
VERSION = "0.1"


@speedtable(ttl=None)
class FlightState:
    """Latest known state of a flight."""

    flight_id: Key = column(max_length=24, aliases=("flight", "ident"))
    """Flight identifier, or the address of the transponder."""
    lat: Float64
    """Latitude in degrees, north positive."""
    lon: Float64 = column(aliases=("long", "longitude"))
    """Longitude in degrees, east positive."""
    altitude: Int32 | None = column(indexed=True, aliases=("alt",))
    """Barometric altitude in feet."""
    gs: Float64 | None = column(aliases=("groundspeed",))
    """Speed over ground in knots."""
    updated_at: Timestamp = column(indexed=True, aliases=("updated", "ts"))
    """Time of the position."""
    typ: Text | None = column(indexed=True, aliases=("aircraft_type",))
    """Type of the aircraft."""
    dest: Text | None = column(indexed=True, aliases=("destination",))
    """Airport of destination."""
