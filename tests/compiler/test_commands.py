"""The commands: one call from a schema file to a package, a bundle that builds without Python."""

import os
import shutil
import subprocess
import sys

import pytest

from aerostore_codegen import build, toolchain
from aerostore_codegen.build import BuildError, build_package, read_manifest, tcl_index
from aerostore_codegen.cli import compile_schema
from aerostore_codegen.emit import emit
from aerostore_codegen.load import load_schema
from aerostore_codegen.lower import lower
from aerostore_codegen.toolchain import Unit, compile_units, link
from support.paths import ROOT

FLEET = ROOT / "tests" / "golden" / "fleet" / "fleet.py"


def run(*arguments: object, check: bool = True, **environment: str) -> subprocess.CompletedProcess:
    paths = f"{ROOT / 'python'}:{ROOT / 'codegen'}"
    done = subprocess.run(
        [sys.executable, "-m", "aerostore_codegen", *map(str, arguments)], capture_output=True,
        text=True, check=False, env={**os.environ, "PYTHONPATH": paths, **environment})
    assert not check or done.returncode == 0, done.stderr
    return done


def test_wrong_schema_is_told_on_stderr_and_writes_nothing(tmp_path):
    """Goal: a failed compile leaves no trace.  Method: the command on a wrong schema."""
    schema = tmp_path / "wrong.py"
    schema.write_text("from aerostore.schema import *\n@speedtable\nclass T:\n    int: Int8\n")
    done = run("compile", schema, "-o", tmp_path / "out", check=False)
    assert done.returncode == 1
    assert [line.split("wrong.py")[1].split(": ")[0] for line in done.stderr.splitlines()] == [
        ":3", ":4"]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_bundle_builds_with_make_alone(tmp_path):
    """Goal: C + engine + Makefile suffice.  Method: --bundle, then make without Python on PATH."""
    run("compile", FLEET, "-o", tmp_path / "bundle", "--bundle", "--package", "lorry")
    folder = tmp_path / "bundle"
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("make", "cc", "gcc", "as", "ld", "sh", "tclsh", "echo", "rm"):
        found = shutil.which(name)
        if found:
            (tools / name).symlink_to(found)
    done = subprocess.run(["make", "-j2", "-s", "CFLAGS=-O0"], cwd=folder, capture_output=True,
                          text=True, check=False, env={"PATH": str(tools)})
    assert done.returncode == 0, done.stderr[-3000:]
    symbols = subprocess.run(["nm", "-D", "--defined-only", str(folder / "liblorry.so")],
                             capture_output=True, text=True, check=True).stdout
    assert " aero_schema" in symbols
    assert " Lorry_Init" in symbols
    assert (folder / "pkgIndex.tcl").is_file()


def test_bundle_without_tcl_has_no_tcl_symbol(tmp_path):
    """Goal: `make TCL=` needs no Tcl.  Method: dry run, look at what it would compile."""
    run("compile", FLEET, "-o", tmp_path, "--bundle")
    done = subprocess.run(["make", "-n", "TCL="], cwd=tmp_path, capture_output=True, text=True,
                          check=True)
    assert "fleet.c" in done.stdout
    assert "fleet_tcl.c" not in done.stdout
    assert "tclstub" not in done.stdout


def test_bundle_leaves_a_foreign_makefile_alone(tmp_path):
    """Goal: nothing of the user's is replaced.  Method: a Makefile in the way."""
    (tmp_path / "Makefile").write_text("all:\n")
    done = run("compile", FLEET, "-o", tmp_path, "--bundle", check=False)
    assert done.returncode == 1
    assert "was not written by aerostore-compile" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["Makefile"]


@pytest.fixture
def hasty(monkeypatch):
    """Compile quickly, into the output folder only: what is compiled is not run."""
    monkeypatch.delenv("AEROSTORE_OBJECTS", raising=False)
    monkeypatch.setitem(toolchain.VARIANTS, "release", ("-O0",))


def test_compile_makes_everything_in_its_folder_and_again_costs_nothing(tmp_path, hasty):
    """Goal: one command, then reuse.  Method: compile twice; compare the library's time."""
    out = tmp_path / "out"
    library = compile_schema(FLEET, out, package="lorry")
    assert library == out / "liblorry.so"
    assert {"lorry.c", "lorry.h", "lorry.cdef.h", "lorry.pyi", "MANIFEST.json", "pkgIndex.tcl"} <= {
        path.name for path in out.iterdir()}
    before = library.stat().st_mtime_ns
    assert compile_schema(FLEET, out, package="lorry").stat().st_mtime_ns == before
    assert read_manifest(out) == ("lorry", "1.2")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_without_tcl_the_library_serves_python_and_c(tmp_path, monkeypatch):
    """Goal: Tcl's headers are no must.  Method: pretend they are missing; look at the symbols.

    The objects of the engine are those of the checkout's packages; the package's own are not.
    """
    monkeypatch.setattr(build, "tcl_flags", lambda: None)
    library = compile_schema(FLEET, tmp_path / "out")
    symbols = subprocess.run(["nm", "-D", "--defined-only", str(library)], capture_output=True,
                             text=True, check=True).stdout
    assert " aero_schema" in symbols
    assert "_Init" not in symbols
    assert not (tmp_path / "out" / "pkgIndex.tcl").exists()
    own = {path.parent.name for path in (tmp_path / "out" / ".objects").rglob("*.o")}
    assert own == {"fleet"}


def test_object_is_compiled_again_exactly_when_something_it_read_changed(tmp_path):
    """Goal: the cache is right.  Method: change nothing, a header, a flag; watch the object."""
    (tmp_path / "x.h").write_text("#define X 1\n")
    (tmp_path / "x.c").write_text(
        '#include "x.h"\nint x(void);\nint x(void)\n{\n    return X;\n}\n')

    def build(*flags: str) -> int:
        unit = Unit(tmp_path / "x.c", "folder/x", flags)
        [target] = compile_units([unit], tmp_path / "cache", "debug", strict=True)
        return target.stat().st_mtime_ns

    first = build()
    assert build() == first
    (tmp_path / "x.h").write_text("#define X 22\n")
    second = build()
    assert second != first
    assert build() == second
    assert build("-DY") != second
    assert not list((tmp_path / "cache").rglob(".*.o"))


def test_compiler_output_reaches_the_user(tmp_path, monkeypatch):
    """Goal: a refusing tool is quoted, a missing one is named.  Method: bad C, no compiler."""
    (tmp_path / "x.c").write_text("int x = y;\n")
    with pytest.raises(BuildError, match="undeclared"):
        compile_units([Unit(tmp_path / "x.c", "x", ())], tmp_path / "cache", "debug", strict=True)
    with pytest.raises(BuildError, match="no variant"):
        compile_units([], tmp_path, "fast", strict=True)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(BuildError, match="no C compiler found"):
        toolchain.compiler()


def test_failed_link_keeps_the_old_library(tmp_path):
    """Goal: builds replace at once or not at all.  Method: link something that is no object."""
    library = tmp_path / "libx.so"
    library.write_text("old")
    (tmp_path / "x.o").write_text("no object")
    with pytest.raises(BuildError):
        link([tmp_path / "x.o"], [], library, "release")
    assert library.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".libx.so.lock", "libx.so", "x.o"]


def test_folder_without_a_package_is_refused(tmp_path):
    """Goal: manifests are input.  Method: none, junk, and a name with folders."""
    for content in (None, "{", "[]", '{"package": "../x", "version": "1"}'):
        if content is not None:
            (tmp_path / "MANIFEST.json").write_text(content)
        with pytest.raises(BuildError):
            build_package(tmp_path, tmp_path / "out")


def test_index_is_plain_tcl_with_a_version_guard():
    """Goal: nothing but `package ifneeded` runs.  Method: source it with a recording `package`."""
    text = tcl_index("fleet", "1.2")
    script = (
        "set dir {/a b/[exit 7]}\n" + text +
        "puts [package ifneeded fleet 1.2]\n"
    )
    done = subprocess.run(["tclsh"], input=script, capture_output=True, text=True, check=True)
    assert done.stdout == "load {/a b/[exit 7]/libfleet.so} Fleet\n"


def test_stubs_of_rows_pass_strict_type_checks(tmp_path, monkeypatch):
    """Goal: a .pyi is right Python.  Method: mypy --strict over a stub of every kind."""
    mypy = pytest.importorskip("mypy.api")
    monkeypatch.setenv("MYPYPATH", str(ROOT / "python"))
    stub = tmp_path / "kinds_rows.pyi"
    files = emit(lower(load_schema(ROOT / "tests/compiler/schemas/kinds.py")))
    stub.write_text(files["kinds.pyi"])
    out, err, code = mypy.run(["--strict", "--config-file=", f"--cache-dir={tmp_path}", str(stub)])
    assert code == 0, out + err


def test_schema_files_pass_strict_type_checks(tmp_path, monkeypatch):
    """Goal: declarations are mypy-friendly.  Method: mypy --strict over all schema files."""
    mypy = pytest.importorskip("mypy.api")
    monkeypatch.setenv("MYPYPATH", str(ROOT / "python"))
    schemas = [*sorted((ROOT / "schemas").glob("*.py")), ROOT / "tests/compiler/schemas/kinds.py",
               FLEET]
    wrong = tmp_path / "wrong.py"
    wrong.write_text("from aerostore.schema import Int32, Key, column, speedtable\n\n\n"
                     "@speedtable(tll=5)\nclass T:\n    k: Key = column(max_lenght=5)\n"
                     "    a: Int32 = 5\n")
    for paths, status in ((schemas, 0), ([wrong], 1)):
        for path in paths:
            out, err, code = mypy.run(["--strict", "--config-file=", "--no-error-summary",
                                       f"--cache-dir={tmp_path}", str(path)])
            assert code == status, out + err
    for line in (4, 6, 7):
        assert f"wrong.py:{line}: error" in out


def test_future_annotations_and_runtime_classes_are_understood(compile_text):
    """Goal: annotations as text work too.  Method: the same table in three spellings."""
    body = "@speedtable\nclass T:\n    k: Key\n    a: Int32 | None\n"
    plain = emit(compile_text(body))
    optional = emit(compile_text("from typing import Optional\n" + body.replace(
        "Int32 | None", "Optional[Int32]")))
    quoted = emit(compile_text(body.replace("Int32 | None", "'Int32 | None'")))
    assert plain == optional == quoted
