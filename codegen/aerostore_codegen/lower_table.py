"""The judgement of one table's declaration; `lower` calls it for each table."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from aerostore._declaration import ColumnDeclaration, IndexDeclaration, Location, TableDeclaration

from . import names
from .defaults import BadDefaultError, convert_default
from .layout import ROW_SIZE_MAX, lay_out
from .model import Column, Index, Kind, Table
from .problems import Problem, quoted

COLUMNS_MAX = 1024  # the engine's column masks have this many bits
INDEXES_MAX = 64  # each costs every insert; more is a mistake
INDEX_COLUMNS_MAX = 16
ALIASES_MAX = 16
TEXT_MAX = 1 << 20  # the engine's largest text or bytes value
TEXT_DEFAULT = 65_535
KEY_DEFAULT = 255
FIXED_MAX = 4096  # longer texts waste row space; Text is meant for them
DOC_MAX = 4096
TTL_MAX_SECONDS = 100 * 366 * 86_400  # a century; longer is a unit mistaken

COLUMN_OPTIONS = (
    "key", "indexed", "unique", "notnull", "default", "max_length", "size", "aliases", "doc",
)
TABLE_OPTIONS = ("ttl", "ttl_column", "indexes")

KEY_KINDS = frozenset({
    Kind.TEXT, Kind.FIXED, Kind.BYTES, Kind.TIMESTAMP, Kind.INET, Kind.IPV6, Kind.MAC,
    Kind.INT8, Kind.INT16, Kind.INT32, Kind.INT64,
    Kind.UINT8, Kind.UINT16, Kind.UINT32, Kind.UINT64,
})

TYPE_HINTS = {
    "int": "use Int32 or Int64",
    "float": "use Float64",
    "str": "use Text",
    "bytes": "use Bytes",
    "bool": "use Bool",
    "datetime": "use Timestamp",
    "ColumnType": "use one of the types below it",
}


class TableLowering:
    """The judgement of one table; collects problems on the way."""

    def __init__(self, declared: TableDeclaration, problems: list[Problem]) -> None:
        self.declared = declared
        self.problems = problems

    def table(self) -> Table | None:
        """Return the table, or None when something about it is wrong."""
        before = len(self.problems)
        declared = self.declared
        bad = names.check_table(declared.name)
        if bad is not None:
            self._table_problem(*bad)
        if declared.bases:
            self._table_problem(f"inherits from {declared.bases[0]}", "write its columns out")
        for name, location in declared.strays:
            self._problem(
                location, f'column "{name}"', "has no type", f"write {name}: Int32 = column(…)"
            )
        self._check_options(
            declared.options, TABLE_OPTIONS, declared.positional, declared.location, self._subject
        )
        columns = self._columns()
        key = self._key(columns)
        self._doc(declared.doc, declared.location, self._subject)
        indexes = self._indexes(columns)
        ttl_us, ttl_column = self._ttl(columns)
        if len(self.problems) > before:
            return None
        table = Table(
            declared.name, declared.location, declared.doc, tuple(columns), key, indexes, ttl_us,
            ttl_column,
        )
        row_size = lay_out(table).size
        if row_size > ROW_SIZE_MAX:
            self._table_problem(
                f"a row takes {row_size:,} bytes, at most {ROW_SIZE_MAX:,} can be",
                "use Text instead of long FixedStrings, or split the table",
            )
            return None
        return table

    # ---- reporting -----------------------------------------------------------------------------

    @property
    def _subject(self) -> str:
        return f'table "{self.declared.name}"'

    def _problem(self, location: Location, subject: str, what: str, hint: str = "") -> None:
        self.problems.append(Problem(location, subject, what, hint))

    def _table_problem(self, what: str, hint: str = "") -> None:
        self._problem(self.declared.location, self._subject, what, hint)

    def _check_options(
        self,
        given: Mapping[str, object],
        known: Sequence[str],
        positional: int,
        location: Location,
        subject: str,
    ) -> None:
        if positional:
            self._problem(location, subject, "options need names", "write name=value")
        for name in given:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f'did you mean "{near[0]}"?' if near else f"there are {', '.join(known)}"
                self._problem(location, subject, f'unknown option "{name}"', hint)

    def _flag(
        self, given: Mapping[str, object], name: str, location: Location, subject: str
    ) -> bool:
        value = given.get(name, False)
        if not isinstance(value, bool):
            self._problem(location, subject, f"{name}={quoted(value)}", "give True or False")
            return False
        return value

    def _doc(self, doc: object, location: Location, subject: str) -> str:
        if not isinstance(doc, str):
            self._problem(location, subject, f"doc={quoted(doc)} is not text")
            return ""
        try:
            size = len(doc.encode())
        except UnicodeEncodeError:
            self._problem(location, subject, "its documentation holds a lone surrogate")
            return ""
        if size > DOC_MAX:
            self._problem(
                location, subject,
                f"its documentation has {size:,} bytes, at most {DOC_MAX:,} can be",
            )
        return doc

    # ---- columns -------------------------------------------------------------------------------

    def _columns(self) -> list[Column]:
        declared = self.declared.columns
        if not declared:
            self._table_problem("has no columns", "write one annotated name a line")
        if len(declared) > COLUMNS_MAX:
            self._table_problem(f"has {len(declared):,} columns, at most {COLUMNS_MAX:,} can be")
        self._check_column_names()
        return [column for item in declared if (column := self._column(item)) is not None]

    def _check_column_names(self) -> None:
        """Refuse names and aliases that occur twice, or differ in case only."""
        holders: dict[str, ColumnDeclaration] = {}
        for item in self.declared.columns:
            other = holders.setdefault(item.name.casefold(), item)
            if other is not item:
                what = "is declared twice" if other.name == item.name else (
                    f'differs from "{other.name}" in case only'
                )
                self._problem(
                    item.location, f'column "{item.name}"',
                    f"{what}; the other is at line {other.location.line}", "rename one of them",
                )
        for item in self.declared.columns:
            given = item.options.given.get("aliases", ()) if item.options else ()
            for alias in self._strings(given) or ():
                if alias.casefold() in holders:
                    self._problem(
                        item.location, f'column "{item.name}"',
                        f"alias {quoted(alias)} is taken by column "
                        f'"{holders[alias.casefold()].name}"', "choose another",
                    )
                holders.setdefault(alias.casefold(), item)

    @staticmethod
    def _strings(given: object) -> tuple[str, ...] | None:
        if isinstance(given, str) or not isinstance(given, Iterable):
            return None
        values = tuple(given)
        return values if all(isinstance(value, str) for value in values) else None

    def _aliases(self, given: object, location: Location, subject: str) -> tuple[str, ...]:
        aliases = self._strings(given)
        if aliases is None:
            hint = f"write aliases=({quoted(given)},)" if isinstance(given, str) else (
                'write aliases=("name",)'
            )
            what = f"aliases={quoted(given)} is not a list of names"
            self._problem(location, subject, what, hint)
            return ()
        if len(aliases) > ALIASES_MAX:
            self._problem(
                location, subject, f"has {len(aliases)} aliases, at most {ALIASES_MAX} can be"
            )
        for alias in aliases:
            bad = names.check_identifier(alias)
            if bad is not None:
                self._problem(location, subject, f"alias {quoted(alias)} {bad[0]}", bad[1])
        return aliases

    def _column(self, item: ColumnDeclaration) -> Column | None:
        before = len(self.problems)
        subject = f'column "{item.name}"'
        location = item.location
        bad = names.check_column(item.name)
        if bad is not None:
            self._problem(location, subject, *bad)
        if item.problem:
            near = TYPE_HINTS.get(item.annotation.removesuffix(" | None"), "")
            hint = near or "use a type of aerostore.schema, or one of them with | None"
            hint = "" if "column(" in item.problem else hint
            self._problem(location, subject, item.problem, hint)
            return None
        given = item.options.given if item.options else {}
        self._check_options(
            given, COLUMN_OPTIONS, item.options.positional if item.options else 0, location, subject
        )
        kind = Kind[item.kind]
        is_key = self._flag(given, "key", location, subject) or item.is_key_type
        unique = self._flag(given, "unique", location, subject)
        indexed = self._flag(given, "indexed", location, subject)
        if self._flag(given, "notnull", location, subject) and item.nullable:
            what = "notnull=True and | None contradict"
            self._problem(location, subject, what, "drop one of them")
        if is_key:
            self._check_key(item, kind, given, subject)
        max_length = self._max_length(kind, item.is_key_type, given, location, subject)
        doc = self._doc(given["doc"], location, subject) if given.get("doc") is not None else (
            self._doc(item.doc, location, subject)
        )
        aliases = self._aliases(given.get("aliases", ()), location, subject)
        default = None
        if given.get("default") is not None and max_length >= 0:
            try:
                default = convert_default(kind, given["default"], max_length)
            except BadDefaultError as error:
                self._problem(location, subject, str(error), "change the default or the type")
        elif "default" in given and given["default"] is None and not item.nullable:
            self._problem(location, subject, "default None, but it is never null", "write | None")
        if len(self.problems) > before:
            return None
        return Column(
            item.name, location, doc, kind, aliases, item.nullable, is_key, indexed, unique,
            max_length, default,
        )

    def _check_key(
        self, item: ColumnDeclaration, kind: Kind, given: Mapping[str, object], subject: str
    ) -> None:
        if kind not in KEY_KINDS:
            self._problem(
                item.location, subject, f"{item.annotation} cannot be a key",
                "use text, bytes, an integer, a timestamp or an address",
            )
        if item.nullable:
            self._problem(item.location, subject, "a key is never null", "drop | None")
        if "default" in given:
            self._problem(item.location, subject, "a key has no default", "drop it")

    def _max_length(
        self,
        kind: Kind,
        is_key_type: bool,
        given: Mapping[str, object],
        location: Location,
        subject: str,
    ) -> int:
        """Return the column's bytes at most, 0 for kinds without, -1 after a problem."""
        option, limit = ("size", FIXED_MAX) if kind is Kind.FIXED else ("max_length", TEXT_MAX)
        takes = {Kind.FIXED: "size", Kind.TEXT: "max_length", Kind.BYTES: "max_length"}.get(kind)
        for name in ("size", "max_length"):
            if name in given and name != takes:
                hint = f"use {takes}" if takes else "drop it"
                self._problem(location, subject, f"{name} is no option of this type", hint)
        if takes is None:
            return 0
        if option not in given or given[option] is None:
            if kind is Kind.FIXED:
                self._problem(location, subject, "a FixedString needs its size", "column(size=n)")
                return -1
            return KEY_DEFAULT if is_key_type else TEXT_DEFAULT
        value = given[option]
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= limit:
            self._problem(
                location, subject, f"{option}={quoted(value)}",
                f"give an integer from 1 to {limit:,}",
            )
            return -1
        return value

    def _key(self, columns: Sequence[Column]) -> int:
        keys = [number for number, column in enumerate(columns) if column.is_key]
        if len(keys) > 1:
            second = columns[keys[1]]
            self._problem(
                second.location, f'column "{second.name}"',
                f'is a second key beside "{columns[keys[0]].name}"', "a table has one key",
            )
        # A key with a mistake of its own has been reported already.
        declared = any(
            item.is_key_type or (item.options and item.options.given.get("key") is True)
            for item in self.declared.columns
        )
        if not declared and self.declared.columns:
            self._table_problem("has no key", "annotate one column with Key, or column(key=True)")
        return keys[0] if keys else -1

    # ---- options of the table ------------------------------------------------------------------

    def _indexes(self, columns: Sequence[Column]) -> tuple[Index, ...]:
        number = {column.name: at for at, column in enumerate(columns)}
        found = [
            Index(column.name, (at,), column.unique)
            for at, column in enumerate(columns)
            if column.indexed or (column.unique and not column.is_key)
        ]
        given = self.declared.options.get("indexes", ())
        if isinstance(given, str) or not isinstance(given, Iterable):
            self._table_problem(f"indexes={quoted(given)}", 'write indexes=[("a", "b")]')
            return ()
        for item in given:
            index = self._index(item, number)
            if index is None:
                continue
            same = next((other for other in found if other.columns == index.columns), None)
            if same is not None:
                self._table_problem(f'index "{index.name}" is declared twice', "drop one of them")
            found.append(index)
        if len(found) > INDEXES_MAX:
            self._table_problem(f"has {len(found)} indexes, at most {INDEXES_MAX} can be")
        return tuple(found)

    def _index(self, item: object, number: Mapping[str, int]) -> Index | None:
        unique = item.unique if isinstance(item, IndexDeclaration) else False
        columns = self._strings(item.columns if isinstance(item, IndexDeclaration) else item)
        if columns is None or not isinstance(unique, bool):
            self._table_problem(f"index {quoted(item)}", 'write index("a", "b", unique=False)')
            return None
        if not 1 <= len(columns) <= INDEX_COLUMNS_MAX:
            self._table_problem(
                f"an index has {len(columns)} columns", f"give 1 to {INDEX_COLUMNS_MAX}"
            )
            return None
        declared = {column.name for column in self.declared.columns}
        for name in columns:
            if name not in declared:
                self._table_problem(
                    f"index over unknown column {quoted(name)}",
                    _nearest(name, sorted(declared)) or "name columns, not aliases",
                )
                return None
        if len(set(columns)) < len(columns):
            self._table_problem(f"index {quoted(columns)} names a column twice", "drop one of them")
            return None
        if any(name not in number for name in columns):
            return None  # one of its columns was refused
        return Index(",".join(columns), tuple(number[name] for name in columns), unique)

    def _ttl(self, columns: Sequence[Column]) -> tuple[int, int]:
        options = self.declared.options
        ttl, name = options.get("ttl"), options.get("ttl_column")
        column = -1
        if name is not None:
            column = next((at for at, item in enumerate(columns) if item.name == name), -1)
            if ttl is None:
                self._table_problem("ttl_column without ttl", "give ttl in seconds too")
            elif not any(item.name == name for item in self.declared.columns):
                self._table_problem(f"ttl_column={quoted(name)} is not a column")
            elif column >= 0 and columns[column].kind is not Kind.TIMESTAMP:
                self._table_problem(f'ttl_column "{name}" is not a Timestamp', "name one that is")
        if ttl is None:
            return 0, -1
        seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
        if (
            isinstance(seconds, bool)
            or not isinstance(seconds, int | float)
            or not 0.001 <= seconds <= TTL_MAX_SECONDS  # false for NaN too
        ):
            self._table_problem(
                f"ttl={quoted(ttl)}", f"give seconds from 0.001 to {TTL_MAX_SECONDS:,}, or None"
            )
            return 0, -1
        return round(seconds * 1_000_000), column


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f'did you mean "{near[0]}"?' if near else ""
