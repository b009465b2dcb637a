"""Full is an error, not a crash: a full segment and a full file system leave a usable table."""

import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

import aerostore

SCRIPT = Path(__file__).with_name("full_tmpfs.py")


@pytest.fixture(autouse=True)
def built(aerostore_library: Path) -> None:
    """Have the library before anybody opens anything."""


def row(number: int) -> dict[str, object]:
    return {"flight_id": f"flight-{number:09d}", "lat": 1.5, "lon": 2.5, "updated_at": number}


@pytest.fixture
def small(store):
    """Open a store whose segment may not grow beyond 16 MiB."""
    with aerostore.open(store.data_dir, shm_path=store.shm_path, size="16MiB") as database:
        yield database


def fill(table: aerostore.Table) -> int:
    """Insert rows one by one until the segment is full; return how many went in."""
    count = 0
    with pytest.raises(aerostore.StorageFull) as caught:
        while count < 1_000_000:
            table.insert(row(count))
            count += 1
    assert not caught.value.retryable
    return count


def test_a_full_segment_leaves_a_usable_table(small):
    """Goal: L10.  Method: insert until FULL, then read, delete, insert again, verify."""
    table = small.table("FlightState")
    count = fill(table)
    assert count > 10_000
    assert len(table) == count
    assert table.get(f"flight-{count - 1:09d}") is not None
    assert table.get(f"flight-{count:09d}") is None
    for number in range(0, count, 2):
        assert table.delete(f"flight-{number:09d}")
    again = 0
    for number in range(0, count, 2):
        table.insert(row(number))
        again += 1
        if again == count // 5:
            break
    assert len(table) == count - (count + 1) // 2 + again
    small.verify()


def test_rows_of_a_full_segment_can_still_be_updated_after_a_delete(small):
    """Goal: full is not read-only for ever.  Method: fill, delete a few, update many."""
    table = small.table("FlightState")
    count = fill(table)
    for number in range(200):
        table.delete(f"flight-{number:09d}")
    for number in range(200, min(count, 5000)):
        assert table.update(f"flight-{number:09d}", lat=float(number % 90))
    assert table.get("flight-000000300").lat == 30.0
    small.verify()


TEXTS = {"short": "LSZH", "long": "x" * 60, "none": None}


def fill_with(table: aerostore.Table, name: str, text: str | None) -> int:
    """Insert rows with all four indexes' columns until the segment is full."""
    for count in range(1_000_000):
        try:
            table.insert({"flight_id": f"{name}-{count}", "lat": 1.5, "lon": 2.5,
                          "updated_at": count, "altitude": count % 400, "typ": f"B{count % 50}",
                          "dest": text})
        except aerostore.StorageFull:
            return count
    raise AssertionError("it is never full")


@pytest.mark.parametrize("texts", [("short",), ("short", "long", "none")], ids=["same", "mixed"])
def test_a_full_segment_holds_as_many_rows_every_time(small, texts):
    """Goal: L8.  Method: fill, delete all (each must succeed), fill anew, with other rows, and with
    rows of other sizes; the first round of a size tells what the others must come to.  A single
    round meets FULL somewhat early when a slab is just being given back."""
    table = small.table("FlightState")
    first: dict[str, int] = {}
    shares = []
    for turn in range(3 * len(texts)):
        kind = texts[turn % len(texts)]
        count = fill_with(table, f"round{turn}", TEXTS[kind])
        assert len(table) == count
        shares.append(count / first.setdefault(kind, count))
        assert shares[-1] >= 0.8, (turn, kind, first)
        for number in range(count):
            assert table.delete(f"round{turn}-{number}")
    assert statistics.mean(shares[len(texts):]) >= 0.94, shares
    small.verify()


def test_a_transaction_that_meets_full_can_be_rolled_back(small):
    """Goal: L10, nothing half done.  Method: fill inside a transaction; roll back; as before."""
    table = small.table("FlightState")
    table.insert(row(0))
    with pytest.raises(aerostore.StorageFull), small.transaction():
        for number in range(1, 1_000_000):
            table.insert(row(number))
    assert len(table) == 1
    for number in range(1, 1000):
        table.insert(row(number))
    assert len(table) == 1000
    small.verify()


def test_a_batch_that_does_not_fit_leaves_nothing_of_itself(small):
    """Goal: ingest is whole batches.  Method: a TSV larger than the segment; count what is in."""
    table = small.table("FlightState")
    rest = "1.5\t2.5\t100\t5.5\t7\tB738\tLSZH"
    lines = "".join(f"flight-{number:09d}\t{rest}\n" for number in range(300_000))
    with pytest.raises(aerostore.StorageFull) as caught:
        table.ingest_tsv(lines.encode(), batch_size=1000)
    assert len(table) % 1000 == 0
    assert caught.value.report is not None
    assert caught.value.report.inserted == len(table) > 0
    small.verify()


def test_a_long_text_that_does_not_fit_is_full_too(store):
    """Goal: overflow blocks obey L10.  Method: rows with long texts until it is full."""
    with aerostore.open(store.data_dir, shm_path=store.shm_path, size="4MiB") as database:
        table = database.table("FlightState")
        with pytest.raises(aerostore.StorageFull):
            for number in range(1_000_000):
                table.insert({**row(number), "dest": "D" * 100 + str(number)})
        database.verify()


def in_own_mount(folder: Path, size: str, mode: str) -> subprocess.CompletedProcess[str]:
    """Run full_tmpfs.py on a tmpfs that only it sees."""
    command = (f"mount -t tmpfs -o size={size},mode=0700 none '{folder}' && "
               f"exec '{sys.executable}' '{SCRIPT}' '{folder}' {mode}")
    return subprocess.run(["unshare", "--mount", "sh", "-c", command], capture_output=True,
                          text=True, timeout=240, check=False)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a tmpfs")
@pytest.mark.parametrize(("size", "mode"), [("64m", "grow"), ("64m", "hog"), ("1m", "tiny")])
def test_a_full_tmpfs_is_an_error_without_a_signal(tmp_path, size, mode):
    """Goal: L10, no SIGBUS.  Method: a small tmpfs in a mount namespace of its own, filled."""
    probe = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip("needs the right to make a mount namespace")
    done = in_own_mount(tmp_path, size, mode)
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    assert done.stdout.endswith("good\n")
