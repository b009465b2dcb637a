"""How many bytes of log a change takes: an update of one column carries that column alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import aerostore
from support.paths import ROOT

ROWS = 400
KINDS = ("Int64", "Float64", "Int32", "Text | None")


@pytest.fixture(scope="module")
def wide_package(tmp_path_factory, aerostore_library) -> Path:
    """Compile a table of 64 columns."""
    folder = tmp_path_factory.mktemp("wide")
    columns = [f"    c{number}: {KINDS[number % 4]}" for number in range(63)]
    (folder / "wide.py").write_text("\n".join([
        "from aerostore.schema import *", "from aerostore.schema import column, speedtable",
        "@speedtable()", "class Wide:", "    '''A table of 64 columns.'''",
        "    name: Key = column(max_length=12)", *columns, ""]))
    path = os.pathsep.join(str(ROOT / part) for part in ("python", "codegen"))
    done = subprocess.run(
        [sys.executable, "-m", "aerostore", "compile", folder / "wide.py", "-o", folder / "out",
         "--package", "wide"],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "out"


def log_bytes(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.glob("aerostore.wal*"))


def wide_row(number: int) -> dict[str, object]:
    values = (10**12 + number, 1.25 * number, number, f"text {number}")
    return {"name": f"row{number:05}", **{f"c{at}": values[at % 4] for at in range(63)}}


@pytest.mark.parametrize("one_transaction", [True, False])
def test_an_update_of_one_of_64_columns_takes_at_most_8_percent_of_the_row(
        wide_package, store, one_transaction):
    """Goal: deltas, not rows.  Method: the log's growth by inserts and by updates."""
    with aerostore.open(store.data_dir, "shared", "64MiB", shm_path=store.shm_path,
                        package=wide_package) as db:
        table = db["Wide"]

        def grown(change) -> int:
            """Let `change` be called for each row; asynchronous commits share their frames."""
            before = log_bytes(store.data_dir)
            if one_transaction:
                with db.transaction():
                    for number in range(ROWS):
                        change(number)
            else:
                db.set_config("aerostore.synchronous_commit", "off")
                for number in range(ROWS):
                    change(number)
                db.set_config("aerostore.synchronous_commit", "on")
                table.insert(wide_row(ROWS + before))  # is synchronous, and takes them along
            return log_bytes(store.data_dir) - before

        inserted = grown(lambda number: table.insert(wide_row(number)))
        updated = grown(lambda number: table.update(f"row{number:05}", c4=number))
    assert inserted > ROWS * 400
    assert updated <= 0.08 * inserted
