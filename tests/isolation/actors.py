"""Processes that carry out the steps of transactions one by one, when they are told to.

Each actor is a process of its own with its own session.  A step's outcome is what the database
said; once a step meets a conflict the transaction is over, and its later steps are left out.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import aerostore

# A step is an operation and its arguments, e.g. ("read", "x") or ("add", "x", -10).
Step = tuple[Any, ...]


def _row(key: str, value: int) -> dict[str, Any]:
    row = {"flight_id": key, "lat": 0.0, "lon": 0.0, "updated_at": 0, "altitude": value}
    return {**row, "gs": value}  # the same once more in a column without an index


def carry_out(table: aerostore.Table, step: Step) -> Any:
    """Do one step on a table; return what a reader learns from it."""
    kind, *rest = step
    if kind == "read":
        row = table.get(rest[0])
        return None if row is None else row["altitude"]
    if kind == "scan":
        low, high = rest
        rows = table.search([("range", "altitude", low, high)], fields=["flight_id", "altitude"])
        return sorted((row["flight_id"], row["altitude"]) for row in rows)
    if kind == "sweep":
        low, high = rest
        rows = table.search([("range", "gs", low, high)], fields=["flight_id", "altitude"])
        return sorted((row["flight_id"], row["altitude"]) for row in rows)
    if kind == "count":
        return len(table)
    if kind == "write":
        return table.upsert(_row(*rest))
    if kind == "add":
        key, amount = rest
        row = table.get(key)
        if row is None:
            return None
        table.update(key, altitude=row["altitude"] + amount, gs=row["altitude"] + amount)
        return row["altitude"]
    if kind == "delete":
        return table.delete(rest[0])
    if kind == "delete where":
        low, high = rest
        keys = sorted(
            row["flight_id"]
            for row in table.search([("range", "altitude", low, high)], fields=["flight_id"])
        )
        for key in keys:
            table.delete(key)
        return keys
    raise AssertionError(f"no such step: {step}")


def _serve(pipe: Connection, data_dir: Path, shm_path: Path) -> None:
    """Carry out what comes through the pipe, until None comes."""
    with aerostore.open(data_dir, shm_path=shm_path, size="64MiB") as db:
        table = db["FlightState"]
        block: Any = None
        while (message := pipe.recv()) is not None:
            kind, *rest = message
            try:
                if kind == "begin":
                    block = db.transaction(isolation=rest[0])
                    block.__enter__()
                    answer: Any = ("ok", None)
                elif kind == "config":
                    db.set_config(*rest)
                    answer = ("ok", None)
                elif kind == "commit":
                    leaving, block = block, None
                    leaving.__exit__(None, None, None)
                    answer = ("ok", None)
                elif kind == "rollback":
                    leaving, block = block, None
                    error = RuntimeError("rolled back")
                    leaving.__exit__(RuntimeError, error, None)
                    answer = ("ok", None)
                else:
                    answer = ("ok", carry_out(table, message))
            except aerostore.SerializationFailure as failure:
                if block is not None:
                    leaving, block = block, None
                    leaving.__exit__(type(failure), failure, None)
                answer = ("conflict", str(failure))
            pipe.send(answer)


@dataclass
class Actor:
    """A process at the other end of a pipe."""

    pipe: Connection
    process: multiprocessing.process.BaseProcess

    @classmethod
    def start(cls, data_dir: Path, shm_path: Path) -> Actor:
        """Start a fresh process (not a fork) that attaches to the store."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, data_dir, shm_path), daemon=True)
        process.start()
        theirs.close()
        return cls(ours, process)

    def tell(self, *message: Any) -> Any:
        """Have one message carried out; return (kind, value)."""
        self.pipe.send(message)
        assert self.pipe.poll(120), f"no answer to {message}: somebody waits for somebody"
        return self.pipe.recv()

    def stop(self) -> None:
        """End the process."""
        self.pipe.send(None)
        self.process.join(30)


@dataclass
class History:
    """What happened to one transaction."""

    steps: Sequence[Step]
    outcomes: list[Any] = field(default_factory=list)
    state: str = "running"  # then committed, aborted (by the database) or rolled back (by itself)
    begun_at: int = -1
    ended_at: int = -1
