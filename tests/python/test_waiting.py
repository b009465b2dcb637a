"""Ctrl-C and other signals while a call waits for another transaction, or tries again.

Another thread's transaction holds a row; calls of the main thread would wait for it, most for half
a minute.
"""

import gc
import signal
import subprocess
import sys
import threading
import time

import pytest

import aerostore

ROW = {"flight_id": "A", "lat": 1.0, "lon": 2.0, "updated_at": 1}
# Far from the half minute that the calls would wait, and from what a busy machine needs.
PROMPT_S = 10


@pytest.fixture
def held(db, fs):
    """A table whose row "A" another thread holds until the fixture ends."""
    fs.upsert(ROW)
    ready, done = threading.Event(), threading.Event()

    def hold():
        with db.transaction():
            fs.update("A", lat=5.0)
            ready.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    ready.wait()
    yield fs
    done.set()
    thread.join()
    assert fs["A"].lat == 5.0
    db.verify()


def soon(number=signal.SIGINT, after=0.2):
    """Send a signal to the main thread, once a call of it is likely to wait."""
    main = threading.main_thread().ident
    threading.Timer(after, lambda: signal.pthread_kill(main, number)).start()


CALLS = {
    "upsert": lambda fs: fs.upsert({**ROW, "lat": 9.0}),
    "update": lambda fs: fs.update("A", lat=9.0),
    "incr": lambda fs: fs.incr("A", "lat"),
    "delete": lambda fs: fs.delete("A"),
    "clear": lambda fs: fs.clear(),
    "ingest_tsv": lambda fs: fs.ingest_tsv(b"A\t9\t2\t\t\t1\n"),
    "create_index": lambda fs: fs.create_index("lat", unique=True),
}


@pytest.mark.parametrize("call", CALLS)
def test_interrupt_key_ends_a_wait(held, call):
    """Goal: KeyboardInterrupt at once, nothing done, the session goes on.  Method: each call."""
    if call == "create_index":
        held.insert({**ROW, "flight_id": "B"})  # the value that the other's transaction gave up
    began = time.monotonic()
    soon()
    with pytest.raises(KeyboardInterrupt):
        CALLS[call](held)
    assert time.monotonic() - began < PROMPT_S
    assert held["A"].lat == 1.0
    assert held.upsert({**ROW, "flight_id": "C"})
    assert not any("lat" in index.columns for index in held.indexes())


def test_interrupt_key_ends_a_wait_for_a_lock(db, held):
    """Goal: the block ends; nothing of it stays.  Method: lock what another has locked."""
    db.set_config("aerostore.lock_timeout_ms", 60_000)
    began = time.monotonic()
    soon()
    with pytest.raises(KeyboardInterrupt), db.transaction():
        held.lock_for_update("A")
    assert time.monotonic() - began < PROMPT_S
    # Caught inside: only the statement is undone, the transaction goes on.
    soon()
    with db.transaction():
        with pytest.raises(KeyboardInterrupt):
            held.lock_for_update("A")
        held.upsert({**ROW, "flight_id": "D"})
    assert "D" in held


def test_a_handler_that_raises_nothing_lets_it_wait_on(held, db):
    """Goal: the call goes on after the handler, with the arguments that it was given; the handler
    cannot use the session.  Method: a handler that tries to, in all ways; then the row is free."""
    told, refused = [], []
    gc.collect()  # an interrupt inside somebody's __del__ would be lost
    result = iter(held.search())
    next(result)

    def handler(_number, _frame):
        told.append(1)
        for attempt in (lambda: held.upsert({**ROW, "flight_id": "X", "lat": 77.0}),
                        lambda: held.get("A"), lambda: list(held.search()), db.verify, db.close,
                        db.transaction().__enter__):
            try:
                attempt()
            except aerostore.UsageError:
                refused.append(attempt)
        nonlocal result
        result = None  # a cursor that goes is closed later
        gc.collect()

    def interrupt():
        while len(told) < 2:
            time.sleep(0.01)
        soon(signal.SIGINT, 0.3)

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        soon(signal.SIGUSR1)
        soon(signal.SIGUSR1, 0.4)
        threading.Thread(target=interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            held.update("A", lat=9.0)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert len(told) == 2
    assert len(refused) == 12
    assert "X" not in held


def test_after_a_wait_with_signals_the_write_is_whole(db, fs):
    """Goal: what a handler's refused call left behind is not written.  Method: as above, but the
    row becomes free."""
    fs.upsert(ROW)
    ready = threading.Event()

    def hold():
        with db.transaction():
            fs.update("A", lat=5.0)
            ready.set()
            time.sleep(0.7)

    def handler(_number, _frame):
        with pytest.raises(aerostore.UsageError):
            fs.update("B", lat=77.0, lon=78.0, dest="WRONG")

    before = signal.signal(signal.SIGUSR1, handler)
    thread = threading.Thread(target=hold)
    thread.start()
    ready.wait()
    try:
        soon(signal.SIGUSR1)
        soon(signal.SIGUSR1, 0.4)
        assert fs.update("A", lon=9.0, dest="RIGHT")
    finally:
        signal.signal(signal.SIGUSR1, before)
        thread.join()
    assert (fs["A"].lat, fs["A"].lon, fs["A"].dest) == (5.0, 9.0, "RIGHT")


def test_interrupt_key_ends_the_wait_for_another_checkpoint(db, fs):
    """Goal: not after the minute that a checkpoint waits; then one is taken.  Method: another
    process has the lock of checkpoints."""
    fs.upsert(ROW)
    db.checkpoint()
    holder = subprocess.Popen([sys.executable, "-c", "\n".join((
        "import fcntl, sys",
        "file = open(sys.argv[1], 'r+b')",
        "fcntl.lockf(file, fcntl.LOCK_EX, 1, 1)",
        "print('held', flush=True)",
        "sys.stdin.read()")), f"{db.path}/aerostore.lock"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with holder:
        assert holder.stdout.readline() == "held\n"
        began = time.monotonic()
        soon()
        with pytest.raises(KeyboardInterrupt):
            db.checkpoint()
        assert time.monotonic() - began < PROMPT_S
        holder.stdin.close()
    assert db.checkpoint().rows == 1
