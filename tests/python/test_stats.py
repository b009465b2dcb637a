"""Statistics: the object, the command line, the page for Prometheus and the live view."""

import contextlib
import dataclasses
import http.client
import json
import os
import pty
import re
import select
import signal
import socket
import stat
import struct
import subprocess
import sys
import termios
import time

import pytest

import aerostore
from aerostore import Statistics
from aerostore._metrics import prometheus
from aerostore.errors import UsageError
from aerostore.stats import FlushStatistics, TransactionStatistics, WatchStatistics
from support.paths import ROOT


def flight(ident, altitude=None):
    return {"flight_id": ident, "lat": 1.0, "lon": 2.0, "altitude": altitude, "updated_at": 5}


def test_figures_are_attributes_and_a_mapping(db, fs):
    """Goal: each figure of the library has an attribute of its type, and the object is a mapping.
    Method: a database with everything of which there is a list."""
    fs.upsert_many(flight(f"f{number}", number) for number in range(50))
    with fs.watch(timeout=0), db.transaction():
        fs.update("f1", altitude=7)
        stats = db.stats()
    assert isinstance(stats, Statistics)
    for figures in (stats, *stats.tables.values(), *stats.transactions, *stats.watches,
                    *stats.flush_latency, *stats.block_classes,
                    *stats.tables["FlightState"].indexes):
        # What is listed here needs a field in python/aerostore/stats.py, with its meaning.
        assert dict(figures.other) == {}
        for field in dataclasses.fields(figures):
            value = getattr(figures, field.name)
            if field.name != "other":
                assert figures[field.name] == value and field.metadata["help"].endswith(".")
                kinds = {"int": int, "str": str}
                assert isinstance(value, kinds.get(field.type, object)), field.name
    assert stats.rows == stats["rows"] == stats.tables["FlightState"].rows == 50
    assert set(stats) == set(stats.as_dict()) and len(stats) == len(stats.as_dict())
    with pytest.raises(KeyError):
        _ = stats["nothing"]
    assert json.loads(json.dumps(stats.as_dict())) == stats.as_dict()
    (transaction,) = stats.transactions
    (watch,) = stats.watches
    assert isinstance(transaction, TransactionStatistics) and isinstance(watch, WatchStatistics)
    assert (transaction.pid, transaction.writes, transaction.state) == (os.getpid(), 1, "active")
    assert (watch.pid, watch.state) == (os.getpid(), "following")
    assert sum(each.count for each in stats.flush_latency) == stats.log_flushes > 0
    assert isinstance(stats.flush_latency[0], FlushStatistics)
    names = {index.name for index in stats.tables["FlightState"].indexes}
    assert {"altitude", "updated_at"} <= names


def test_each_figure_is_documented():
    """Goal: the page on statistics has a line for each, with the same words."""
    page = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
    kinds = [kind for kind in vars(aerostore.stats).values()
             if isinstance(kind, type) and issubclass(kind, aerostore.stats.Figures)]
    assert len(kinds) == 8
    for field in (field for kind in kinds for field in dataclasses.fields(kind)):
        text = field.metadata.get("help", "").removesuffix(".")
        assert field.name == "other" or f"| `{field.name}` | {text}" in page, field.name


def test_a_newer_library_is_no_obstacle():
    """Goal: figures without an attribute are kept by name; lists and elements, too."""
    entries = [("rows", -1, -1, 5), ("new", -1, -1, 7), ("news.a", -1, 0, 1), ("news.a", -1, 1, 2),
               ("rows", 0, -1, 5), ("newer", 0, -1, 8)]
    stats = aerostore.stats.collect(entries, ["T"])
    assert stats.rows == 5 and stats["new"] == 7 and stats.tables["T"]["newer"] == 8
    assert stats.as_dict()["news"] == [{"a": 1}, {"a": 2}]


# ---- a small checker of the text format ----

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABELS = r'\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)+\}'
_SAMPLE = re.compile(rf"({_NAME})({_LABELS})? ([-+]?(?:[0-9.]+(?:e[-+]?[0-9]+)?|Inf|NaN))")


def checked(page):
    """Return samples as {name + labels: value}; each metric has HELP and TYPE and stands in one
    piece, no sample comes twice, counters and histograms are named and filled as they should."""
    assert page.endswith("\n")
    samples, types, current = {}, {}, None
    for line in page.splitlines():
        if line.startswith("# HELP "):
            current = line.split()[2]
            assert current not in types and len(line.split()) > 3
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name == current and kind in ("counter", "gauge", "histogram")
            types[name] = kind
        else:
            match = _SAMPLE.fullmatch(line)
            assert match, line
            name, labels, value = match.groups()
            if types[current] == "histogram":
                assert re.fullmatch(f"{current}_(bucket|sum|count)", name), line
            else:
                assert name == current, line
            assert types[current] != "counter" or name.endswith("_total")
            assert name + (labels or "") not in samples
            samples[name + (labels or "")] = float(value)
    for name in (name for name, kind in types.items() if kind == "histogram"):
        buckets = [value for key, value in samples.items() if key.startswith(f"{name}_bucket")]
        assert buckets == sorted(buckets) and buckets[-1] == samples[f"{name}_count"]
        assert samples[f'{name}_bucket{{le="+Inf"}}'] == buckets[-1]
    return samples


def test_the_page_is_well_formed(db, fs):
    """Goal: Prometheus can read it, whatever texts are in it."""
    fs.upsert(flight("a", 1))
    with fs.watch(timeout=0), db.transaction():
        fs.upsert(flight("b", 1))
        stats = db.stats()
    samples = checked(prometheus(stats))
    assert samples["aerostore_commits_total"] == 1
    assert samples['aerostore_table_rows{table="FlightState"}'] == 1
    assert samples['aerostore_segment_bytes{part="size"}'] == 256 << 20
    assert samples['aerostore_conflicts_total{reason="write"}'] == 0
    assert samples["aerostore_log_flush_duration_seconds_count"] == stats.log_flushes
    assert any(key.startswith("aerostore_watch_lag{") for key in samples)
    assert any(key.startswith("aerostore_transaction_age_seconds{") for key in samples)
    odd = dataclasses.replace(stats, data_dir='a"b\\c\nd')
    assert 'data_dir="a\\"b\\\\c\\nd"' in prometheus(odd)
    checked(prometheus(odd))


# ---- the server ----


@contextlib.contextmanager
def serving(store, environment, listen):
    """Run `aerostore metrics`; gives the process and where it says that it listens."""
    with subprocess.Popen(
            [sys.executable, "-m", "aerostore", "metrics", str(store.data_dir), "--listen", listen,
             "--shm-path", str(store.shm_path)],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            assert line.startswith("listening on "), process.stderr.read()
            yield process, line.removeprefix("listening on ").strip()
        finally:
            process.kill()


def answer(connection, method="GET", path="/metrics"):
    connection.request(method, path)
    response = connection.getresponse()
    return response.status, response.getheader("Content-Type"), response.read().decode()


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self.host)


def test_a_scrape_over_http(db, fs, store, python_environment):
    """Goal: a real scrape sees what other processes commit; other paths are refused; SIGTERM ends
    it with status 0."""
    fs.upsert(flight("a", 1))
    with serving(store, python_environment(), "127.0.0.1:0") as (process, where):
        host, port = re.fullmatch(r"http://(.+):(\d+)/metrics", where).groups()
        for commits in (1, 2):
            status, kind, page = answer(http.client.HTTPConnection(host, int(port), timeout=60))
            assert status == 200 and kind.startswith("text/plain; version=0.0.4")
            assert checked(page)["aerostore_commits_total"] == commits
            fs.upsert(flight("a", 2))
        assert answer(http.client.HTTPConnection(host, int(port), timeout=60), path="/")[0] == 404
        assert answer(http.client.HTTPConnection(host, int(port), timeout=60), "POST")[0] == 501
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_a_scrape_over_a_unix_socket(db, fs, store, tmp_path, python_environment):
    """Goal: only the owner may connect; a socket that was left is replaced, a file never; the
    socket goes with the server."""
    path = tmp_path / "metrics.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with serving(store, python_environment(), f"unix:{path}") as (process, where):
        assert where == f"unix:{path}"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert checked(answer(UnixConnection(str(path), timeout=60))[2])["aerostore_rows"] == 0
        with pytest.raises(UsageError, match="listens on"), \
                aerostore._metrics.serving(f"unix:{path}", str):
            pass
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert not path.exists()
    path.write_text("mine")
    with pytest.raises(UsageError, match="no socket"), \
            aerostore._metrics.serving(f"unix:{path}", str):
        pass
    assert path.read_text() == "mine"


def test_a_connection_that_says_nothing_holds_nobody_up(db, fs, store, python_environment):
    """Goal: a scrape is answered at once beside connections that are idle, half a request, or gone
    before their answer; none of them makes the server print anything."""
    with serving(store, python_environment(), "127.0.0.1:0") as (process, where):
        host, port = re.fullmatch(r"http://(.+):(\d+)/metrics", where).groups()
        with contextlib.ExitStack() as open_sockets:
            for half in (b"", b"", b"GET /met", b"GET /metrics HTTP/1.0\r\nHost"):
                silent = open_sockets.enter_context(socket.create_connection((host, int(port))))
                silent.sendall(half)
            for _ in range(8):
                hasty = socket.create_connection((host, int(port)))
                hasty.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                hasty.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
                hasty.close()
            begin = time.monotonic()
            assert answer(http.client.HTTPConnection(host, int(port), timeout=60))[0] == 200
            assert time.monotonic() - begin < aerostore._metrics._PATIENCE_S
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        assert process.stderr.read() == ""


def test_a_directory_whose_name_is_no_text(tmp_path, store):
    """Goal: a name that is not UTF-8 costs no figures; what is no text is replaced."""
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/b\xffd")
    with aerostore.open(odd, size="16MiB", shm_path=store.shm_path.with_suffix(".odd")) as other:
        assert other.path == odd
        assert other.stats().data_dir == f"{tmp_path}/b\ufffdd"
        assert checked(prometheus(other.stats()))["aerostore_rows"] == 0


def test_addresses_that_are_none():
    """Goal: one clear error."""
    for listen in ("", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "1.2.3.4.5:80",
                   "unix:", "unix:/nowhere/at/all"):
        with pytest.raises(UsageError), aerostore._metrics.serving(listen, str):
            pass


# ---- the command line ----


def run(environment, *arguments):
    return subprocess.run([sys.executable, "-m", "aerostore", *map(str, arguments)],
                          env={**environment, "COLUMNS": "120"}, capture_output=True, text=True,
                          check=False)


def test_the_commands_print(store, python_environment, aerostore_library):
    """Goal: stats, metrics --once and top --once, of a database of another profile than the
    default."""
    with aerostore.open(store.data_dir, "logical", "8MiB", shm_path=store.shm_path) as db:
        db.table("FlightState").upsert(flight("a", 1))
        environment, place = python_environment(), ("--shm-path", store.shm_path)
        done = run(environment, "stats", store.data_dir, *place)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert "profile logical" in lines and "FlightState.rows 1" in lines
        assert any(line.startswith("flush_latency[0] below_us=1 count=") for line in lines)
        assert json.loads(run(environment, "stats", store.data_dir, "--json",
                              *place).stdout)["rows"] == 1
        page = run(environment, "metrics", store.data_dir, "--once", *place).stdout
        assert checked(page)['aerostore_table_rows{table="FlightState"}'] == 1
        shown = run(environment, "top", store.data_dir, "--once", *place)
        assert shown.returncode == 0, shown.stderr
        for text in ("commits 1", "FlightState", "segment", "conflicts none", "oldest -"):
            assert text in shown.stdout
        refused = run(environment, "metrics", store.data_dir, "--listen", "nowhere", *place)
        assert refused.returncode == 1 and refused.stderr.startswith("error: listen on HOST:PORT")


@pytest.mark.parametrize("terminal", [False, True], ids=["pipe", "dumb"])
def test_top_where_nothing_can_be_drawn_over(terminal, db, fs, store, python_environment):
    """Goal: in a pipe, and in a terminal that only prints, each look is printed below the last one
    as it is taken; Ctrl-C ends it with status 0."""
    here, there = pty.openpty() if terminal else os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "aerostore", "top", str(store.data_dir), "--interval", "0.05",
         "--shm-path", str(store.shm_path)],
        env=python_environment(TERM="dumb", COLUMNS="100", LINES="50"),
        stdin=there if terminal else subprocess.DEVNULL, stdout=there, stderr=subprocess.PIPE)
    os.close(there)
    text, wrote, end = "", False, time.monotonic() + 120
    try:
        while "commits 1" not in text and time.monotonic() < end:
            if select.select([here], [], [], 1)[0]:
                text += os.read(here, 1 << 16).decode(errors="replace")
            if "commits 0" in text and not wrote:
                fs.upsert(flight("a", 1))
                wrote = True
        assert "commits 1" in text and "\x1b[H" not in text, text
        process.send_signal(signal.SIGINT)
        while process.poll() is None and time.monotonic() < end:
            with contextlib.suppress(OSError):  # a terminal without a writer
                if select.select([here], [], [], 0.1)[0]:
                    os.read(here, 1 << 16)
        assert process.returncode == 0, process.stderr.read()
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
        os.close(here)


def test_top_in_a_terminal(db, fs, store, python_environment):
    """Goal: it draws again while it runs, and q ends it with the terminal as it was.  Method: a
    pseudo-terminal."""
    fs.upsert(flight("a", 1))
    here, there = pty.openpty()
    before = termios.tcgetattr(there)
    process = subprocess.Popen(
        [sys.executable, "-m", "aerostore", "top", str(store.data_dir), "--interval", "0.05",
         "--shm-path", str(store.shm_path)],
        env=python_environment(TERM="xterm", COLUMNS="120", LINES="50"),
        stdin=there, stdout=there, stderr=there)
    text, end = "", time.monotonic() + 120
    try:
        wrote = False
        while "commits 2" not in text and time.monotonic() < end:
            if select.select([here], [], [], 1)[0]:
                text += os.read(here, 1 << 16).decode(errors="replace")
                text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
            if "commits 1" in text and not wrote:
                fs.upsert(flight("a", 2))
                wrote = True
        assert "commits 2" in text, text
        os.write(here, b"q")
        while process.poll() is None and time.monotonic() < end:
            if select.select([here], [], [], 0.1)[0]:
                os.read(here, 1 << 16)
        assert process.returncode == 0
        assert termios.tcgetattr(there) == before
    finally:
        process.kill()
        process.wait()
        os.close(here)
        os.close(there)
