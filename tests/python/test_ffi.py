"""The handshake: a library that does not fit is refused before anything of it is used."""

import json
import re
import shutil
import subprocess

import pytest

import aerostore
from aerostore import _locate
from aerostore._ffi import cdef, library


@pytest.fixture
def package(aerostore_library, tmp_path):
    """A copy of the built package, to be spoilt."""
    folder = tmp_path / "package"
    shutil.copytree(aerostore_library.parent, folder)
    return folder


@pytest.fixture
def spoilt_headers(monkeypatch):
    """Return a function that changes what the headers say, for this test only."""

    def change(old, new):
        text = cdef.engine_declarations(cdef.include_dir())
        assert old in text
        monkeypatch.setattr(library, "engine_declarations", lambda _: text.replace(old, new))

    return change


def test_a_good_copy_loads(package, store):
    """Goal: the control of this file: an untouched copy opens."""
    with aerostore.open(store.data_dir, package=package, shm_path=store.shm_path) as db:
        assert db.package == "aerostore" and db.tables == ("FlightState",)


@pytest.mark.parametrize("old, new, told", [
    ("int32_t aborted;", "int64_t aborted;", "aero_error"),
    ("int32_t has_nul;", "int64_t has_nul;", "aero_column_data"),
    ("#define AERO_ABI 1", "#define AERO_ABI 99", "ABI.* 1 .*99"),
    ("uint64_t batch_size;", "uint64_t batch_size; uint64_t more;", "aero_tsv_options"),
])
def test_other_headers_are_refused(package, spoilt_headers, old, new, told):
    """Goal: another size or ABI is LayoutMismatch with both values; edits a declaration."""
    spoilt_headers(old, new)
    with pytest.raises(aerostore.LayoutMismatch, match=told):
        library.load(_locate.find_package(package))


def test_another_schema_is_refused(package):
    """Goal: a library beside another schema's manifest or row struct is LayoutMismatch."""
    manifest = package / "MANIFEST.json"
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**content, "fingerprint": "00000000deadbeef"}))
    with pytest.raises(aerostore.LayoutMismatch, match=rf"{content['fingerprint']}.*deadbeef"):
        library.load(_locate.find_package(package))
    manifest.write_text(json.dumps(content))
    rows = package / "aerostore.cdef.h"
    rows.write_text(rows.read_text().replace("double gs;", "double gs; double more;"))
    with pytest.raises(aerostore.LayoutMismatch, match="aerostore_FlightState"):
        library.load(_locate.find_package(package))
    rows.write_text(rows.read_text().replace("double more;", "").replace("double lat;", "")
                    .replace("double lon;", "double lon; double lat;"))
    with pytest.raises(aerostore.LayoutMismatch, match="offset of lat"):
        library.load(_locate.find_package(package))
    manifest.write_text("{")
    with pytest.raises(aerostore.SchemaError, match="manifest"):
        _locate.find_package(package)


def test_what_is_no_package_is_refused(package, tmp_path):
    """Goal: other libraries, damaged files and empty folders give errors that name the file."""
    binary = package / "libaerostore.so"
    whole = binary.read_bytes()
    for data in (b"", b"not a library", whole[:64]):
        copy = tmp_path / f"damaged{len(data)}"
        copy.mkdir()
        (copy / "libaerostore.so").write_bytes(data)
        with pytest.raises(aerostore.StorageError, match=r"libaerostore\.so"):
            aerostore.open(tmp_path / "db", package=copy)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (tmp_path / "empty.c").write_text("int nothing;\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(foreign / "libforeign.so"),
                    str(tmp_path / "empty.c")], check=True)
    with pytest.raises(aerostore.LayoutMismatch, match="not a compiled Aerostore package"):
        aerostore.open(tmp_path / "db", package=foreign)
    with pytest.raises(aerostore.SchemaError, match="nowhere"):
        aerostore.open(tmp_path / "db", package=tmp_path / "nowhere")
    shutil.copy(binary, package / "libother.so")
    with pytest.raises(aerostore.SchemaError, match="more than one"):
        aerostore.open(tmp_path / "db", package=package)
    assert not (tmp_path / "db").exists()


def test_types_are_looked_up_in_time():
    """Goal: no cffi lock is left for later (a fork may copy it locked); compares uses and list."""
    folder = _locate._HERE / "_ffi"
    used = {name for path in folder.glob("*.py") for name in re.findall(
        r'(?:ffi\.(?:new|cast|from_buffer)\(|Callback\(\w+,)\s*"([^"]+)"', path.read_text())}
    assert used == set(library._TYPES)


def test_a_missing_function_is_told_at_once(package, spoilt_headers):
    """Goal: a library without a declared function is refused by name; declares one more."""
    spoilt_headers("int32_t aero_abi(void);", "int32_t aero_abi(void); int32_t aero_newer(void);")
    with pytest.raises(aerostore.LayoutMismatch, match="aero_newer"):
        library.load(_locate.find_package(package))


def test_only_one_module_knows_cffi():
    """Goal: cffi is imported in one place; reads the sources."""
    folder = _locate._HERE
    users = [path.relative_to(folder).as_posix() for path in folder.rglob("*.py")
             if "import cffi" in path.read_text()]
    assert users == ["_ffi/library.py"]
