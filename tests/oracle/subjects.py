"""What is under test: a recorded file, its model, and a store it was loaded into."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aerostore
from oracle.model import Column, Model, Row, Value, load, read_lines, unescape
from oracle.queries import Query, tcl_list

DRIVER = Path(__file__).with_name("driver.tcl")


@dataclass
class Subject:
    """A loaded table and the model that says what is in it."""

    model: Model
    database: Any
    table: Any
    table_name: str
    package: str
    tcl_dir: Path
    data_dir: Path
    shm_path: Path
    report: Any
    own_keys: bool

    def ask_tcl(self, requests: Sequence[Sequence[str]], scratch: Path) -> list[list[str]]:
        """Run requests in one tclsh; return each answer's lines, the result last."""
        file = scratch / "requests.tcl"
        file.write_text("".join(tcl_list(list(request)) + "\n" for request in requests),
                        encoding="utf-8", newline="\n")
        done = subprocess.run(
            ["tclsh8.6", str(DRIVER), str(self.tcl_dir), self.package, self.table_name,
             str(self.data_dir), str(self.shm_path), str(file)],
            capture_output=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr.decode()
        answers: list[list[str]] = []
        lines: list[str] = []
        for line in done.stdout.decode("utf-8").split("\n"):
            if line.startswith("\x1e"):
                answers.append([*lines, line[1:]])
                lines = []
            else:
                lines.append(line)
        assert lines == [""]
        assert len(answers) == len(requests)
        return answers

    def python_rows(self, query: Query) -> list[tuple[Value, ...]]:
        """Run a query through Python's door; times come back as microseconds."""
        found = self.table.search(
            [clause.for_python() for clause in query.clauses], sort=list(query.sort),
            limit=query.limit, offset=query.offset, fields=list(query.fields))
        kinds = [self.model.column(name).kind for name in query.fields]
        return [
            tuple(round(value * 1e6) if kind == "time" else value
                  for kind, value in zip(kinds, (row[name] for name in query.fields), strict=True))
            for row in found
        ]


def numbered(lines: Iterator[str]) -> Iterator[str]:
    """Give every line a key of its own: the key, a dash, the line's number."""
    for number, line in enumerate(lines):
        key, tab, rest = line.partition("\t")
        yield f"{key}-{number}{tab}{rest}"


@contextlib.contextmanager
def subject(path: Path, columns: tuple[Column, ...], *, folder: Path, shm_path: Path,
            package: str, package_dir: Path | None, tcl_dir: Path, table_name: str,
            own_keys: bool) -> Iterator[Subject]:
    """Load a file into a store of its own and into a model."""
    source: Path | bytes = path
    model_lines = read_lines(path)
    if own_keys:
        kept, model_lines = itertools.tee(numbered(model_lines))
        source = "".join(line + "\n" for line in kept).encode()
    elif path.suffix == ".gz":
        source = "".join(line + "\n" for line in read_lines(path)).encode()
    model = load(columns, model_lines)
    options = {"shm_path": shm_path, "size": "1GiB"}
    with aerostore.open(folder, package=str(package_dir or package), **options) as database:
        table = database.table(table_name)
        report = table.ingest_tsv(source)
        yield Subject(model, database, table, table_name, package, tcl_dir, folder, shm_path,
                      report, own_keys)


def cell_value(column: Column, cell: str) -> Value:
    """Read a cell of the Tcl driver; `\\N` is a variable that was not set."""
    if cell == "\\N":
        return None
    return Column(column.name, column.kind).read(cell)


def describe(row: Row, fields: Sequence[str]) -> tuple[Value, ...]:
    """Return the asked columns of a model's row."""
    return tuple(row[name] for name in fields)


def plain(cell: str) -> str:
    """Undo the driver's escapes."""
    return unescape(cell)
