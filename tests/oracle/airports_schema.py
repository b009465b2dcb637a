"""The package of the airports file: compiled by the tests as a user would compile their own."""

from aerostore.schema import FixedString, Float64, Key, Text, column, speedtable

PACKAGE = "airports"


@speedtable()
class Airport:
    """An airport of the world."""

    icao: Key = column(max_length=8)
    iata: Text | None = column(max_length=3, indexed=True)
    name: Text = column(max_length=100)
    city: Text | None = column(max_length=100)
    country: FixedString = column(size=2)
    elevation: Float64
    lat: Float64
    lon: Float64
    tz: Text = column(max_length=40)
