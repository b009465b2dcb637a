"""Unrelated processes, one tclsh and one Python, on one store."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import aerostore
from support.paths import ROOT

# Reads one script a line, answers one line: "ok <result>" or "error <code> <message>".
SERVER = """
lappend auto_path [lindex $argv 0]
package require aerostore
aerostore::init [lindex $argv 1] -shm_path [lindex $argv 2] -size 64MiB
chan configure stdout -encoding utf-8 -translation lf
chan configure stdin -encoding utf-8 -translation lf
while {[gets stdin line] >= 0} {
    if {[catch {uplevel #0 $line} result]} {
        set result [list error $::errorCode $result]
    } else {
        set result [list ok $result]
    }
    puts [string map [list \\n { }] $result]
    flush stdout
}
aerostore::close
"""


class Tcl:
    """A tclsh of its own that runs scripts on request."""

    def __init__(self, store, folder: Path) -> None:
        script = folder / "server.tcl"
        script.write_text(SERVER)
        self.process = subprocess.Popen(
            ["tclsh8.6", str(script), str(ROOT / "tcl"), str(store.data_dir), str(store.shm_path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")

    def send(self, script: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(script.replace("\n", ";") + "\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().rstrip("\n")
        assert line.startswith("ok "), line
        return line[3:].removeprefix("{").removesuffix("}")

    def __call__(self, script: str) -> str:
        self.send(script)
        return self.answer()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(30) == 0
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def database(aerostore_library: Path, store) -> Iterator[aerostore.Database]:
    with aerostore.open(store.data_dir, shm_path=store.shm_path, size="64MiB") as opened:
        yield opened


@pytest.fixture
def tcl(database, store, tmp_path) -> Iterator[Tcl]:
    server = Tcl(store, tmp_path)
    yield server
    if server.process.poll() is None:
        server.process.kill()
        server.process.wait()


def test_each_sees_the_others_writes_at_once(database, tcl):
    """Goal: one table, two doors.  Method: in turns, each reads what the other just wrote."""
    table = database.table("FlightState")
    for turn in range(300):
        table.upsert({"flight_id": "P", "lat": turn / 10, "lon": 0, "updated_at": turn})
        assert tcl("FlightState get P lat updated_at") == f"{turn / 10} {turn}"
        tcl(f"FlightState set T lat 0 lon {turn} updated_at {turn} typ B{turn}")
        row = table.get("T")
        assert (row.lon, row.updated_at, row.typ) == (float(turn), float(turn), f"B{turn}")
    assert tcl("FlightState count") == "2"
    tcl("FlightState delete P")
    assert "P" not in table
    tcl.close()


def test_counters_of_two_doors_add_up(database, tcl):
    """Goal: single-row operations are atomic across doors.  Method: both increment one row."""
    table = database.table("FlightState")
    table.upsert({"flight_id": "C", "lat": 0, "lon": 0, "altitude": 0, "updated_at": 0})
    tcl.send("for {set i 0} {$i < 20000} {incr i} {FlightState incr C altitude 1}; set i")
    for _ in range(20_000):
        table.incr("C", "altitude", 1)
    assert tcl.answer() == "20000"
    assert table.get("C").altitude == 40_000
    tcl.close()


def test_the_store_outlives_each_of_its_processes(database, tcl, store):
    """Goal: warm attach.  Method: write in one, close both, open again: the rows are there."""
    tcl("FlightState set A lat 1 lon 2 updated_at 3")
    tcl.close()
    database.close()
    with aerostore.open(store.data_dir, shm_path=store.shm_path) as again:
        assert again.boot == "warm"
        assert again.table("FlightState").get("A").lon == 2.0


def test_texts_of_both_doors_are_the_same(database, tcl):
    """Goal: UTF-8 whatever Tcl does inside.  Method: odd characters both ways."""
    table = database.table("FlightState")
    for text in ("é", "日本", "\U0001f6eb", "a b{c}d", "$x[exec false];\\n", "ß\u0301"):
        table.upsert({"flight_id": "U", "lat": 0, "lon": 0, "updated_at": 0, "dest": text})
        codes = tcl("FlightState get U dest")
        tcl("set kept [lindex [FlightState get U dest] 0]")
        tcl("FlightState set V lat 0 lon 0 updated_at 0 dest $kept")
        assert table.get("V").dest == text, codes
    tcl.close()
