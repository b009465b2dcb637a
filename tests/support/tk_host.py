"""Run a Tcl test file inside Python, in a process that uses the same library through cffi.

Usage: tk_host.py FILE ?ARGUMENT …?  The Python door writes a row before and reads it after, so that
whatever the file does to the Tcl door is seen not to disturb the other.
"""

import os
import sys
import tempfile
import tkinter
from pathlib import Path

import aerostore


def main(file: str, arguments: list[str]) -> int:
    """Source the file between a write and a read of the Python door."""
    row = {"flight_id": "HOST1", "lat": 46.5, "lon": 7.25, "altitude": 12000, "updated_at": 1.5}
    with tempfile.TemporaryDirectory() as folder:
        shm_path = str(Path(folder) / "host.segment")
        with aerostore.open(Path(folder) / "host", shm_path=shm_path) as database:
            table = database.table("FlightState")
            table.upsert(row)
            interp = tkinter.Tcl()
            interp.setvar("argv0", file)
            interp.setvar("argv", interp.call("list", *arguments))
            interp.setvar("argc", str(len(arguments)))
            interp.setvar("tcl_interactive", "0")
            interp.call("source", file)
            interp.eval("flush stdout; flush stderr")
            found = table.get("HOST1")
            if found is None or any(found[name] != value for name, value in row.items()):
                print(f"the row of the Python door changed: {found}", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    status = main(sys.argv[1], sys.argv[2:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # without tearing down the interpreter that tests may have bent
