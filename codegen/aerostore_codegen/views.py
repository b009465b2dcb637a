"""What the templates see: tables and columns with everything they print ready-made.

Decisions are taken here, so that a template only lays out text.
"""

from __future__ import annotations

from dataclasses import dataclass

from .coltypes import CType
from .escape import c_comment, c_string, python_string
from .layout import lay_out
from .model import Column, Kind, Place, RowLayout, Table
from .names import row_struct

_PYTHON_TYPES: dict[Kind, str] = {
    Kind.BOOL: "bool", Kind.FLOAT32: "float", Kind.FLOAT64: "float", Kind.TIMESTAMP: "float",
    Kind.CHAR: "str", Kind.FIXED: "str", Kind.TEXT: "str", Kind.BYTES: "bytes", Kind.INET: "str",
    Kind.IPV6: "str", Kind.MAC: "str",
}


@dataclass(frozen=True, slots=True)
class ColumnView:
    """What the templates need of one column."""

    index: int
    column: Column
    place: Place
    c: CType
    own: str  # prefix of the column's functions
    comment: tuple[str, ...]  # lines above the struct member
    flags: str
    python_type: str
    optional: bool  # may be missing at the end of a TSV line
    heads: dict[str, str]

    @property
    def name(self) -> str:
        """Return the column's name."""
        return self.column.name

    @property
    def doc(self) -> str:
        """Return the documentation as a C string."""
        return c_string(self.column.doc)

    @property
    def python_doc(self) -> str:
        """Return the documentation as a Python string, "" when there is none."""
        return python_string(self.column.doc) if self.column.doc else ""

    @property
    def put(self) -> str:
        """Return the statement that appends the column to a delta."""
        if self.c.is_cell:
            call = ("ae_delta_put_cell(", f"&r->{self.name}", "base);")
        else:
            address = f"r->{self.name}" if self.c.is_block else f"&r->{self.name}"
            call = ("ae_delta_put(", address, f"sizeof r->{self.name});")
        head, *rest = call
        return wrap(
            " " * 8 + head,
            ["&delta,", f"{self.index},", f"{self.null_test},", rest[0] + ",", rest[1]],
        ).lstrip()

    @property
    def null_test(self) -> str:
        """Return the C expression that tells whether the column is null."""
        if not self.column.nullable:
            return "false"
        return f"ae_null_get(r->nulls, {self.place.null_index})"


@dataclass(frozen=True, slots=True)
class TableView:
    """What the templates need of one table."""

    package: str
    table: Table
    layout: RowLayout
    columns: tuple[ColumnView, ...]
    comment: tuple[str, ...]
    required: int  # cells a TSV line has at least
    heads: dict[str, str]

    @property
    def name(self) -> str:
        """Return the table's name."""
        return self.table.name

    @property
    def row(self) -> str:
        """Return the name of the row struct and the prefix of its accessors."""
        return row_struct(self.package, self.table)

    @property
    def doc(self) -> str:
        """Return the documentation as a C string."""
        return c_string(self.table.doc)

    @property
    def python_doc(self) -> str:
        """Return the documentation as a Python string."""
        return python_string(self.table.doc or f"A row of {self.table.name}.")

    @property
    def key(self) -> ColumnView:
        """Return the key column."""
        return self.columns[self.table.key_column]

    @property
    def in_memory_order(self) -> tuple[ColumnView, ...]:
        """Return the columns by offset."""
        return tuple(self.columns[at] for at in self.layout.order)

    @property
    def cells(self) -> tuple[ColumnView, ...]:
        """Return the columns whose bytes may lie outside the row."""
        return tuple(view for view in self.columns if view.c.is_cell)

    @property
    def text_defaults(self) -> tuple[ColumnView, ...]:
        """Return the columns whose default is kept as a constant."""
        return tuple(view for view in self.columns if view.c.default_literal)

    @property
    def mask_words(self) -> int:
        """Return the words of a column mask."""
        return (len(self.columns) + 63) // 64

    @property
    def null_words_clear(self) -> tuple[str, ...]:
        """Return the null words of a cleared row: null where there is no default."""
        words = [0] * self.layout.null_words
        for view in self.columns:
            if view.column.nullable and view.column.default is None:
                words[view.place.null_index // 32] |= 1 << view.place.null_index % 32
        return tuple(f"0x{word:08x}u" for word in words)

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint as a C literal."""
        return f"0x{self.layout.fingerprint:016x}u"


def table_view(package: str, table: Table) -> TableView:
    """Make the view of a table."""
    layout = lay_out(table)
    required = 1 + max(
        at
        for at, column in enumerate(table.columns)
        if not column.nullable and column.default is None
    )
    columns = tuple(
        _column_view(package, table, at, place, at >= required)
        for at, place in enumerate(layout.places)
    )
    comment = tuple(c_comment(table.doc or f"A row of {table.name}.", 100, "/* ", " * "))
    row, name = "const void *row", table.name
    pair = (
        "const void *left", "const char *left_base", "const void *right", "const char *right_base"
    )
    heads = {
        "hash_key": _signature("uint64_t", f"{name}_hash_key", row, "const char *base"),
        "key_equal": _signature("int32_t", f"{name}_same_key", *pair),
        "clear": _signature("void", f"{name}_clear", "void *row"),
        "decode_tsv": _signature(
            "aero_status", f"{name}_decode_tsv", "const aero_span *cells", "uint32_t count",
            "void *row", "aero_cell_error *error",
        ),
        "encode_tsv": _signature(
            "size_t", f"{name}_encode_tsv", row, "const char *base", "char *out", "size_t capacity"
        ),
        "dirty": _signature("uint32_t", f"{name}_dirty", *pair, "uint64_t *mask"),
        "encode_delta": _signature(
            "size_t", f"{name}_encode_delta", row, "const char *base", "const uint64_t *mask",
            "uint8_t *out", "size_t capacity",
        ),
        "apply_delta": _signature(
            "aero_status", f"{name}_apply_delta", "void *row", "const uint8_t *data",
            "size_t length",
        ),
    }
    return TableView(package, table, layout, columns, comment, required, heads)


def _column_view(
    package: str, table: Table, at: int, place: Place, optional: bool
) -> ColumnView:
    column = table.columns[at]
    c = CType(table.name, column, place.size)
    own, struct = f"{table.name}_{column.name}", row_struct(package, table)
    row = f"{struct} *r"
    base = "const char *base"
    heads = {
        "get": _signature("void", f"{own}_get", "const void *row", base, "aero_value *value"),
        "set": _signature("void", f"{own}_set", "void *row", "const aero_value *value"),
        "compare": _signature(
            "int32_t", f"{own}_compare", "const void *left", "const char *left_base",
            "const void *right", "const char *right_base",
        ),
        "normalize": _signature("uint64_t", f"{own}_normalize", "const void *row", base),
        "equal": _signature(
            "bool", f"{own}_equal", f"const {struct} *l", "const char *left_base",
            f"const {row}", "const char *right_base",
        ),
        "read": _signature(
            "aero_status", f"{own}_read", "const aero_span *cell", row, "const char **reason"
        ),
        "write": _signature("void", f"{own}_write", f"const {row}", base, "ae_tsv_out *out"),
        "take": _signature("bool", f"{own}_take", row, "bool null", "ae_delta_in *in"),
        "read_member": _signature(
            f"inline {c.scalar or 'aero_span'}", f"{struct}_get_{column.name}",
            *([f"const {row}"] if c.scalar else [f"const {row}", base]),
        ),
        "write_member": _signature(
            "inline void", f"{struct}_set_{column.name}", row,
            *([f"{c.scalar} value"] if c.scalar else ["const char *data", "size_t length"]),
        ),
    }
    flags = [
        f"AERO_COLUMN_{flag}"
        for flag, is_set in (
            ("NULLABLE", column.nullable), ("KEY", column.is_key), ("INDEXED", column.indexed),
            ("UNIQUE", column.unique), ("DEFAULT", column.default is not None),
        )
        if is_set
    ]
    described = f"{place.offset}: {column.doc}" if column.doc else str(place.offset)
    python_type = _PYTHON_TYPES.get(column.kind, "int")
    return ColumnView(
        index=at,
        column=column,
        place=place,
        c=c,
        own=own,
        comment=tuple(c_comment(described, 96, "/* ", " * ")),
        flags=" | ".join(flags) or "0",
        python_type=f"{python_type} | None" if column.nullable else python_type,
        optional=optional,
        heads=heads,
    )


def _signature(result: str, name: str, *parameters: str) -> str:
    """Spell the head of a static function."""
    *first, last = parameters
    return wrap(f"static {result} {name}(", [*(f"{item}," for item in first), f"{last})"])


def wrap(line: str, pieces: list[str]) -> str:
    """Set the arguments behind an opening parenthesis, broken as the project's C style breaks."""
    indent = " " * len(line)
    lines: list[str] = []
    for piece in pieces:
        space = "" if line.endswith("(") or line == indent else " "
        if len(line + space + piece) > 100 and space:
            lines.append(line)
            line, space = indent, ""
        line += space + piece
    return "\n".join([*lines, line])
