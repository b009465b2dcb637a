"""Servers as peers: started on a Unix socket with a folder of their own, ended afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.core import BenchError, Work

# Where Debian keeps what is not for everybody's PATH.
POSTGRESQL = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
# Debian packages of all peers, for --install.
APT = ("postgresql", "libpq-dev", "redis-server", "liblmdb-dev", "libsqlite3-dev",
       "libsqlite3-tcl")
PIP = ("lmdb", "pyarrow", "matplotlib")


@contextmanager
def all_cores() -> Iterator[None]:
    """Leave the one core of the benchmarks: servers and their clients get what there is."""
    pinned = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    try:
        yield
    finally:
        os.sched_setaffinity(0, pinned)


def tool(name: str) -> str | None:
    """Find a program of PostgreSQL."""
    folders = os.pathsep.join([*map(str, reversed(POSTGRESQL)), os.environ["PATH"]])
    return shutil.which(name, path=folders)


def account(name: str) -> list[str] | None:
    """Return what runs a command as somebody else, or None when there is no way."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        return None
    known = subprocess.run(["id", "-u", name], capture_output=True, check=False).returncode == 0
    other = name if known else "65534"
    return ["setpriv", f"--reuid={other}", f"--regid={other if known else '65534'}",
            "--clear-groups"]


@contextmanager
def postgres(work: Work, **settings: str) -> Iterator[str | None]:
    """Run PostgreSQL in a new folder on a disk; yield what libpq connects to.

    Yields None when it is not installed or cannot be started; the reason is told.
    """
    initdb, control = tool("initdb"), tool("pg_ctl")
    # It refuses to run as root; the account comes with the package.
    user = account("postgres")
    if initdb is None or control is None or user is None:
        yield None
        return
    # Its account cannot come into every folder: the one for big temporary files is everybody's.
    outer = Path(tempfile.mkdtemp(prefix="bench-", dir="/var/tmp"))
    cluster = outer / "data"
    cluster.mkdir()
    options = {"listen_addresses": "''", "unix_socket_directories": str(outer), **settings}
    try:
        if user:
            for folder in (outer, cluster):
                subprocess.run(["chown", user[1].partition("=")[2], str(folder)], check=True)
        with all_cores():
            work.run([*user, initdb, "-D", str(cluster), "-A", "trust", "-U", "bench", "-N"])
            work.run([*user, control, "-D", str(cluster), "-w", "-s", "-l",
                      str(outer / "server.log"), "-o",
                      " ".join(f"-c {name}={value}" for name, value in options.items()), "start"])
    except (BenchError, OSError, subprocess.CalledProcessError) as error:
        work.say(f"PostgreSQL does not start: {error}")
        shutil.rmtree(outer, ignore_errors=True)
        yield None
        return
    try:
        yield f"host={outer} user=bench dbname=postgres"
    finally:
        work.run([*user, control, "-D", str(cluster), "-m", "immediate", "-s", "stop"])
        shutil.rmtree(outer, ignore_errors=True)


@contextmanager
def redis(work: Work, folder: Path) -> Iterator[Path | None]:
    """Run Redis in a folder, without files; yield its socket, or None when it is not installed."""
    program = shutil.which("redis-server")
    if program is None:
        yield None
        return
    socket = folder / "redis.socket"
    with all_cores():
        server = subprocess.Popen(
            [program, "--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly",
             "no", "--dir", str(folder), "--daemonize", "no"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield socket
    finally:
        server.terminate()
        server.wait()


def install() -> list[str]:
    """Install the peers that are missing; return the commands that failed or were not allowed."""
    failed = []
    apt = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *APT]
    pip = [sys.executable, "-m", "pip", "install", "-q", *PIP]
    # Packages with servers would start them.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in ([["apt-get", "update", "-q"], apt] if os.geteuid() == 0 else []) + [pip]:
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            failed.append(" ".join(command))
    if os.geteuid() != 0:
        failed.append("sudo " + " ".join(apt))
    return failed
