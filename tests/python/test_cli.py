"""The command line."""

import gzip
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import aerostore
import aerostore_codegen
from support.paths import ROOT

LINES = "".join(f"F{i}\t{i}.5\t-7\t{i * 1000}\t\t15330{i:05}\tB738\n" for i in range(20))


@pytest.fixture
def cli(aerostore_library, python_environment, store):
    """Return a function that runs a command and gives (status, stdout, stderr)."""

    def run(*arguments, data=None):
        done = subprocess.run(
            [sys.executable, "-m", "aerostore", *map(str, arguments)], input=data, text=True,
            capture_output=True, timeout=120, check=False,
            env=python_environment(AEROSTORE_SHM_PATH=str(store.shm_path), COLUMNS="200"))
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture
def loaded(cli, store, tmp_path):
    file = tmp_path / "positions.tsv"
    file.write_text(LINES)
    status, out, err = cli("ingest", store.data_dir, "FlightState", file, "--size", "64MiB")
    assert status == 0 and out.startswith("rows_seen=20 inserted=20 updated=0 batches=1"), err
    return store.data_dir


def test_ingest_from_stdin_and_gz(cli, loaded, tmp_path):
    """Goal: other sources and batch sizes; ingests the same lines twice more."""
    status, out, _ = cli("ingest", loaded, "FlightState", "-", "--batch-size", "7", data=LINES)
    assert status == 0 and out.startswith("rows_seen=20 inserted=0 updated=20 batches=3")
    packed = tmp_path / "positions.tsv.gz"
    with gzip.open(packed, "wt") as file:
        file.write("id\n" + LINES)
    status, out, _ = cli("ingest", loaded, "FlightState", packed, "--header")
    assert status == 0 and out.startswith("rows_seen=20 ")


def test_restore_tells_when_it_reached_another_commit(cli, loaded, tmp_path):
    """Goal: the number is the one reached, and a word says that it is another.  Method: beyond."""
    status, out, err = cli("restore", loaded, tmp_path / "all")
    assert status == 0 and not err
    last = out.split("number=")[1].split()[0]
    status, out, err = cli("restore", loaded, tmp_path / "same", "--number", last)
    assert status == 0 and f"number={last} " in out and not err
    status, out, err = cli("restore", loaded, tmp_path / "beyond", "--number", int(last) + 1000)
    assert status == 0 and f"number={last} " in out
    assert f"number {int(last) + 1000}: the last one taken is {last}" in err


@pytest.mark.parametrize("place", ["missing", "empty", "file"])
@pytest.mark.parametrize("command", [
    "stats", "query {} FlightState", "watch {} FlightState --timeout 0", "top {} --once",
    "metrics {} --once", "verify", "verify {} --live", "checkpoint", "backup {} new",
    "restore {} new", "repair",
])
def test_a_mistyped_path_leaves_nothing(cli, store, tmp_path, monkeypatch, command, place):
    """Goal: what only looks says that there is no database and makes none.  Method: each command
    that does not create, on what is not there, an empty directory and a file; list all before and
    after, the segment too."""
    monkeypatch.chdir(tmp_path)
    target = tmp_path / "here"
    if place == "empty":
        target.mkdir()
    elif place == "file":
        target.write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    words = (command if "{}" in command else command + " {}").split()
    status, out, err = cli(*(target if word == "{}" else word for word in words))
    assert status == 1 and not out
    assert err.startswith("error: there is no ") and err.count("\n") == 1, err
    assert sorted(tmp_path.rglob("*")) == before
    assert not store.shm_path.exists()


def test_query_forms(cli, loaded):
    """Goal: table, JSON, TSV, counts and plans show the same rows."""
    where = ("-c", "> altitude 15000", "--sort", "-altitude", "--fields", "ident,alt")
    status, out, _ = cli("query", loaded, "FlightState", *where, "-f", "json", "--limit", "3")
    assert status == 0
    assert json.loads(out) == [{"flight_id": f"F{i}", "altitude": i * 1000} for i in (19, 18, 17)]
    status, out, _ = cli("query", loaded, "FlightState", *where, "-f", "tsv", "--header")
    assert out.splitlines() == ["flight_id\taltitude"] + [f"F{i}\t{i}000" for i in (19, 18, 17, 16)]
    status, out, _ = cli("query", loaded, "FlightState", *where)
    assert "F19" in out and "F16" in out and "F15" not in out and "altitude" in out
    assert cli("query", loaded, "FlightState", *where, "--count")[1] == "4\n"
    status, out, _ = cli("query", loaded, "FlightState", *where, "--explain")
    assert status == 0 and out.strip()
    assert json.loads(cli("query", loaded, "FlightState", "-c", "null lat", "-f", "json")[1]) == []


def test_stats_and_verify(cli, loaded):
    """Goal: figures for people and for programs; a clean bill."""
    status, out, _ = cli("verify", loaded)
    assert status == 0 and out.startswith("ok rows=20 ")
    assert "FlightState." in cli("stats", loaded)[1]
    assert json.loads(cli("stats", loaded, "--json")[1])["tables"]["FlightState"]


def test_mistakes_are_one_line(cli, loaded, tmp_path):
    """Goal: exit status 1 and one clear line; nothing is created by looking."""
    missing = tmp_path / "missing"
    for arguments, told in (
            (("query", missing, "FlightState"), "no database"),
            (("verify", missing), "no database"),
            (("query", loaded, "Flights"), "Flights"),
            (("query", loaded, "FlightState", "-c", "> altitude abc"), "altitude"),
            (("query", loaded, "FlightState", "--fields", "height"), "height"),
            (("query", loaded, "FlightState", "--limit", "-1"), "limit"),
            (("ingest", loaded, "FlightState", tmp_path / "none.tsv"), "none.tsv"),
            (("ingest", loaded, "FlightState", tmp_path / "none.tsv.gz"), "none.tsv.gz"),
            (("stats", loaded, "--package", "nothing"), "nothing")):
        status, out, err = cli(*arguments)
        assert status == 1 and out == "" and told in err and err.count("\n") == 1, (arguments, err)
    assert not missing.exists()
    status, _, err = cli("ingest", loaded, "FlightState", "-", "--batch-size", "2",
                         data="A\t1\t2\t\t\t0\nB\t1\t2\t\t\t0\nC\tx\t2\t\t\t0\n")
    assert status == 1 and "line 3" in err and "batches=1 inserted=2" in err
    assert cli("nonsense")[0] == 2


def test_control_characters_do_not_reach_the_terminal(cli, loaded):
    """Goal: stored escape sequences are shown, not sent; looks for ESC in the table."""
    cli("ingest", loaded, "FlightState", "-", data="E\x1b[31m\t1\t2\t\t\t0\t\tx\\ny\n")
    status, out, _ = cli("query", loaded, "FlightState", "-c", "match flight_id E*")
    assert status == 0 and "\x1b[31m" not in out and "\\x1b[31m" in out and "x\\ny" in out


def test_bench_measures_and_leaves_nothing(cli, tmp_path):
    """Goal: figures of every kind, and neither files nor memory afterwards."""
    def segments():
        return {path.name for path in Path("/dev/shm").glob("aerostore-bench-*")}

    before = segments()
    folder = tmp_path / "files"
    folder.mkdir()
    status, out, err = cli("bench", "--rows", 2000, "--folder", folder, "--json")
    assert status == 0, err
    figures = {each["what"]: each for each in map(json.loads, out.splitlines())}
    assert len(figures) == 8
    assert figures["ingest, four indexes"]["count"] == 2000
    assert all(each["count"] > 0 and each["per_second"] > 0 for each in figures.values())
    assert not list(folder.iterdir())
    assert segments() <= before
    assert cli("bench", "--rows", 0)[0] != 0
    assert cli("bench", "--folder", tmp_path / "none")[0] == 1


def test_the_version_is_the_packages(cli):
    """Goal: people and programs can ask which version this is; three places name it, alike."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert declared["version"] == aerostore.__version__ == aerostore_codegen.__version__
    assert cli("--version")[:2] == (0, f"aerostore {aerostore.__version__}\n")


def test_where_is_what_tcl_needs(cli, aerostore_library):
    """Goal: a stranger finds the Tcl package.  Method: pkgIndex.tcl lies in the folder it prints.
    """
    status, out, _ = cli("where")
    assert status == 0 and Path(out.rstrip("\n")) == aerostore_library.parent
    assert (Path(out.rstrip("\n")) / "pkgIndex.tcl").is_file()
    assert cli("where", "--package", aerostore_library.parent)[1] == out
    status, _, err = cli("where", "--package", "nowhere")
    assert status == 1 and "nowhere" in err


def test_the_profile_of_a_store_need_not_be_said(cli, store, tmp_path):
    """Goal: commands about a store that is there open it as it is.  Method: a logical one."""
    lines = tmp_path / "lines.tsv"
    lines.write_text(LINES)
    where = ("--shm-path", store.shm_path)
    cli("ingest", store.data_dir, "FlightState", lines, "--profile", "logical", *where)
    status, out, err = cli("checkpoint", store.data_dir, *where)
    assert status == 0 and out.startswith("checkpoint rows=20 "), err
    status, out, err = cli("backup", store.data_dir, tmp_path / "copy", *where)
    assert status == 0 and out.startswith("backup rows=20 "), err
    assert (tmp_path / "copy" / "snapshot.dat").is_file()
    assert cli("checkpoint", store.data_dir, "--profile", "shared", *where)[0] == 1


def test_help_lists_the_commands(cli):
    """Goal: every command of this release is there and has help."""
    out = cli("--help")[1]
    for command in ("compile", "ingest", "query", "stats", "verify", "checkpoint", "backup",
                    "restore", "repair", "where", "bench", "demo"):
        assert command in out
        assert cli(command, "--help")[0] == 0
