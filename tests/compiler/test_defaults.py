"""Defaults of columns are converted or refused, whatever Python value stands there."""

import pytest

from aerostore_codegen.defaults import BadDefaultError, convert_default
from aerostore_codegen.model import Kind


@pytest.mark.parametrize("kind", [Kind.TIMESTAMP, Kind.FLOAT64, Kind.FLOAT32, Kind.INT64])
@pytest.mark.parametrize(
    "value", [10**400, -(10**400), 10**5000, 1e300], ids=["big", "small", "long", "real"])
def test_enormous_numbers_are_refused_in_words(kind: Kind, value: float) -> None:
    """Goal: no traceback from numbers too large for a float.  Method: convert them."""
    if kind is Kind.FLOAT64 and value == 1e300:
        assert convert_default(kind, value, 0) == value
        return
    with pytest.raises(BadDefaultError):
        convert_default(kind, value, 0)
