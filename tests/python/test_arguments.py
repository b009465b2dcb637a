"""Arguments: None is "not given" where it can mean nothing else; what is wrong is told by name."""

import io
import math
from pathlib import Path

import pytest

import aerostore

LINE = b"A\t1\t2\t\t\t1\n"
ODD = [5, -1, 1.5, "x", "", b"x", [5], ["lat", None], {}, object(), math.nan, 2**70, "\0", "\ud800",
       True, len]


@pytest.fixture
def one(fs):
    """A table of one row."""
    fs.ingest_tsv(LINE)
    return fs


def with_one(call):
    """Return a function of the argument `name` alone."""
    return lambda table, name, value: call(table, **{name: value})


def watch(table, **given):
    with table.watch(**{"timeout": 0, **given}) as events:
        return None if "timeout" in given else next(iter(events), None)


CALLS = {
    "search": (lambda t, **given: list(t.search(**given)),
               ("clauses", "sort", "limit", "offset", "fields", "using")),
    "prepare": (lambda t, **given: list(t.prepare(**{"clauses": (), **given})()),
                ("clauses", "sort", "limit", "offset", "fields", "using")),
    "watch": (watch, ("clauses", "start", "timeout")),
    "ingest_tsv": (lambda t, **given: t.ingest_tsv(LINE, **given),
                   ("batch_size", "columns", "header", "separator", "null", "progress")),
    "upsert_many": (lambda t, **given: t.upsert_many([dict(t["A"])], **given), ("batch_size",)),
    "write_tsv": (lambda t, **given: t.search().write_tsv(io.BytesIO(), **given),
                  ("header", "separator", "null")),
    "explain": (lambda t, **given: t.search().explain(**given), ("execute",)),
    "transaction": (lambda t, **given: t._database.transaction(**given).isolation, ("isolation",)),
    "run": (lambda t, **given: t._database.run(lambda: 7, **given), ("retries",)),
    "create_index": (lambda t, **given: (t.create_index("gs", **given), t.drop_index("gs")),
                     ("unique",)),
    "open": (lambda t, **given: aerostore.open(
        t._database.path + "-other", **{"memory": "private", **given}).close(),
        ("profile", "size", "synchronous_commit", "package", "memory", "progress")),
}
# The engine's own words for a value that it does not know.
TOLD_OTHERWISE = ("clauses", "profile", "memory", "using", "start")
EACH = [(call, name) for call, (_, names) in CALLS.items() for name in names]


@pytest.mark.parametrize(("call", "name"), EACH)
def test_none_is_not_given(one, call, name):
    """Goal: as when it is left out.  Method: every argument, both ways."""
    function, _ = CALLS[call]
    given, left_out = function(one, **{name: None}), function(one)
    if call in ("search", "prepare", "write_tsv", "transaction", "run"):
        assert given == left_out


@pytest.mark.parametrize(("call", "name"), EACH)
def test_odd_values_are_errors_of_their_own(one, call, name):
    """Goal: an Error, never a bare exception, which names the argument where the type is wrong.

    Method: values of all kinds for every argument.
    """
    function, _ = CALLS[call]
    for value in ODD:
        told = name
        if value is len and name == "progress":
            continue  # what a callback raises is its own
        try:
            function(one, **{name: value})
        except aerostore.UsageError as error:
            told = str(error)
        except aerostore.Error:
            pass
        assert name in told or name in TOLD_OTHERWISE, told


@pytest.mark.parametrize("profile", ["shared", "embedded", "logical"])
def test_no_database_is_made_without_create(one, tmp_path, profile):
    """Goal: RowNotFound and nothing made; one that is there is opened, also from its files alone.

    Method: no directory, an empty one, one that was opened, one that was written.
    """
    def open_it(**more):
        return aerostore.open(tmp_path / "db", profile, "64MiB", shm_path=segment, **more)

    segment = one._database.path + "-created"
    for _ in range(2):
        with pytest.raises(aerostore.RowNotFound, match="there is no database at"):
            open_it(create=False)
        assert not (tmp_path / "db").exists() or not list((tmp_path / "db").iterdir())
        (tmp_path / "db").mkdir(exist_ok=True)
        assert not Path(segment).exists()
    with open_it() as db:
        db["FlightState"].upsert(dict(one["A"]))
    with open_it(create=False) as db:
        assert len(db["FlightState"]) == 1
    Path(segment).unlink(missing_ok=True)
    with open_it(create=False) as db:
        assert db.boot == "cold" and len(db["FlightState"]) == 1
    with pytest.raises(aerostore.LayoutMismatch):
        aerostore.open(tmp_path / "db", "logical" if profile == "shared" else "shared",
                       "64MiB", shm_path=segment + "2", create=False)


def test_wrong_types_name_the_argument(one):
    """Goal: the text says which.  Method: a number for each."""
    for call, name in (("search", "sort"), ("search", "fields"), ("search", "using"),
                       ("ingest_tsv", "columns"), ("ingest_tsv", "separator"),
                       ("open", "profile"), ("transaction", "isolation")):
        with pytest.raises(aerostore.UsageError, match=f"^{name} is .*, not 5"):
            CALLS[call][0](one, **{name: 5})
    with pytest.raises(aerostore.UsageError, match="batch_size is an integer"):
        one.upsert_many([], batch_size="many")
    with pytest.raises(aerostore.UsageError, match="rows are"):
        one.upsert_many(None)
    with pytest.raises(aerostore.UsageError, match="path is a path, not None"):
        aerostore.open(None)
    with pytest.raises(aerostore.UsageError, match="run takes a function"):
        one._database.run(None)
    with pytest.raises(aerostore.TypeMismatch):
        one._database.get_config(5)
    for odd in (None, 5, "\0", "\ud800"):
        with pytest.raises(aerostore.UsageError):
            aerostore.verify_files(odd)
        with pytest.raises(aerostore.UsageError):
            aerostore.restore("/nonexistent", odd)
