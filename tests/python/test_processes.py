"""One store in many processes: Python beside tclsh, and sixteen forked writers."""

import subprocess

import pytest

import aerostore

PEER = """
package require aerostore
aerostore::init [lindex $argv 0]
fconfigure stdout -buffering line
while {[gets stdin script] >= 0} { puts [eval $script] }
"""


@pytest.fixture
def peer(aerostore_library, store, tmp_path):
    """A tclsh on the same store that answers one line per line of script."""
    file = tmp_path / "peer.tcl"
    file.write_text(PEER)
    process = subprocess.Popen(
        ["tclsh8.6", str(file), str(store.data_dir)], text=True, bufsize=1,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=store.environment())

    def ask(script):
        process.stdin.write(script + "\n")
        process.stdin.flush()
        return process.stdout.readline().rstrip("\n")

    yield ask
    process.stdin.close()
    assert process.wait(60) == 0
    process.stdout.close()


def test_tcl_and_python_see_each_other_at_once(db, fs, peer):
    """Goal: unrelated processes share rows without delay; writes back and forth 200 times."""
    for number in range(200):
        fs.upsert({"flight_id": f"P{number}", "lat": number / 4, "lon": 0, "updated_at": number,
                   "altitude": number, "dest": "Zürich" if number % 2 else None})
        assert peer(f"FlightState get P{number} altitude lat") == f"{number} {number / 4}"
        peer(f"FlightState set P{number} altitude {number + 1000}")
        assert fs[f"P{number}"].altitude == number + 1000
        peer(f"FlightState delete P{number}" if number % 3 == 0 else "list")
        assert (f"P{number}" in fs) == (number % 3 != 0)
    assert peer("FlightState count") == str(len(fs))
    assert peer("FlightState get P1 dest") == "Zürich"
    assert peer("FlightState search -compare {{> altitude 1100}}") == str(
        fs.search([(">", "altitude", 1100)]).count())
    db.verify()


WRITERS = """
def writer(number):
    with_parent = fs
    for i in range(200):
        with_parent.upsert({"flight_id": f"own-{number}-{i}", "lat": number, "lon": i,
                            "updated_at": i, "altitude": number * 1000 + i})
        with_parent.incr(f"shared-{i % 20}", "altitude")
        if i % 4 == 3:
            assert with_parent.delete(f"own-{number}-{i - 1}")
db = connect()
fs = db["FlightState"]
for i in range(20):
    fs.upsert({"flight_id": f"shared-{i}", "lat": 0, "lon": 0, "updated_at": 0, "altitude": 0})
pids = []
for number in range(16):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            writer(number)
            status = 0
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            os._exit(status)
    pids.append(pid)
for pid in pids:
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
found = {row.flight_id: row.altitude for row in fs}
wanted = {f"shared-{i}": 160 for i in range(20)}
wanted |= {f"own-{n}-{i}": n * 1000 + i for n in range(16) for i in range(200) if i % 4 != 2}
assert found == wanted, set(found.items()) ^ set(wanted.items())
assert all(fs[key].altitude == value for key, value in wanted.items())
assert len(fs) == len(wanted)
db.verify()
"""


def test_sixteen_forked_writers(script):
    """Goal: disjoint and equal keys end with exactly the expected rows; forks 16 writers."""
    script(WRITERS)


def test_sixteen_forked_transactions(script):
    """Goal: transactions of many processes move amounts without loss; the sum stays."""
    script("""
import random
db = connect(); fs = db["FlightState"]
for i in range(10):
    fs.upsert({"flight_id": f"A{i}", "lat": 0, "lon": 0, "updated_at": 0, "altitude": 100})
def writer(number):
    rng = random.Random(number)
    for _ in range(50):
        one, two = rng.sample(range(10), 2)
        def move():
            a, b = fs[f"A{one}"].altitude, fs[f"A{two}"].altitude
            fs.update(f"A{one}", altitude=a - 1)
            fs.update(f"A{two}", altitude=b + 1)
        db.run(move, retries=10000)
        assert sum(row.altitude for row in fs.search()) == 1000
pids = []
for number in range(16):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            writer(number)
            status = 0
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            os._exit(status)
    pids.append(pid)
for pid in pids:
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
assert sum(row.altitude for row in fs) == 1000
db.verify()
""", timeout=300)


def test_killed_writers_leave_whole_rows(script):
    """Goal: SIGKILL of writers loses nothing and stops nobody; kills ten in mid-flight."""
    script("""
import signal
db = connect(); fs = db["FlightState"]
for round in range(10):
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        i = 0
        while True:
            with db.transaction():
                for key in ("left", "right"):
                    fs.upsert({"flight_id": key, "lat": 0, "lon": 0, "updated_at": 0,
                               "altitude": i, "dest": "x" * (i % 100)})
            i += 1
            if i == 50:
                os.write(into, b".")
    os.read(out, 1)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(out); os.close(into)
    left, right = fs["left"], fs["right"]
    assert left.altitude == right.altitude >= 49
    assert len(left.dest) == left.altitude % 100
    fs.upsert({"flight_id": "left", "lat": 0, "lon": 0, "updated_at": 0, "altitude": 0, "dest": ""})
    fs.upsert({"flight_id": "right", "lat": 0, "lon": 0, "updated_at": 0, "altitude": 0})
    db.verify()
""")


def test_attaching_with_another_size(script, store):
    """Goal: a second process need not know the size the first one chose."""
    script('connect(size="64MiB")["FlightState"].upsert('
           '{"flight_id": "A", "lat": 0, "lon": 0, "updated_at": 0})')
    with aerostore.open(store.data_dir, shm_path=store.shm_path) as db:
        assert db.boot == "warm" and "A" in db["FlightState"]
