"""An independent reading of a TSV file: columns, rows and their text, in plain Python.

Nothing here knows the engine; what it says is taken from the contract alone.  Values are str, int
or float, None for NULL; times are whole microseconds.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

Value = str | int | float | None
Row = dict[str, Value]


@dataclass(frozen=True)
class Column:
    """A column as the file has it; kind is text, int, real or time."""

    name: str
    kind: str
    nullable: bool = False

    def read(self, cell: str) -> Value:
        """Read one cell."""
        if self.nullable and cell in ("", "\\N"):
            return None
        if self.kind == "int":
            return int(cell)
        if self.kind == "real":
            return float(cell) + 0.0
        if self.kind == "time":
            return int(Decimal(cell) * 1_000_000)
        return unescape(cell)

    def text(self, value: Value) -> str:
        """Write a value as users see it; NULL is empty."""
        if value is None:
            return ""
        if self.kind == "real":
            return repr(value)
        if self.kind == "time":
            assert isinstance(value, int)
            whole, part = divmod(value, 1_000_000)
            return f"{whole}.{part:06d}".rstrip("0") if part else str(whole)
        return str(value)

    def cell(self, value: Value) -> str:
        """Write a value as a cell of a TSV line."""
        text = self.text(value)
        if self.kind != "text":
            return text
        for plain, escaped in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
            text = text.replace(plain, escaped)
        return text


def unescape(cell: str) -> str:
    """Undo the escapes of TSV."""
    if "\\" not in cell:
        return cell
    meaning = {"t": "\t", "n": "\n", "r": "\r", "\\": "\\"}
    out: list[str] = []
    letters = iter(cell)
    for letter in letters:
        out.append(meaning[next(letters)] if letter == "\\" else letter)
    return "".join(out)


POSITIONS = (
    Column("flight_id", "text"),
    Column("lat", "real"),
    Column("lon", "real"),
    Column("altitude", "int", nullable=True),
    Column("gs", "real", nullable=True),
    Column("updated_at", "time"),
    Column("typ", "text", nullable=True),
    Column("dest", "text", nullable=True),
)

AIRPORTS = (
    Column("icao", "text"),
    Column("iata", "text", nullable=True),
    Column("name", "text"),
    Column("city", "text", nullable=True),
    Column("country", "text"),
    Column("elevation", "real"),
    Column("lat", "real"),
    Column("lon", "real"),
    Column("tz", "text"),
)


@dataclass
class Model:
    """A table as a dictionary: the last line of a key wins."""

    columns: tuple[Column, ...]
    rows: dict[str, Row]
    lines: int = 0
    inserted: int = 0

    @property
    def key(self) -> str:
        """The name of the key column: always the first."""
        return self.columns[0].name

    def column(self, name: str) -> Column:
        """Find a column."""
        return next(column for column in self.columns if column.name == name)

    def tsv_line(self, row: Row) -> str:
        """Write a row as a TSV line without its newline."""
        return "\t".join(column.cell(row[column.name]) for column in self.columns)


def read_lines(path: Path) -> Iterator[str]:
    """Read the lines of a plain or gzipped file, without their newlines."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="\n") as source:
        for line in source:
            yield line.rstrip("\n")


def load(columns: tuple[Column, ...], lines: Iterator[str]) -> Model:
    """Read TSV lines into a model."""
    model = Model(columns, {})
    for line in lines:
        cells = line.split("\t")
        assert len(cells) == len(columns), line
        row = {column.name: column.read(cell) for column, cell in zip(columns, cells, strict=True)}
        key = row[model.key]
        assert isinstance(key, str)
        model.lines += 1
        model.inserted += key not in model.rows
        model.rows[key] = row
    return model
