"""The wheel, away from the repository: installed into a fresh venv, compiling a user's schema.

The wheel is made from a copy of the committed files, so that nothing left in the checkout helps;
every command runs in a folder of its own with no path to the repository in its environment.
"""

import os
import shutil
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

from support import tree
from support.paths import ROOT

pytestmark = pytest.mark.slow

FLEET = """
from aerostore.schema import Float64, Int32, Key, Text, column, speedtable


@speedtable()
class Aircraft:
    '''One airframe.'''
    registration: Key = column(max_length=10)
    carrier: Text | None
    seats: Int32 = column(default=7)
    range_km: Float64 | None
"""
TCL_USE = """
    package require fleet
    fleet::init data
    Aircraft upsert registration HB-JVA carrier {Swiss Über} range_km 6500.5
    puts [Aircraft get HB-JVA carrier seats range_km]
    puts [Aircraft search -compare {{> seats 5}}]
    fleet::close
"""
TCL_SAYS = "{Swiss Über} 7 6500.5\n1\n"
PYTHON_USE = """
    import aerostore
    with aerostore.open("data", package="out") as db:
        aircraft = db.table("Aircraft")
        aircraft.upsert({"registration": "HB-PY", "seats": 4})
        print(sorted((row.registration, row.seats) for row in aircraft.search()))
"""


def clean_environment(folder: Path, **more: str) -> dict[str, str]:
    """Return an environment without this project's or this venv's settings."""
    dropped = ("AEROSTORE_", "PYTHON", "TCL", "VIRTUAL_ENV", "COVERAGE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    shm_path = folder / "segment"
    return {**kept, "AEROSTORE_SHM_PATH": str(shm_path), "LC_ALL": "C.UTF-8", **more}


def run(*command: str | Path, folder: Path, **environment: str) -> str:
    done = subprocess.run(command, cwd=folder, env=clean_environment(folder, **environment),
                          capture_output=True, encoding="utf-8", check=False, timeout=600)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    copy = tmp_path_factory.mktemp("source")
    for path in tree.files():
        target = copy / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    output = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", output, copy, folder=output)
    [made] = output.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def bin_folder(wheel, tmp_path_factory) -> Path:
    """Install the wheel into a fresh venv and return the venv's bin."""
    folder = tmp_path_factory.mktemp("venv")
    run(sys.executable, "-m", "venv", folder / "venv", folder=folder)
    found = folder / "venv" / "bin"
    run(found / "python", "-m", "pip", "install", "-q", wheel, folder=folder)
    return found


@pytest.fixture
def place(tmp_path) -> Path:
    """Give a test a folder with a user's schema in it, and nothing else."""
    (tmp_path / "fleet.py").write_text(textwrap.dedent(FLEET))
    return tmp_path


def tcl(script: str, folder: Path, packages: Path) -> str:
    file = folder / "use.tcl"
    file.write_text(textwrap.dedent(script), encoding="utf-8")
    return run("tclsh8.6", "-encoding", "utf-8", file, folder=folder, TCLLIBPATH=str(packages))


def test_wheel_holds_the_library_and_the_compilers_sources(wheel):
    """The wheel is for one platform and any Python 3, with library, engine, glue, licence."""
    assert wheel.name.split("-")[2:4] == ["py3", "none"]
    assert "linux" in wheel.name.split("-")[4]
    names = set(zipfile.ZipFile(wheel).namelist())
    for wanted in ("aerostore/py.typed", "aerostore/_lib/libaerostore.so",
                   "aerostore_codegen/_engine/include/aerostore/aerostore.h",
                   "aerostore_codegen/_engine/include/aerostore/errors.def",
                   "aerostore_codegen/_tcl/generic/aerotcl.h", "aerostore/_lib/pkgIndex.tcl"):
        assert wanted in names
    assert {name for name in names if name.startswith("aerostore_codegen/_tcl/generic/")}
    assert {name for name in names if name.endswith(".jinja")}
    assert {name for name in names if name.endswith("LICENSE")}
    assert not {name for name in names if name.startswith(("tests", "build"))}


def test_default_package_works_in_python(bin_folder, place):
    """`import aerostore` and a table, with no compiler at run time."""
    script = ("import aerostore\n"
              "with aerostore.open('data') as db:\n"
              "    fs = db.table('FlightState')\n"
              "    fs.upsert({'flight_id': 'A1', 'lat': 1.5, 'lon': 2, 'updated_at': 3})\n"
              "    print(fs.get('A1').lat, len(fs))\n")
    assert run(bin_folder / "python", "-c", script, folder=place, PATH="/nowhere") == "1.5 1\n"


def test_default_package_works_in_tcl(bin_folder, place):
    """The installed package's folder is a Tcl package folder too."""
    where = "import aerostore, pathlib; print(pathlib.Path(aerostore.__file__).parent / '_lib')"
    packages = Path(run(bin_folder / "python", "-c", where, folder=place).strip())
    script = "package require aerostore; aerostore::init data; puts [FlightState count]"
    assert tcl(script, place, packages) == "0\n"


def test_user_schema_compiles_and_loads_from_both_doors(bin_folder, place):
    """`aerostore compile` makes a package that tclsh and Python use on the same rows."""
    run(bin_folder / "aerostore", "compile", "fleet.py", "-o", "out", "--package", "fleet",
        folder=place)
    assert tcl(TCL_USE, place, place / "out") == TCL_SAYS
    python = run(bin_folder / "python", "-c", textwrap.dedent(PYTHON_USE), folder=place)
    assert python == "[('HB-JVA', 7), ('HB-PY', 4)]\n"


def test_mistakes_of_a_schema_are_told_with_file_and_line(bin_folder, place):
    """A wrong schema ends the command with all its mistakes, and makes nothing."""
    text = FLEET.replace("seats: Int32 = column(default=7)", "seats: Int32 = column(default='x')")
    (place / "fleet.py").write_text(text.replace("range_km:", "int:"))
    done = subprocess.run([bin_folder / "aerostore", "compile", "fleet.py", "-o", "out"], cwd=place,
                          env=clean_environment(place), capture_output=True, text=True, check=False)
    assert done.returncode != 0
    message = " ".join((done.stdout + done.stderr).split())
    assert 'fleet.py:10: column "seats"' in message
    assert 'fleet.py:11: column "int"' in message
    assert "Traceback" not in message
    assert not list((place / "out").glob("*.so"))


def test_bundle_builds_with_make_alone(bin_folder, place):
    """`--bundle` writes C, engine and a Makefile; make and a C compiler are all that is needed."""
    run(bin_folder / "aerostore", "compile", "fleet.py", "-o", "bundle", "--package", "fleet",
        "--bundle", folder=place)
    tools = place / "tools"
    tools.mkdir()
    for name in ("make", "gcc", "cc", "as", "ld", "sh", "rm", "mkdir", "tclsh", "cp", "ls", "cat"):
        found = shutil.which(name, path="/usr/bin:/bin")
        if found:
            (tools / name).symlink_to(found)
    run("make", "-C", "bundle", "-j2", "CFLAGS=-O0", folder=place, PATH=str(tools))
    [built] = (place / "bundle").rglob("libfleet.so")
    assert tcl(TCL_USE, place, built.parent) == TCL_SAYS
