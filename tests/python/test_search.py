"""Searches: clauses, orders, windows, and the shapes of results."""

import io
import random
import threading
import time

import pytest

import aerostore

ROWS = [
    {"flight_id": f"F{i:04}", "lat": (i * 37) % 180 - 90.0, "lon": float(i % 7),
     "altitude": None if i % 11 == 0 else (i * 7919) % 40000,
     "gs": None if i % 5 else i / 3, "updated_at": 1533099600 + i / 4,
     "typ": None if i % 3 == 0 else ("A320", "B738", "a319")[i % 4 % 3],
     "dest": ("LSZH", "", "EDDF", "Zürich")[i % 4]}
    for i in range(5000)
]


@pytest.fixture
def full(fs):
    """A table of 5,000 rows: more than two batches."""
    fs.upsert_many(ROWS)
    return fs


def keys(result):
    return sorted(row.flight_id for row in result)


@pytest.mark.parametrize("clauses, wanted", [
    ([(">", "altitude", 30000)], lambda r: (r["altitude"] or 0) > 30000),
    ([("<=", "alt", 100)], lambda r: r["altitude"] is not None and r["altitude"] <= 100),
    ([("=", "typ", "A320")], lambda r: r["typ"] == "A320"),
    ([("!=", "typ", "A320")], lambda r: r["typ"] not in (None, "A320")),
    ([("<>", "typ", "A320"), ("==", "lon", 3)],
     lambda r: r["typ"] not in (None, "A320") and r["lon"] == 3),
    ([("in", "flight_id", ["F0001", "F4999", "none"])],
     lambda r: r["flight_id"] in ("F0001", "F4999")),
    ([("in", "altitude", [])], lambda r: False),
    ([("in", "lon", (1, 2.0, "3"))], lambda r: r["lon"] in (1, 2, 3)),
    ([("range", "lat", -10, 10)], lambda r: -10 <= r["lat"] < 10),
    ([("null", "gs")], lambda r: r["gs"] is None),
    ([("notnull", "gs")], lambda r: r["gs"] is not None),
    ([("match", "typ", "a3*")], lambda r: (r["typ"] or "").lower().startswith("a3")),
    ([("match_case", "typ", "a3*")], lambda r: (r["typ"] or "").startswith("a3")),
    ([("notmatch", "typ", "A*")],
     lambda r: r["typ"] is not None and not r["typ"].lower().startswith("a")),
    ([("=", "dest", "")], lambda r: r["dest"] == ""),
    ([("=", "dest", "Zürich")], lambda r: r["dest"] == "Zürich"),
    ([(">=", "updated_at", 1533099600 + 1000.25)], lambda r: r["updated_at"] >= 1533100600.25),
    ("> altitude 39000", lambda r: (r["altitude"] or 0) > 39000),
    ("{> altitude 39000} {null typ}",
     lambda r: (r["altitude"] or 0) > 39000 and r["typ"] is None),
    (["{> altitude 39000}", ("null", "typ")],
     lambda r: (r["altitude"] or 0) > 39000 and r["typ"] is None),
    ([], lambda r: True),
])
def test_clauses(full, clauses, wanted):
    """Goal: each operator finds what a list comprehension finds, as rows and as a count."""
    result = full.search(clauses)
    expected = sorted(row["flight_id"] for row in ROWS if wanted(row))
    assert keys(result) == expected
    assert result.count() == len(expected)
    assert keys(result) == expected  # a result may be read again


def test_order_and_window(full):
    """Goal: sort in both directions, None last, offset and limit; against Python's sort."""
    def order(descending):
        sign = -1 if descending else 1
        return sorted(ROWS, key=lambda r: (r["altitude"] is None, sign * (r["altitude"] or 0),
                                           r["flight_id"]))

    for descending in (False, True):
        sort = ["-altitude" if descending else "altitude", "flight_id"]
        wanted = [row["flight_id"] for row in order(descending)]
        assert [row.flight_id for row in full.search(sort=sort)] == wanted
        some = full.search(sort=sort, offset=10, limit=25)
        assert [row.flight_id for row in some] == wanted[10:35]
        assert some.count() == 25
        tail = full.search(sort=sort, offset=4990, limit=100)
        assert [row.flight_id for row in tail] == wanted[4990:] and tail.count() == 10
    assert full.search(sort="flight_id").first().flight_id == "F0000"
    assert full.search(sort="-flight_id").first().flight_id == "F4999"


def test_limits(full):
    """Goal: every limit is right or refused; tries the edges."""
    assert full.search(limit=0).count() == 0 and list(full.search(limit=0)) == []
    assert full.search(limit=0).first() is None
    assert full.search(limit=1).count() == 1
    assert full.search(limit=10**30).count() == 5000
    assert full.search(offset=10**30).count() == 0
    assert full.search(offset=2**63 - 1, limit=2**63 - 1).count() == 0
    for bad in (-1, 1.5, "ten"):
        with pytest.raises(aerostore.UsageError, match="limit"):
            full.search(limit=bad)
        with pytest.raises(aerostore.UsageError, match="offset"):
            full.search(offset=bad)


def test_shapes(full):
    """Goal: rows, tuples, columns, arrow and explain describe the same; reads 5,000 rows."""
    names = ["typ", "altitude", "updated_at"]
    result = full.search(fields=names, sort=["flight_id"])
    wanted = [tuple(row[name] for name in names) for row in ROWS]
    assert result.fields == tuple(names)
    assert list(result.tuples()) == wanted
    assert [row.as_tuple() for row in result] == wanted
    assert list(zip(*result.columns().values(), strict=True)) == wanted
    assert list(result.first()) == names
    assert result.first().aircraft_type is None
    pyarrow = pytest.importorskip("pyarrow")
    assert isinstance(result.to_arrow(), pyarrow.Table)
    assert result.to_arrow().column("altitude").to_pylist() == [each[1] for each in wanted]
    assert "5000" in result.explain(execute=True)
    assert isinstance(full.search().explain(), str)


def test_empty_results(fs):
    """Goal: an empty table gives empty shapes, not errors."""
    result = fs.search([(">", "altitude", 1)], sort=["lat"])
    assert list(result) == [] and list(result.tuples()) == [] and result.first() is None
    assert result.count() == 0
    assert result.columns() == {column.name: [] for column in fs.columns}


@pytest.mark.parametrize("clauses, kind", [
    ([(">", "altitude", "abc")], aerostore.TypeMismatch),
    ([("=", "lat", "north")], aerostore.TypeMismatch),
    ([("=", "altitude", 2**70)], aerostore.TypeMismatch),
    ([("=", "flight_id", object())], aerostore.TypeMismatch),
    ([("like", "altitude", 1)], aerostore.UsageError),
    ([(">", "altitude")], aerostore.UsageError),
    ([(">", "altitude", 1, 2)], aerostore.UsageError),
    ([("range", "altitude", 1)], aerostore.UsageError),
    ([("null", "altitude", 1)], aerostore.UsageError),
    ([("in", "altitude", 1, 2)], aerostore.UsageError),
    ([("in", "flight_id", "UAL1")], aerostore.UsageError),
    ([()], aerostore.UsageError),
    ([(1, "altitude", 3)], aerostore.UsageError),
    ("{> altitude", aerostore.ParseError),
    ("like altitude 3", aerostore.Error),
])
def test_bad_clauses_are_errors_of_search(full, clauses, kind):
    """Goal: the mistake shows where it is made, not at the first row."""
    with pytest.raises(kind):
        full.search(clauses)


def test_fields_that_make_no_sense(full):
    """Goal: a text for fields, no column, or a column twice, is refused."""
    for none in ([], ()):
        with pytest.raises(aerostore.UsageError):
            full.search(fields=none)
    with pytest.raises(aerostore.UsageError):
        full.search(fields="lat")
    with pytest.raises(aerostore.UsageError):
        full.search(fields=["alt", "altitude"])


def test_iteration_sees_one_snapshot(full):
    """Goal: writes during an iteration, also of the row just read, do not disturb it."""
    seen = []
    for row in full:
        seen.append(row.flight_id)
        full.delete(row.flight_id)
        full.upsert({**ROWS[0], "flight_id": f"N{len(seen)}"})
    assert sorted(seen) == [row["flight_id"] for row in ROWS]
    assert len(full) == 5000 and "F0000" not in full and "N1" in full


def test_unfinished_iterations_give_their_slot_back(full):
    """Goal: dropped iterators hold nothing; starts far more than there are slots."""
    for _ in range(1000):
        assert next(iter(full)) is not None
    some = [iter(full.search(limit=5)) for _ in range(600)]
    assert all(next(each) is not None for each in some)  # short results hold no slot at all


def test_a_result_may_be_read_by_another_thread(full):
    """Goal: results carry no thread; reads the same result in two."""
    result = full.search([(">", "altitude", 20000)])
    here, there = keys(result), []
    thread = threading.Thread(target=lambda: there.extend(keys(result)))
    thread.start()
    thread.join()
    assert there == here


def test_an_iterator_dropped_by_another_thread(full, db):
    """Goal: the owner closes what another thread let go; a thread drops the last reference."""
    held = [iter(full)]
    next(held[0])
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    assert len(full) == 5000
    db.verify()


def test_texts_with_nul_and_long_texts(kinds):
    """Goal: batches with embedded NULs, empty and long texts and bytes decode exactly."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    table = kinds["Everything"]
    rows = {}
    for i in range(3000):
        body = None if rng.random() < 0.2 else "".join(
            rng.choice("ab\0é✈\n") for _ in range(rng.choice((0, 1, 11, 12, 13, 200))))
        blob = None if rng.random() < 0.2 else rng.randbytes(rng.choice((0, 5, 12, 13, 300)))
        rows[f"k{i}"] = (body, blob)
    table.upsert_many({"name": k, "body": b, "blob": x} for k, (b, x) in rows.items())
    found = {row.name: (row.body, row.blob) for row in table}
    assert found == rows
    assert {k: (table[k].body, table[k].blob) for k in rows} == rows


def test_tsv_goes_to_a_path_and_not_to_a_text_file(full, tmp_path):
    """Goal: a path as for ingest_tsv; what takes no bytes is refused before a row is read."""
    path = tmp_path / "out.tsv"
    assert full.search(limit=70).write_tsv(path) == 70
    assert full.search(limit=7).write_tsv(str(path), header=True) == 7
    assert len(path.read_bytes().splitlines()) == 8
    for wrong in (io.StringIO(), 5, None):
        with pytest.raises(aerostore.UsageError):
            full.search().write_tsv(wrong)


def test_tsv_out_and_in_again(full, db):
    """Goal: export and import are inverse; writes all rows, clears, reads them back."""
    before = {row.flight_id: dict(row) for row in full}
    out = io.BytesIO()
    assert full.search(sort=["flight_id"]).write_tsv(out) == 5000
    assert full.clear() == 5000
    full.ingest_tsv(out.getvalue())
    assert {row.flight_id: dict(row) for row in full} == before
    named = io.BytesIO()
    full.search(fields=["flight_id", "gs"], limit=2, sort=["flight_id"]).write_tsv(
        named, header=True, separator=";", null="-")
    assert named.getvalue().splitlines()[0] == b"flight_id;gs"

    class Broken(io.BytesIO):
        def write(self, data):
            raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        full.search().write_tsv(Broken())
    db.verify()


def test_bare_clause(full):
    """Goal: one clause needs no list around it, as in Tcl; tries a tuple and a list."""
    wanted = full.search([(">", "altitude", 30000)]).count()
    assert full.search((">", "altitude", 30000)).count() == wanted
    assert full.search([">", "altitude", 30000]).count() == wanted
    assert full.search(("null", "typ")).count() == full.search([("null", "typ")]).count()


@pytest.mark.parametrize("clauses", [5, [5], [None], [()], [("in", "altitude", 5)], (">",)])
def test_shapeless_clauses(fs, clauses):
    """Goal: what is no clause is a UsageError, not an accident inside."""
    with pytest.raises(aerostore.UsageError):
        fs.search(clauses)


def test_arrow_types(aerostore_library, market_library, fs, tmp_path):
    """Goal: arrow types come from the columns; an empty table, all None, and 2**64 - 1."""
    pyarrow = pytest.importorskip("pyarrow")
    assert fs.search().to_arrow().schema.field("typ").type == pyarrow.string()
    market = aerostore.open(tmp_path / "m", profile="embedded", package="market", size="64MiB")
    placed_at = time.time()  # a trade lives for a day
    with market as db:
        trades = db["Trade"]
        for key in (1, 2**64 - 1):
            trades.upsert({"trade_id": key, "symbol": "S", "amount": -(2**63), "account": 1,
                           "placed_at": placed_at})
        found = trades.search(sort=["trade_id"]).to_arrow()
        assert found.column("trade_id").to_pylist() == [1, 2**64 - 1]
        assert found.schema.field("trade_id").type == pyarrow.uint64()
        assert found.schema.field("note").type == pyarrow.string()
        assert db["Instrument"].search().to_arrow().schema.field("logo").type == pyarrow.binary()


def test_a_table_used_as_a_queue_does_not_slow_down(fs):
    """Goal: taking any row and deleting it costs the same when many are gone; no row is passed
    over, also among those that come into the places of the gone.  Method: processor time of rounds;
    and all that was put in comes out once."""
    row = {"lat": 1.0, "lon": 2.0, "updated_at": 1}
    rows = 100_000
    fs.upsert_many(({"flight_id": f"Q{i}", **row} for i in range(rows)), batch_size=8192)
    taken, rounds = [], []
    while len(taken) < rows - 2000:
        began = time.process_time()
        for _ in range(200):
            taken.append(fs.search(limit=1, fields=["flight_id"]).first().flight_id)
            assert fs.delete(taken[-1])
        rounds.append(time.process_time() - began)
        for gone in fs.search(limit=6000, fields=["flight_id"]).columns()["flight_id"]:
            taken.append(gone)
            assert fs.delete(gone)
    assert min(rounds[-3:]) < 4 * min(rounds[:3]), rounds
    fs.upsert_many({"flight_id": f"R{i}", **row} for i in range(500))
    while (first := fs.search(limit=1).first()) is not None:
        taken.append(first.flight_id)
        assert fs.delete(first.flight_id)
    assert sorted(taken) == sorted([f"Q{i}" for i in range(rows)] + [f"R{i}" for i in range(500)])


def test_a_limited_search_meets_every_row_once_wherever_it_begins(db, fs):
    """Goal: what a search leaves out at its beginning comes at its end.  Method: random writes and
    searches of random limits and offsets, also in transactions, against a set; several slabs."""
    draw = random.Random(11)
    rows = {}
    def check():
        limit, offset = draw.choice([0, 1, 5, 3000, 10**6]), draw.choice([0, 0, 1, 700])
        clauses = draw.choice([(), (), [("<", "lat", 20)], [("=", "lon", 3)]])
        wanted = {key for key, (lat, lon) in rows.items()
                  if not clauses or (clauses[0][0] == "<" and lat < 20) or
                  (clauses[0][0] == "=" and lon == 3)}
        found = fs.search(clauses, limit=limit, offset=offset)
        keys_found = [row.flight_id for row in found]
        assert set(keys_found) <= wanted
        assert len(set(keys_found)) == len(keys_found) == found.count()
        assert len(keys_found) == min(limit, max(0, len(wanted) - offset))

    for _ in range(60):
        with db.transaction():
            first = draw.randrange(6000)
            if draw.random() < 0.6:
                for number in range(first, min(6000, first + draw.randrange(1500))):
                    rows[f"F{number}"] = (draw.randrange(40), draw.randrange(6))
                    fs.upsert({"flight_id": f"F{number}", "lat": rows[f"F{number}"][0],
                               "lon": rows[f"F{number}"][1], "updated_at": number})
            else:
                for number in range(first, min(6000, first + draw.randrange(4000))):
                    assert fs.delete(f"F{number}") == (rows.pop(f"F{number}", None) is not None)
            check()
        check()
        check()
