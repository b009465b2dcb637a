"""Recorded data against an oracle: every line goes in, both doors answer as plain Python does."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from oracle.checks import (
    Expectation,
    check_tcl,
    queries,
    request_of,
    row_values,
    sample_keys,
    tabsep_fields,
    tcl_options,
)
from oracle.model import AIRPORTS, POSITIONS, unescape
from oracle.queries import tcl_list
from oracle.subjects import Subject, subject
from support.paths import ROOT, memory_folder

QUERIES = int(os.environ.get("AEROSTORE_ORACLE_QUERIES", "300"))
SEED = int(os.environ.get("AEROSTORE_ORACLE_SEED", "0")) or random.SystemRandom().getrandbits(32)

# File, and whether every line gets a key of its own (else the last line of a key wins).
FILES = [
    ("switzerland.tsv.gz", False),
    ("kwvi.tsv.gz", False),
    ("toulouse_live.tsv.gz", False),
    ("switzerland_5000.tsv", False),
    ("switzerland_5000.tsv", True),
    ("kwvi.tsv.gz", True),
    ("toulouse_live.tsv.gz", True),
    ("airports.tsv.gz", False),
]
# What the folder's own description says of the files: lines and keys.
SIZES = {"switzerland.tsv.gz": (139_098, 842), "kwvi.tsv.gz": (9_614, 218),
         "toulouse_live.tsv.gz": (13_465, 9), "airports.tsv.gz": (28_291, 28_291)}


@pytest.fixture(scope="session")
def airports_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the airports' schema in one command, as a user would."""
    folder = tmp_path_factory.mktemp("packages") / "airports"
    paths = os.pathsep.join([str(ROOT / "python"), str(ROOT / "codegen")])
    done = subprocess.run(
        [sys.executable, "-m", "aerostore", "compile",
         str(Path(__file__).with_name("airports_schema.py")), "-o", str(folder), "--package",
         "airports"], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": paths})
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module", params=FILES,
                ids=lambda param: param[0].split(".")[0] + ("_own_keys" if param[1] else ""))
def loaded(request: pytest.FixtureRequest, aerostore_library: Path,
           tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    """Load one of the files; all tests of a file share it."""
    name, own_keys = request.param
    path = request.getfixturevalue("data_file")(name)
    folder = tmp_path_factory.mktemp("oracle")
    shm_path = memory_folder() / f"aerostore-oracle-{os.getpid()}-{folder.name}"
    is_airports = name.startswith("airports")
    package_dir = request.getfixturevalue("airports_package") if is_airports else None
    try:
        with subject(path, AIRPORTS if is_airports else POSITIONS, folder=folder / "data",
                     shm_path=shm_path, package="airports" if is_airports else "aerostore",
                     package_dir=package_dir, tcl_dir=package_dir or ROOT / "tcl",
                     table_name="Airport" if is_airports else "FlightState",
                     own_keys=own_keys) as found:
            yield found
    finally:
        for leftover in shm_path.parent.glob(f"{shm_path.name}*"):
            leftover.unlink()


pytestmark = pytest.mark.xdist_group("oracle")


def test_every_line_goes_in(loaded: Subject, request: pytest.FixtureRequest):
    """Goal: nothing of a recording is refused or lost.  Method: the report against own counts."""
    report, model = loaded.report, loaded.model
    assert report.rows_seen == model.lines
    assert report.inserted == model.inserted == len(model.rows)
    assert report.updated == model.lines - model.inserted
    assert len(loaded.table) == len(model.rows)
    name, own_keys = request.node.callspec.params["loaded"]
    if name in SIZES and not own_keys:
        assert (model.lines, len(model.rows)) == SIZES[name]
    loaded.database.verify()


@pytest.fixture(scope="module")
def expectations(loaded: Subject) -> list[Expectation]:
    """Work out the answers to a file's queries once, for both doors.

    A file whose lines got keys of their own is a second look at it: fewer queries do.
    """
    count = QUERIES // 3 if loaded.own_keys else QUERIES
    return [Expectation(loaded.model, query) for query in queries(loaded.model, count, SEED)]


def test_python_agrees_on_generated_queries(loaded: Subject, expectations: list[Expectation]):
    """Goal: search from Python is right.  Method: random queries, answered by the oracle too."""
    print(f"seed {SEED}")
    for expected in expectations:
        query = expected.query
        expected.check(loaded.python_rows(query), query.fields)
        clauses = [clause.for_python() for clause in query.clauses]
        found = loaded.table.search(clauses, limit=query.limit, offset=query.offset)
        assert found.count() == expected.count, query


def test_tcl_agrees_on_generated_queries(loaded: Subject, expectations: list[Expectation],
                                         tmp_path: Path):
    """Goal: search in tclsh is right in every mode.  Method: an unrelated tclsh, same store."""
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    requests = [request_of(expected.query, loaded.model.key, chance) for expected in expectations]
    answers = loaded.ask_tcl(requests, tmp_path)
    for expected, request, answer in zip(expectations, requests, answers, strict=True):
        check_tcl(loaded, expected, request, answer)


def test_get_agrees_by_key(loaded: Subject, tmp_path: Path):
    """Goal: get and exists are right, also of absent keys.  Method: many keys, both doors."""
    keys = sample_keys(loaded.model, 400, SEED)
    names = [column.name for column in loaded.model.columns]
    answers = loaded.ask_tcl([["get_key", " ".join(names), tcl_list([key])] for key in keys],
                             tmp_path)
    for key, (shown, exists) in zip(keys, answers, strict=True):
        row = loaded.model.rows.get(key)
        found = loaded.table.get(key)
        assert (found is not None) == (row is not None) == (exists == "1"), key
        assert (key in loaded.table) == (row is not None)
        if row is None:
            assert shown == ""
            continue
        assert found is not None
        for column in loaded.model.columns:
            value = found[column.name]
            assert value == (row[column.name] if column.kind != "time" or value is None
                             else row[column.name] / 1_000_000), (key, column.name)
        assert [unescape(cell) for cell in shown.split("\t")] == row_values(loaded, row)


def test_write_tabsep_gives_every_row_back(loaded: Subject, tmp_path: Path):
    """Goal: what went in comes out, to the byte.  Method: dump, compare with the oracle."""
    (*lines, _), (count,) = loaded.ask_tcl([["dump", "", ""], ["rows", "", ""]], tmp_path)
    assert int(count) == len(loaded.model.rows)
    assert sorted(lines) == sorted(map(loaded.model.tsv_line, loaded.model.rows.values()))


def test_search_can_write_tabsep_in_order(loaded: Subject, expectations: list[Expectation],
                                          tmp_path: Path):
    """Goal: -write_tabsep keeps order and window.  Method: queries ordered by the key besides."""
    print(f"seed {SEED}")
    asked = [expected for expected in expectations if expected.query.total_order(loaded.model)]
    assert len(asked) > len(expectations) // 5
    requests = [["tabsep", " ".join(wanted.query.fields), tcl_options(wanted.query)]
                for wanted in asked]
    for wanted, answer in zip(asked, loaded.ask_tcl(requests, tmp_path), strict=True):
        query = wanted.query
        names = tabsep_fields(loaded.model, list(query.fields), "tabsep")
        columns = [loaded.model.column(name) for name in names]
        assert answer == [
            *("\t".join(column.cell(row[column.name]) for column in columns)
              for row in wanted.rows), str(wanted.count)], query
