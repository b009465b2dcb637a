"""The command line: `aerostore`, or `python -m aerostore`."""

from __future__ import annotations

import contextlib
import enum
import gzip
import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as Grid

import aerostore
from aerostore._locate import find_package
from aerostore.ingest import IngestReport, Readable
from aerostore.query import SearchResult
from aerostore.rows import Row

# Rows shown as a table when no limit is given: a screenful or two.
_SCREEN = 100


class Format(enum.StrEnum):
    """How `query` prints rows."""

    table = "table"
    json = "json"
    tsv = "tsv"


DataDir = Annotated[Path, typer.Argument(help="Data directory of the database.")]
TableName = Annotated[str, typer.Argument(help="Name of the table.")]
Package = Annotated[
    str, typer.Option("--package", help="Schema package: a name, or a compiled directory.")
]
Profile = Annotated[str, typer.Option("--profile", help="shared, embedded or logical.")]
KnownProfile = Annotated[
    str | None, typer.Option("--profile", help="shared, embedded or logical; else as its files.")
]
Size = Annotated[str, typer.Option("--size", help="Most memory a new database may grow to.")]
ShmPath = Annotated[
    Path | None, typer.Option("--shm-path", help="File of the shared segment, if not derived.")
]


def _open(
    data_dir: Path, profile: str, size: str = "4GiB", *, package: str, shm_path: Path | None,
    create: bool = False,
) -> aerostore.Database:
    """Open; on a terminal, a recovery of more than a second shows how far it is."""
    console = Console(stderr=True)
    columns = (BarColumn(), TextColumn("recovering: {task.description}"), TimeElapsedColumn())
    bar = Progress(*columns, console=console, transient=True)
    task = bar.add_task("checkpoint", total=None)
    began = monotonic()

    def show(phase: str, done: int, total: int) -> None:
        if monotonic() - began > 1:
            bar.start()
            bar.update(task, description=phase, completed=done, total=total)

    try:
        return aerostore.open(
            data_dir, profile, size, package=package, shm_path=shm_path, create=create,
            progress=show if console.is_terminal else None,
        )
    finally:
        if bar.live.is_started:  # stopping one that was not prints a line
            bar.stop()


@contextlib.contextmanager
def _existing(
    data_dir: Path, package: str, shm_path: Path | None, profile: str | None = None
) -> Iterator[aerostore.Database]:
    profile = profile or _profile_of(data_dir)
    with _open(data_dir, profile, package=package, shm_path=shm_path) as db:
        yield db


def _profile_of(data_dir: Path) -> str:
    """Tell from its files which profile a database has."""
    for profile, names in (
        ("logical", ("aerostore_logical.wal*", "snapshot.dat*")),
        ("embedded", ("wal.log*", "checkpoint.dat*")),
    ):
        if any(True for name in names for _ in data_dir.glob(name)):
            return profile
    return "shared"


def ingest(
    data_dir: DataDir,
    table: TableName,
    file: Annotated[str, typer.Argument(help="TSV file, also .gz; - reads standard input.")],
    batch_size: Annotated[int, typer.Option(help="Rows in a transaction.")] = 1024,
    columns: Annotated[str, typer.Option(help="Columns of the cells, comma-separated.")] = "",
    header: Annotated[bool, typer.Option("--header", help="Skip the first line.")] = False,
    package: Package = "aerostore",
    profile: Profile = "shared",
    size: Size = "4GiB",
    shm_path: ShmPath = None,
) -> None:
    """Read a TSV file into a table: new keys are inserted, known ones replaced."""
    opened = _open(data_dir, profile, size, package=package, shm_path=shm_path, create=True)
    with opened as db, _progress() as progress, _source(file) as source:
        report = db.table(table).ingest_tsv(
            source,
            batch_size,
            columns=[name for name in columns.split(",") if name] or None,
            header=header,
            progress=progress,
        )
    rate = report.rows_seen / report.elapsed if report.elapsed else 0
    typer.echo(
        f"rows_seen={report.rows_seen} inserted={report.inserted} updated={report.updated} "
        f"batches={report.batches} elapsed_ms={report.elapsed * 1000:.2f} rows_per_s={rate:.0f}"
    )


@contextlib.contextmanager
def _source(file: str) -> Iterator[str | Readable]:
    if file == "-":
        yield sys.stdin.buffer
    elif file.endswith(".gz"):
        try:
            with gzip.open(file, "rb") as unpacked:
                yield unpacked
        except (OSError, EOFError) as error:
            raise aerostore.StorageError(f"cannot read {file}: {error}") from None
    else:
        yield file


@contextlib.contextmanager
def _progress() -> Iterator[Any]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (BarColumn(), TextColumn("{task.completed:,.0f} rows"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("ingest", total=None)

        def show(report: IngestReport, _size: int) -> None:
            bar.update(task, completed=report.rows_seen)

        yield show


def query(
    data_dir: DataDir,
    table: TableName,
    compare: Annotated[
        list[str] | None,
        typer.Option("-c", "--compare", help="Clauses as in Tcl: '> altitude 10000'. Repeatable."),
    ] = None,
    sort: Annotated[
        list[str] | None, typer.Option(help="Column to sort by; -column descends. Repeatable.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Most rows.")] = None,
    offset: Annotated[int, typer.Option(help="Rows to skip.")] = 0,
    fields: Annotated[str, typer.Option(help="Columns to show, comma-separated.")] = "",
    output: Annotated[Format, typer.Option("-f", "--format", help="Output form.")] = Format.table,
    header: Annotated[bool, typer.Option("--header", help="First TSV line: names.")] = False,
    count: Annotated[bool, typer.Option("--count", help="Only count the rows.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Tell how it is searched.")] = False,
    package: Package = "aerostore",
    shm_path: ShmPath = None,
) -> None:
    """Search a table and print the rows."""
    with _existing(data_dir, package, shm_path) as db:
        result = db.table(table).search(
            compare or (),
            sort=sort or (),
            limit=limit,
            offset=offset,
            fields=[name for name in fields.split(",") if name] or None,
        )
        if explain:
            typer.echo(result.explain(execute=True))
        elif count:
            typer.echo(result.count())
        elif output is Format.tsv:
            result.write_tsv(sys.stdout.buffer, header=header)
        elif output is Format.json:
            _print_json(result)
        else:
            _print_table(result, limit)


def _plain(row: Row) -> dict[str, Any]:
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in row.items()}


def _print_json(result: SearchResult) -> None:
    separator = "[\n"
    for row in result:
        sys.stdout.write(separator + json.dumps(_plain(row), ensure_ascii=False))
        separator = ",\n"
    sys.stdout.write("[]\n" if separator == "[\n" else "\n]\n")


def _print_table(result: SearchResult, limit: int | None) -> None:
    grid = Grid(*result.fields, box=box.SIMPLE)
    shown = itertools.islice(result.tuples(), _SCREEN if limit is None else None)
    for values in shown:
        grid.add_row(*("" if value is None else _printable(value) for value in values))
    console = Console(markup=False, highlight=False)
    console.print(grid)
    if limit is None and grid.row_count == _SCREEN:
        console.print(f"{_SCREEN} of {result.count()} rows; --limit shows more")


def _printable(value: object) -> str:
    """Text without control characters: stored data must not drive the terminal."""
    text = value.hex() if isinstance(value, bytes) else str(value)
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def watch(
    data_dir: DataDir,
    table: TableName,
    compare: Annotated[
        list[str] | None,
        typer.Option("-c", "--compare", help="Clauses as in Tcl: '> altitude 10000'. Repeatable."),
    ] = None,
    start: Annotated[str, typer.Option(help="now, snapshot, or a position.")] = "now",
    timeout: Annotated[
        float | None, typer.Option(help="End when nothing came for so many seconds.")
    ] = None,
    package: Package = "aerostore",
    shm_path: ShmPath = None,
) -> None:
    """Print a table's changes as they are committed, one JSON object a line."""
    position = int(start) if start.isascii() and start.isdigit() else start  # a commit's number
    with _existing(data_dir, package, shm_path) as db:
        events = db.table(table).watch(compare or (), start=position, timeout=timeout)
        with contextlib.suppress(KeyboardInterrupt), events:
            for event in events:
                line = {
                    "kind": event.kind,
                    "key": event.key.hex() if isinstance(event.key, bytes) else event.key,
                    "old": None if event.old is None else _plain(event.old),
                    "new": None if event.new is None else _plain(event.new),
                    "columns": event.columns,
                    "position": event.position,
                    "number": event.number,
                }
                typer.echo(json.dumps(line, ensure_ascii=False))


def stats(
    data_dir: DataDir,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    package: Package = "aerostore",
    shm_path: ShmPath = None,
) -> None:
    """Print the database's statistics."""
    with _existing(data_dir, package, shm_path) as db:
        figures = db.stats().as_dict()
    if as_json:
        typer.echo(json.dumps(figures, indent=2))
        return
    tables = figures.pop("tables")
    for prefix, values in (("", figures), *((f"{name}.", tables[name]) for name in tables)):
        for name, value in values.items():
            for text in _figure_lines(prefix + name, value):
                typer.echo(text)


def _figure_lines(name: str, value: Any) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{name} {value}"
        return
    for number, element in enumerate(value):
        pairs = " ".join(f"{field}={each}" for field, each in element.items())
        yield f"{name}[{number}] {pairs}"


def metrics(
    data_dir: DataDir,
    listen: Annotated[
        str, typer.Option(help="HOST:PORT (port 0: any), or unix:PATH.")
    ] = "127.0.0.1:9464",
    once: Annotated[bool, typer.Option("--once", help="Print the page and end.")] = False,
    package: Package = "aerostore",
    shm_path: ShmPath = None,
) -> None:
    """Serve the statistics at /metrics as Prometheus text, until Ctrl-C or SIGTERM."""
    from aerostore._metrics import prometheus, serve

    with _existing(data_dir, package, shm_path) as db:
        if once:
            typer.echo(prometheus(db.stats()), nl=False)
        else:
            serve(listen, lambda: prometheus(db.stats()), _say)


def _say(where: str) -> None:
    print(f"listening on {where}", flush=True)


def top(
    data_dir: DataDir,
    interval: Annotated[float, typer.Option(min=0.05, help="Seconds between looks.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Show it once and end.")] = False,
    package: Package = "aerostore",
    shm_path: ShmPath = None,
) -> None:
    """Show the statistics live; q or Ctrl-C ends."""
    from aerostore._top import show

    with _existing(data_dir, package, shm_path) as db:
        show(db.stats, interval, once)


def verify(
    data_dir: DataDir,
    live: Annotated[
        bool, typer.Option("--live", help="Check the memory of the open database instead.")
    ] = False,
    package: Package = "aerostore",
    shm_path: ShmPath = None,
) -> None:
    """Check the files of a store, or the memory of an open one; exit 1 at a contradiction."""
    if live:
        with _existing(data_dir, package, shm_path) as db:
            walked = db.verify()
        typer.echo(f"ok rows={walked.rows} blocks={walked.blocks}")
        return
    report = aerostore.verify_files(data_dir, package=package)
    _print_files("ok", report)


def _print_files(word: str, report: aerostore.FilesReport) -> None:
    typer.echo(
        f"{word} rows={report.rows} commits={report.commits} number={report.number} "
        f"lsn={report.lsn} torn_bytes={report.cut_bytes}"
    )


def repair(data_dir: DataDir, package: Package = "aerostore") -> None:
    """Make a damaged store usable with what is good of it; its files are kept aside."""
    report = aerostore.repair(data_dir, package=package)
    _print_files("damaged" if report.damaged else "whole", report)
    typer.echo(f"the files as they were: {report.aside}")


def restore(
    data_dir: DataDir,
    target: Annotated[Path, typer.Argument(help="New data directory: made, or empty.")],
    number: Annotated[int | None, typer.Option(help="Last commit to take, or all.")] = None,
    time: Annotated[float | None, typer.Option(help="Unix seconds of the last commit.")] = None,
    package: Package = "aerostore",
) -> None:
    """Make a new store of what another one held at some time."""
    report = aerostore.restore(data_dir, target, number=number, time=time, package=package)
    _print_files("restored", report)
    if number is not None and report.number != number:
        typer.echo(
            f"no commit kept has the number {number}: the last one taken is {report.number}",
            err=True,
        )


def backup(
    data_dir: DataDir,
    target: Annotated[Path, typer.Argument(help="New data directory: made, or empty.")],
    package: Package = "aerostore",
    profile: KnownProfile = None,
    shm_path: ShmPath = None,
) -> None:
    """Copy a database into a new store, while it is used."""
    with _existing(data_dir, package, shm_path, profile) as db:
        report = db.backup(target)
    typer.echo(f"backup rows={report.rows} bytes={report.bytes} number={report.number}")


def checkpoint(
    data_dir: DataDir,
    package: Package = "aerostore",
    profile: KnownProfile = None,
    shm_path: ShmPath = None,
) -> None:
    """Write a checkpoint and cut the log."""
    with _existing(data_dir, package, shm_path, profile) as db:
        report = db.checkpoint()
    typer.echo(f"checkpoint rows={report.rows} bytes={report.bytes} number={report.number}")


def where(package: Package = "aerostore") -> None:
    """Print the folder of a compiled package, as Tcl's auto_path needs it."""
    typer.echo(find_package(package).library.parent)


def bench(
    rows: Annotated[int, typer.Option(min=1, help="Rows of the table.")] = 100_000,
    folder: Annotated[
        Path | None, typer.Option(help="Where its files lie meanwhile; else a temporary folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object a line.")] = False,
) -> None:
    """Measure how fast it is on this machine, on rows of its own that are gone afterwards."""
    from aerostore._bench import measure  # by few needed, as in make_app

    if folder is not None and not folder.is_dir():
        raise aerostore.UsageError(f"there is no folder {folder}")
    for each in measure(rows, folder):
        if as_json:
            figures = {"what": each.what, "unit": each.unit, "count": each.count,
                       "seconds": round(each.seconds, 6), "per_second": round(each.rate, 1)}
            typer.echo(json.dumps(figures))
        else:
            typer.echo(f"{each.what:42} {each.rate:14,.0f} {each.unit} a second")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"aerostore {aerostore.__version__}")
        raise typer.Exit


def _aerostore(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True,
                     help="Print the version and exit."),
    ] = False,
) -> None:
    """Aerostore: transactional tables in shared memory."""


def make_app() -> typer.Typer:
    """Assemble the commands."""
    # The compiler and the demo are needed by few runs; importing them here keeps the API light.
    from aerostore.demo import demo
    from aerostore_codegen.cli import compile_command

    app = typer.Typer(
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    app.callback()(_aerostore)
    app.command("compile")(compile_command)
    commands = (
        ingest,
        query,
        watch,
        stats,
        metrics,
        top,
        verify,
        checkpoint,
        backup,
        restore,
        repair,
        where,
        bench,
        demo,
    )
    for command in commands:
        app.command()(command)
    return app


def main() -> None:
    """Run the command line; an Aerostore error is one line on stderr and exit status 1."""
    try:
        make_app()()
    except aerostore.Error as error:
        typer.echo(f"error: {error}", err=True)
        if error.report is not None and error.report.batches > 0:
            report = error.report
            typer.echo(
                f"committed before: batches={report.batches} inserted={report.inserted} "
                f"updated={report.updated}",
                err=True,
            )
        raise SystemExit(1) from None
