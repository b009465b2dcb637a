"""Fill a table until its small tmpfs is full; run inside a mount namespace of its own by test_full.

Usage: full_tmpfs.py FOLDER MODE, the tmpfs being mounted at FOLDER.  Prints "good" at the end.
The segment alone lies there: what a full disk does to the log is another matter.
"""

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "codegen")]

import aerostore  # noqa: E402  the path above makes it importable


def row(number: int) -> dict[str, object]:
    return {"flight_id": f"flight-{number:09d}", "lat": 1.5, "lon": 2.5, "updated_at": number}


def fill(table: aerostore.Table, most: int) -> int:
    """Insert until it is full; return how many rows went in."""
    for number in range(most):
        try:
            table.insert(row(number))
        except aerostore.StorageFull as error:
            print("full after", number, "rows:", error)
            return number
    raise AssertionError("it was never full")


def check(database: aerostore.Database, table: aerostore.Table, count: int) -> None:
    """The table works as before: reads, deletes, and writes into the room that deletes made."""
    assert len(table) == count
    assert sum(1 for _ in table.search()) == count
    assert table.get("flight-000000000") is not None
    for number in range(100):
        assert table.delete(f"flight-{number:09d}")
    for number in range(50):
        table.insert(row(number))
    assert len(table) == count - 50
    database.verify()


def main(folder: Path, files: Path, mode: str) -> None:
    if mode == "tiny":
        try:
            aerostore.open(files, shm_path=folder / "segment", size="1GiB")
        except aerostore.StorageFull as error:
            print(error)
        else:
            raise AssertionError("a store fitted where it cannot")
        assert not (folder / "segment").exists()
        print("good")
        return
    with aerostore.open(files, shm_path=folder / "segment", size="1GiB",
                        synchronous_commit=False) as database:
        table = database.table("FlightState")
        if mode == "grow":
            count = fill(table, 5_000_000)
        else:  # somebody else takes the space
            for number in range(1000):
                table.insert(row(number))
            with (folder / "hog").open("wb") as hog:
                try:
                    while True:
                        hog.write(b"x" * 65536)
                except OSError:
                    pass
            count = fill_after(table, 1000)
        check(database, table, count)
    print("good")


def fill_after(table: aerostore.Table, count: int) -> int:
    """Insert on from `count` rows until it is full."""
    for number in range(count, 5_000_000):
        try:
            table.insert(row(number))
        except aerostore.StorageFull as error:
            print("full after", number, "rows:", error)
            return number
    raise AssertionError("it was never full")


with tempfile.TemporaryDirectory() as beside:
    main(Path(sys.argv[1]), Path(beside), sys.argv[2])
