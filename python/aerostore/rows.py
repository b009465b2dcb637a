"""Rows as Python sees them: read-only mappings from column names to values.

A Row is its values, stored as a tuple stores them, and a column's name in its class is a getter
written in C: making a row and reading `row.altitude` run no Python code.  The class is made once
per table and choice of columns, so that a million rows cost a million small objects, nothing more.
"""

from __future__ import annotations

import functools
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from aerostore._model import TableInfo

Value = bool | int | float | str | bytes | None

_Storage: Any = tuple  # what a row is made of is not part of its interface


class Row(Mapping[str, Any], _Storage):  # type: ignore[misc]  # see _Storage
    """A row of a table, or the columns of it that were asked for.

    A read-only mapping whose columns are also attributes.  Values are bool, int, float, str, bytes
    or None; a Timestamp is Unix seconds as a float, exact to the microsecond.  A row is a copy: it
    stays as it was read.  Aliases of columns work wherever names do.

    Example:
        >>> row = flights.get("UAL123")
        >>> row["altitude"], row.alt, dict(row)
    """

    __slots__ = ()
    _names: ClassVar[tuple[str, ...]] = ()
    _places: ClassVar[dict[str, int]] = {}  # names and aliases
    _table: ClassVar[str] = ""
    # A mapping neither adds up nor has an order.
    __add__ = __mul__ = __rmul__ = __lt__ = __le__ = __gt__ = __ge__ = None

    def __getitem__(self, name: str) -> Any:
        return _Storage.__getitem__(self, self._places[name])

    def __getattr__(self, name: str) -> Any:
        # Only reached for what is neither a column nor a method.
        raise AttributeError(
            f"a row of {self._table} has no column {name!r}; it has {', '.join(self._names)}"
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={value!r}" for name, value in self.items())
        return f"{self._table}({inside})"

    def __copy__(self) -> Row:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._table, self._names, self._places, self.as_tuple())

    def as_tuple(self) -> tuple[Any, ...]:
        """Return the values in column order, as a plain tuple."""
        return tuple(_Storage.__iter__(self))


# What a column may not hide; `count` and `index`, which the storage brings, it may.
_METHODS = frozenset(dir(Mapping)) | frozenset(vars(Row))


def make_class(table: str, names: tuple[str, ...], places: dict[str, int]) -> type[Row]:
    """Make the class of rows with these columns; `places` maps names and aliases to positions."""
    members: dict[str, Any] = {
        "__slots__": (),
        "__doc__": f"A row of {table}: {', '.join(names)}.",
        "__module__": __name__,
        "_names": names,
        "_places": places,
        "_table": table,
    }
    # Any tuple can be read through the getters of a named tuple's fields.
    labels = [f"value{place}" for place in range(len(names))]
    # A name of its own: the class must live as long as its members are read.
    fields = namedtuple("fields", labels)  # type: ignore[misc]
    for name, place in places.items():
        if name not in _METHODS:  # a column named like a method is reached as row["name"]
            members[name] = vars(fields)[labels[place]]
    metaclass: Any = type(Row)  # ABCMeta, which Mapping brings
    cls: type[Row] = metaclass(f"{table}Row", (Row,), members)
    return cls


def maker(cls: type[Row]) -> Callable[[tuple[Any, ...]], Row]:
    """Return the quickest way to make a row of a class out of a tuple of its values."""
    return functools.partial(_Storage.__new__, cls)


@functools.lru_cache(maxsize=256)
def row_class(table: TableInfo, columns: tuple[int, ...]) -> type[Row]:
    """Make the class for rows holding these columns of a table."""
    names = tuple(table.columns[index].name for index in columns)
    at = {index: place for place, index in enumerate(columns)}
    places = {name: at[index] for name, index in table.by_name.items() if index in at}
    return make_class(table.name, names, places)


@functools.lru_cache(maxsize=64)
def _pickled_class(
    table: str, names: tuple[str, ...], places: tuple[tuple[str, int], ...]
) -> type[Row]:
    return make_class(table, names, dict(places))


def _rebuild(
    table: str, names: tuple[str, ...], places: dict[str, int], values: tuple[Any, ...]
) -> Row:
    return _pickled_class(table, names, tuple(places.items()))(values)
