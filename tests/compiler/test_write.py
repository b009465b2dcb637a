"""Writing: only what changed, only own files, only inside the folder."""

import json
import os
from pathlib import Path

import pytest

from aerostore_codegen.write import MANIFEST, ForeignFileError, differing, write_files

MARKED = "/* aerostore-compile */\n"


def manifest(*names: str) -> str:
    return json.dumps({"generator": "aerostore-compile", "files": dict.fromkeys(names, "")})


def files(*names: str) -> dict[str, str]:
    return {**dict.fromkeys(names, MARKED), MANIFEST: manifest(*names)}


def test_unchanged_files_are_not_touched(tmp_path):
    """Goal: rebuilds see what changed.  Method: times before and after a second write."""
    assert set(write_files(tmp_path, files("a.c", "b.h"))) == {"a.c", "b.h", MANIFEST}
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert write_files(tmp_path, files("a.c", "b.h")) == []
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_stale_files_of_the_old_manifest_alone_go(tmp_path):
    """Goal: nobody else's file is deleted.  Method: a stale one beside a foreign one."""
    write_files(tmp_path, files("a.c", "old.c"))
    (tmp_path / "mine.c").write_text("mine")
    write_files(tmp_path, files("a.c"))
    assert {path.name for path in tmp_path.iterdir()} == {"a.c", "mine.c", MANIFEST}
    assert differing(tmp_path, files("a.c")) == ["mine.c"]


def test_manifest_cannot_name_files_elsewhere(tmp_path):
    """Goal: a manifest is input.  Method: names with folders, links, and junk."""
    folder = tmp_path / "out"
    folder.mkdir()
    (tmp_path / "victim").write_text("keep")
    (folder / "linked.c").symlink_to(tmp_path / "victim")
    (folder / MANIFEST).write_text(
        manifest("../victim", str(tmp_path / "victim"), "linked.c", "", ".", ".."))
    write_files(folder, files("a.c"))
    assert (tmp_path / "victim").read_text() == "keep"
    for junk in ("[]", "{", "[" * 5000, '{"files": 5}', "aerostore-compile"):
        (folder / MANIFEST).write_text("aerostore-compile" if junk == "{" else junk)
        os.utime(folder / MANIFEST)
        (folder / MANIFEST).unlink()
        write_files(folder, files("a.c"))


def test_file_of_somebody_else_is_not_replaced(tmp_path):
    """Goal: -o into a folder with sources loses nothing.  Method: a file of a generated name."""
    (tmp_path / "b.c").write_text("int my_own_work;")
    with pytest.raises(ForeignFileError, match=r"b\.c exists and was not written"):
        write_files(tmp_path, files("a.c", "b.c"))
    assert [path.name for path in tmp_path.iterdir()] == ["b.c"]


def test_link_in_the_way_is_replaced_not_followed(tmp_path):
    """Goal: nothing outside the folder is written.  Method: a link to a marked file elsewhere."""
    folder = tmp_path / "out"
    folder.mkdir()
    (tmp_path / "victim").write_text(MARKED + "keep")
    (folder / "a.c").symlink_to(tmp_path / "victim")
    write_files(folder, files("a.c"))
    assert (tmp_path / "victim").read_text() == MARKED + "keep"
    assert not (folder / "a.c").is_symlink()


def test_names_with_folders_are_never_written(tmp_path):
    """Goal: output names come from a whitelist.  Method: hostile names in the input."""
    for name in ("../x.c", "/x.c", ".hidden", "a b", ""):
        with pytest.raises(ValueError, match="plain file name"):
            write_files(tmp_path / "out", {name: MARKED})
    assert not Path(tmp_path / "x.c").exists()
