"""The logical stack restores into a changed schema; what cannot be kept is refused by name."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import aerostore
from support.paths import ROOT

HEAD = "from aerostore.schema import *\nfrom aerostore.schema import column, speedtable\n"
OLD = """
    @speedtable()
    class Plane:
        '''A plane.'''
        tail: Key = column(max_length=8)
        seats: Int16
        load: Float32 | None
        note: Text | None = column(max_length=20)
        old: Int32 | None
    """
NEW = """
    @speedtable()
    class Plane:
        '''A plane.'''
        note: Text | None = column(max_length=200)
        tail: Key = column(max_length=16)
        seats: Int64
        load: Float64 | None
        owner: Text | None
        wheels: Int32 = column(default=3)
    """


@pytest.fixture(scope="module")
def compiled(tmp_path_factory, aerostore_library):
    """Return a function that compiles a declaration and returns the package's folder."""
    made: dict[str, Path] = {}

    def build(text: str) -> Path:
        if text not in made:
            folder = tmp_path_factory.mktemp("schema")
            (folder / "planes.py").write_text(HEAD + textwrap.dedent(text))
            env = {**os.environ, "PYTHONPATH": f"{ROOT / 'python'}{os.pathsep}{ROOT / 'codegen'}"}
            done = subprocess.run(
                [sys.executable, "-m", "aerostore", "compile", folder / "planes.py", "-o",
                 folder / "out", "--package", "planes"],
                env=env, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            made[text] = folder / "out"
        return made[text]

    return build


def write(place: Path, package: Path, *, checkpoint: bool) -> None:
    with aerostore.open(place, "logical", "64MiB", memory="private", package=package) as db:
        planes = db["Plane"]
        planes.upsert({"tail": "HB-1", "seats": 7, "load": 0.5, "note": "ok", "old": 4})
        planes.upsert({"tail": "HB-2", "seats": 300})
        planes.upsert({"tail": "HB-3", "seats": 1})
        if checkpoint:
            db.checkpoint()
        planes.update("HB-2", load=2.25, old=9)
        planes.delete("HB-3")


@pytest.mark.parametrize("checkpoint", [False, True])
def test_columns_are_added_dropped_and_widened(place, compiled, checkpoint):
    """Goal: from the log, and from a checkpoint with a log, into the new columns."""
    write(place / "s", compiled(OLD), checkpoint=checkpoint)
    for _ in range(2):
        with aerostore.open(place / "s", "logical", "64MiB", memory="private",
                            package=compiled(NEW)) as db:
            rows = {row.tail: row for row in db["Plane"].search()}
            assert set(rows) - {"HB-4"} == {"HB-1", "HB-2"}
            first, second = rows["HB-1"], rows["HB-2"]
            assert (first.seats, first.load, first.note, first.owner, first.wheels) == (
                7, 0.5, "ok", None, 3)
            assert (second.seats, second.load, second.note) == (300, 2.25, None)
            db["Plane"].upsert({"tail": "HB-4", "seats": 2**40, "owner": "me", "wheels": 5})
    with aerostore.open(place / "s", "logical", "64MiB", memory="private",
                        package=compiled(NEW)) as db:
        assert db["Plane"]["HB-4"].seats == 2**40


@pytest.mark.parametrize(("change", "told"), [
    (("seats: Int16", "seats: Int8"), "seats"),
    (("seats: Int16", "seats: Text"), "seats"),
    (("load: Float32 | None", "load: Float64"), "load"),
    (("old: Int32 | None", "fresh: Int32"), "fresh"),
    (("class Plane", "class Aeroplane"), "Plane"),
    (("note: Text | None = column(max_length=20)", "note: Text | None = column(max_length=1)"),
     "note"),
], ids=["narrowed", "retyped", "not-null", "added-not-null", "renamed-table", "shortened"])
@pytest.mark.parametrize("checkpoint", [False, True])
def test_other_changes_are_refused_by_name(place, compiled, change, told, checkpoint):
    """Goal: nothing is lost silently; the files stay as they are."""
    write(place / "s", compiled(OLD), checkpoint=checkpoint)
    before = {path.name: path.read_bytes() for path in (place / "s").iterdir()}
    assert change[0] in OLD
    with pytest.raises((aerostore.SchemaError, aerostore.LayoutMismatch), match=told):
        aerostore.open(place / "s", "logical", "64MiB", memory="private",
                       package=compiled(OLD.replace(*change)))
    assert {path.name: path.read_bytes() for path in (place / "s").iterdir()} == before


@pytest.mark.parametrize("checkpoint", [False, True])
def test_values_that_a_new_unique_index_forbids_are_refused(place, compiled, checkpoint):
    """Goal: two rows with one seat count do not fit an index that wants them different."""
    text = OLD.replace("seats: Int16", "seats: Int16 = column(unique=True)")
    with aerostore.open(place / "s", "logical", "64MiB", memory="private",
                        package=compiled(OLD)) as db:
        db["Plane"].upsert({"tail": "HB-1", "seats": 7})
        db["Plane"].upsert({"tail": "HB-2", "seats": 8})
        if checkpoint:
            db.checkpoint()
        db["Plane"].upsert({"tail": "HB-1", "seats": 8})
        db["Plane"].upsert({"tail": "HB-2", "seats": 7})
    with aerostore.open(place / "s", "logical", "64MiB", memory="private",
                        package=compiled(text)) as db:
        assert db["Plane"]["HB-1"].seats == 8
        db["Plane"].delete("HB-1")
    with aerostore.open(place / "s", "logical", "64MiB", memory="private",
                        package=compiled(OLD)) as db:
        db["Plane"].upsert({"tail": "HB-3", "seats": 7})
    with pytest.raises(aerostore.LayoutMismatch, match=r"unique index.*seats"):
        aerostore.open(place / "s", "logical", "64MiB", memory="private", package=compiled(text))


def test_the_row_stack_refuses_any_change(place, compiled):
    """Goal: columns by number mean nothing in another schema; both fingerprints are told."""
    with aerostore.open(place / "s", memory="private", size="64MiB", package=compiled(OLD)) as db:
        db["Plane"].upsert({"tail": "HB-1", "seats": 7})
    with pytest.raises(aerostore.LayoutMismatch, match=r"schema [0-9a-f]{16}.*has [0-9a-f]{16}"):
        aerostore.open(place / "s", memory="private", size="64MiB", package=compiled(NEW))
