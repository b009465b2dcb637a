"""Iterate every flight with three columns from Python; print one JSON object a measurement.

Usage: iterate.py FLIGHTS.TSV FOLDER ROUNDS

Like is compared with like: plain tuples with sqlite3's tuples, rows read by name with sqlite3.Row.
Every value is taken out of its row, in alternating order; the sums must agree.
"""

import json
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "codegen")]

import aerostore  # noqa: E402  the path above makes it importable

COLUMNS = ["lat", "lon", "altitude"]
SELECT = "SELECT lat, lon, altitude FROM FlightState"
now_ns = time.process_time_ns if os.environ.get("BENCH_CLOCK") == "cpu" else time.perf_counter_ns


def lines(path: Path) -> Iterator[list[str]]:
    with path.open() as source:
        for line in source:
            yield line.rstrip("\n").split("\t")


def fill_sqlite(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.execute(
        "CREATE TABLE FlightState(flight_id TEXT PRIMARY KEY, lat REAL NOT NULL, lon REAL NOT NULL,"
        " altitude INTEGER, gs REAL, updated_at REAL NOT NULL, typ TEXT, dest TEXT) WITHOUT ROWID"
    )
    connection.executemany("INSERT INTO FlightState VALUES (?,?,?,?,?,?,?,?)", lines(path))
    connection.commit()
    return connection


def sum_tuples(rows: Iterator[tuple[float, float, int]]) -> tuple[int, float]:
    count, total = 0, 0.0
    for lat, lon, altitude in rows:
        total += lat + lon + altitude
        count += 1
    return count, total


def main(path: Path, folder: Path, rounds: int) -> None:
    rows = sum(1 for _ in path.open("rb"))
    connection = fill_sqlite(path)
    by_name = sqlite3.connect(":memory:")
    connection.backup(by_name)
    by_name.row_factory = sqlite3.Row
    database = aerostore.open(folder / "data", shm_path=folder / "segment",
                              size=rows * 512 + (128 << 20))
    flights = database.table("FlightState")
    flights.ingest_tsv(path)

    def ours_named() -> tuple[int, float]:
        count, total = 0, 0.0
        for row in flights.search(fields=COLUMNS):
            total += row.lat + row.lon + row.altitude
            count += 1
        return count, total

    def sqlite_named() -> tuple[int, float]:
        count, total = 0, 0.0
        for row in by_name.execute(SELECT):
            total += row["lat"] + row["lon"] + row["altitude"]
            count += 1
        return count, total

    peers: list[tuple[str, Callable[[], tuple[int, float]]]] = [
        ("aerostore rows", ours_named),
        ("aerostore tuples", lambda: sum_tuples(flights.search(fields=COLUMNS).tuples())),
        ("sqlite3.Row", sqlite_named),
        ("sqlite3 tuples", lambda: sum_tuples(connection.execute(SELECT))),
    ]
    for turn in range(rounds + 1):  # turn 0 warms up
        for step in range(len(peers)):
            name, run = peers[(turn + step) % len(peers)]
            start = now_ns()
            count, total = run()
            took = now_ns() - start
            if count != rows:
                sys.exit(f"{name} saw {count} of {rows} rows")
            if turn > 0:
                print(json.dumps({"what": "python iterate", "peer": name, "unit": "ns/row",
                                  "value": took / rows, "sum": total}), flush=True)
    database.close()


main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
