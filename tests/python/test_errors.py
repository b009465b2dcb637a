"""The exceptions and errors.def say the same."""

import re

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
