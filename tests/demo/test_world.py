"""The simulated sky: airports where they are, flights that go where they should."""

import math

import pytest

from aerostore._demo_world import AIRPORTS, TYPES, Flight, World, distance_nm

PLACES = {airport.icao: airport for airport in AIRPORTS}


@pytest.mark.parametrize(("here", "there", "miles"), [
    ("KJFK", "EGLL", 2991), ("LSZH", "KSFO", 5062), ("LSZH", "LSGG", 124), ("YSSY", "SCEL", 6130),
])
def test_distances_are_those_of_the_globe(here, there, miles):
    """Goal: great circles.  Method: well-known distances, within one per cent."""
    assert distance_nm(PLACES[here], PLACES[there]) == pytest.approx(miles, rel=0.01)


@pytest.mark.parametrize(("here", "there"), [("KJFK", "EGLL"), ("YSSY", "SCEL"), ("PHNL", "RJTT")])
def test_a_flight_starts_ends_and_stays_on_its_circle(here, there):
    """Goal: positions are right on the way.  Method: distances to both ends add up."""
    flight = Flight("X1", "A359", PLACES[here], PLACES[there], departed=1000.0)
    total = distance_nm(flight.origin, flight.dest)
    for step in range(101):
        now = 1000.0 + flight.duration_s * step / 100
        lat, lon = flight.position(now)
        assert -90 <= lat <= 90
        assert -180 <= lon <= 180
        place = type(flight.origin)("HERE", "", lat, lon)
        flown, left = distance_nm(flight.origin, place), distance_nm(place, flight.dest)
        assert flown + left == pytest.approx(total, abs=0.01)
        assert flown == pytest.approx(total * step / 100, abs=0.01)
    assert flight.altitude(1000.0) == 0
    assert flight.altitude(1000.0 + flight.duration_s / 2) == TYPES["A359"][1]
    assert flight.arrived(1000.0 + flight.duration_s)


def test_landed_flights_are_replaced_and_callsigns_never_repeat():
    """Goal: the number of flights is constant.  Method: two simulated days, minute by minute."""
    world = World(50, 3, 0.0, seed=1)
    seen = {flight.callsign for flight in world.flights}
    for minute in range(2 * 24 * 60):
        before = {flight.callsign for flight in world.flights}
        gone = world.advance(minute * 60.0)
        assert set(gone) <= before
        now = {flight.callsign for flight in world.flights}
        assert len(now) == len(world.flights) == 50
        assert not (now - before) & seen
        seen |= now
    assert len(seen) > 200


def test_reports_are_lines_of_eight_plain_cells():
    """Goal: what is fed is well-formed.  Method: parse every cell again."""
    world = World(200, 0, 1e9, seed=5)
    lines = world.tsv(1e9).splitlines()
    assert len(lines) == 200
    for line in lines:
        key, lat, lon, altitude, gs, at, typ, dest = line.split("\t")
        assert len(key) <= 12
        assert all(math.isfinite(float(cell)) for cell in (lat, lon, gs, at))
        assert 0 <= int(altitude) <= 45_000
        assert typ in TYPES
        assert dest in PLACES
