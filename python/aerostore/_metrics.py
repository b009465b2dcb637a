"""Statistics as Prometheus text, and a small HTTP server for them (`aerostore metrics`)."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import http.server
import os
import signal
import socket
import socketserver
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from aerostore.errors import UsageError
from aerostore.stats import Figures, Statistics, TableStatistics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# A client that says nothing for so long is let go.
_PATIENCE_S = 5.0
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def _labels(labels: Mapping[str, Any]) -> str:
    pairs = (f'{name}="{str(value).translate(_ESCAPES)}"' for name, value in labels.items())
    text = ",".join(pairs)
    return f"{{{text}}}" if text else ""


class _Page:
    """Samples by metric, in the order in which metrics were first met."""

    def __init__(self) -> None:
        self._metrics: dict[str, tuple[str, str, list[str]]] = {}

    def add(
        self,
        name: str,
        kind: str,
        text: str,
        labels: Mapping[str, Any],
        value: float,
        ending: str = "",
    ) -> None:
        lines = self._metrics.setdefault(name, (kind, text, []))[2]
        number = f"{value:.9g}" if isinstance(value, float) else str(value)
        lines.append(f"{name}{ending}{_labels(labels)} {number}")

    def figures(self, figures: Figures, prefix: str, labels: Mapping[str, Any]) -> None:
        """Add every number of an object, by the names of its fields."""
        for each in dataclasses.fields(figures):
            value = None if each.name == "other" else getattr(figures, each.name)
            if not isinstance(value, int) or each.name in labels:
                continue
            counter = each.metadata.get("counter", False)
            name, text, more = _metric_name(each.name, each.metadata["help"])
            seconds = each.name.endswith("_us")
            self.add(
                f"aerostore_{prefix}{name}{'_total' if counter else ''}",
                "counter" if counter else "gauge",
                text,
                {**labels, **more},
                value / 1e6 if seconds else value,
            )

    def __str__(self) -> str:
        parts = []
        for name, (kind, text, lines) in self._metrics.items():
            parts += [f"# HELP {name} {text}", f"# TYPE {name} {kind}", *lines]
        return "\n".join(parts) + "\n"


# Figures that are one metric with a label: by how their names begin.
_FAMILIES = (
    ("conflicts_", "conflicts", "reason", "Aborts by their reason."),
    (
        "bytes_",
        "memory_bytes",
        "kind",
        "Bytes of memory by what they hold; some are part of others.",
    ),
    ("segment_", "segment_bytes", "part", "Bytes of the segment."),
)


def _metric_name(name: str, text: str) -> tuple[str, str, dict[str, str]]:
    """Return a figure's name in metrics, its help text, and labels for those of a family."""
    for start, family, label, help_text in _FAMILIES:
        if name.startswith(start):
            return family, help_text, {label: name.removeprefix(start)}
    return (name.removesuffix("_us") + "_seconds" if name.endswith("_us") else name), text, {}


def _add_flushes(page: _Page, stats: Statistics) -> None:
    name, text = "aerostore_log_flush_duration_seconds", "How long flushes of the log took."
    total = 0
    for each in stats.flush_latency:
        total += each.count
        bound = f"{each.below_us / 1e6:g}" if each.below_us else "+Inf"
        page.add(name, "histogram", text, {"le": bound}, total, "_bucket")
    page.add(name, "histogram", text, {}, stats.log_flush_total_us / 1e6, "_sum")
    page.add(name, "histogram", text, {}, total, "_count")


def _add_table(page: _Page, name: str, table: TableStatistics) -> None:
    page.figures(table, "table_", {"table": name})
    for index in table.indexes:
        page.figures(index, "index_", {"table": name, "index": index.name})


def _add_elements(page: _Page, stats: Statistics) -> None:
    for each in stats.block_classes:
        page.figures(each, "block_class_", {"size": each.size})
    for transaction in stats.transactions:
        labels = {"slot": transaction.slot, "pid": transaction.pid, "state": transaction.state}
        page.figures(transaction, "transaction_", labels)
    for number, watch in enumerate(stats.watches):
        labels = {"watch": number, "pid": watch.pid, "state": watch.state}
        page.figures(watch, "watch_", labels)


def prometheus(stats: Statistics) -> str:
    """Return the statistics as a page of Prometheus text."""
    page = _Page()
    info = {"profile": stats.profile, "data_dir": stats.data_dir, "segment": stats.segment_path}
    page.add("aerostore_info", "gauge", "Which database this is.", info, 1)
    held = {"kind": stats.oldest_snapshot_kind}
    page.add("aerostore_oldest_snapshot_held", "gauge", "Who holds the oldest snapshot.", held, 1)
    role = {"role": stats.keeper_role}
    page.add("aerostore_keeper", "gauge", "Who flushes and takes checkpoints.", role, 1)
    page.figures(stats, "", {})
    _add_flushes(page, stats)
    for name, table in stats.tables.items():
        _add_table(page, name, table)
    _add_elements(page, stats)
    return str(page)


# ---- the server ----


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers GET /metrics."""

    timeout = _PATIENCE_S
    scrape: Callable[[], str]

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404, explain="The page is /metrics.")
            return
        page = self.scrape().encode()
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def address_string(self) -> str:
        return str(self.client_address)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Say nothing: a scrape every few seconds is no news."""


class _Server(socketserver.ThreadingMixIn):
    """A thread for each connection, so that a silent one holds nobody up."""

    daemon_threads = True
    block_on_close = False

    def handle_error(self, _request: object, _client_address: object) -> None:
        """Pass over clients that have gone; whatever else went wrong is told."""
        error = sys.exception()
        if not isinstance(error, OSError):
            print(f"aerostore metrics: {error}", file=sys.stderr, flush=True)


class _HttpServer(_Server, socketserver.TCPServer):
    allow_reuse_address = True


class _HttpServer6(_HttpServer):
    address_family = socket.AF_INET6


class _UnixServer(_Server, socketserver.UnixStreamServer):
    pass


def _stale_socket_remove(path: str) -> None:
    """Remove a socket that nobody listens on; leave anything else alone."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise UsageError(f"{path} exists and is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink()
            return
    raise UsageError(f"somebody listens on {path} already")


def _tcp_address(listen: str) -> tuple[str, int]:
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise UsageError(f'listen on HOST:PORT or unix:PATH, not "{listen}"')
    return host.strip("[]") or "127.0.0.1", int(port)


@contextlib.contextmanager
def serving(
    listen: str, scrape: Callable[[], str]
) -> Iterator[tuple[socketserver.BaseServer, str]]:
    """Listen at HOST:PORT (port 0: any) or unix:PATH; gives the server and where it is."""
    handler = type("Handler", (_Handler,), {"scrape": staticmethod(scrape)})
    server: socketserver.BaseServer
    path = listen.removeprefix("unix:")
    try:
        if path != listen:
            if not path:
                raise UsageError("listen on unix:PATH, with a path")
            _stale_socket_remove(path)
            before = os.umask(0o177)
            try:
                server = _UnixServer(path, handler)
            finally:
                os.umask(before)
            where = listen
        else:
            host, port = _tcp_address(listen)
            made = (_HttpServer6 if ":" in host else _HttpServer)((host, port), handler)
            shown = f"[{host}]" if ":" in host else host
            server, where = made, f"http://{shown}:{made.server_address[1]}/metrics"
    except (OSError, OverflowError, UnicodeError) as error:
        raise UsageError(f"cannot listen on {listen}: {error}") from None
    try:
        yield server, where
    finally:
        server.server_close()
        if path != listen:
            with contextlib.suppress(OSError):
                Path(path).unlink()


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def serve(listen: str, scrape: Callable[[], str], tell: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; `tell` gets the address once it listens."""
    # One thread asks the database for all of them, so that only one session is taken.
    with (
        concurrent.futures.ThreadPoolExecutor(max_workers=1) as asker,
        serving(listen, lambda: asker.submit(scrape).result()) as (server, where),
    ):
        before = signal.signal(signal.SIGTERM, _interrupt)
        try:
            tell(where)
            server.serve_forever(poll_interval=0.5)
        except KeyboardInterrupt:
            pass
        finally:
            signal.signal(signal.SIGTERM, before)
