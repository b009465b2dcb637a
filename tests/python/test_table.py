"""Tables by key: reading and writing single rows and many."""

import datetime
import decimal
import ipaddress
import math
import threading

import pytest

import aerostore

UTC = datetime.UTC
ROW = {"flight_id": "UAL123", "lat": 37.6, "lon": -122.375, "altitude": 35000, "gs": None,
       "updated_at": 1533099600.25, "typ": "B738", "dest": None}
SMALL = {"flight_id": "A", "lat": 1.0, "lon": 2.0, "updated_at": 0}


def test_upsert_then_get(fs):
    """Goal: what goes in comes out, with types; one row with NULLs and a long text."""
    assert fs.upsert(ROW) is True
    row = fs.get("UAL123")
    assert dict(row) == ROW
    assert type(row.altitude) is int and type(row.lat) is float and type(row.updated_at) is float
    assert row.alt == 35000 and row["ident"] == "UAL123"
    assert fs.get("UAL124") is None


def test_upsert_changes_only_given_columns(fs):
    """Goal: the others keep their values; upserts through an alias."""
    fs.upsert(ROW)
    assert fs.upsert({"ident": "UAL123", "alt": 36000}) is False
    assert dict(fs["UAL123"]) == {**ROW, "altitude": 36000}


def test_a_column_given_twice_is_refused(fs):
    """Goal: no accident of a mapping's order decides; a column by its name and by an alias."""
    fs.upsert(ROW)
    for attempt in (
        lambda: fs.upsert({**ROW, "altitude": 1, "alt": 2}),
        lambda: fs.insert({**SMALL, "flight": "OTHER"}),
        lambda: fs.replace({"flight_id": "UAL123", "ident": "UAL123"}),
        lambda: fs.update("UAL123", alt=1, altitude=1),
        lambda: fs.upsert_many([{"flight": "UAL123", "lon": 1, "longitude": 2}]),
    ):
        with pytest.raises(aerostore.UsageError, match="same column"):
            attempt()
    assert dict(fs["UAL123"]) == ROW and len(fs) == 1


def test_the_empty_text_is_a_key(fs):
    """Goal: one row like any other, for every way in; upserts, ingests, gets and deletes it."""
    fs.upsert({**SMALL, "flight_id": ""})
    assert fs.ingest_tsv(b"\t5\t6\t\t\t7\n").updated == 1
    assert fs[""].lat == 5 and "" in fs and fs.search([("=", "ident", "")]).count() == 1
    assert fs.delete("") is True and len(fs) == 0


def test_insert_refuses_a_known_key(fs):
    """Goal: UniqueViolation and an unchanged row; inserts twice."""
    fs.insert(ROW)
    with pytest.raises(aerostore.UniqueViolation):
        fs.insert({**ROW, "altitude": 1})
    assert fs["UAL123"].altitude == 35000


def test_replace_forgets_missing_columns(fs):
    """Goal: the whole row is new; replaces with fewer columns."""
    fs.upsert(ROW)
    assert fs.replace({**SMALL, "flight_id": "UAL123"}) is False
    assert fs["UAL123"].altitude is None and fs["UAL123"].typ is None
    assert fs.replace(SMALL) is True


def test_update_and_delete(fs):
    """Goal: changes and their answers, for rows that are there and rows that are not."""
    fs.upsert(ROW)
    assert fs.update("UAL123", altitude=None, dest="KSFO") is True
    assert fs["UAL123"].altitude is None and fs["UAL123"].dest == "KSFO"
    assert fs.update("nobody", altitude=1) is False
    assert fs.delete("UAL123") is True
    assert fs.delete("UAL123") is False
    assert "UAL123" not in fs


def test_update_of_nothing_and_of_the_key(fs):
    """Goal: an update without columns finds the row; the key cannot be changed to another."""
    fs.upsert(ROW)
    assert fs.update("UAL123") is True
    with pytest.raises(aerostore.Error):
        fs.update("UAL123", flight_id="other")
    assert len(fs) == 1 and "UAL123" in fs


def test_incr(fs):
    """Goal: sums, NULL as 0, overflow and text columns refused, missing rows None."""
    fs.upsert(ROW)
    assert fs.incr("UAL123", "altitude") == 35001
    assert fs.incr("UAL123", "alt", -1001) == 34000
    assert fs.incr("UAL123", "gs", 1.5) == 1.5
    assert fs.incr("nobody", "altitude") is None
    with pytest.raises(aerostore.TypeMismatch):
        fs.incr("UAL123", "altitude", 2**31)
    with pytest.raises(aerostore.TypeMismatch):
        fs.incr("UAL123", "dest")
    assert fs["UAL123"].altitude == 34000


def test_container_protocol(fs):
    """Goal: in, len, iteration, truth, subscripts and clear; over 5,000 rows, several batches."""
    assert fs and len(fs) == 0 and list(fs) == []
    report = fs.upsert_many({**SMALL, "flight_id": f"F{i}", "altitude": i} for i in range(5000))
    assert (report.rows_seen, report.inserted, report.updated, report.batches) == (5000, 5000, 0, 5)
    assert len(fs) == 5000
    assert sorted(row.altitude for row in fs) == list(range(5000))
    assert "F4999" in fs and "F5000" not in fs
    with pytest.raises(aerostore.RowNotFound, match="F5000"):
        _ = fs["F5000"]
    assert fs.clear() == 5000
    assert len(fs) == 0


def test_upsert_many_stops_at_a_bad_row(fs):
    """Goal: the failing batch leaves nothing, earlier ones stay, the error tells where."""
    rows = [{**SMALL, "flight_id": f"F{i}"} for i in range(10)]
    rows[7] = {**rows[7], "lat": "north"}
    with pytest.raises(aerostore.TypeMismatch) as caught:
        fs.upsert_many(rows, batch_size=3)
    assert caught.value.line == 8
    assert caught.value.report.rows_seen == 6 and caught.value.report.batches == 2
    assert sorted(row.flight_id for row in fs) == [f"F{i}" for i in range(6)]
    with pytest.raises(aerostore.UsageError):
        fs.upsert_many(rows, batch_size=0)


def test_names_that_do_not_exist(db, fs):
    """Goal: UnknownName that lists what there is; for tables and columns, everywhere."""
    with pytest.raises(aerostore.UnknownName, match="FlightState"):
        db.table("Flights")
    with pytest.raises(aerostore.UnknownName):
        _ = db[3]
    for call in (lambda: fs.upsert({"flight_id": "A", "height": 1}),
                 lambda: fs.update("A", height=1), lambda: fs.incr("A", "height"),
                 lambda: fs.search([("=", "height", 1)]), lambda: fs.search(sort=["height"]),
                 lambda: fs.search(fields=["height"])):
        with pytest.raises(aerostore.UnknownName, match=r"height.*flight_id, lat"):
            call()
    with pytest.raises(aerostore.UnknownName):
        fs.upsert({7: 1})


@pytest.mark.parametrize("column, value, kind", [
    ("altitude", "abc", aerostore.TypeMismatch),
    ("altitude", 2**31, aerostore.TypeMismatch),
    ("altitude", -(2**31) - 1, aerostore.TypeMismatch),
    ("altitude", 2**63, aerostore.TypeMismatch),
    ("altitude", 2**64, aerostore.TypeMismatch),
    ("altitude", 1.5, aerostore.TypeMismatch),
    ("lat", math.nan, aerostore.TypeMismatch),
    ("lat", math.inf, aerostore.TypeMismatch),
    ("lat", None, aerostore.NotNullViolation),
    ("lat", object(), aerostore.TypeMismatch),
    ("lat", [1], aerostore.TypeMismatch),
    ("flight_id", "x" * 25, aerostore.ValueTooLong),
    ("flight_id", "\ud800", aerostore.TypeMismatch),
    ("flight_id", None, aerostore.NotNullViolation),
    ("updated_at", datetime.datetime(2020, 1, 1), aerostore.TypeMismatch),
])
def test_values_that_do_not_fit(fs, column, value, kind):
    """Goal: the right error, naming table and column, and no trace of the row."""
    with pytest.raises(kind) as caught:
        fs.upsert({**SMALL, column: value})
    assert (caught.value.table, caught.value.field) == ("FlightState", column)
    assert "FlightState" in str(caught.value) and column in str(caught.value)
    assert len(fs) == 0


@pytest.mark.parametrize("column, value, stored", [
    ("altitude", "35000", 35000),
    ("altitude", 35000.0, 35000),
    ("altitude", True, 1),
    ("lat", 7, 7.0),
    ("lat", "7.25", 7.25),
    ("lat", -0.0, 0.0),
    ("lat", decimal.Decimal("0.1"), 0.1),
    ("lat", 5e-324, 5e-324),
    ("dest", 12345, "12345"),
    ("dest", "", ""),
    ("dest", "a\0b\tc\nd", "a\0b\tc\nd"),
    ("dest", "Zürich ✈ 🛫", "Zürich ✈ 🛫"),
    ("dest", "é" * 30, "é" * 30),
    ("updated_at", 1533099600, 1533099600.0),
    ("updated_at", "1533099600.123456", 1533099600.123456),
    ("updated_at", 1533099600.123456, 1533099600.123456),
    ("updated_at", -1.5, -1.5),
    ("updated_at", datetime.datetime(2018, 8, 1, 5, 0, 0, 250000, tzinfo=UTC), 1533099600.25),
])
def test_values_that_convert(fs, column, value, stored):
    """Goal: exact conversion on the way in; the same by get and by search."""
    fs.upsert({**SMALL, column: value})
    row = fs.get("A")
    found = fs.search().first()
    assert row[column] == stored == found[column]
    assert type(row[column]) is type(stored) is type(found[column])
    assert math.copysign(1, stored) == math.copysign(1, row[column]) if stored == 0.0 else True


def test_every_kind(kinds):
    """Goal: each kind at its limits, by get and by search alike; also defaults and NULLs."""
    table = kinds["Everything"]
    low = {"name": "low", "flag": False, "i8": -128, "i16": -(2**15), "i32": -(2**31),
           "i64": -(2**63), "u8": 0, "u16": 0, "u32": 0, "u64": 0, "f32": -1.5, "f64": -1e308,
           "seen": 0.0, "letter": "a", "code": "", "body": "", "blob": b"", "addr": "0.0.0.0",
           "six": "::", "hw": "00:00:00:00:00:00", "note": "", "level": -1}
    high = {"name": "high", "flag": True, "i8": 127, "i16": 2**15 - 1, "i32": 2**31 - 1,
            "i64": 2**63 - 1, "u8": 255, "u16": 2**16 - 1, "u32": 2**32 - 1, "u64": 2**64 - 1,
            "f32": 0.5, "f64": 1e308, "seen": 4102444800.999999, "letter": "✈", "code": "KSFO",
            "body": "x" * 2000, "blob": bytes(range(256)) * 7, "addr": "255.255.255.255",
            "six": "2001:db8::ff00:42:8329", "hw": "ff:ff:ff:ff:ff:fe", "note": "y" * 500,
            "level": 1}
    nothing = {column.name: None for column in table.columns}
    nothing |= {"name": "nothing", "note": "none", "level": 7}
    table.upsert(low)
    table.upsert(high)
    table.upsert({"name": "nothing"})
    for row in (low, high, nothing):
        assert dict(table[row["name"]]) == row
        assert dict(table.search([("=", "name", row["name"])]).first()) == row
    table.upsert({"name": "given", "addr": ipaddress.ip_address("10.0.0.1"),
                  "six": ipaddress.ip_address("::ffff:10.0.0.1"), "blob": memoryview(b"\0\1")})
    given = table["given"]
    assert given.addr == "10.0.0.1" and given.blob == b"\0\1"
    assert given.six == table.search([("=", "name", "given")]).first().six
    assert {column.name: column.kind for column in table.columns}["u64"] == "uint64"


def test_numeric_keys_and_awkward_names(kinds):
    """Goal: integer keys, and aliases named like methods of a row and like words of Python."""
    table = kinds["Numbered"]
    table.upsert({"number": -(2**63), "keys": 4, "items": "i", "yields": 0.5})
    row = table[-(2**63)]
    assert row["keys"] == 4 and row["items"] == "i" and row.yields == 0.5
    assert getattr(row, "lambda") == row.amount == 4 and callable(row.keys)
    assert dict(row) == {"number": -(2**63), "amount": 4, "label": "i", "yields": 0.5}
    assert table.get("-9223372036854775808") == row
    assert 5 not in table
    with pytest.raises(aerostore.TypeMismatch):
        table.get("five")
    table.update(-(2**63), keys=5)
    assert table[-(2**63)]["keys"] == 5


def test_many_threads_share_a_database(db, fs):
    """Goal: each thread works in a session of its own; eight threads write and read."""
    failures = []

    def work(number):
        try:
            for i in range(200):
                key = f"T{number}-{i}"
                fs.upsert({**SMALL, "flight_id": key, "altitude": i})
                assert fs.get(key).altitude == i
                fs.incr(f"T{number}-0", "altitude")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failures == []
    assert len(fs) == 1600
    assert [fs[f"T{n}-0"].altitude for n in range(8)] == [200] * 8
    db.verify()


def test_missing_row_is_a_key_error(fs):
    """Goal: code written for mappings works; the message is not quoted as a KeyError's would be."""
    with pytest.raises(KeyError) as caught:
        fs["none"]
    assert str(caught.value) == "table FlightState has no row with key 'none'"
    assert isinstance(caught.value, aerostore.RowNotFound)


@pytest.mark.parametrize("row", [5, None, "x", [("flight_id", "A")]])
@pytest.mark.parametrize("how", ["insert", "upsert", "replace"])
def test_rows_are_mappings(fs, how, row):
    """Goal: what is no row is a UsageError; in a batch it is named by its place."""
    with pytest.raises(aerostore.UsageError, match="mapping"):
        getattr(fs, how)(row)
    good = {"flight_id": "A", "lat": 1, "lon": 2, "updated_at": 3}
    with pytest.raises(aerostore.UsageError, match="mapping") as caught:
        fs.upsert_many([good, row])
    assert caught.value.line == 2 and len(fs) == 0


def test_a_session_may_begin_with_nothing(db):
    """Goal: a row without a column lacks its key, an update of nothing finds its row or not; as the
    first calls of a session.  Method: threads, each with a session of its own."""
    told = []

    def begin(call):
        try:
            told.append(call(db["FlightState"]))
        except aerostore.Error as error:
            told.append(error.code)

    for call in (lambda fs: fs.insert({}), lambda fs: fs.upsert({}), lambda fs: fs.replace({}),
                 lambda fs: fs.update("A")):
        thread = threading.Thread(target=begin, args=(call,))
        thread.start()
        thread.join()
    assert told == ["NULL_VALUE", "NULL_VALUE", "NULL_VALUE", False]
