"""Call generated functions: the generated C of a schema with the engine's text conversions alone.

No table, transaction or segment is linked: what is tested is what the compiler wrote.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cffi

from aerostore._ffi.cdef import engine_declarations, include_dir, row_declarations
from aerostore_codegen.build import engine_dir
from aerostore_codegen.emit import emit
from aerostore_codegen.load import load_schema
from aerostore_codegen.lower import lower
from aerostore_codegen.model import Schema
from aerostore_codegen.toolchain import Unit, compile_units, link
from aerostore_codegen.write import write_files

# What gen.h declares, and what that needs.
CONVERSIONS = ("row/text.c", "row/timestamp.c", "base/number*.c", "base/utf8.c", "base/error.c")

NULL, BOOL, INT, UINT, DOUBLE, TEXT, BYTES, TIME = range(8)


@dataclass(frozen=True, slots=True)
class GeneratedCode:
    """A loaded schema: cffi's view of its descriptors."""

    ffi: Any
    lib: Any
    model: Schema
    package: str

    def table(self, name: str) -> "TableCode":
        schema = self.lib.aero_schema()
        for number in range(schema.table_count):
            table = schema.tables + number
            if self.ffi.string(table.name).decode() == name:
                return TableCode(self, table)
        raise KeyError(name)


class TableCode:
    """The generated functions of one table, over private images."""

    def __init__(self, code: GeneratedCode, table: Any) -> None:
        self.code, self.table, self.ffi = code, table, code.ffi
        self.names = [self.ffi.string(table.columns[at].name).decode()
                      for at in range(table.column_count)]
        self.struct = f"{code.package}_{self.ffi.string(table.name).decode()}"

    def column(self, name: str) -> Any:
        return self.table.columns[self.names.index(name)]

    def row(self) -> Any:
        """Return a cleared image."""
        row = self.ffi.new(f"{self.struct} *")
        self.table.clear(row)
        return row

    def value(self, value: object, kind: int | None = None) -> tuple[Any, Any]:
        """Make a raw value; the second result keeps its bytes alive."""
        out = self.ffi.new("aero_value *")
        keep = None
        if value is None:
            out.type = NULL
        elif isinstance(value, bytes):
            keep = self.ffi.new("char[]", value) if value else self.ffi.new("char[1]")
            out.type, out.length, out.u.data = kind or BYTES, len(value), keep
        elif isinstance(value, float):
            out.type, out.u.real = DOUBLE, value
        elif isinstance(value, bool):
            out.type, out.u.integer = BOOL, value
        elif value >= 1 << 63:
            out.type, out.u.natural = UINT, value
        else:
            out.type, out.u.integer = kind or INT, value
        return out, keep

    def put(self, row: Any, name: str, value: object) -> Any:
        """Store a raw value; the result keeps its bytes alive."""
        raw, keep = self.value(value)
        self.column(name).set(row, raw)
        return keep

    def get(self, row: Any, name: str, base: Any = None) -> tuple[int, object]:
        """Read a raw value: its type and the value."""
        out = self.ffi.new("aero_value *")
        self.column(name).get(row, base or self.ffi.NULL, out)
        kind = out.type
        if kind == NULL:
            return kind, None
        if kind in (TEXT, BYTES):
            return kind, bytes(self.ffi.buffer(out.u.data, out.length)) if out.length else b""
        if kind == DOUBLE:
            return kind, out.u.real
        return kind, out.u.natural if kind == UINT else out.u.integer

    def decode(self, *cells: bytes | None) -> tuple[int, Any, str, int, Any]:
        """Decode a line: status, image, reason, cell, and what must be kept alive."""
        keep = [self.ffi.new("char[]", cell) if cell is not None else self.ffi.NULL
                for cell in cells]
        spans = self.ffi.new("aero_span[]", max(len(cells), 1))
        for span, data, cell in zip(spans, keep, cells, strict=False):
            span.data, span.length = data, len(cell) if cell is not None else 0
        row = self.ffi.new(f"{self.struct} *")
        error = self.ffi.new("aero_cell_error *")
        status = self.table.decode_tsv(spans, len(cells), row, error)
        reason = self.ffi.string(error.reason).decode() if status else ""
        assert not status or error.code == status
        return status, row, reason, error.cell, keep

    def encode(self, row: Any, base: Any = None) -> bytes:
        """Encode an image as a TSV line, asking for the size first."""
        base = base or self.ffi.NULL
        size = self.table.encode_tsv(row, base, self.ffi.NULL, 0)
        out = self.ffi.new("char[]", size + 1)
        assert self.table.encode_tsv(row, base, out, size) == size
        return bytes(self.ffi.buffer(out, size))

    def dirty(self, left: Any, right: Any) -> set[str]:
        """Return the names of the columns in which two images differ."""
        mask = self.ffi.new("uint64_t[]", [(1 << 64) - 1] * 16)
        count = self.table.dirty(left, self.ffi.NULL, right, self.ffi.NULL, mask)
        found = {name for at, name in enumerate(self.names) if mask[at // 64] >> at % 64 & 1}
        assert count == len(found)
        return found

    def delta(self, row: Any, names: set[str]) -> bytes:
        """Encode columns of an image."""
        mask = self.ffi.new("uint64_t[]", 16)
        for name in names:
            at = self.names.index(name)
            mask[at // 64] |= 1 << at % 64
        size = self.table.encode_delta(row, self.ffi.NULL, mask, self.ffi.NULL, 0)
        out = self.ffi.new("uint8_t[]", size + 1)
        assert self.table.encode_delta(row, self.ffi.NULL, mask, out, size) == size
        return bytes(self.ffi.buffer(out, size))

    def apply(self, row: Any, delta: bytes) -> tuple[int, Any]:
        """Apply a delta to an image; the second result keeps its bytes alive."""
        keep = self.ffi.new("uint8_t[]", delta) if delta else self.ffi.new("uint8_t[1]")
        return self.table.apply_delta(row, keep, len(delta)), keep


def build_callable(schema: Path, folder: Path) -> GeneratedCode:
    """Compile a schema's generated C with the conversions and load it."""
    model = lower(load_schema(schema))
    write_files(folder, emit(model))
    engine = engine_dir()
    flags = (f"-I{engine / 'include'}", f"-I{engine}", f"-I{folder}", "-trigraphs")
    sources = [path for pattern in CONVERSIONS for path in sorted(engine.glob(pattern))]
    units = [Unit(path, path.stem, flags) for path in [*sources, folder / f"{model.package}.c"]]
    objects = compile_units(units, folder / "objects", "debug", strict=True)
    library = folder / f"lib{model.package}.so"
    link(objects, ["-lm"], library, "debug")
    ffi = cffi.FFI()
    ffi.cdef(engine_declarations(include_dir()))
    ffi.cdef(row_declarations((folder / f"{model.package}.cdef.h").read_text()))
    return GeneratedCode(ffi, ffi.dlopen(str(library)), model, model.package)
