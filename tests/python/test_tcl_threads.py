"""The Tcl door in several threads of one process, each with an interpreter of its own."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
THREADS, ROUNDS = 8, 20
HOST = """
import sys, threading, tkinter
folder, threads, rounds = sys.argv[1], int(sys.argv[3]), int(sys.argv[4])
wrong, barrier = [], threading.Barrier(threads)

def work(number):
    try:
        interp = tkinter.Tcl()
        interp.eval(f"lappend auto_path {{{sys.argv[2]}}}; package require aerostore")
        for turn in range(rounds):
            barrier.wait(60)
            place = f"{folder}/{turn}"
            interp.eval(f"aerostore::init {place}/data -shm_path {place}/segment -size 32MiB")
            interp.eval(f"FlightState set T{number} lat 1 lon 2 updated_at 3")
            barrier.wait(60)
            if interp.eval("FlightState count") != str(threads):
                wrong.append(interp.eval("FlightState names"))
            barrier.wait(60)
            interp.eval("aerostore::close")
    except BaseException as problem:
        wrong.append(repr(problem))
        barrier.abort()

workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
print(wrong)
"""


def test_threads_open_one_database_together(tmp_path, aerostore_library):
    """Goal: of threads that call init at once one opens, and all use the same.

    Method: eight threads, twenty databases; each sees the rows of all.
    """
    for turn in range(ROUNDS):
        (tmp_path / str(turn)).mkdir()
    done = subprocess.run([sys.executable, "-c", HOST, str(tmp_path), str(ROOT / "tcl"),
                           str(THREADS), str(ROUNDS)], capture_output=True, text=True,
                          timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n", done.stdout
