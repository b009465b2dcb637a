"""Rows: read-only mappings with attributes."""

import copy
import pickle
from collections.abc import Mapping

import pytest

from aerostore.rows import make_class

Flight = make_class("Flight", ("ident", "alt", "keys"),
                    {"ident": 0, "flight": 0, "alt": 1, "keys": 2})
ROW = Flight(("UAL1", None, 5))


def test_row_is_a_mapping():
    """Goal: everything a mapping does; compares with a dict of the same content."""
    plain = {"ident": "UAL1", "alt": None, "keys": 5}
    assert isinstance(ROW, Mapping)
    assert dict(ROW) == plain and plain == {**ROW} and plain == ROW
    assert list(ROW) == list(plain) and len(ROW) == 3
    assert list(ROW.items()) == list(plain.items())
    assert list(ROW.values()) == list(plain.values())
    assert "alt" in ROW and "lat" not in ROW
    assert ROW.get("lat", 7) == 7
    assert ROW.as_tuple() == ("UAL1", None, 5)
    assert repr(ROW) == "Flight(ident='UAL1', alt=None, keys=5)"


def test_columns_are_attributes():
    """Goal: names and aliases as attributes; a column named like a method stays reachable."""
    assert ROW.ident == ROW.flight == ROW["flight"] == "UAL1"
    assert ROW.alt is None
    assert callable(ROW.keys) and ROW["keys"] == 5
    with pytest.raises(AttributeError, match="no column 'lat'; it has ident, alt, keys"):
        _ = ROW.lat
    with pytest.raises(KeyError):
        _ = ROW["lat"]


def test_rows_cannot_be_changed():
    """Goal: no silent write that reaches no table; tries each way to set."""
    with pytest.raises(AttributeError):
        ROW.alt = 3
    with pytest.raises(AttributeError):
        ROW.other = 3
    with pytest.raises(AttributeError):
        del ROW.alt
    with pytest.raises(TypeError):
        ROW["alt"] = 3


def test_rows_copy_and_pickle():
    """Goal: rows travel between processes; round trip through pickle and copy."""
    again = pickle.loads(pickle.dumps(ROW))
    assert again == ROW and again.flight == "UAL1"
    assert copy.copy(ROW) is ROW
    assert copy.deepcopy(ROW) == ROW
