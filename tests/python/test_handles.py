"""Handles used where they must not be: an error each time, never a crash.

Each test runs a script in a process of its own with faulthandler on; a crash shows as its exit
status.  All of them run a second time on the library built with sanitizers.
"""

import subprocess

import pytest

PUT = """
def put(fs, key, **more):
    fs.upsert({"flight_id": key, "lat": 1.0, "lon": 2.0, "updated_at": 0, **more})
def child(call):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            import faulthandler, traceback
            faulthandler.dump_traceback_later(60, exit=True)  # a hang tells where it is
            call()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, status
"""


@pytest.fixture(params=["release", "asan"])
def run(request, script, built_library):
    """Run a script with the plain library, and again with sanitizers watching it."""
    variables = {}
    if request.param == "asan":
        folder = built_library("aerostore", "asan").parent
        runtime = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True,
                                 text=True, check=True).stdout.strip()
        # Python itself keeps memory at its end; leaks of the library have their own tests in C.
        variables = {"STORE_PACKAGE": str(folder), "LD_PRELOAD": runtime,
                     "ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "halt_on_error=1"}
    return lambda text, **more: script(PUT + text, **variables, **more)


def test_everything_after_close(run):
    """Goal: every call on every kind of handle after close() is StaleHandle."""
    run("""
db = connect()
fs = db["FlightState"]
put(fs, "A"); put(fs, "B")
result = fs.search()
rows = iter(result); row = next(rows)
many = iter(fs.search(sort=["lat"]).tuples())
block = db.transaction(); block.__enter__()
db.close(); db.close()
assert db.closed and row.flight_id in "AB"
stale = aerostore.StaleHandle
for call in (lambda: fs.get("A"), lambda: "A" in fs, lambda: len(fs), lambda: list(fs),
             lambda: fs.search([("=", "lat", 1)]), result.count, result.first, result.explain,
             lambda: list(result), lambda: next(many), lambda: put(fs, "C"),
             lambda: fs.update("A", lat=2), lambda: fs.delete("A"), fs.clear,
             lambda: fs.incr("A", "altitude"), lambda: fs.ingest_tsv(b""), db.stats, db.verify,
             lambda: db.get_config("aerostore.synchronous_commit"), lambda: db.run(lambda: 1),
             lambda: db.transaction().__enter__(), lambda: block.__exit__(None, None, None),
             lambda: db.__enter__(), lambda: fs.upsert_many([{}])):
    refused(stale, call)
print(repr(db), repr(fs), db.path, db.boot, db.tables)
del rows, many, result, block
gc.collect()
""")


def test_rows_outlive_the_mapping(run):
    """Goal: values are copies; reads them after close, unmap and collection."""
    run("""
db = connect()
fs = db["FlightState"]
put(fs, "A", dest="x" * 500, typ="B738")
put(fs, "B", dest="y" * 500)
one, all_rows, columns = fs["A"], list(fs), fs.search().columns()
iterator = iter(fs.search().tuples()); first = next(iterator)
db.close(); del db, fs, iterator; gc.collect()
assert one.dest == "x" * 500 and {row.dest[0] for row in all_rows} == {"x", "y"}
assert sorted(columns["flight_id"]) == ["A", "B"] and first[0] in "AB"
""")


def test_dropped_without_close(run):
    """Goal: handles that nobody closes, dropped in any order and at exit, are harmless."""
    run("""
import random
for seed in range(30):
    rng = random.Random(seed)
    db = connect()
    fs = db["FlightState"]
    for i in range(5000 if seed == 0 else 3):
        put(fs, f"K{i}")
    result = fs.search()
    rows = iter(result); next(rows)
    block = db.transaction(); block.__enter__(); put(fs, "open")
    names = ["db", "fs", "result", "rows", "block"]
    rng.shuffle(names)
    for name in names:
        del globals()[name]
        if rng.random() < 0.5 and seed % 2:
            gc.collect()
    # Nothing waits for the collector: no handle is part of a cycle.
    assert not any(type(each).__name__ == "Session" for each in gc.get_objects())
db = connect(); fs = db["FlightState"]
assert "open" not in fs
rows = iter(fs); next(rows)
db.transaction().__enter__()
""")


def test_collection_during_scans(run):
    """Goal: the collector running inside reads closes nothing in use; cycles hold iterators."""
    run("""
gc.set_threshold(5, 2, 2)
db = connect(); fs = db["FlightState"]
for i in range(6000):
    put(fs, f"K{i}", dest="d" * (i % 40))
for _ in range(20):
    rows = iter(fs.search())
    next(rows)
    cycle = [rows]; cycle.append(cycle)
    del rows, cycle
    assert sum(len(row.dest) for row in fs) == sum(i % 40 for i in range(6000))
    assert fs["K39"].dest == "d" * 39
db.verify()
""")


def test_exceptions_in_with_blocks(run):
    """Goal: an exception closes the database and undoes the transaction; it is the one seen."""
    run("""
try:
    with connect() as db:
        fs = db["FlightState"]
        put(fs, "A")
        with db.transaction():
            put(fs, "B")
            for row in fs:
                raise ZeroDivisionError
except ZeroDivisionError:
    pass
assert db.closed
with connect() as db:
    assert [row.flight_id for row in db["FlightState"]] == ["A"]
    db.verify()
""")


def test_handles_of_another_thread(run):
    """Goal: an iterator belongs to its thread; a database may be closed while others work."""
    run("""
db = connect(); fs = db["FlightState"]
for i in range(10000):
    put(fs, f"K{i}")
rows = iter(fs)
next(rows)
found = []
def go_on():
    try:
        for _ in rows: pass
    except aerostore.StaleHandle as error:
        found.append(error)
thread = threading.Thread(target=go_on); thread.start(); thread.join()
assert found, "an iterator moved between threads"
started = threading.Barrier(5)
ends = []
def work(n):
    put(fs, f"T{n}")
    started.wait()
    try:
        while True:
            fs.get("K1"); len(fs); sum(1 for _ in fs.search(limit=3000)); put(fs, f"T{n}")
    except aerostore.StaleHandle:
        ends.append(n)
threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
for each in threads: each.start()
started.wait()
db.close()
for each in threads: each.join(60)
assert sorted(ends) == [0, 1, 2, 3], ends
with connect() as again:
    assert len(again["FlightState"]) == 10004
    again.verify()
""")


def test_threads_that_end_give_their_session_back(run):
    """Goal: sessions of finished threads are closed; runs far more threads than slots."""
    run("""
db = connect(); fs = db["FlightState"]
put(fs, "A", altitude=0)
def work():
    fs.incr("A", "altitude")
    rows = iter(fs); next(rows)
    db.transaction().__enter__()
for _ in range(600):
    thread = threading.Thread(target=work); thread.start(); thread.join()
assert fs["A"].altitude == 600
db.close()
""")


def test_children_of_fork_use_the_handles(run):
    """Goal: a child reads and writes through inherited handles; parent and child agree."""
    run("""
db = connect(); fs = db["FlightState"]
put(fs, "A", altitude=1)
result = fs.search()
assert result.count() == 1
def work():
    assert fs["A"].altitude == 1
    put(fs, "child")
    assert result.count() == 2 and len(list(result)) == 2
    with db.transaction():
        fs.update("A", altitude=2)
child(work)
assert "child" in fs and fs["A"].altitude == 2
def close():
    db.close()
    refused(aerostore.StaleHandle, lambda: len(fs))
child(close)
assert len(fs) == 2
db.verify()
""")


def test_children_of_fork_have_no_transaction(run):
    """Goal: the parent's transaction and cursors are not the child's; the parent commits."""
    run("""
db = connect(); fs = db["FlightState"]
for i in range(6000):
    put(fs, f"K{i}")
rows = iter(fs); next(rows)
block = db.transaction()
with block:
    put(fs, "parent")
    def work():
        refused(aerostore.StaleHandle, lambda: block.__exit__(None, None, None))
        refused(aerostore.StaleHandle, lambda: list(rows))
        try:
            len(fs)
        except aerostore.StaleHandle:
            pass
        assert "parent" not in fs
        put(fs, "child")
    child(work)
    def leave():
        global rows, block
        del rows, block
        gc.collect()
        db.close()
    child(leave)
    assert "parent" in fs
assert "parent" in fs and "child" in fs
assert sum(1 for _ in rows) == 5999
assert len(fs) == 6002
db.verify()
""")


def test_fork_while_other_threads_work(script):
    """Goal: a fork in the middle of other threads' calls leaves a working child; forks 20 times.

    Without sanitizers: their allocator's own locks do not survive a fork from a threaded process.
    """
    script(PUT + """
db = connect(); fs = db["FlightState"]
stop = threading.Event()
def work(n):
    i = 0
    while not stop.is_set():
        put(fs, f"T{n}-{i % 100}"); list(fs.search(limit=10)); i += 1
threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
for each in threads: each.start()
def use():
    put(fs, f"C{os.getpid()}")
    assert f"C{os.getpid()}" in fs
    list(fs)
    db.close()
try:
    for _ in range(20):
        child(use)
finally:
    stop.set()
for each in threads: each.join()
assert sum(1 for row in fs if row.flight_id.startswith("C")) == 20
db.verify()
""")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(run, method):
    """Goal: workers of both start methods open or inherit the store; handles do not pickle."""
    run("""
import multiprocessing, pickle
def inherited(number):
    put(fs, f"I{number}")
def opened(number):
    with connect() as db:
        put(db["FlightState"], f"O{number}")
if __name__ == "__main__":
    method = os.environ["METHOD"]
    context = multiprocessing.get_context(method)
    db = connect(); fs = db["FlightState"]
    refused(aerostore.UsageError, lambda: pickle.dumps(db))
    refused(aerostore.UsageError, lambda: pickle.dumps(fs))
    targets = [opened] * 4 + ([inherited] * 4 if method == "fork" else [])
    workers = [context.Process(target=each, args=(n,)) for n, each in enumerate(targets)]
    for each in workers: each.start()
    for each in workers:
        each.join()
        assert each.exitcode == 0, each.exitcode
    assert len(fs) == len(targets)
    row = pickle.loads(pickle.dumps(fs["O0"]))
    assert row.flight_id == "O0"
""", METHOD=method)


def test_open_with_wrong_arguments(run):
    """Goal: each bad argument of open() is an error that makes no file."""
    run("""
here = os.environ["STORE_DIR"]
parent = os.path.dirname(here)
for bad in (dict(size=0), dict(size=-1), dict(size="lots"), dict(size=2**64), dict(size=1.5),
            dict(profile="turbo"), dict(memory="paper"), dict(package=""), dict(package=7),
            dict(package="nothing"), dict(package=parent), dict(package="a\\0b"),
            dict(shm_path="a\\0b")):
    try:
        connect(**bad)
    except (aerostore.Error, TypeError):
        pass
    else:
        raise AssertionError(bad)
for path in ("", "a\\0b", "x" * 5000):
    refused(aerostore.Error, lambda: aerostore.open(path))
assert not os.path.exists(here) or os.listdir(here) == [], os.listdir(here)
""")
