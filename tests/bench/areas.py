"""The benchmarks, one function each: run the driver, name the bars.

Costs are times per row (less is better), so "at least 3 x SQLite" is SQLite's time over ours.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from bench.core import (
    DRIVERS,
    OUTPUT,
    Bar,
    BenchError,
    Outcome,
    Work,
    has_library,
    note_missing,
)
from bench.crucible import crucible
from bench.gates import gates
from bench.servers import all_cores, postgres, redis, tool
from support.paths import ROOT

# Rows of a transaction in a load that wants keys of one leaf to come together.
LARGE_BATCH = 65_536


def ingest(work: Work) -> Outcome:
    """Load 1 M rows of 8 columns from a file, and the bytes a row then takes."""
    outcome = Outcome("ingest")
    flights, program = str(work.flights()), str(work.driver("ingest"))
    loads: dict[str, Callable[[], None]] = {}

    def aerostore(indexes: int, batch: int = 0) -> None:
        folder = work.folder("ingest")
        work.measure(outcome, [program, "aerostore", str(indexes), str(batch), str(work.rows),
                               flights, str(folder)])
        shutil.rmtree(folder)

    loads["aerostore"] = lambda: aerostore(0)
    loads["aerostore, 3 indexes"] = lambda: aerostore(3)
    loads["aerostore, large batches"] = lambda: aerostore(0, LARGE_BATCH)
    loads["aerostore, 3 indexes, large batches"] = lambda: aerostore(3, LARGE_BATCH)
    if b"sqlite" in work.driver("ingest").read_bytes():
        arguments = ["sqlite", str(work.rows), flights]
        loads["sqlite"] = lambda: work.measure(outcome, [program, *arguments])
    if find_spec("pyarrow") is not None:
        loads["pyarrow"] = lambda: work.measure(outcome, work.python("arrow_csv.py", flights))
    names = list(loads)
    for turn in range(work.rounds):
        for step in range(len(names)):
            loads[names[(turn + step) % len(names)]]()
    note_missing(outcome, [("ingest", "pyarrow"), ("ingest", "sqlite")])
    outcome.bars = [
        Bar("ingest_file, key only, >= 1.0 x pyarrow's CSV reader, one thread", "ingest", "pyarrow",
            "aerostore", 1.0),
        Bar("ingest_file, key only, >= 3 x SQLite in memory", "ingest", "sqlite", "aerostore", 3.0),
        Bar("segment <= 200 bytes a FlightState row, key only", "size", "aerostore", "", 200.0,
            False),
        Bar("ingest_file with three indexes >= 40 % of the rate with the key only", "ingest",
            "aerostore", "aerostore, 3 indexes", 0.4),
        Bar(f"the same in transactions of {LARGE_BATCH} rows", "ingest",
            f"aerostore, batches of {LARGE_BATCH}",
            f"aerostore, 3 indexes, batches of {LARGE_BATCH}", 0.4),
        Bar("segment <= 280 bytes a row with three indexes", "size", "aerostore, 3 indexes", "",
            280.0, False),
    ]
    return outcome


def _keyed(work: Work, name: str, bars: list[Bar]) -> Outcome:
    outcome = Outcome(name, bars=bars)
    flights, folder = str(work.flights()), work.folder(name)
    program = str(work.driver("keyed"))
    work.measure(outcome, [program, name, str(work.rows), str(work.operations), str(work.rounds),
                           flights, str(folder)])
    served(work, outcome, name, folder)
    shutil.rmtree(folder)
    note_missing(outcome, [(name, peer) for peer in ("lmdb", "sqlite", "redis", "postgresql")])
    return outcome


def served(work: Work, outcome: Outcome, name: str, folder: Path) -> None:
    """Measure the same on servers: fewer rows and operations, as each is a journey."""
    sizes = [str(min(work.rows, 100_000)), str(max(work.operations // 50, 100))]
    program = str(work.driver("served"))
    with redis(work, folder) as socket, postgres(work, synchronous_commit="off") as server:
        for _ in range(work.rounds):
            for peer, address in (("redis", socket), ("postgresql", server)):
                if address is not None and (peer == "redis" or has_library("pq")):
                    with all_cores():
                        work.measure(outcome, [program, peer, name, *sizes, str(address)])


def get(work: Work) -> Outcome:
    """Read one random row by key, C API: every column is looked at."""
    return _keyed(work, "get", [
        Bar("point get <= 4 x a plain C hash and reading the row", "get", "aerostore",
            "plain hash", 4.0, False),
    ])


def update(work: Work) -> Outcome:
    """Update one random row by key, C API: the five columns of a position report."""
    return _keyed(work, "update", [
        Bar("update >= 25 % of the rate of a plain C hash in place", "update", "plain hash",
            "aerostore", 0.25),
    ])


def scan(work: Work) -> Outcome:
    """Count rows by two numeric predicates; the first 50 of an unindexed order."""
    outcome = Outcome("scan")
    flights, folder = str(work.flights()), work.folder("scan")
    work.measure(outcome, [str(work.driver("scan")), str(work.rows), str(work.rounds), flights,
                           str(folder)])
    shutil.rmtree(folder)
    note_missing(outcome, [("scan", "lmdb"), ("scan", "sqlite")])
    outcome.bars = [
        Bar("full scan >= 40 % of a plain C loop", "scan", "plain loop", "aerostore", 0.4),
        Bar("full scan >= 1 x an LMDB cursor", "scan", "lmdb", "aerostore", 1.0),
        Bar("-sort with -limit 50 >= 8 x a full sort", "sort", "aerostore full sort", "aerostore",
            8.0),
    ]
    return outcome


def query(work: Work) -> Outcome:
    """Search through ordered indexes: one value, ranges, the end and the first of an order."""
    outcome = Outcome("query")
    folder = work.folder("query")
    work.measure(outcome, [str(work.driver("query")), str(work.rows), str(work.rounds),
                           str(folder)])
    shutil.rmtree(folder)
    folder = work.folder("lookup")
    small = Work(min(work.rows, 50_000), work.rounds, work.operations, work.scratch, work.say)
    work.measure(outcome, [str(work.driver("lookup")), str(small.rows), str(small.rounds),
                           str(small.flights()), str(folder)])
    shutil.rmtree(folder)
    ranges = [("range of a thousandth", "0.1 %"), ("range of a tenth", "10 %")]
    note_missing(outcome, [(what, peer) for what in ("equal", *(name for name, _ in ranges))
                           for peer in ("lmdb", "sqlite")])
    outcome.bars = [
        Bar("= of an indexed column, 3 columns read, >= 8 x SQLite in memory", "equal", "sqlite",
            "aerostore", 8.0),
        Bar("= of an indexed column, 3 columns read, >= 4 x LMDB", "equal", "lmdb", "aerostore",
            4.0),
        *(Bar(f"indexed range of {share}, 3 columns read, >= {bound:.0f} x {name}", what, peer,
              "aerostore", bound)
          for what, share in ranges
          for peer, name, bound in (("sqlite", "SQLite", 10.0), ("lmdb", "LMDB", 4.0))),
        *(Bar(f"indexed {what.replace('range', 'count')} at most 67 ns a row (15 M rows/s)",
              what.replace("range", "count"), "aerostore", "", 67.0, False)
          for what, _ in ranges),
        Bar("> bound near the end, limit 64, <= 3 x a key look-up", "search", "tail",
            "key look-up", 3.0, False),
        Bar("-sort indexed -limit 50 <= 20 x a key look-up", "search", "top", "key look-up", 20.0,
            False),
        Bar("parse and plan 3 clauses <= 2,000 ns", "search", "parse and plan", "", 2000.0, False),
        Bar("bind a prepared search <= 200 ns", "search", "bind", "", 200.0, False),
        *(Bar(f"{what} look-up by a search >= 1,000 x a full scan of 50,000 rows", what,
              "full scan", "look-up", 1000.0)
          for what in ("key", "equality")),
    ]
    return outcome


def indexes(work: Work) -> Outcome:
    """Move two of three indexed keys in an update, or none; make indexes of a full table."""
    outcome = Outcome("indexes")
    folder = work.folder("indexes")
    work.measure(outcome, [str(work.driver("indexes")), str(work.rows),
                           str(min(work.operations, 200_000)), str(work.rounds),
                           str(work.flights()), str(folder)])
    shutil.rmtree(folder)
    outcome.bars = [
        Bar("update that moves 2 of 3 indexed keys >= 40 % of one that moves none",
            "indexed update", "moves none", "moves two", 0.4),
        *(Bar(f"index create on {column}: at most 200 ns a row (5 M entries/s)", "index create",
              column, "", 200.0, False) for column in ("lat", "lon", "gs")),
    ]
    return outcome


def tcl(work: Work) -> Outcome:
    """Get three fields by key, and fetch three columns of every row, in tclsh."""
    outcome = Outcome("tcl")
    tclsh = shutil.which("tclsh")
    if tclsh is None:
        raise BenchError("tclsh is not installed")
    folder = work.folder("tcl")
    extension = null_command(work)
    work.measure(outcome, [tclsh, str(DRIVERS / "access.tcl"), str(ROOT / "tcl"), extension,
                           str(work.flights()), str(folder), str(work.rows),
                           str(min(work.operations, 200_000)), str(work.rounds)])
    shutil.rmtree(folder)
    note_missing(outcome, [("tcl get", "sqlite"), ("tcl search", "sqlite")])
    # Net times: the command call itself is on one side of the ratio, the bare loop on the other.
    pairs = [("aerostore", "empty command", "aerostore, net"), ("dict get", "empty loop",
                                                                "dict get, net")]
    for full, base, net in pairs:
        spent, idle = outcome.series[("tcl get", full)], outcome.series[("tcl get", base)]
        for a, b in zip(spent.values, idle.values, strict=True):
            outcome.add("tcl get", net, a - b, spent.unit)
    outcome.bars = [
        Bar("FlightState get k f1 f2 f3, over an empty command, <= 5 x dict get", "tcl get",
            "aerostore, net", "dict get, net", 5.0, False),
        Bar("FlightState get >= 4 x Tcl's sqlite3 prepared select", "tcl get", "sqlite",
            "aerostore", 4.0),
        Bar("search -array >= 4 x sqlite3 `db eval` into an array", "tcl search",
            "sqlite array", "aerostore -array", 4.0),
        Bar("search -get >= 4 x sqlite3 `db eval`", "tcl search", "sqlite", "aerostore -get", 4.0),
    ]
    return outcome


def null_command(work: Work) -> str:
    """Compile the Tcl extension whose command does nothing; return its path."""
    output = OUTPUT / "libbenchnull.so"
    output.parent.mkdir(parents=True, exist_ok=True)
    config = work.run([shutil.which("tclsh") or "tclsh", str(DRIVERS / "tcl_flags.tcl")]).split()
    work.run(["cc", "-std=c11", "-D_GNU_SOURCE", "-O2", "-shared", "-fPIC", "-fvisibility=hidden",
              "-DUSE_TCL_STUBS", str(DRIVERS / "tcl_null.c"), "-o", str(output), *config])
    return str(output)


def python(work: Work) -> Outcome:
    """Iterate every row with three columns from Python."""
    outcome = Outcome("python")
    folder = work.folder("python")
    work.measure(outcome, work.python("iterate.py", str(work.flights()), str(folder),
                                      str(work.rounds)))
    shutil.rmtree(folder)
    outcome.bars = [
        Bar("Python: rows of search() by name >= 1.5 x sqlite3.Row", "python iterate",
            "sqlite3.Row", "aerostore rows", 1.5),
        Bar("Python: search().tuples() >= 1.5 x sqlite3 tuples", "python iterate",
            "sqlite3 tuples", "aerostore tuples", 1.5),
    ]
    return outcome


def transactions(work: Work) -> Outcome:
    """Begin and end; change one row in a transaction; an empty one in Tcl and in Python."""
    outcome = Outcome("transactions")
    folder = work.folder("transactions")
    work.measure(outcome, [str(work.driver("txn_single")), str(work.rows),
                           str(min(work.operations, 200_000)), str(work.rounds),
                           str(work.flights()), str(folder)])
    shutil.rmtree(folder)
    note_missing(outcome, [("one-row transaction", "lmdb"), ("one-row transaction", "sqlite")])
    operations = str(min(work.operations, 100_000))
    folder = work.folder("transactions")
    work.measure(outcome, work.python("empty_transaction.py", str(folder), operations,
                                      str(work.rounds)))
    shutil.rmtree(folder)
    tclsh = shutil.which("tclsh")
    if tclsh is not None:
        folder = work.folder("transactions")
        work.measure(outcome, [tclsh, str(DRIVERS / "empty_transaction.tcl"), str(ROOT / "tcl"),
                               null_command(work), str(folder), operations, str(work.rounds)])
        shutil.rmtree(folder)
    for what, idle in [("python transaction", "empty manager"),
                       ("tcl transaction", "empty command")]:
        full, base = outcome.series.get((what, "aerostore")), outcome.series.get((what, idle))
        for a, b in zip(full.values if full else [], base.values if base else [], strict=True):
            outcome.add(what, "net", a - b, "ns/row")
    outcome.bars = [
        Bar("begin and end of a read-only snapshot <= 12 x a compare-and-swap", "begin and end",
            "aerostore", "compare-and-swap", 12.0, False),
        Bar("the same after 10,000,000 transactions, at most 10 % more", "empty transaction",
            "after 10,000,000", "after a few", 1.1, False),
        Bar("read and write a row, serializable, <= 2 x a single-row update",
            "one-row transaction", "aerostore", "aerostore, statement", 2.0, False),
        Bar("one-row transaction >= 10 x SQLite (WAL, synchronous=OFF)", "one-row transaction",
            "sqlite", "aerostore", 10.0),
        Bar("one-row transaction >= 3 x LMDB (NOSYNC)", "one-row transaction", "lmdb", "aerostore",
            3.0),
        Bar("empty `with db.transaction()`, net, <= 1,500 ns", "python transaction", "net", "",
            1500.0, False),
        Bar("empty `aerostore::transaction {}`, net, <= 1,500 ns", "tcl transaction", "net", "",
            1500.0, False),
    ]
    return outcome


def commit(work: Work) -> Outcome:
    """Commit one row: beside bare loops of fdatasync, and asynchronously beside no log."""
    outcome = Outcome("commit")
    segment = work.folder("commit")
    disk = Path(tempfile.mkdtemp(prefix="commit-", dir=OUTPUT))
    try:
        milliseconds = "300" if work.quick else "1500"
        program = str(work.engine_driver("commit"))
        with postgres(work) as server:
            for _ in range(work.rounds):
                work.measure(outcome, [program, str(disk), str(segment / "segment"), milliseconds,
                                       "1", "16"])
                if server is not None:
                    pgbench(work, outcome, server, disk)
    finally:
        shutil.rmtree(disk)
        shutil.rmtree(segment)
    note_missing(outcome, [("sync 16", "postgresql")])
    outcome.bars = [
        Bar("synchronous commits, 1 process >= 0.9 x a bare append + fdatasync loop", "sync 1",
            "bare loop", "aerostore", 0.9),
        Bar("synchronous commits, 16 processes >= 0.8 x a bare group-commit loop", "sync 16",
            "bare group", "aerostore", 0.8),
        Bar("synchronous commits, 16 processes >= 2.5 x PostgreSQL", "sync 16", "postgresql",
            "aerostore", 2.5),
        Bar("asynchronous commits >= 70 % of the rate without a log", "async", "no log",
            "aerostore", 0.7),
    ]
    return outcome


def contention(work: Work) -> Outcome:
    """Several processes: on rows of their own, on one hot row, and beside a long scan."""
    outcome = Outcome("contention")
    rows = min(work.rows, 100_000)
    quiet = Work(rows, work.rounds, work.operations, work.scratch, work.say)
    for name in ("pair", "hot", "scan"):
        folder = work.folder("contention")
        work.measure(outcome, [str(work.driver("txn_many")), name, str(rows), str(work.rounds),
                               str(quiet.flights()), str(folder)])
        shutil.rmtree(folder)
    hot = "hot row, running number"
    outcome.bars = [
        Bar("two processes on disjoint keys >= 1.7 x one", "disjoint keys", "one process",
            "two processes", 1.7),
        Bar("16 processes on a hot row, each with ten rows of its own: queueing >= 3 x optimism",
            hot, "optimistic", "hybrid", 3.0),
        Bar("the least of the 16 >= 0.5 x the mean", hot, "least of a worker", "", 0.5),
        Bar("the most of the 16 <= 2 x the mean", hot, "most of a worker", "", 2.0, False),
        Bar("a scan of 100,000 rows and a write beside a writer: attempts <= 16", "long scan",
            "most attempts", "", 16.0, False),
        Bar("validating and committing it <= 30 % of the scan", "long scan", "commit", "scan", 0.3,
            False),
    ]
    return outcome


def durability(work: Work) -> Outcome:
    """Checkpoints, recovery from them and from the log, attaching, and commits with a disk."""
    outcome = Outcome("durability")
    memory = work.folder("durability")
    flights = str(work.flights())  # makes OUTPUT, too
    disk = Path(tempfile.mkdtemp(prefix="durability-", dir=OUTPUT))
    try:
        for driver in ("durable", "sync_gates"):
            work.measure(outcome, [str(work.driver(driver)), flights, str(work.rounds),
                                   str(memory), str(disk)])
    finally:
        shutil.rmtree(disk)
        shutil.rmtree(memory)
    outcome.bars = [
        Bar("checkpoint >= 5 M rows/s (or half of the plain write's rate)", "checkpoint",
            "aerostore", "", 200.0, False),
        Bar("recovery from a checkpoint, with four indexes, >= 2.5 M rows/s", "recovery",
            "checkpoint", "", 400.0, False),
        Bar("verify of a million rows with four indexes <= 2 s", "verify", "aerostore", "", 2e9,
            False),
        Bar("recovery from a log >= 1 M one-row commits/s", "replay", "log", "", 1000.0, False),
        Bar("warm attach after SIGKILL of all <= 100 microseconds", "attach",
            "nobody's transaction", "", 100_000.0, False),
        Bar("warm attach with four orphans <= 4.1 ms", "attach", "four orphans", "", 4_100_000.0,
            False),
        Bar("writes while a checkpoint runs >= 80 % of the rate without", "beside a checkpoint",
            "without", "with", 0.8),
        *(Bar(f"asynchronous commits >= 10 x synchronous ones: {kind}", f"gate {kind}", "sync",
              "async", 10.0)
          for kind in ("plain", "keyed upserts", "savepoint churn", "logical")),
    ]
    return outcome


def tree(work: Work) -> Outcome:
    """The ordered index by itself: look-ups, scans, several writers, readers beside them."""
    outcome = Outcome("tree")
    folder = work.folder("tree")
    work.measure(outcome, [str(work.engine_driver("tree")), str(work.rows), str(work.operations),
                           str(work.rounds), str(folder)])
    shutil.rmtree(folder)
    outcome.bars = [
        Bar("look-up in the ordered index <= 2.5 x a plain sorted array", "tree find",
            "aerostore", "sorted array", 2.5, False),
        Bar("look-up in the ordered index <= 2.5 x a plain B-tree of one thread", "tree find",
            "aerostore", "plain B-tree", 2.5, False),
        Bar("scan of 100 entries <= 3 x the plain B-tree", "tree scan of 100", "aerostore",
            "plain B-tree", 3.0, False),
        Bar("two forked writers on one index >= 1.6 x one", "tree put", "one writer",
            "two writers", 1.6),
        Bar("99th percentile of look-ups under two writers <= 2 x without", "tree find p99",
            "under two writers", "no writers", 2.0, False),
        Bar("an entry takes <= 31 bytes", "tree size", "aerostore", "", 31.0, False),
    ]
    return outcome


def stats(work: Work) -> Outcome:
    """Ask for all statistics of a table of 1 M rows, C API."""
    outcome = Outcome("stats")
    folder = work.folder("stats")
    work.measure(outcome, [str(work.driver("stats")), str(work.rows), str(work.rounds),
                           str(work.flights()), str(folder)])
    shutil.rmtree(folder)
    outcome.bars = [
        Bar("stats <= 50 us", "stats", "aerostore", "", 50_000.0, False),
        Bar("99th percentile of stats <= 200 us", "stats p99", "aerostore", "", 200_000.0, False),
    ]
    return outcome


def pgbench(work: Work, outcome: Outcome, server: str, folder: Path) -> None:
    """Measure PostgreSQL's synchronous commits with 16 clients on one table."""
    tools = [tool("pgbench"), tool("psql")]
    if None in tools:
        return
    script = folder / "update.sql"
    script.write_text("\\set id :client_id * 100 + random(0, 99)\n"
                      "UPDATE flights SET lat = lat + 1, altitude = 5 WHERE id = :id;\n")
    work.run([str(tools[1]), "-q", server, "-c",
              "CREATE TABLE IF NOT EXISTS flights AS SELECT g AS id, 0.0::float8 AS lat, "
              "0 AS altitude FROM generate_series(0, 1599) g; "
              "CREATE UNIQUE INDEX IF NOT EXISTS by_id ON flights (id)"])
    seconds = "1" if work.quick else "3"
    with all_cores():
        told = work.run([str(tools[0]), "-n", "-c", "16", "-j", "2", "-T", seconds, "-M",
                         "prepared", "-f", str(script), server])
    rate = next(float(line.split()[2]) for line in told.splitlines() if line.startswith("tps = "))
    outcome.add("sync 16", "postgresql", 1e9 / rate, "ns/row")


def watch(work: Work) -> Outcome:
    """What subscribers cost a writer, how fast events are read, and how soon they are told."""
    outcome = Outcome("watch")
    rows = min(work.rows, 200_000)
    short = Work(rows, work.rounds, work.operations, work.scratch, work.say)
    folder = work.folder("watch")
    work.measure(outcome, [str(work.driver("watch")), str(rows), str(work.rounds),
                           str(short.flights()), str(folder), "200" if work.rounds == 1 else "700"])
    shutil.rmtree(folder)
    folder = work.folder("watch")
    work.measure(outcome, work.python("watch_latency.py", str(ROOT / "tcl"), str(folder),
                                      "100" if work.rounds == 1 else "1000", str(work.rounds)))
    shutil.rmtree(folder)
    outcome.bars = [
        Bar("a writer beside one subscriber >= 90 % of its rate alone", "writer", "no subscriber",
            "one subscriber", 0.9),
        Bar("beside four >= 75 %", "writer", "no subscriber", "four subscribers", 0.75),
        *(Bar(f"a subscriber reads >= 1 M events/s of {peer}", "events", peer, "", 1000.0, False)
          for peer in ("one-row transactions", "hundred-row transactions")),
        *(Bar(f"commit to callback, idle, in {door}: {peer} <= {bound:,.0f} microseconds",
              f"latency in {door}", peer, "", bound, False)
          for door in ("tcl", "asyncio")
          for peer, bound in (("median", 100.0), ("99th percentile", 1000.0))),
    ]
    return outcome


def vacuum(work: Work) -> Outcome:
    """Run a mixed load in a segment of four times the live data, and in one of plenty."""
    outcome = Outcome("vacuum")
    rows = min(work.rows, 100_000)
    short = Work(rows, work.rounds, work.operations, work.scratch, work.say)
    folders = [work.folder("ample"), work.folder("tight")]
    work.measure(outcome, [str(work.driver("vacuum")), str(rows), str(work.rounds),
                           "200" if work.quick else "1000", str(short.flights()),
                           *map(str, folders)])
    for folder in folders:
        shutil.rmtree(folder)
    outcome.bars = [
        Bar("mixed load in a segment of four times the data >= 85 % of the rate in one of plenty",
            "mixed load", "plenty", "four times the data", 0.85),
        Bar("the segment in use <= 4 x the rows", "segment in use", "four times the data", "", 4.0,
            False),
    ]
    return outcome


def ttl(work: Work) -> Outcome:
    """Let a million rows expire at once, beside a writer of others."""
    outcome = Outcome("ttl")
    for indexes, rows in (("key", work.rows), ("indexed", min(work.rows, 200_000))):
        folder = work.folder("ttl")
        sized = Work(rows, min(work.rounds, 3), work.operations, work.scratch, work.say)
        work.measure(outcome, [str(work.driver("ttl")), str(rows), str(sized.rounds), indexes,
                               str(sized.flights()), str(folder)])
        shutil.rmtree(folder)
    outcome.bars = [
        Bar("expiring 1 M rows, key only, >= 1 M rows/s", "expiry", "key only", "", 1000.0, False),
        *(Bar(f"a writer's 99th percentile beside it, {kind}, <= 3 x alone",
              f"writer's p99, {kind}", "beside expiry", "alone", 3.0, False)
          for kind in ("key only", "four indexes")),
    ]
    return outcome


AREAS: dict[str, Callable[[Work], Outcome]] = {
    "ingest": ingest,
    "get": get,
    "update": update,
    "scan": scan,
    "query": query,
    "indexes": indexes,
    "tcl": tcl,
    "python": python,
    "transactions": transactions,
    "contention": contention,
    "tree": tree,
    "commit": commit,
    "durability": durability,
    "crucible": crucible,
    "stats": stats,
    "watch": watch,
    "vacuum": vacuum,
    "ttl": ttl,
    "gates": gates,
}
