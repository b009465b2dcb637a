"""The exceptions and errors.def say the same."""

import re

import pytest

import aerostore
from aerostore import errors
from support.paths import ENGINE

ENTRY = re.compile(r'^AERO_ERROR\((\w+), (\d+), ([01]), (\w+), "([^"]+)"\)$', re.MULTILINE)


def test_classes_are_those_of_the_engine():
    """Goal: one class per status, with its number, word and retryability; reads errors.def."""
    text = (ENGINE / "include" / "aerostore" / "errors.def").read_text()
    declared = {(name, int(number), retryable == "1", cls)
                for name, number, retryable, cls, _ in ENTRY.findall(text)}
    written = {(each.code, each.number, each.retryable, each.__name__)
               for each in aerostore.Error.__subclasses__()}
    assert written == declared


def test_docstring_tree_names_every_class():
    """Goal: the drawing at the top of the module is complete; compares it with the classes."""
    drawn = set(re.findall(r"──\s+(\w+)", errors.__doc__ or ""))
    assert drawn == {each.__name__ for each in aerostore.Error.__subclasses__()}


def test_unknown_status_is_an_internal_error():
    """Goal: a status of a newer library is not lost; asks for the class of one that is unused."""
    assert errors.error_class(998) is aerostore.InternalError
    assert errors.error_class(20) is aerostore.SerializationFailure


def test_library_lists_the_same_errors(db):
    """Goal: the loaded library agrees too; walks aero_error_at to its end."""
    library = db._store.library
    listed, index = set(), 0
    while info := library.lib.aero_error_at(index):
        listed.add((library.text(info.name), info.code, bool(info.retryable),
                    library.text(info.python_class)))
        index += 1
    assert listed == {(each.code, each.number, each.retryable, each.__name__)
                      for each in aerostore.Error.__subclasses__()}


def test_messages_give_no_values_of_rows(db, fs, tmp_path):
    """Goal: an error that is logged does not leak what is stored.  Method: a marker in rows;
    refusals that meet these rows, in memory and in damaged files, do not show it."""
    marker = "TOPSECRET"
    row = {"lat": 1, "lon": 2, "updated_at": 3, "dest": marker, "typ": marker}
    for key in ("A", "B"):
        fs.upsert({"flight_id": key, **row})
    said = []

    def refused(call, *arguments, **options):
        with pytest.raises(aerostore.Error) as caught:
            call(*arguments, **options)
        said.append(str(caught.value))

    refused(fs.insert, {"flight_id": "A", "lat": 1, "lon": 2, "updated_at": 3})
    refused(fs.create_index, "dest", unique=True)  # there is one
    refused(fs.create_index, "typ", "dest", unique=True)  # two rows have the same
    fs.delete("B")
    fs.create_index("dest", "typ", unique=True)
    refused(fs.insert, {"flight_id": "C", **row})
    fs.drop_index("dest", "typ")
    fs.insert({"flight_id": "B", **row})
    refused(fs.incr, "A", "dest", 1)
    refused(fs.update, "A", altitude="high")
    refused(fs.ingest_tsv, b"A\t1\t2\t\t\t3\nB\tnorth\t2\t\t\t3\n", batch_size=1)
    fs.create_index("typ", "dest", "flight_id", unique=True)
    db.checkpoint()
    db.backup(tmp_path / "copy")
    for path in sorted((tmp_path / "copy").iterdir()):
        whole = path.read_bytes()
        if marker.encode() not in whole:
            continue
        at = whole.index(marker.encode())
        for spoilt in (whole[:at] + b"?" + whole[at + 1:], whole[:at + 3]):
            path.write_bytes(spoilt)
            refused(aerostore.verify_files, tmp_path / "copy")
        path.write_bytes(whole)
    assert len(said) > 8
    assert not [text for text in said if marker in text or "TOP" in text], said
