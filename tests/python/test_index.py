"""Indexes and prepared searches: made, used, dropped; the same rows on every way."""

import random
import threading

import pytest

import aerostore
from aerostore import Parameter

WAYS = ("", "scan", "key", "index altitude", "index typ", "index lat", "intersection")


@pytest.fixture
def full(fs):
    """A table of 3,000 rows with an index more than the schema has."""
    draw = random.Random(4)
    fs.upsert_many(
        {"flight_id": f"F{i:04}", "lat": draw.uniform(-90, 90), "lon": float(i % 7),
         "altitude": draw.choice([None, 0, -5, draw.randrange(40000)]), "updated_at": i / 4,
         "typ": draw.choice([None, "A320", "B738", "A320 of the longer kind", "A320\0"])}
        for i in range(3000)
    )
    fs.create_index("lat", "typ")
    return fs


def test_indexes_are_listed_made_and_dropped(fs):
    """Goal: the list follows; wrong calls are refused.  Method: make, look, drop."""
    declared = {("altitude",), ("updated_at",), ("typ",), ("dest",)}
    assert {index.columns for index in fs.indexes()} == declared
    fs.create_index("lat", "long", unique=True)
    made = next(index for index in fs.indexes() if index.columns == ("lat", "lon"))
    assert made.unique
    with pytest.raises(aerostore.UniqueViolation):
        fs.create_index("lat", "lon")
    fs.drop_index("lat", "lon")
    assert {index.columns for index in fs.indexes()} == declared
    with pytest.raises(aerostore.RowNotFound):
        fs.drop_index("lat", "lon")
    with pytest.raises(aerostore.UnknownName):
        fs.create_index("bogus")
    with pytest.raises(aerostore.UsageError):
        fs.create_index()
    with fs._database.transaction(), pytest.raises(aerostore.UsageError):
        fs.create_index("lat")


def test_a_unique_violation_names_the_whole_index(fs):
    """Goal: all columns are told, by every way to break it.  Method: each; and key and single."""
    row = {"flight_id": "A", "lat": 1.0, "lon": 2.0, "updated_at": 1, "dest": "KSFO"}
    fs.insert(row)
    fs.create_index("dest", "lat", "lon", unique=True)
    fs.create_index("updated_at", "gs", unique=True)
    fs.insert({**row, "flight_id": "B", "lat": 7.0})
    violations = {
        "insert": lambda: fs.insert({**row, "flight_id": "C"}),
        "update": lambda: fs.update("B", lat=1.0),
        "upsert_many": lambda: fs.upsert_many({**row, "flight_id": f"D{i}"} for i in range(100)),
        "tsv": lambda: fs.ingest_tsv(b"E\t1\t2\t\t\t1\t\tKSFO\n"),
        "made again": lambda: fs.create_index("dest", "lat", "lon"),
    }
    for what, call in violations.items():
        with pytest.raises(aerostore.UniqueViolation, match="dest,lat,lon") as caught:
            call()
        assert caught.value.columns == ("dest", "lat", "lon"), what
        assert (caught.value.table, caught.value.field) == ("FlightState", "dest")
    with pytest.raises(aerostore.UniqueViolation) as caught:
        fs.insert(row)
    assert caught.value.columns == ("flight_id",)
    fs.drop_index("dest", "lat", "lon")
    fs.insert({**row, "flight_id": "C"})
    with pytest.raises(aerostore.UniqueViolation, match="dest,lat,lon") as caught:
        fs.create_index("dest", "lat", "lon", unique=True)
    assert caught.value.columns == ("dest", "lat", "lon")
    with pytest.raises(aerostore.UnknownName) as other:
        fs.search(sort=["bogus"])
    assert other.value.columns == ()


def test_span_is_least_and_greatest(full):
    """Goal: as min and max of the rows.  Method: compare; and an empty column."""
    altitudes = [row.altitude for row in full if row.altitude is not None]
    assert full.span("altitude") == (min(altitudes), max(altitudes))
    assert full.span("dest") is None
    with pytest.raises(aerostore.RowNotFound):
        full.span("lon")


@pytest.mark.parametrize("clauses", [
    [("=", "altitude", 0)], [("null", "altitude")], [("notnull", "altitude")],
    [("in", "altitude", [0, -5, 17, 0])], [("<", "altitude", 0)], [(">=", "altitude", 39000)],
    [("range", "altitude", -5, 1)], [("=", "typ", "A320")], [(">", "typ", "A320")],
    [("=", "typ", "A320 of the longer kind")], [("match_case", "typ", "A3*")],
    [("match", "typ", "a32?*")], [("match_case", "typ", "A320 of the longer k*d")],
    [("<", "lat", 0), ("=", "typ", "B738"), (">", "altitude", 100)], [],
])
def test_every_way_gives_the_same_rows(full, clauses):
    """Goal: ways differ in speed only.  Method: each way and order against a scan, sorted here."""
    def place(row, name, sign):
        value = row[name]
        if value is None:
            return (1, 0)
        return (0, sign * value) if sign else (0, value.encode())

    rows = {row.flight_id: row for row in full.search(clauses, using="scan")}
    for way in WAYS:
        assert {row.flight_id for row in full.search(clauses, using=way)} == set(rows)
        assert full.search(clauses, using=way).count() == len(rows)
        for name, sign in (("altitude", 1), ("altitude", -1), ("typ", 0), ("lat", 1)):
            found = full.search(clauses, using=way, sort=["-" * (sign < 0) + name], limit=70)
            wanted = sorted(place(row, name, sign) for row in rows.values())[:70]
            assert [place(row, name, sign) for row in found] == wanted, found.explain()


def test_prepared_searches(full):
    """Goal: values given later, again and again, also while a result is read.  Method: compare."""
    between = full.prepare([("range", "altitude", Parameter("low"), Parameter("high"))],
                           sort=["altitude"])
    assert between.parameters == ("low", "high")
    for low in range(0, 40000, 1777):
        wanted = full.search([("range", "altitude", low, low + 3000)])
        assert between(low=low, high=low + 3000).count() == wanted.count()
    rows = iter(between(low=0, high=40000))
    first = next(rows)
    assert between(low=0, high=1).first() == first
    assert sum(1 for _ in rows) + 1 == between(low=0, high=40000).count()
    some = full.prepare([("in", "typ", Parameter("types")), ("=", "lon", 3)], using="index typ")
    assert some(types=["A320", "B738"]).count() == full.search(
        [("in", "typ", ["A320", "B738"]), ("=", "lon", 3)]).count()
    assert some(types=[]).count() == 0
    assert some(types=[]).first() is None
    assert "index on typ" in some(types=["A320"]).explain()


def test_wrong_values_of_prepared_searches(full):
    """Goal: refused at the call, and the search goes on working.  Method: one of each kind."""
    above = full.prepare([(">", "altitude", Parameter("floor"))])
    for call, error in ((lambda: above(), aerostore.UsageError),
                        (lambda: above(floor=1, more=2), aerostore.UsageError),
                        (lambda: above(floor="abc"), aerostore.TypeMismatch),
                        (lambda: above(floor=float("nan")), aerostore.TypeMismatch),
                        (lambda: above(floor=None), aerostore.UsageError),
                        (lambda: above(floor=[1, 2]), aerostore.UsageError),
                        (lambda: above(floor=object()), aerostore.TypeMismatch)):
        with pytest.raises(error):
            call()
    assert above(floor=-1).count() == full.search([(">", "altitude", -1)]).count()
    with pytest.raises(aerostore.UsageError):
        full.search([(">", "altitude", Parameter("floor"))]).count()
    with pytest.raises(aerostore.UsageError):
        full.search(using="magic")
    with pytest.raises(aerostore.UnknownName):
        full.search(using="index magic")


def test_prepared_searches_in_threads(full):
    """Goal: threads share one.  Method: two threads with different values."""
    equal = full.prepare([("=", "altitude", Parameter("value"))])
    wanted = {value: full.search([("=", "altitude", value)]).count() for value in (0, -5)}
    wrong = []

    def run(value):
        for _ in range(50):
            if equal(value=value).count() != wanted[value]:
                wrong.append(value)
    threads = [threading.Thread(target=run, args=(value,)) for value in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
