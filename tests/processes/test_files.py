"""The files of a store: who may touch them, and what else may lie where one should be."""

import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import aerostore
from support.paths import ROOT

NOBODY = 65534
SCRIPT = """
import os, sys
sys.path[:0] = {path!r}
import aerostore
os.umask({umask})
try:
    with aerostore.open({data_dir!r}, shm_path={shm_path!r}, size="16MiB") as db:
        db.table("FlightState").upsert({{"flight_id": "A", "lat": 1, "lon": 2, "updated_at": 3}})
        print("opened", db.boot)
except aerostore.Error as error:
    print(type(error).__name__, error)
"""
KNOWN = b"known content\n" * 100
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to act as another user")


def visit(data_dir: Path, shm_path: Path, umask: int = 0o022, user: int | None = None,
          timeout: float = 60) -> str:
    """Open the store in another process, perhaps as another user; return what it says."""
    script = SCRIPT.format(path=[str(ROOT / "python"), str(ROOT / "codegen")], umask=umask,
                           data_dir=str(data_dir), shm_path=str(shm_path))
    become = [] if user is None else ["setpriv", f"--reuid={user}", f"--regid={user}",
                                      "--clear-groups"]
    done = subprocess.run([*become, sys.executable, "-c", script], capture_output=True, text=True,
                          timeout=timeout, check=False, cwd="/")
    return done.stdout.strip() or done.stderr.strip()


def readable(user: int) -> bool:
    """Tell whether another user can run this interpreter and import the package at all."""
    done = subprocess.run(
        ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", sys.executable, "-c",
         f"import sys; sys.path[:0] = {[str(ROOT / 'python'), str(ROOT / 'codegen')]!r};"
         "import aerostore, cffi"], capture_output=True, check=False, cwd="/")
    return done.returncode == 0


@pytest.fixture(autouse=True)
def built(aerostore_library: Path) -> None:
    """Have the library before anybody opens anything."""


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_files_are_private_whatever_the_umask(store, umask):
    """Goal: row F1.  Method: create under several umasks, look at every file's mode."""
    store.data_dir.mkdir()
    assert visit(store.data_dir, store.shm_path, umask) == "opened cold"
    assert stat.S_IMODE(store.shm_path.stat().st_mode) == 0o600
    for path in store.data_dir.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_a_data_directory_it_makes_is_private(store, umask):
    """Goal: nobody else may plant files.  Method: let it make the directory; look at the mode."""
    assert visit(store.data_dir, store.shm_path, umask) == "opened cold"
    assert stat.S_IMODE(store.data_dir.stat().st_mode) == 0o700


@as_root
def test_another_user_can_neither_attach_nor_read(store, tmp_path):
    """Goal: row F1.  Method: open and read the segment as user 65534."""
    if not readable(NOBODY):
        pytest.skip("another user cannot run this interpreter")
    assert visit(store.data_dir, store.shm_path) == "opened cold"
    theirs = store.shm_path.with_name(f"{store.shm_path.name}.theirs")
    theirs.mkdir()
    try:
        os.chown(theirs, NOBODY, NOBODY)
        assert visit(theirs, store.shm_path, user=NOBODY).startswith("AccessDenied")
    finally:
        theirs.rmdir()
    for way in ("<", ">>"):
        touch = subprocess.run(
            ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "sh", "-c",
             f": {way} '{store.shm_path}'"], capture_output=True, text=True, check=False, cwd="/")
        assert "Permission denied" in touch.stderr


def plant_symlink(path: Path, target: Path) -> None:
    path.symlink_to(target)


def plant_dangling(path: Path, target: Path) -> None:
    path.symlink_to(target.with_name("absent"))


def plant_hard_link(path: Path, target: Path) -> None:
    # Links cannot cross file systems: the target comes along.
    beside = path.with_name(f"{path.name}.target")
    beside.write_bytes(KNOWN)
    beside.chmod(0o600)
    path.hardlink_to(beside)


def plant_fifo(path: Path, target: Path) -> None:
    os.mkfifo(path, 0o600)


def plant_directory(path: Path, target: Path) -> None:
    path.mkdir(mode=0o700)


def plant_device(path: Path, target: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("needs the right to make device nodes")


def plant_text(path: Path, target: Path) -> None:
    path.write_bytes(KNOWN)
    path.chmod(0o600)


def plant_empty(path: Path, target: Path) -> None:
    path.touch(mode=0o600)


@pytest.fixture
def planted(store) -> Iterator[Callable[[Callable[[Path, Path], None]], Path]]:
    """Return a function that plants something at the segment's name; it is gone afterwards."""
    target = store.data_dir.parent / "target"
    target.write_bytes(KNOWN)

    def plant(how: Callable[[Path, Path], None]) -> Path:
        how(store.shm_path, target)
        return store.shm_path

    yield plant
    if store.shm_path.is_dir() and not store.shm_path.is_symlink():
        store.shm_path.rmdir()


@pytest.mark.parametrize(("how", "error"), [
    (plant_symlink, "AccessDenied"),
    (plant_dangling, "AccessDenied"),
    (plant_hard_link, "AccessDenied"),
    (plant_fifo, "AccessDenied"),
    (plant_directory, "AccessDenied"),
    (plant_device, "AccessDenied"),
    (plant_text, "LayoutMismatch|CorruptionError"),
    (plant_empty, "LayoutMismatch|CorruptionError"),
], ids=lambda value: value.__name__ if callable(value) else "")
def test_what_is_planted_at_the_segments_name_is_refused(store, planted, how, error):
    """Goal: row F2.  Method: plant, open with a deadline, see it refused and left alone."""
    path = planted(how)
    before = path.lstat()
    said = visit(store.data_dir, path)
    assert said.split(" ")[0] in error.split("|"), said
    assert str(path) in said
    after = path.lstat()
    assert (after.st_ino, after.st_mode, after.st_size) == (before.st_ino, before.st_mode,
                                                            before.st_size)
    assert (store.data_dir.parent / "target").read_bytes() == KNOWN
    assert not (store.data_dir.parent / "absent").exists()
    if how in (plant_hard_link, plant_text):
        assert path.read_bytes() == KNOWN


def test_a_second_name_of_a_good_segment_is_refused(store):
    """Goal: st_nlink is looked at.  Method: link a good segment, open it by either name."""
    assert visit(store.data_dir, store.shm_path) == "opened cold"
    other = store.shm_path.with_name(f"{store.shm_path.name}.second")
    other.hardlink_to(store.shm_path)
    for path in (store.shm_path, other):
        assert visit(store.data_dir, path).startswith("AccessDenied")
    other.unlink()
    assert visit(store.data_dir, store.shm_path) == "opened warm"


@as_root
def test_a_segment_of_another_owner_is_refused_by_name(store):
    """Goal: row F3.  Method: give a good segment away; the owner is named, the file stays."""
    assert visit(store.data_dir, store.shm_path) == "opened cold"
    os.chown(store.shm_path, NOBODY, NOBODY)
    said = visit(store.data_dir, store.shm_path)
    assert said.startswith("AccessDenied")
    assert str(NOBODY) in said
    assert store.shm_path.stat().st_uid == NOBODY


@pytest.mark.parametrize("mode", [0o666, 0o644, 0o660, 0o601])
def test_a_segment_others_may_touch_is_refused(store, mode):
    """Goal: row F3.  Method: widen the mode of a good segment; the message names it."""
    assert visit(store.data_dir, store.shm_path) == "opened cold"
    store.shm_path.chmod(mode)
    said = visit(store.data_dir, store.shm_path)
    assert said.startswith("AccessDenied")
    assert f"{mode:04o}" in said


def test_a_segment_of_another_data_directory_is_refused(store):
    """Goal: two stores never mix.  Method: open one segment with a second directory."""
    assert visit(store.data_dir, store.shm_path) == "opened cold"
    said = visit(store.data_dir.with_name("other"), store.shm_path)
    assert said.startswith("LayoutMismatch"), said


def test_another_schema_is_refused_with_both_fingerprints(store, market_library):
    """Goal: row M3.  Method: open a segment of one package with the other package."""
    with aerostore.open(store.data_dir, shm_path=store.shm_path, size="16MiB"):
        pass
    with pytest.raises(aerostore.LayoutMismatch, match=r"[0-9a-f]{16}.*[0-9a-f]{16}"):
        aerostore.open(store.data_dir, shm_path=store.shm_path, package=market_library.parent)


@pytest.mark.parametrize("name", ["nul\0byte", "x" * 5000, "a/" * 3000])
def test_impossible_data_directories_are_refused(store, tmp_path, name):
    """Goal: row F4.  Method: open with each; an error, and nothing appears anywhere."""
    with pytest.raises((aerostore.Error, ValueError)):
        aerostore.open(str(tmp_path / name), shm_path=store.shm_path)
    assert not store.shm_path.exists()
    assert not any(tmp_path.iterdir())


def test_a_file_is_no_data_directory(store, tmp_path):
    """Goal: row F4.  Method: name a file, and something below a file."""
    file = tmp_path / "file"
    file.write_bytes(KNOWN)
    for path in (file, file / "below"):
        with pytest.raises(aerostore.Error, match="file"):
            aerostore.open(path, shm_path=store.shm_path)
    assert file.read_bytes() == KNOWN
    assert not store.shm_path.exists()


def test_odd_but_legal_data_directories_work(store, tmp_path, monkeypatch):
    """Goal: row F4.  Method: relative, dotted, with spaces, a newline; resolved."""
    monkeypatch.chdir(tmp_path)
    for name in ("here", "here/../there", "with space", "new\nline", "ünïcode"):
        with aerostore.open(name, shm_path=store.shm_path, size="16MiB") as database:
            assert Path(database.path) == (tmp_path / name).resolve()
        store.shm_path.unlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["here", "there", "with space", "new\nline", "ünïcode"])


@as_root
def test_a_directory_that_cannot_be_written_is_an_error(store):
    """Goal: row F4.  Method: as another user, make a directory where that is forbidden."""
    if not readable(NOBODY):
        pytest.skip("another user cannot run this interpreter")
    forbidden = store.shm_path.with_name(f"{store.shm_path.name}.forbidden")
    forbidden.mkdir(mode=0o755)
    try:
        said = visit(forbidden / "data", store.shm_path, user=NOBODY)
        assert said.split(" ")[0] in ("AccessDenied", "StorageError"), said
        assert not any(forbidden.iterdir())
    finally:
        forbidden.rmdir()


def test_core_dumps_leave_the_segment_out(store):
    """Goal: rows do not end in core dumps.  Method: the kernel's flags of the mapping."""
    store.data_dir.mkdir()
    script = SCRIPT.format(path=[str(ROOT / "python"), str(ROOT / "codegen")], umask=0o022,
                           data_dir=str(store.data_dir), shm_path=str(store.shm_path))
    script = script.replace('        print("opened", db.boot)',
                            '        print(open("/proc/self/smaps").read())')
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                          timeout=60, check=True, cwd="/")
    flags, ours, inode = [], False, str(store.shm_path.stat().st_ino)
    for line in done.stdout.splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            ours = line.split()[4] == inode  # it had no name yet when it was mapped
        elif line.startswith("VmFlags:") and ours:
            flags.append(line.split()[1:])
    assert flags, "the segment is not mapped"
    assert all("dd" in each for each in flags), flags


@pytest.mark.parametrize("cut", ["a byte", "a page", "everything"])
def test_a_file_cut_under_its_users_is_refused_to_others(store, cut):
    """Goal: no SIGBUS at attach.  Method: somebody has it open, its file is cut, another comes."""
    store.data_dir.mkdir()
    with aerostore.open(store.data_dir, shm_path=store.shm_path, size="16MiB"):
        size = store.shm_path.stat().st_size
        left = {"a byte": size - 1, "a page": size - 4096, "everything": 0}[cut]
        kept = store.shm_path.read_bytes()
        with store.shm_path.open("r+b") as file:
            file.truncate(left)
        told = visit(store.data_dir, store.shm_path)
        with store.shm_path.open("r+b") as file:
            file.write(kept)
    assert re.match(r"(LayoutMismatch|CorruptionError) ", told), told
