"""Load a compiled package and make sure that this code and the library mean the same bytes.

A wrong declaration crashes a foreign call instead of failing it, so nothing of the library is used
before three things agree: the ABI number, the size of every public struct, and the package's schema
fingerprint with the size of every row struct.  A library that does not fit is refused with
LayoutMismatch and both values.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

import cffi

from aerostore._ffi.cdef import engine_declarations, include_dir, row_declarations
from aerostore._ffi.values import RowDecoder, row_decoder
from aerostore._locate import PackageFiles
from aerostore._model import KIND_NAMES, Column, PackageInfo, TableInfo
from aerostore.errors import Error, LayoutMismatch, StorageError, error_class

_FLAG_NULLABLE = 1
_FLAG_KEY = 2


@dataclass(frozen=True, slots=True)
class Library:
    """A loaded package: cffi's two handles, what the package says, how to read its rows.

    `stat_names` are those of statistics by the address of the library's constant.
    """

    ffi: Any
    lib: Any
    package: PackageInfo
    decoders: tuple[RowDecoder, ...]
    stat_names: dict[int, str] = field(default_factory=dict)

    def text(self, pointer: Any) -> str:
        """Return the C string at a pointer, "" for NULL."""
        if not pointer:
            return ""
        return str(self.ffi.string(pointer).decode("utf-8", "replace"))

    def exception(self, error: Any) -> Error:
        """Make the exception that an aero_error describes."""
        code = int(error.code)
        table = self.text(error.table) or None
        return error_class(code)(
            self.text(error.text) or f"the engine answered status {code} without a text",
            table=table,
            field=self.text(error.field) or None,
            line=int(error.line) if error.line >= 0 else None,
            column=int(error.column) if error.column >= 0 else None,
            aborted=bool(error.aborted),
            reason=self.text(self.lib.aero_conflict_name(error.reason)) if error.reason else None,
            columns=tuple(
                each.columns[error.columns[i]].name
                for each in self.package.tables
                if each.name == table
                for i in range(error.column_count)
            ),
        )


# Every type that is named in a call of cffi.
_TYPES = (
    "aero_checkpoint_report *",
    "aero_column_data[]",
    "aero_cursor **",
    "aero_db **",
    "aero_error *",
    "aero_event *",
    "aero_files_report *",
    "aero_index_info[]",
    "aero_ingest **",
    "aero_ingest_report *",
    "aero_open_options *",
    "aero_progress",
    "aero_query **",
    "aero_recovering",
    "aero_session **",
    "aero_stat const **",
    "aero_tsv_options *",
    "aero_value *",
    "aero_value[]",
    "aero_watch **",
    "aero_waiting",
    "aero_writer",
    "char *",
    "char const **",
    "char[]",
    "int32_t *",
    "int32_t const **",
    "size_t *",
    "uint32_t *",
    "uint32_t[]",
    "int64_t *",
    "uint64_t *",
    "uintptr_t",
    "void const **",
)


@functools.cache
def load(files: PackageFiles) -> Library:
    """Load a package's library and check it.  Loading the same files again costs nothing."""
    ffi = cffi.FFI()
    ffi.cdef(engine_declarations(include_dir()))
    if files.declarations is not None:
        ffi.cdef(row_declarations(files.declarations.read_text(encoding="utf-8")))
    try:
        lib = ffi.dlopen(str(files.library))
    except OSError as error:
        # cffi adds a paragraph on where else it looked; the loader's own words are enough.
        reason = str(error).split("  Additionally", 1)[0]
        raise StorageError(f"cannot load {files.library}: {reason}") from None
    _check_engine(ffi, lib, str(files.library))
    _resolve(ffi, lib, str(files.library))
    package = _describe(ffi, lib)
    _check_package(ffi, lib, package, files)

    def memory(address: int, length: int) -> bytes:
        return bytes(ffi.buffer(ffi.cast("char *", address), length))

    decoders = tuple(row_decoder(table, memory) for table in package.tables)
    return Library(ffi, lib, package, decoders)


def _refuse(where: str, what: str, found: object, expected: object) -> None:
    if found != expected:
        raise LayoutMismatch(
            f"{where}: {what} is {found} in the library and {expected} here; "
            "compile the package again with this version of Aerostore"
        )


def _check_engine(ffi: Any, lib: Any, where: str) -> None:
    try:
        abi = lib.aero_abi()
    except AttributeError:
        raise LayoutMismatch(f"{where} is not a compiled Aerostore package") from None
    _refuse(where, "the ABI number", int(abi), int(lib.AERO_ABI))
    entry = lib.aero_layout()
    checked = 0
    while entry.name:
        name = ffi.string(entry.name).decode()
        _refuse(where, f"the size of {name}", int(entry.size), _sizeof(ffi, name))
        _refuse(where, f"the alignment of {name}", int(entry.align), _alignof(ffi, name))
        entry += 1
        checked += 1
    if checked == 0:
        raise LayoutMismatch(f"{where} does not tell the sizes of its structs")


def _resolve(ffi: Any, lib: Any, where: str) -> None:
    """Look up every function and type now.

    A missing function is told at once; and cffi looks up under a lock, which must not be held by
    some other thread when a process forks: the child would wait for it for ever.
    """
    for name in dir(lib):
        try:
            getattr(lib, name)
        except AttributeError:
            raise LayoutMismatch(
                f"{where} has no function {name}; compile the package again"
            ) from None
    for name in _TYPES:
        ffi.typeof(name)


def _ctype(ffi: Any, name: str) -> Any:
    for spelling in (name, f"struct {name}"):
        try:
            return ffi.typeof(spelling)
        except Exception:  # noqa: S112 - cffi raises classes it does not document
            continue
    return None


def _sizeof(ffi: Any, name: str) -> int | None:
    ctype = _ctype(ffi, name)
    return None if ctype is None else int(ffi.sizeof(ctype))


def _alignof(ffi: Any, name: str) -> int | None:
    ctype = _ctype(ffi, name)
    return None if ctype is None else int(ffi.alignof(ctype))


def _check_package(ffi: Any, lib: Any, package: PackageInfo, files: PackageFiles) -> None:
    where = str(files.library)
    _refuse(where, "the descriptor ABI", int(lib.aero_schema().codegen_abi), lib.AERO_CODEGEN_ABI)
    if files.fingerprint is not None:
        found = f"{package.fingerprint:016x}"
        _refuse(where, "the schema fingerprint", found, f"{files.fingerprint:016x}")
    if files.declarations is None:
        return
    for table in package.tables:
        name = f"{package.name}_{table.name}"
        _refuse(where, f"the size of struct {name}", table.row_size, _sizeof(ffi, name))
        for column in table.columns:
            offset = ffi.offsetof(name, column.name)
            _refuse(where, f"the offset of {column.name} in {name}", column.offset, offset)


def _describe(ffi: Any, lib: Any) -> PackageInfo:
    schema = lib.aero_schema()

    def text(pointer: Any) -> str:
        return ffi.string(pointer).decode("utf-8") if pointer else ""

    tables = []
    for number in range(schema.table_count):
        table = schema.tables[number]
        columns = tuple(
            _column(text, index, table.columns[index]) for index in range(table.column_count)
        )
        by_name = {column.name: column.index for column in columns}
        for column in columns:
            for alias in column.aliases:
                by_name.setdefault(alias, column.index)
        tables.append(
            TableInfo(
                index=number,
                name=text(table.name),
                doc=text(table.doc),
                columns=columns,
                key=columns[table.key_column],
                row_size=int(table.row_size),
                null_words=int(table.null_words),
                by_name=by_name,
                aliases=frozenset(by_name) - {column.name for column in columns},
            )
        )
    return PackageInfo(
        name=text(schema.package),
        version=text(schema.version),
        compiler_version=text(schema.compiler_version),
        fingerprint=int(schema.fingerprint),
        tables=tuple(tables),
    )


def _column(text: Any, index: int, column: Any) -> Column:
    return Column(
        name=text(column.name),
        kind=KIND_NAMES[column.kind],
        doc=text(column.doc),
        aliases=tuple(text(column.aliases[i]) for i in range(column.alias_count)),
        nullable=bool(column.flags & _FLAG_NULLABLE),
        is_key=bool(column.flags & _FLAG_KEY),
        max_length=int(column.max_length),
        index=index,
        offset=int(column.offset),
        size=int(column.size),
        null_index=int(column.null_index),
    )
