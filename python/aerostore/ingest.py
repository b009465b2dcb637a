"""Reading TSV into a table."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from aerostore import _arguments
from aerostore._ffi.query import Report, TsvInput
from aerostore._ffi.session import Session
from aerostore._model import TableInfo
from aerostore.errors import Error, UsageError

BATCH_SIZE = 1024  # rows in a transaction when the caller does not say
_PIECE_SIZE = 1 << 20  # bytes read from a file object at a time


class Readable(Protocol):
    """Anything with a read method: an open file, a socket's file, a decompressor."""

    def read(self, size: int, /) -> bytes | str:
        """Return up to `size` bytes or characters, nothing at the end."""


Source = str | os.PathLike[str] | bytes | bytearray | memoryview | Readable


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What an ingest did.

    Attributes:
        rows_seen: rows read.
        inserted: rows that were new.
        updated: rows whose key was there already.
        batches: transactions committed.
        elapsed: seconds it took.
    """

    rows_seen: int
    inserted: int
    updated: int
    batches: int
    elapsed: float


Progress = Callable[[IngestReport, int], object]


def ingest(
    session: Session,
    table: TableInfo,
    source: Source,
    *,
    batch_size: int | None,
    columns: Sequence[str] | None,
    header: bool,
    separator: str | None,
    null: str | None,
    progress: Progress | None,
) -> IngestReport:
    """Ingest from whatever `source` is; see Table.ingest_tsv."""
    for name, text in (("separator", separator), ("null", null)):
        if "\0" in _arguments.text(name, text, ""):
            raise UsageError(f"{name} cannot hold a NUL character")
    if progress is not None and not callable(progress):
        raise UsageError(f"progress is a function of a report and a size, not {progress!r}")
    wanted = () if columns is None else _arguments.names("columns", columns, '["lat", "lon"]')
    tsv = TsvInput(
        session,
        table,
        columns=[table.column_index(name) for name in wanted],
        null_text=null,
        separator=_arguments.text("separator", separator, "\t"),
        header=bool(header),
        batch_size=_arguments.count(
            "batch_size", batch_size, BATCH_SIZE, 1, _arguments.COUNT_MAX
        ),
        progress=_adapt(progress),
    )
    try:
        return IngestReport(*_run(tsv, source))
    except Error as error:
        error.report = IngestReport(*tsv.report)
        raise


def _adapt(progress: Progress | None) -> Callable[[Report, int], object] | None:
    if progress is None:
        return None
    return lambda report, total: progress(IngestReport(*report), total)


def _run(tsv: TsvInput, source: Any) -> Report:
    if isinstance(source, str | os.PathLike):
        path = _arguments.path("source", source)
        looks_like_data = "\t" in path or "\n" in path
        if looks_like_data and not os.path.exists(path):  # noqa: PTH110 - it may be no valid path
            raise UsageError("a str is taken as the path of a file; pass TSV text as bytes")
        return tsv.file(path)
    if hasattr(source, "read"):
        return tsv.pieces(_pieces(source))
    return tsv.data(source)


def _pieces(source: Readable) -> Iterator[bytes]:
    """Read a file object to its end; text is encoded to UTF-8."""
    while piece := source.read(_PIECE_SIZE):
        yield piece.encode() if isinstance(piece, str) else bytes(piece)
