"""The world of the demo: real airports, and flights on great circles between them.

Positions are a pure function of simulated time, so a writer may skip time without drifting.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

__all__ = ["AIRPORTS", "Airport", "Flight", "World", "distance_nm"]

EARTH_RADIUS_NM = 3440.065  # mean radius, nautical miles
CLIMB_FT_PER_S = 30.0  # 1,800 ft a minute, as airliners climb and descend
TAKE_OFF_KT = 150.0

# Callsign prefixes of airlines; the number behind one is the demo's own.
CARRIERS = ("AAL", "ACA", "AFR", "ANA", "BAW", "DAL", "DLH", "EZY", "JAL", "KLM", "QFA", "QTR",
            "RYR", "SIA", "SWA", "SWR", "THY", "UAE", "UAL", "WZZ")
# Type: cruise speed in knots, cruise altitude in feet, greatest range in nautical miles.
TYPES = {
    "A20N": (450, 37000, 3200), "A319": (447, 36000, 3000), "A321": (450, 36000, 3000),
    "A333": (470, 39000, 6300), "A359": (488, 41000, 8300), "A388": (490, 40000, 8000),
    "B38M": (453, 37000, 3500), "B738": (453, 36000, 2900), "B77W": (490, 39000, 7300),
    "B789": (488, 41000, 7600), "E190": (447, 36000, 2200),
}


@dataclass(frozen=True, slots=True)
class Airport:
    """A real airport: ICAO code, city, position in degrees."""

    icao: str
    city: str
    lat: float
    lon: float


AIRPORTS = (
    Airport("CYVR", "Vancouver", 49.1939, -123.1844),
    Airport("CYYZ", "Toronto", 43.6772, -79.6306),
    Airport("EDDF", "Frankfurt", 50.0264, 8.5431),
    Airport("EDDM", "Munich", 48.3538, 11.7861),
    Airport("EFHK", "Helsinki", 60.3172, 24.9633),
    Airport("EGLL", "London", 51.4775, -0.4614),
    Airport("EHAM", "Amsterdam", 52.3086, 4.7639),
    Airport("EIDW", "Dublin", 53.4214, -6.2701),
    Airport("EKCH", "Copenhagen", 55.6179, 12.6560),
    Airport("ENGM", "Oslo", 60.1939, 11.1004),
    Airport("ESSA", "Stockholm", 59.6519, 17.9186),
    Airport("FACT", "Cape Town", -33.9648, 18.6017),
    Airport("FAOR", "Johannesburg", -26.1392, 28.2460),
    Airport("HECA", "Cairo", 30.1219, 31.4056),
    Airport("HKJK", "Nairobi", -1.3192, 36.9275),
    Airport("KATL", "Atlanta", 33.6367, -84.4281),
    Airport("KBOS", "Boston", 42.3643, -71.0052),
    Airport("KDEN", "Denver", 39.8617, -104.6731),
    Airport("KDFW", "Dallas", 32.8968, -97.0380),
    Airport("KJFK", "New York", 40.6398, -73.7789),
    Airport("KLAX", "Los Angeles", 33.9425, -118.4081),
    Airport("KMIA", "Miami", 25.7932, -80.2906),
    Airport("KORD", "Chicago", 41.9786, -87.9048),
    Airport("KSEA", "Seattle", 47.4490, -122.3093),
    Airport("KSFO", "San Francisco", 37.6189, -122.3750),
    Airport("LEMD", "Madrid", 40.4719, -3.5626),
    Airport("LFPG", "Paris", 49.0128, 2.5500),
    Airport("LIRF", "Rome", 41.8003, 12.2389),
    Airport("LPPT", "Lisbon", 38.7813, -9.1359),
    Airport("LSGG", "Geneva", 46.2381, 6.1090),
    Airport("LSZH", "Zurich", 47.4647, 8.5492),
    Airport("LTFM", "Istanbul", 41.2753, 28.7519),
    Airport("MMMX", "Mexico City", 19.4363, -99.0721),
    Airport("NZAA", "Auckland", -37.0081, 174.7917),
    Airport("OMDB", "Dubai", 25.2528, 55.3644),
    Airport("PHNL", "Honolulu", 21.3206, -157.9242),
    Airport("RJTT", "Tokyo", 35.5523, 139.7798),
    Airport("SBGR", "Sao Paulo", -23.4356, -46.4731),
    Airport("SCEL", "Santiago", -33.3930, -70.7858),
    Airport("VHHH", "Hong Kong", 22.3089, 113.9146),
    Airport("VIDP", "Delhi", 28.5665, 77.1031),
    Airport("WSSS", "Singapore", 1.3502, 103.9940),
    Airport("YSSY", "Sydney", -33.9461, 151.1772),
    Airport("ZBAA", "Beijing", 40.0801, 116.5846),
    Airport("ZSPD", "Shanghai", 31.1434, 121.8052),
)


def _vector(place: Airport) -> tuple[float, float, float]:
    lat, lon = math.radians(place.lat), math.radians(place.lon)
    return (math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat))


def _angle(here: Airport, there: Airport) -> float:
    """Return the angle between two places seen from the centre of the Earth, in radians."""
    half_lat = math.radians(there.lat - here.lat) / 2
    half_lon = math.radians(there.lon - here.lon) / 2
    cosines = math.cos(math.radians(here.lat)) * math.cos(math.radians(there.lat))
    haversine = math.sin(half_lat) ** 2 + cosines * math.sin(half_lon) ** 2
    return 2 * math.asin(min(1.0, math.sqrt(haversine)))


def distance_nm(here: Airport, there: Airport) -> float:
    """Return the great-circle distance in nautical miles."""
    return _angle(here, there) * EARTH_RADIUS_NM


class Flight:
    """One flight: where it goes, and where it is at a moment."""

    __slots__ = ("angle", "callsign", "cruise_ft", "departed", "dest", "duration_s", "end",
                 "origin", "speed_kt", "start", "typ")

    def __init__(self, callsign: str, typ: str, origin: Airport, dest: Airport, departed: float,
                 pace: float = 1.0) -> None:
        """Plan a flight.

        Args:
            callsign: the key it has in the table.
            typ: one of TYPES.
            origin: where it starts.
            dest: where it lands; not the origin.
            departed: simulated Unix time of departure, in seconds.
            pace: share of the type's cruise speed: what winds and schedules make of it.
        """
        self.callsign, self.typ, self.origin, self.dest = callsign, typ, origin, dest
        speed, cruise, _ = TYPES[typ]
        self.speed_kt, self.departed = speed * pace, departed
        self.angle = _angle(origin, dest)
        self.duration_s = self.angle * EARTH_RADIUS_NM / self.speed_kt * 3600
        # A short hop turns round before it reaches the cruise altitude.
        self.cruise_ft = min(float(cruise), CLIMB_FT_PER_S * self.duration_s / 2.5)
        self.start, self.end = _vector(origin), _vector(dest)

    def arrived(self, now: float) -> bool:
        """Tell whether it has landed."""
        return now >= self.departed + self.duration_s

    def position(self, now: float) -> tuple[float, float]:
        """Return latitude and longitude in degrees."""
        done = min(1.0, max(0.0, (now - self.departed) / self.duration_s))
        if self.angle == 0.0:
            return self.origin.lat, self.origin.lon
        scale = math.sin(self.angle)
        a = math.sin((1 - done) * self.angle) / scale
        b = math.sin(done * self.angle) / scale
        x, y, z = (a * s + b * e for s, e in zip(self.start, self.end, strict=True))
        return math.degrees(math.atan2(z, math.hypot(x, y))), math.degrees(math.atan2(y, x))

    def altitude(self, now: float) -> int:
        """Return the altitude in feet: climb, cruise, descend."""
        since, left = now - self.departed, self.departed + self.duration_s - now
        return round(max(0.0, min(self.cruise_ft, since * CLIMB_FT_PER_S, left * CLIMB_FT_PER_S)))

    def tsv(self, now: float) -> str:
        """Return the position report as a line of FlightState's TSV."""
        lat, lon = self.position(now)
        altitude = self.altitude(now)
        share = min(1.0, altitude / max(1.0, self.cruise_ft))
        speed = TAKE_OFF_KT + (self.speed_kt - TAKE_OFF_KT) * share
        return (f"{self.callsign}\t{lat:.6f}\t{lon:.6f}\t{altitude}\t{speed:.1f}\t{now:.3f}\t"
                f"{self.typ}\t{self.dest.icao}\n")


class World:
    """The flights one writer looks after; what lands is replaced by a new departure."""

    def __init__(self, count: int, share: int, start: float, seed: int) -> None:
        """Put `count` flights in the air, each somewhere on its way.

        Args:
            count: number of flights.
            share: number of this writer; callsigns of different shares never collide.
            start: simulated Unix time, in seconds.
            seed: decides everything.
        """
        self._chance = random.Random(seed * 1000 + share)
        self._share, self._serial = share, 0
        self.flights = [self._depart(self._chance.choice(AIRPORTS), start) for _ in range(count)]
        for flight in self.flights:
            flight.departed -= self._chance.random() * flight.duration_s

    def advance(self, now: float) -> list[str]:
        """Replace what has landed by now; return the callsigns that are gone."""
        gone: list[str] = []
        for at, flight in enumerate(self.flights):
            if flight.arrived(now):
                gone.append(flight.callsign)
                self.flights[at] = self._depart(flight.dest, now)
        return gone

    def tsv(self, now: float) -> str:
        """Return a position report of every flight."""
        return "".join(flight.tsv(now) for flight in self.flights)

    def _depart(self, origin: Airport, now: float) -> Flight:
        """Start a flight to an airport that some type of aircraft reaches."""
        self._serial += 1
        callsign = f"{self._chance.choice(CARRIERS)}{self._share}{self._serial:04d}"
        while True:
            dest = self._chance.choice(AIRPORTS)
            distance = distance_nm(origin, dest)
            able = [typ for typ, (_, _, reach) in TYPES.items() if distance <= reach]
            if dest is not origin and able:
                typ, pace = self._chance.choice(able), self._chance.uniform(0.94, 1.03)
                return Flight(callsign, typ, origin, dest, now, pace)
