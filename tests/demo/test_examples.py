"""The examples of docs/ run as they stand."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ENGINE, ROOT

EXAMPLES = ROOT / "docs" / "examples"


def environment(store) -> dict[str, str]:
    paths = os.pathsep.join([str(ROOT / "python"), str(ROOT / "codegen")])
    return {**store.environment(), "PYTHONPATH": paths}


def run(store, *command: str) -> list[str]:
    done = subprocess.run(command, env=environment(store), cwd=store.data_dir.parent,
                          capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.fixture(autouse=True)
def built(aerostore_library: Path) -> None:
    """Have the library before an example asks for it."""


def test_the_tcl_example_runs(store):
    """Goal: the example is right.  Method: run it, compare what it prints."""
    lines = run(store, "tclsh8.6", str(EXAMPLES / "positions.tcl"), str(store.data_dir))
    assert lines[0].startswith("rows_seen=3 inserted=3 updated=0 batches=1 ")
    assert lines[1:] == [
        "UAL123 at 31000 ft", "DLH400, altitude unknown", "2 flights to KJFK", "33000 KBOS"]


def test_the_python_example_runs(store):
    """Goal: the example is right.  Method: run it, compare what it prints."""
    lines = run(store, sys.executable, str(EXAMPLES / "positions.py"), str(store.data_dir))
    assert lines == ["3 new flights, 0 known ones", "UAL123 31000", "DLH400 None",
                     "33000 KBOS 2"]


def test_the_c_example_runs(store, aerostore_library, tmp_path):
    """Goal: the example is right.  Method: compile without warnings, run, compare the output."""
    program = tmp_path / "positions"
    subprocess.run(["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", str(EXAMPLES / "positions.c"),
                    f"-I{ENGINE / 'include'}", str(aerostore_library),
                    f"-Wl,-rpath,{aerostore_library.parent}", "-o", str(program)], check=True)
    assert run(store, str(program), str(store.data_dir)) == [
        "UAL123 at 31000 ft, bound for KJFK", "1 flights at or above 30000 ft"]


def test_the_worker_pool_does_each_row_once(store):
    """Goal: the example keeps its promise.  Method: run it; one of its workers is killed."""
    lines = run(store, sys.executable, str(EXAMPLES / "worker_pool.py"), str(store.data_dir))
    assert lines == ["4 workers, 1 killed: 400 of 400 flights, each done once"]


def test_the_feed_handler_takes_batches_and_rejects_lines(store):
    """Goal: the example is right.  Method: two feeds over TCP, one with a line that is wrong."""
    command = ["tclsh8.6", str(EXAMPLES / "feed_handler.tcl"), str(store.data_dir), "0",
               "-once", "2"]
    folder = store.data_dir.parent
    with subprocess.Popen(command, env=environment(store), cwd=folder, text=True,
                          stdout=subprocess.PIPE) as handler:
        assert handler.stdout is not None
        port = int(handler.stdout.readline().rpartition(" ")[2])
        feeds = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(2)]
        for number, feed in enumerate(feeds):
            with feed:
                for row in range(700):
                    feed.sendall(f"F{number}-{row}\t1\t2\t{row}\t\t1533099600\n".encode())
                if number == 1:
                    feed.sendall(b"BAD\tnorth\t2\t3\t\t1533099600\n")
        output, _ = handler.communicate(timeout=60)
    assert output == "1400 rows, 1 rejected, 1400 flights\n"
    rejected = (folder / "rejected.tsv").read_text()
    assert rejected.startswith("BAD\tnorth")
    assert "lat" in rejected


@pytest.mark.slow
def test_the_market_data_table_keeps_the_best_prices(store, tmp_path):
    """Goal: the example is right.  Method: compile its declaration, run it, compare the output."""
    market = EXAMPLES / "market"
    package = tmp_path / "build-quotes"
    run(store, sys.executable, "-m", "aerostore", "compile", str(market / "quotes.py"),
        "-o", str(package))
    lines = run(store, sys.executable, str(market / "market_data.py"), str(store.data_dir),
                str(package))
    assert lines == ["GLOBX: bid 88.2 ask 88.4, changed ask ask_size quoted_at",
                     "ACME   USD 41.12 / 41.13", "GLOBX  EUR 88.2 / 88.4"]
